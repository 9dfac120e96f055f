// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernels: one scale for the tensor, from the tensor itself. Every element is needed twice, and the second time need
/// not come from memory.
///
///   TensorHeld                    one launch for a contiguous tensor that fits in the registers of all blocks
///   TensorLarge                   one launch for a larger one: each block keeps what it can in registers and shared
///                                 memory and reads the rest again, from the end, where the cache has it
///   TensorExtremes, TensorCodes   two launches for any tensor: each block of the first leaves what it found in the
///                                 workspace, the second combines that and walks backwards
///
/// Where a grid of the first two has several blocks, all of them must run at once. Nothing needs to be cleared before a
/// launch, and no result depends on the order of blocks.

#include <cstddef>
#include <cstdint>

#include "backends/gpu/grid_reduce.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"

namespace kqbench::gpu {

/// Where a tensor's scale goes; no zero point for a symmetric scheme.
struct TensorScale {
  float* scale;
  std::int32_t* zero_point;

  template <class ScaledQuantizer>
  KQ_HOST_DEVICE void store(const ScaledQuantizer& found) const {
    *scale = found.scale;
    if (zero_point != nullptr) *zero_point = found.zero_point;
  }
};

// --- one launch ------------------------------------------------------------------------------------------------------

/// A contiguous tensor's quantization by blocks that meet.
template <class Rule>
struct TensorTask {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Extremes = typename Rule::Extremes;

  AlignedSplit<Element, Code, std::int64_t> tensor;
  GridReduceWorkspace grid_reduce;
  TensorScale out;
  Rule rule;

  struct Shared {
    WaveSlots<Extremes::keys> of_block;
    WaveSlots<Extremes::keys> of_grid;
  };

  /// What a block of `Threads` does: gather(extremes) folds a lane's vectors, codes(quantizer) quantizes them. The
  /// first block has the tensor's edges too.
  template <int Threads, class Block, class Gather, class Codes>
  KQ_HOST_DEVICE void run(const Block& block, const Gather& gather, const Codes& codes) const {
    const int lane = block.thread();
    const bool alone = block.count() == 1;
    const bool first = block.index() == 0;
    const std::uint32_t number = alone ? 0 : next_epoch(block, grid_reduce);

    Extremes extremes;
    HeadTail<Element, Threads> edges;
    if (first) edges.load(tensor, lane);
    gather(extremes);
    if (first) edges.fold(extremes, tensor, lane);

    auto& shared = block.template shared<Shared>();
    std::uint32_t key[Extremes::keys];
    extremes.to_keys(key);
    max_over_lanes<Threads, Threads>(block, shared.of_block, key);
    if (!alone) max_over_grid<Threads>(block, grid_reduce, number, shared.of_grid, key);
    const auto found = rule.make_quantizer(key);

    found.quantizer.with_fast_path(codes);
    if (first) {
      edges.store(tensor, lane, found.quantizer);
      if (lane == 0) out.store(found);
    }
  }
};

template <class Rule, class Shape_>
struct TensorHeld {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;

  TensorTask<Rule> task;
  int vectors_per_block;  ///< consecutive ones, at most Config::capacity

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    const Slice<Element, Code> slice(task.tensor, block.index() * vectors_per_block, vectors_per_block);
    Tile<Element, Config::lanes, Config::vectors> tile;
    tile.load(slice.input, slice.count, lane);
    task.template run<Config::threads>(
        block, [&](auto& extremes) { tile.fold(extremes, slice.count, lane); },
        [&](const auto& quantizer) { tile.store(slice.codes, task.tensor.wide, slice.count, lane, quantizer); });
  }
};

/// Vectors are dealt to the blocks in turns, a row of lanes at a time. Of a lane's vectors the first `shared_vectors`
/// stay in shared memory, the next Config::vectors in registers; the rest, which is read last, is read again first.
template <class Rule, class Shape_>
struct TensorLarge {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static constexpr int lanes = Config::lanes;
  static constexpr int held_vectors = Config::vectors;
  static constexpr int width = vector_width<Element>;
  static constexpr int pipeline_depth = 8;   ///< vectors that a lane has on their way while it reads
  static constexpr int loads_per_batch = 4;  ///< of which so many are asked for, and waited for, together

