// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which tile configuration a request's kernel has: every choice that depends on sizes, in one place.
///
/// A choice holds for a range of sizes; to see whether another is better, change the line, rebuild, and compare
///
///     kqbench --impl native --dtype half,bfloat16,float --quant-dtype fp8,int8 --granularity tensor,token,group:128
///             --num-tokens 1,16,128,1024,4096,16384 --hidden-size 4096,8192 --json after.json
///
/// with the file of the version before by `kqbench compare before.json after.json`.
///
/// Sizes are in vectors of 16 bytes: 8 elements of 16 bits, 4 of 32.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/tile_config.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

/// Whether each lane should have one vector only. With several, too few lanes would be left to fill the device, and the
/// kernel would have more instructions: a launch this short mostly waits for instruction-cache misses.
inline bool is_small(std::int64_t vectors, int multiprocessors) {
  return vectors <= std::int64_t{multiprocessors} * 4096;
}

/// Functions here are called with a tile configuration and, as a type, whether the kernel may assume that spans begin
/// and end at whole vectors. Such a kernel has no code for single elements at their ends.
using Aligned = std::true_type;
using Any = std::false_type;

/// One given scale for a contiguous tensor: several loads in flight per lane, unless the tensor is small. The smallest
/// tensors have smaller blocks, which reach more multiprocessors (docs/results/tiles.md).
template <class Function>
void with_static_tensor_config(std::int64_t vectors, bool aligned, int multiprocessors, const Function& function) {
  const bool small = is_small(vectors, multiprocessors);
  if (aligned && vectors % 128 == 0 && vectors <= std::int64_t{multiprocessors} * 64) {
    return function(WholeTileConfig<128, 128, 1>{}, Aligned());
  }
  if (aligned && vectors % 256 == 0 && vectors <= std::int64_t{multiprocessors} * 1024) {
    return function(WholeTileConfig<256, 256, 1>{}, Aligned());
  }
  if (aligned && vectors % 512 == 0) return function(WholeTileConfig<256, 256, 2, 1536>{}, Aligned());
  if (aligned && small) return function(TileConfig<256, 256, 1>{}, Aligned());
  if (aligned) return function(TileConfig<256, 256, 4>{}, Aligned());
  if (small) return function(TileConfig<256, 256, 1>{}, Any());
  function(TileConfig<256, 256, 4>{}, Any());
}

/// Given scales, by rows: rows that a part of a wave's registers holds share blocks, others are cut.
template <class Function>
void with_static_rows_config(std::int64_t vectors_per_row, const Function& function) {
  if (vectors_per_row <= 128) return function(TileConfig<256, 32, 4>{});
  function(TileConfig<128, 128, 4>{});
}

