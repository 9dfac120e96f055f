// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which configuration a launch gets: every choice that depends on sizes.

#include <algorithm>
#include <cstdint>

#include "kq/execution_space.hpp"
#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "kq/tile_config.hpp"
#include "kq/vector.hpp"
#include "launch.hpp"
#include "slices.hpp"

namespace kq::detail {

/// Calls function(Config{}) with the config for `rows` rows of `size` elements that one program each reduces as a
/// whole. Registers hold the row, four vectors per lane, so that their loads overlap; where there are too few rows to
/// fill the device in that way, more lanes share a row. With `may_be_whole`, aligned rows of usual sizes have configs
/// of their own. A row that no config holds is read twice. With eight vectors per lane and unaligned rows a
/// multiprocessor runs a single team, and no row's work overlaps with another's: a lane has eight only where six are
/// not enough (per element, a row of 5137 floats took 1.4 times as long as one of 5120 with six, 2.2 times with eight,
/// on an H200). Rows of 4096 and 8192 elements of 16 bits fill their tiles, whose lanes and vectors
/// docs/results/tiles.md compares. On a host every config is the same.
template <class Element, bool HasZeroPoint, class ExecutionSpace, class Function>
void with_row_config([[maybe_unused]] const ExecutionSpace& space, [[maybe_unused]] std::int64_t size,
                     [[maybe_unused]] std::int64_t rows, [[maybe_unused]] bool aligned,
                     [[maybe_unused]] bool may_be_whole, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = (size + vector_width<Element> - 1) / vector_width<Element>;
    if (aligned) {
      if (vectors <= 128) return function(TileConfig<32, 4, true>{});
      const bool few = rows <= multiprocessors(space);
      const std::int64_t whole = may_be_whole ? vectors : 0;
      if (few && whole == 512) return function(WholeTileConfig<256, 2>{});
      if constexpr (arch::all_kernels) {
        if (whole == 512) return function(WholeTileConfig<128, 4, 1024>{});
        if constexpr (HasZeroPoint) {
          if (!few && whole == 1024) return function(WholeTileConfig<128, 8, 1024>{});
        }
        if (whole == 1024) return function(WholeTileConfig<256, 4>{});
        if (few && vectors <= 512) return function(TileConfig<512, 1, true>{});
        if (vectors <= 256) return function(TileConfig<64, 4, true>{});
        if (vectors <= 512) return function(TileConfig<128, 4, true>{});
        if (vectors <= 1024) return function(TileConfig<256, 4, true>{});
        if (vectors <= 2048) return function(TileConfig<512, 4, true>{});
      }
    }
    if (vectors <= 128) return function(TileConfig<32, 4>{});
    if (vectors <= 1024) return function(TileConfig<256, 4>{});
    if constexpr (arch::all_kernels) {
      if (vectors <= 3072) return function(TileConfig<512, 6>{});
      if (vectors <= 4096) return function(TileConfig<512, 8>{});
    }
    function(TileConfig<1024, 0>{});
  }
}

/// Calls function(Config{}) for programs that read a token of `size` elements once: a short one is held by 32 lanes, a
/// team goes through a longer one.
template <class Element, class ExecutionSpace, class Function>
void with_token_config([[maybe_unused]] std::int64_t size, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    if (size <= 128 * vector_width<Element>) return function(TileConfig<32, 4>{});
    function(TileConfig<256, 0>{});
  }
}

/// Whether lanes should have one vector each. With several, too few lanes would be left to fill the device, and a
/// launch this short is mostly instruction-cache misses, of which more instructions cause more.
template <class Element, class ExecutionSpace>
bool is_small(const ExecutionSpace& space, std::int64_t size) {
  return size <= concurrency(space) / 2 * vector_width<Element>;
}