  TensorTask<Rule> task;
  int shared_vectors;

  /// Shared memory for one vector a lane.
  static constexpr std::size_t bytes_per_shared_vector = sizeof(Vector16) * lanes;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const auto& tensor = task.tensor;
    const std::int64_t first_vector = block.index() * lanes + block.thread();
    const std::int64_t vectors_apart = std::int64_t{block.count()} * lanes;
    const std::int64_t left = tensor.vectors - first_vector;
    const auto count = left <= 0 ? 0 : static_cast<int>(divide(left + vectors_apart - 1, vectors_apart));
    const int in_shared = count < shared_vectors ? count : shared_vectors;
    const int rest = shared_vectors + held_vectors;

    const Element* const input = tensor.body + first_vector * width;
    Code* const codes = tensor.codes + first_vector * width;
    const std::int64_t step = vectors_apart * width;
    auto* const tile = static_cast<Vector16*>(block.tile_memory()) + block.thread();
    Vector16 held[held_vectors];
    Vector16 ring[pipeline_depth];  // of vectors that are not kept, number n in ring[(n - rest) % pipeline_depth]

    // Only what is read first and not kept is needed from the cache, which is therefore told not to keep the rest.
    const auto load_once = [&](int n) { return kq::device::load16_evict_first(input + n * step); };
    const auto load = [&](int n) { return kq::device::load16(input + n * step); };
    const auto store = [&](int n, const Vector16& vector, const auto& quantizer) {
      std::uint32_t words[width / 4];
      quantize_vector<Element>(vector, quantizer, words);
      store_codes<true>(codes + n * step, tensor.wide, words);
    };
    // All that is not kept in registers goes through the ring, a few places of which are asked for anew as soon as they
    // are done with. One by one would be too many at a time: a warp can tell apart some six loads that it waits for,
    // and which of more share a counter is the compiler's luck (16384x8192 to fp8 on an H200: 154 µs with luck, 195
    // without; by two 154 from half, but 170 from bfloat16; by four 155 from half).
    const auto fill = [&](int first, int begin, int end, auto load_number) {
      KQ_UNROLL
      for (int n = first; n < first + loads_per_batch; ++n) {
        if (begin + n < end) ring[n] = load_number(begin + n);
      }
    };
    const auto read = [&](int begin, int end, auto load_number, auto&& done_with) {
      KQ_UNROLL
      for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
        fill(first, begin, end, load_number);
      }
      for (; begin < end; begin += pipeline_depth) {
        KQ_UNROLL
        for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
          KQ_UNROLL
          for (int n = first; n < first + loads_per_batch; ++n) {
            if (begin + n < end) done_with(begin + n, ring[n]);
          }
          fill(first, begin + pipeline_depth, end, load_number);
        }
      }
    };

    const auto gather = [&](auto& extremes) {
      read(0, in_shared, load_once, [&](int n, const Vector16& vector) {
        extremes.add(vector);
        tile[n * lanes] = vector;
      });
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (shared_vectors + n < count) held[n] = load_once(shared_vectors + n);
      }
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (shared_vectors + n < count) extremes.add(held[n]);
      }
      read(rest, count, load, [&](int, const Vector16& vector) { extremes.add(vector); });
    };
    const auto quantize = [&](const auto& quantizer) {
      // The ring still has what was read last; what was before that is on its way from then on.
      for (int begin = rest + (count - 1 - rest) / pipeline_depth * pipeline_depth; begin >= rest;
           begin -= pipeline_depth) {
        KQ_UNROLL
        for (int first = pipeline_depth - loads_per_batch; first >= 0; first -= loads_per_batch) {
          KQ_UNROLL
          for (int n = first + loads_per_batch - 1; n >= first; --n) {
            if (begin + n < count) store(begin + n, ring[n], quantizer);
          }
          if (begin > rest) fill(first, begin - pipeline_depth, count, load_once);
        }
      }
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (shared_vectors + n < count) store(shared_vectors + n, held[n], quantizer);
      }
      for (int n = 0; n < in_shared; ++n) {
        store(n, tile[n * lanes], quantizer);
      }
    };
    task.template run<Config::threads>(block, gather, quantize);
  }
};