/// A row's own scale. Registers hold the row, four vectors per lane, so that their loads overlap. If there are too few
/// rows to fill the device in that way, more lanes share a row, so that it takes less time. Rows that are not whole
/// vectors have four vectors per lane too, or as few more as they need: 4096 rows of 5137 floats took 35.4 µs with
/// four, 38.0 with six on an H200. Rows of more than 4096 vectors (32768 elements of 16 bits) do not fit in registers.
template <class Function>
void with_token_config(std::int64_t vectors_per_row, std::int64_t rows, bool aligned, int multiprocessors,
                       const Function& function) {
  if (aligned) {
    const bool few = rows <= multiprocessors;
    if (!few && vectors_per_row == 512) return function(WholeTileConfig<128, 128, 4>{}, Aligned());
    if constexpr (kq::arch::all_kernels) {
      if (vectors_per_row == 512) return function(WholeTileConfig<512, 512, 1>{}, Aligned());
      if (few && vectors_per_row == 1024) return function(WholeTileConfig<256, 256, 4, 1280>{}, Aligned());
      if (vectors_per_row == 1024) return function(WholeTileConfig<256, 256, 4>{}, Aligned());
      if (vectors_per_row <= 128) return function(TileConfig<256, 32, 4>{}, Aligned());
      if (few && vectors_per_row <= 512) return function(TileConfig<512, 512, 1>{}, Aligned());
      if (few && vectors_per_row <= 1024) return function(TileConfig<1024, 1024, 1>{}, Aligned());
      if (vectors_per_row <= 256) return function(TileConfig<64, 64, 4>{}, Aligned());
      if (vectors_per_row <= 512) return function(TileConfig<128, 128, 4>{}, Aligned());
      if (vectors_per_row <= 1024) return function(TileConfig<256, 256, 4>{}, Aligned());
      if (vectors_per_row <= 2048) return function(TileConfig<512, 512, 4>{}, Aligned());
    }
  }
  if (vectors_per_row <= 128) return function(TileConfig<256, 32, 4>{}, Any());
  if (vectors_per_row <= 1024) return function(TileConfig<256, 256, 4>{}, Any());
  if constexpr (kq::arch::all_kernels) {
    if (vectors_per_row <= 2048) return function(TileConfig<512, 512, 4>{}, Any());
    if (vectors_per_row <= 3072) return function(TileConfig<512, 512, 6>{}, Any());
    if (vectors_per_row <= 4096) return function(TileConfig<512, 512, 8>{}, Any());
  }
  function(TileConfig<1024, 1024, 0>{}, Any());
}

/// For parts of rows of silu_mul: of a vector for each lane.
inline constexpr int part_lanes = 32;
using PartConfig = TileConfig<256, part_lanes, 1>;

/// A producer and a quantizer of rows of whole vectors. Registers hold the row, four vectors per lane, or eight of the
/// longest rows that fit; longer rows are read again by every pass over them. Kernels for 512 and 1024 vectors do not
/// test whether a lane has a vector: the tests are 1.2 of 19.6 instructions per element of rms_norm + token on sm_90. A
/// few rows are shared by more lanes (128x8192 behind silu_mul, static: 3.47 µs with 512, 3.92 with 256, on an H200),
/// and so are those behind add_rms_norm (4096x8192, groups: 59.3 µs with two vectors per lane, 63.7 with four; static
/// and tokens 0 to 2 % less). A multiprocessor holds `Resident` threads. Kernels that are not `IsUsual` have fewer
/// configurations.
template <class Producer, bool IsUsual, class Function>
void with_fused_config(std::int64_t vectors_per_row, std::int64_t rows, int multiprocessors, const Function& function) {
  constexpr int Resident = Producer::resident_threads;
  if constexpr (IsUsual) {
    if (vectors_per_row <= 128) return function(TileConfig<256, 32, 4, Resident>{});
  }
  if constexpr (IsUsual && kq::arch::all_kernels) {
    const bool few = rows <= multiprocessors;
    if (vectors_per_row == 512) {
      constexpr int few_lanes = Producer::is_norm ? 256 : 512;
      if (few) return function(WholeTileConfig<few_lanes, few_lanes, 512 / few_lanes>{});
      if constexpr (Producer::spreads) {
        return function(WholeTileConfig<256, 256, 2, 1536>{});
      } else {
        return function(WholeTileConfig<128, 128, 4, Resident>{});
      }
    }
    if (few && vectors_per_row <= 512) return function(TileConfig<512, 512, 1>{});
    if (vectors_per_row == 1024) {
      if (few) return function(WholeTileConfig<512, 512, 2>{});
      if constexpr (Producer::spreads) {
        return function(WholeTileConfig<512, 512, 2, 1536>{});
      } else if constexpr (Producer::loads_one) {
        return function(WholeTileConfig<128, 128, 8, 768>{});
      } else {
        return function(WholeTileConfig<256, 256, 4, Resident>{});
      }
    }
    if (vectors_per_row <= 512) return function(TileConfig<128, 128, 4, Resident>{});
  }
  if (vectors_per_row <= 1024) return function(TileConfig<256, 256, 4, Resident>{});
  if constexpr (IsUsual && kq::arch::all_kernels) {
    if (vectors_per_row <= 2048) return function(TileConfig<512, 512, 4, (Resident < 1024 ? 512 : 1024)>{});
    if (vectors_per_row <= 4096) return function(TileConfig<512, 512, 8, 512>{});
  }
  function(TileConfig<512, 512, 0, (Resident < 1024 ? 512 : 1024)>{});
}