/// Calls function(Config{}) for groups of `size` elements, many of which share a team. Few lanes per group are better
/// for unaligned groups too, since every lane repeats the work that is done once per group (4096 rows of 5137 halfs in
/// groups of 128 took 23.8 µs with four lanes of four vectors, 26.2 with eight of two, 41 with sixteen of one, on an
/// H200).
template <class Element, class ExecutionSpace, class Function>
void with_group_config(std::int64_t size, [[maybe_unused]] bool aligned, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = (size + vector_width<Element> - 1) / vector_width<Element>;
    if (aligned) {
      if constexpr (arch::all_kernels) {
        if (vectors <= 4) return function(TileConfig<4, 1, true>{});
        if (vectors <= 8) return function(TileConfig<4, 2, true>{});
      }
      if (vectors <= 16) return function(TileConfig<4, 4, true>{});
      if constexpr (arch::all_kernels) {
        if (vectors <= 32) return function(TileConfig<8, 4, true>{});
      }
    }
    if (vectors <= 16) return function(TileConfig<4, 4>{});
    if constexpr (arch::all_kernels) {
      if (vectors <= 32) return function(TileConfig<8, 4>{});
      if (vectors <= 128) return function(TileConfig<32, 4>{});
    }
    return function(TileConfig<32, 0>{});
  }
}

/// Calls function(Config{}) for `groups` groups of `size` elements that follow each other in memory, and returns true;
/// returns false for sizes that have no configuration. A group of 128 halfs is 8 lanes of two vectors, so that the
/// work per group is spread over many elements; in a small tensor, 16 lanes of one (docs/results/tiles.md).
template <class Element, class ExecutionSpace, class Function>
bool with_flat_group_config([[maybe_unused]] const ExecutionSpace& space, [[maybe_unused]] std::int64_t size,
                            [[maybe_unused]] std::int64_t groups, [[maybe_unused]] bool aligned,
                            const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    return function(TileConfig<1, 0>{}), true;
  } else {
    const std::int64_t vectors = aligned ? size / vector_width<Element> : 0;
    const bool small = is_small<Element>(space, groups * size);
    const auto run = [&]<class Config>(Config config) {
      return are_whole_waves(groups, Config::lanes) && (function(config), true);
    };
    if (vectors == 16 && small) return run(WholeTileConfig<16, 1>{});
    if constexpr (arch::all_kernels) {
      if (vectors == 8) return run(WholeTileConfig<4, 2>{});
      if (vectors == 16) return run(WholeTileConfig<8, 2, 1536>{});
      if (vectors == 32) return small ? run(WholeTileConfig<32, 1>{}) : run(WholeTileConfig<8, 4>{});
    }
    return false;
  }
}

/// Calls function(Config{}) for blocks of `rows` by `columns` elements, which a program reads twice: a few by a part of
/// a wave, more by a team, whose lanes take many rows at once.
template <class Element, class ExecutionSpace, class Function>
void with_block_config([[maybe_unused]] std::int64_t rows, [[maybe_unused]] std::int64_t columns,
                       [[maybe_unused]] bool aligned, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    const std::int64_t vectors = rows * ((columns + vector_width<Element> - 1) / vector_width<Element>);
    const bool few = vectors <= 256;
    if (aligned) return few ? function(TileConfig<32, 0, true>{}) : function(TileConfig<256, 0, true>{});
    few ? function(TileConfig<32, 0>{}) : function(TileConfig<256, 0>{});
  }
}

/// Calls function(Config{}, columns) for programs that reduce so many columns each, row by row.
template <class Element, class Rule, class ExecutionSpace, class Function>
void with_strip_config([[maybe_unused]] bool aligned, const Function& function) {
  using Reduction = typename Rule::Reduction;
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{}, HostColumnMaxima<Reduction, Element>::capacity);
  } else {
    const auto run = [&](auto config) {
      function(config, DeviceColumnMaxima<Reduction, Element, decltype(config)>::capacity);
    };
    if (aligned) return run(TileConfig<32, 1, true>{});
    run(TileConfig<32, 1>{});
  }
}