// --- two launches ----------------------------------------------------------------------------------------------------

/// A tensor's rows, cut into slices of Config::capacity vectors, which blocks take in turns.
template <class Element, class Code, class Config>
struct TensorSlices {
  static constexpr int lanes = Config::lanes;
  static_assert(lanes == Config::threads);

  Rows<Element, Code> rows;
  std::int64_t per_row;

  KQ_HOST_DEVICE std::int64_t count() const { return rows.count * per_row; }

  /// Loads a slice and calls on_vectors(tile, slice, cut) and, with a row's first one, on_edges(edges, cut).
  template <class OnVectors, class OnEdges>
  KQ_HOST_DEVICE void with(std::int64_t number, int lane, const OnVectors& on_vectors, const OnEdges& on_edges) const {
    const std::int64_t row = rows.count == 1 ? 0 : divide(number, per_row);
    const std::int64_t in_row = number - row * per_row;
    const auto cut = cut_row<std::int64_t>(rows, row);
    const Slice<Element, Code> slice(cut, in_row * Config::capacity, Config::capacity);
    Tile<Element, lanes, Config::vectors> tile;
    tile.load(slice.input, slice.count, lane);
    on_vectors(tile, slice, cut);
    if (in_row == 0 && cut.edges() > 0) {
      HeadTail<Element, lanes> edges;
      edges.load(cut, lane);
      on_edges(edges, cut);
    }
  }
};

/// First of two launches: leaves the keys of block b at partials[k * blocks + b].
template <class Rule, class Shape_>
struct TensorExtremes {
  using Config = Shape_;
  using Extremes = typename Rule::Extremes;

  TensorSlices<typename Rule::Element, typename Rule::Code, Config> slices;
  std::uint32_t* partials;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    Extremes extremes;
    for (std::int64_t number = block.index(); number < slices.count(); number += block.count()) {
      slices.with(
          number, lane,
          [&](const auto& tile, const auto& slice, const auto&) { tile.fold(extremes, slice.count, lane); },
          [&](const auto& edges, const auto& cut) { edges.fold(extremes, cut, lane); });
    }
    std::uint32_t key[Extremes::keys];
    extremes.to_keys(key);
    max_over_lanes<Config::threads, Config::lanes>(block, block.template shared<WaveSlots<Extremes::keys>>(), key);
    KQ_UNROLL
    for (int k = 0; k < Extremes::keys; ++k) {
      if (lane == 0) partials[k * block.count() + block.index()] = key[k];
    }
  }
};

/// Second of two launches.
template <class Rule, class Shape_>
struct TensorCodes {
  using Config = Shape_;
  using Extremes = typename Rule::Extremes;

  TensorSlices<typename Rule::Element, typename Rule::Code, Config> slices;
  const std::uint32_t* partials;
  int num_partials;  ///< blocks of the first launch
  TensorScale out;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    std::uint32_t key[Extremes::keys] = {};
    for (int i = lane; i < num_partials; i += Config::lanes) {
      KQ_UNROLL
      for (int k = 0; k < Extremes::keys; ++k) {
        const std::uint32_t other = partials[k * num_partials + i];
        key[k] = other > key[k] ? other : key[k];
      }
    }
    max_over_lanes<Config::threads, Config::lanes>(block, block.template shared<WaveSlots<Extremes::keys>>(), key);
    const auto found = rule.make_quantizer(key);
    if (block.index() == 0 && lane == 0) out.store(found);

    found.quantizer.with_fast_path([&](const auto& quantizer) {
      for (std::int64_t number = slices.count() - 1 - block.index(); number >= 0; number -= block.count()) {
        slices.with(
            number, lane,
            [&](const auto& tile, const auto& slice, const auto& cut) {
              tile.store(slice.codes, cut.wide, slice.count, lane, quantizer);
            },
            [&](const auto& edges, const auto& cut) { edges.store(cut, lane, found.quantizer); });
      }
    });
  }
};

}  // namespace kqbench::gpu