/// A group's own scale. Aligned groups of usual sizes have kernels of their own. Unaligned groups of 16 vectors are
/// faster with eight lanes, smaller ones with four. (4096 rows of 5137 halfs on an H200: groups of 128 took 22.3 µs
/// with eight lanes of two vectors and 23.3 with four lanes of four; groups of 64 took 34.5 and 28.3. Four lanes of
/// two, which groups of 64 have here, were not timed.)
template <class Function>
void with_group_config(std::int64_t vectors_per_group, bool aligned, const Function& function) {
  if (aligned) {
    if constexpr (kq::arch::all_kernels) {
      if (vectors_per_group <= 4) return function(TileConfig<256, 4, 1>{}, Aligned());
      if (vectors_per_group <= 8) return function(TileConfig<256, 4, 2>{}, Aligned());
    }
    if (vectors_per_group <= 16) return function(TileConfig<256, 4, 4>{}, Aligned());
    if constexpr (kq::arch::all_kernels) {
      if (vectors_per_group <= 32) return function(TileConfig<256, 8, 4>{}, Aligned());
    }
  }
  if constexpr (kq::arch::all_kernels) {
    if (vectors_per_group <= 8) return function(TileConfig<256, 4, 2>{}, Any());
  }
  if (vectors_per_group <= 16) return function(TileConfig<256, 8, 2>{}, Any());
  if constexpr (kq::arch::all_kernels) {
    if (vectors_per_group <= 32) return function(TileConfig<256, 8, 4>{}, Any());
    if (vectors_per_group <= 128) return function(TileConfig<256, 32, 4>{}, Any());
  }
  function(TileConfig<256, 32, 0>{}, Any());
}

/// The configuration for aligned groups that follow each other in memory; false for sizes that have none. Eight
/// lanes and 16 elements per lane for 128 elements of 16 bits, so that a lane's work per group is spread over many
/// elements; in a tensor of few vectors 16 lanes, which took 6.0 µs at 1024x4096 on an H200 where eight took 5.1.
template <class Function>
bool with_flat_group_config(std::int64_t vectors_per_group, std::int64_t groups, int multiprocessors,
                            const Function& function) {
  const auto run = [&](auto config) { return function(config), true; };
  const bool small = is_small(groups * vectors_per_group, multiprocessors);
  const bool few = groups * vectors_per_group <= std::int64_t{multiprocessors} * 1024;
  if (vectors_per_group == 16 && few) return run(WholeTileConfig<128, 16, 1>{});
  if constexpr (kq::arch::all_kernels) {
    if (vectors_per_group == 8) return run(WholeTileConfig<256, 4, 2>{});
    if (vectors_per_group == 16) return run(WholeTileConfig<256, 8, 2, 1536>{});
    if (vectors_per_group == 32) return small ? run(WholeTileConfig<256, 32, 1>{}) : run(WholeTileConfig<256, 8, 4>{});
  }
  return false;
}

/// The tensor's own scale in one launch: blocks of 512 lanes, all of which run at once. A tensor that fits in one
/// block, at four vectors per lane, has one block, which waits for no other; larger ones have as many blocks as there
/// is work for. Up to sixteen vectors per lane stay in registers, so that the tensor is read once (1024x4096 and
/// 2048x4096, half to fp8 on an H200: 7.0 and 10.4 µs, against 7.4 and 10.9 with the kernel for larger tensors).
inline constexpr int tensor_lanes = 512;
using TensorSmallConfig = TileConfig<tensor_lanes, tensor_lanes, 1, tensor_lanes>;
using TensorMiddleConfig = TileConfig<tensor_lanes, tensor_lanes, 4, tensor_lanes>;
using TensorBigConfig = TileConfig<tensor_lanes, tensor_lanes, 16, tensor_lanes>;
using TensorLargeConfig = TileConfig<tensor_lanes, tensor_lanes, 14, tensor_lanes>;