/// Calls function(Config{}, slices, number of slices) for a request whose tensor is read once, slice by slice. With
/// `flat`, where nothing depends on the row, a contiguous tensor is one long row, and one of whole slices is
/// WholeSlices on a device. A device program holds four vectors per lane, so that as many loads are in flight, or two
/// where that fills the device with lanes (docs/results/tiles.md); a small tensor is cut finer, so that every
/// multiprocessor has a part.
template <class Element, class Code, bool Reduces, class ExecutionSpace, class Function>
void with_slices(const ExecutionSpace& space, const Request& r, const Operands& b, bool flat,
                 const Function& function) {
  flat = flat && is_flat(r);
  const std::int64_t rows = flat ? 1 : r.num_tokens;
  const std::int64_t size = flat ? r.num_tokens * r.hidden_size : r.hidden_size;
  const Rows<const Element> input{static_cast<const Element*>(b.input), size, r.input_stride};
  const Rows<Code> codes{static_cast<Code*>(b.codes), size, r.codes_stride};
  const auto run = [&](auto config, const auto& slices) { function(config, slices, slices.num_slices()); };
  const auto cut_rows = [&](std::int64_t slice) {
    return RowSlices<Element, Code>{input, codes, rows, (size + slice - 1) / slice, slice};
  };
  if constexpr (on_host<ExecutionSpace>) {
    run(TileConfig<1, 0>{}, cut_rows(host_grain));
  } else {
    const bool small = is_small<Element>(space, rows * size);
    if constexpr (Reduces) {
      if constexpr (arch::all_kernels) {
        if (small) return run(TileConfig<256, 1>{}, cut_rows(TileConfig<256, 1>::capacity<Element>));
      }
      run(TileConfig<256, 4>{}, cut_rows(TileConfig<256, 4>::capacity<Element>));
    } else {
      if (!flat || !is_aligned<Element>(r, b)) {
        return run(TileConfig<32, 4>{}, cut_rows(TileConfig<32, 4>::capacity<Element>));
      }
      const auto cut_flat = [&]<int Lanes, int Vectors>(TileConfig<Lanes, Vectors, true> config) {
        constexpr int slice = config.template capacity<Element>;
        // Lanes have two vectors of 16-bit elements, but four of floats: fp8 of 16384x8192 floats took 160.1 µs with
        // two (commit 06e509b) and 153.9 with four (1474b95), on an H200; of halves 93.9 and 94.0.
        if constexpr (Vectors < 4 || sizeof(Element) == 2) {
          constexpr int whole_vectors = Vectors < 4 ? Vectors : 2;
          using Whole = WholeFlatConfig<Lanes, whole_vectors, 1536>;
          constexpr int whole_slice = Whole::template capacity<Element>;
          if (size % whole_slice == 0 && are_whole_waves(size / whole_slice, Lanes)) {
            return function(Whole{}, WholeSlices<Element, Code, whole_slice>{input.data, codes.data},
                            size / whole_slice);
          }
        }
        run(config, FlatSlices<Element, Code, slice>{input.row(0), codes.row(0)});
      };
      if (is_small<Element>(space, 2 * size)) return cut_flat(TileConfig<256, 1, true>{});
      cut_flat(TileConfig<256, 4, true>{});
    }
  }
}

// --- one launch for a tensor with a scale of its own -----------------------------------------------------------------

/// Whether one launch quantizes a tensor by its own scale: on a device, if the tensor is one aligned piece; on a host,
/// if it is so small that several threads are not worth it.
template <class ExecutionSpace, class Element>
bool fits_one_launch(const Request& r, const Operands& b) {
  if (!is_flat(r)) return false;
  return on_host<ExecutionSpace> ? r.num_tokens * r.hidden_size <= host_grain : is_aligned<Element>(r, b);
}

/// A launch whose programs hold a tensor together: how many there are, and the scratch memory of each for its part.
struct CooperativePlan {
  std::int64_t programs = 1;
  int in_scratch = 0;  ///< of each lane: vectors, or chunks
  int scratch_bytes = 0;

  static constexpr int teams_per_multiprocessor = 4;  ///< of 128 lanes, or two of 512, that run at once
};

/// Scratch memory in bytes that a program can have for its part of a tensor if `teams_per_multiprocessor` of them are
/// to run on a multiprocessor. With Kokkos a team can have 48 KiB.
template <class ExecutionSpace>
std::int64_t scratch_per_program(const ExecutionSpace& space) {
  constexpr std::int64_t most_of_team = std::int64_t{48} << 10;
  constexpr std::int64_t taken = std::int64_t{3} << 9;                // by Kokkos and the program
  constexpr std::int64_t reserved_by_device = std::int64_t{1} << 10;  // beside that
  const std::int64_t of_team =
      scratch_of_multiprocessor(space) / CooperativePlan::teams_per_multiprocessor - reserved_by_device;
  return std::max<std::int64_t>(0, std::min(most_of_team, of_team) - taken);
}