/// Blocks of that launch; `max_blocks`, at least 1, can run at once.
inline int tensor_blocks(std::int64_t vectors, int max_blocks) {
  if (vectors <= TensorMiddleConfig::capacity) return 1;
  return static_cast<int>(std::min<std::int64_t>(max_blocks, (vectors + tensor_lanes - 1) / tensor_lanes));
}

/// How many of `wanted` rows, none if that is below 0, fit in a block's `shared_bytes` of shared memory beside `taken`
/// bytes. A row is what each of the block's threads keeps once, `row_bytes` in all.
inline int rows_in_shared(std::size_t shared_bytes, std::size_t taken, std::size_t row_bytes, std::int64_t wanted) {
  const auto room = static_cast<std::int64_t>((shared_bytes - taken) / row_bytes);
  return static_cast<int>(std::clamp<std::int64_t>(wanted, 0, room));
}

/// Whether a tensor gets that launch: it is contiguous, and several blocks can run at once or one is enough.
inline bool fits_one_launch(bool contiguous, std::int64_t vectors, int max_blocks) {
  return contiguous && (max_blocks > 1 || vectors <= TensorMiddleConfig::capacity);
}

/// The tensor's own scale in two launches: slices of a row, by at most eight blocks per multiprocessor.
using TensorSliceConfig = TileConfig<256, 256, 4>;
inline std::int64_t max_slice_blocks(int multiprocessors) {
  return std::int64_t{multiprocessors} * 8;
}

/// A block's own scale, of 128 by 128 elements or less: the block in the registers of 256 threads, or of 512 for
/// elements of 32 bits.
template <int Width>
using HeldBlockConfig = TileConfig<2048 / Width, 128 / Width, 8>;

/// A larger block's own scale: 256 threads, of which a row of the block has as many as it has vectors, up to a wave.
template <class Function>
void with_block_config(std::int64_t vectors_per_row, bool aligned, const Function& function) {
  const auto with_lanes = [&](auto is_known_aligned) {
    if constexpr (kq::arch::all_kernels) {
      if (vectors_per_row <= 8) return function(TileConfig<256, 8, 1>{}, is_known_aligned);
      if (vectors_per_row <= 16) return function(TileConfig<256, 16, 1>{}, is_known_aligned);
    }
    if (vectors_per_row <= 32) return function(TileConfig<256, 32, 1>{}, is_known_aligned);
    function(TileConfig<256, 32, 4>{}, is_known_aligned);
  };
  if constexpr (kq::arch::all_kernels) {
    if (aligned) return with_lanes(Aligned());
  }
  with_lanes(Any());
}

/// A column's own scale: each thread has as many columns as a vector has elements. The first launch cuts the rows into
/// slabs, so many that every multiprocessor has work, but of at least 16 rows, since the maxima of a slab are written
/// and read again. In the last launch a thread has just enough rows to make up for the cost of its columns' quantizers.
using ChannelConfig = TileConfig<128, 128, 1, 512>;
inline constexpr int channel_rows = 6;
inline std::int64_t channel_slabs(const kq::Request& r, int multiprocessors) {
  constexpr std::int64_t least_rows = 16;
  constexpr std::int64_t columns_of_block = ChannelConfig::threads * 8;
  const std::int64_t strips = (r.hidden_size + columns_of_block - 1) / columns_of_block;
  return std::clamp<std::int64_t>(std::int64_t{multiprocessors} * 8 / strips, 1,
                                  std::max<std::int64_t>(1, r.num_tokens / least_rows));
}

}  // namespace kqbench::gpu