/// Calls function(Config{}, plan) for a launch of at most `max_programs`. One program is enough for a tensor that fits
/// in its registers. More programs hold one vector per lane, or up to `MostVectors` where that would take more than one
/// program per multiprocessor: the fewer programs, the sooner their reduction is done. Of a larger tensor scratch
/// memory and registers hold a part: with 128 lanes per program and 128 registers per lane, 45 MB of it on an H200.
template <class Element, int MostVectors, class ExecutionSpace, class Function>
void with_cooperative_plan([[maybe_unused]] const ExecutionSpace& space, std::int64_t size,
                           [[maybe_unused]] std::int64_t max_programs, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{}, CooperativePlan{});
  } else {
    using Small = TileConfig<512, 1, true, 1024>;
    using Middle = TileConfig<512, 4, true, 1024>;
    using Big = TileConfig<512, MostVectors, true, 1024>;
    using Large = TileConfig<128, 0, true, 512>;
    const auto rows = [&](int lanes) { return (size / vector_width<Element> + lanes - 1) / lanes; };
    const std::int64_t held = rows(Small::lanes);
    const std::int64_t one_each = std::max<std::int64_t>(1, max_programs / CooperativePlan::teams_per_multiprocessor);
    const std::int64_t most = std::max<std::int64_t>(1, max_programs / 2);
    if (held <= 1) return function(Small{}, CooperativePlan{});
    if constexpr (arch::all_kernels) {
      if (held <= Middle::vectors) return function(Middle{}, CooperativePlan{});
    }
    if (held <= one_each) return function(Small{}, CooperativePlan{held});
    if constexpr (arch::all_kernels) {
      if (held <= one_each * Middle::vectors) return function(Middle{}, CooperativePlan{one_each});
    }
    if (held <= one_each * Big::vectors) return function(Big{}, CooperativePlan{one_each});
    if (held <= most * Big::vectors) return function(Big{}, CooperativePlan{most});
    constexpr int vector_row = Large::lanes * int{sizeof(Vector16)};
    const std::int64_t programs = std::min(max_programs, rows(Large::lanes));
    const std::int64_t vectors_a_lane = (rows(Large::lanes) + programs - 1) / programs;
    const auto in_scratch = static_cast<int>(std::min(vectors_a_lane, scratch_per_program(space) / vector_row));
    function(Large{}, CooperativePlan{programs, in_scratch, in_scratch * vector_row});
  }
}

/// Calls function(Config{}, plan) for a launch of at most `max_programs` that hold a tensor of groups together, in
/// chunks of two vectors. Up to one program per multiprocessor has two chunks for each of its lanes, which it keeps in
/// registers; only a larger tensor has more programs. (Many lanes rather than much room for each: NVFP4 of 4096x8192
/// bfloat16 took 40.2 µs with 1024 lanes on a multiprocessor, 41.5 with 512 that held six chunks in registers, on an
/// H200 before commit 54ba723.)
template <class Element, class ExecutionSpace, class Function>
void with_chunk_plan(const ExecutionSpace& space, std::int64_t size, std::int64_t max_programs,
                     const Function& function) {
  using Config = TileConfig<256, 2, true, 1024, true>;
  constexpr int held = ChunkPartition<Element, Config>::held_chunks;
  constexpr std::int64_t chunk_row = Config::template capacity<Element>;
  const std::int64_t rows = (size + chunk_row - 1) / chunk_row;
  const std::int64_t one_each = std::max<std::int64_t>(1, max_programs / CooperativePlan::teams_per_multiprocessor);
  const std::int64_t programs = rows <= held ? 1 : std::min(rows, rows <= held * one_each ? one_each : max_programs);
  const std::int64_t left_each = std::max<std::int64_t>(0, (rows + programs - 1) / programs - held);
  constexpr int row_bytes = Config::lanes * Config::vectors * int{sizeof(Vector16)};
  const auto in_scratch = static_cast<int>(std::min(left_each, scratch_per_program(space) / row_bytes));
  function(Config{}, CooperativePlan{programs, in_scratch, in_scratch * row_bytes});
}

}  // namespace kq::detail
