// SPDX-License-Identifier: Apache-2.0

// One scale for the tensor, from the tensor itself. Every element is needed twice, and the second time need not come
// from memory.
//
//   TensorHeld                    one launch for a contiguous tensor that fits in the registers of all blocks
//   TensorLarge                   one launch for a larger one: each block keeps what it can in registers and shared
//                                 memory and reads the rest again, from the end, which is still in the last-level cache
//   TensorExtremes, TensorCodes   two launches for any tensor: each block of the first leaves what it found in the
//                                 workspace, the second combines that and walks backwards
//
// Where a grid of the first two has several blocks, all of them must run at once. Nothing needs to be cleared before a
// launch, and no result depends on the order of blocks.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/grid_reduce.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

// --- one launch ------------------------------------------------------------------------------------------------------

/// A contiguous tensor's quantization by blocks that reduce together.
template <class Rule>
struct TensorTask {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  using Fold = typename Reduction::template Fold<Element>;

  AlignedSplit<Element, Code, std::int64_t> tensor;
  GridReduceWorkspace grid_reduce;
  FloatScales scales;
  Rule rule;

  struct Shared {
    WaveSlots<Reduction::count> of_block;
    WaveSlots<Reduction::count> of_grid;
  };

  /// What a block of `Threads` does once it has waited for the launch before this one: gather(fold) folds a lane's
  /// vectors, codes(quantizer) quantizes them. The first block has the tensor's edges too.
  template <int Threads, class Block, class Gather, class Codes>
  KQ_HOST_DEVICE void run(const Block& block, const Gather& gather, const Codes& codes) const {
    const int lane = block.thread();
    const bool alone = block.count() == 1;
    const bool first = block.index() == 0;
    const std::uint32_t number = alone ? 0 : next_epoch(block, grid_reduce);

    Fold fold;
    HeadTail<Element, Threads> edges;
    // 1. Read this block's part of the tensor and fold it.
    if (first) edges.load(tensor, lane);
    gather(fold);
    if (first) edges.fold(fold, tensor, lane);
    block.launch_dependents();

    // 2. Reduce over the block, then over the grid.
    auto& shared = block.template shared<Shared>();
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Threads, Threads>(block, shared.of_block, key);
    if (!alone) max_over_grid<Threads>(block, grid_reduce, number, shared.of_grid, key);

    // 3. Compute the scale, in every lane of every block.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 4. Quantize and store this block's part; the first block stores the scale.
    scale.quantizer().with_fast_path(codes);
    if (first) {
      edges.store(tensor, lane, scale.quantizer());
      if (lane == 0) scales.at(0).write(scale);
    }
  }
};

template <class Rule, class Config_>
struct TensorHeld {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;

  TensorTask<Rule> task;
  int vectors_per_block;  ///< consecutive ones, at most Config::capacity

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    const Slice<Element, Code> slice(task.tensor, block.index() * vectors_per_block, vectors_per_block);
    Tile<Element, Config::lanes, Config::vectors> tile;
    block.wait_for_prerequisites(tile.first(slice.input, lane), slice.count);
    tile.load(slice.input, slice.count, lane);
    task.template run<Config::threads>(
        block, [&](auto& fold) { tile.fold(fold, slice.count, lane); },
        [&](const auto& quantizer) { tile.store(slice.codes, task.tensor.wide, slice.count, lane, quantizer); });
  }
};

/// Blocks take rows of `lanes` vectors in turns (block-cyclic). Of a lane's vectors the first `shared_vectors` stay in
/// shared memory, the next Config::vectors in registers. The second pass reads the others backwards, to hit what is
/// still in the last-level cache.
template <class Rule, class Config_>
struct TensorLarge {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static constexpr int lanes = Config::lanes;
  static constexpr int held_vectors = Config::vectors;
  static constexpr int width = vector_width<Element>;
  static constexpr int pipeline_depth = 8;   ///< loads that a lane has in flight
  static constexpr int loads_per_batch = 4;  ///< of which so many are issued, and waited for, together

  TensorTask<Rule> task;
  int shared_vectors;

  /// Shared memory for one vector per lane.
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
    Code* const codes = element_address(tensor.codes, first_vector * width);
    const std::int64_t step = vectors_apart * width;
    auto* const tile = static_cast<Vector16*>(block.tile_memory()) + block.thread();
    Vector16 held[held_vectors];
    Vector16 ring[pipeline_depth];  // of vectors that are not kept, number n in ring[(n - rest) % pipeline_depth]

    // The second pass needs from the cache only what the first pass read and did not keep: everything else is evicted
    // first.
    const auto load_evict_first = [&](int n) { return kq::arch::load16_evict_first(input + n * step); };
    const auto load = [&](int n) { return kq::arch::load16(input + n * step); };
    const auto store = [&](int n, const Vector16& vector, const auto& quantizer) {
      CodePack<Code, width> pack;
      quantize_vector<Element>(vector, quantizer, pack);
      store_codes<true>(element_address(codes, n * step), tensor.wide, pack);
    };
    // What is not kept in registers goes through the ring, which is refilled in batches as soon as a batch is used.
    // Single refills would need more scoreboard slots than a warp's six: loads that share one are waited for together,
    // in pairs that the compiler chooses (16384x8192 to fp8 on an H200: 154 or 195 µs with batches of one, as the
    // compiler pairs them; of two 154 from half, but 170 from bfloat16; of four 155 from half).
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

    const auto gather = [&](auto& fold) {
      read(0, in_shared, load_evict_first, [&](int n, const Vector16& vector) {
        fold.add(vector);
        tile[n * lanes] = vector;
      });
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (shared_vectors + n < count) held[n] = load_evict_first(shared_vectors + n);
      }
      KQ_UNROLL
      for (int n = 0; n < held_vectors; ++n) {
        if (shared_vectors + n < count) fold.add(held[n]);
      }
      read(rest, count, load, [&](int, const Vector16& vector) { fold.add(vector); });
    };
    const auto quantize = [&](const auto& quantizer) {
      // Backwards: the ring still has what was read last.
      for (int begin = rest + (count - 1 - rest) / pipeline_depth * pipeline_depth; begin >= rest;
           begin -= pipeline_depth) {
        KQ_UNROLL
        for (int first = pipeline_depth - loads_per_batch; first >= 0; first -= loads_per_batch) {
          KQ_UNROLL
          for (int n = first + loads_per_batch - 1; n >= first; --n) {
            if (begin + n < count) store(begin + n, ring[n], quantizer);
          }
          if (begin > rest) fill(first, begin - pipeline_depth, count, load_evict_first);
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
    block.wait_for_prerequisites();
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

  /// Loads a slice and calls on_vectors(tile, slice, split) and, with a row's first one, on_edges(edges, split).
  template <class OnVectors, class OnEdges>
  KQ_HOST_DEVICE void with(std::int64_t number, int lane, const OnVectors& on_vectors, const OnEdges& on_edges) const {
    const std::int64_t row = rows.count == 1 ? 0 : divide(number, per_row);
    const std::int64_t in_row = number - row * per_row;
    const auto split = split_row<std::int64_t>(rows, row);
    const Slice<Element, Code> slice(split, in_row * Config::capacity, Config::capacity);
    Tile<Element, lanes, Config::vectors> tile;
    tile.load(slice.input, slice.count, lane);
    on_vectors(tile, slice, split);
    if (in_row == 0 && split.edges() > 0) {
      HeadTail<Element, lanes> edges;
      edges.load(split, lane);
      on_edges(edges, split);
    }
  }
};

/// First of two launches: leaves the keys of block b at partials[k * blocks + b].
template <class Rule, class Config_>
struct TensorExtremes {
  using Config = Config_;
  using Reduction = typename Rule::Reduction;
  using Fold = typename Reduction::template Fold<typename Rule::Element>;

  TensorSlices<typename Rule::Element, typename Rule::Code, Config> slices;
  std::uint32_t* partials;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Read this block's slices and fold them.
    Fold fold;
    for (std::int64_t number = block.index(); number < slices.count(); number += block.count()) {
      slices.with(
          number, lane, [&](const auto& tile, const auto& slice, const auto&) { tile.fold(fold, slice.count, lane); },
          [&](const auto& edges, const auto& split) { edges.fold(fold, split, lane); });
    }
    // 3. Reduce over the block.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, Config::lanes>(block, block.template shared<WaveSlots<Reduction::count>>(), key);
    // 4. One lane leaves what the block found for the second launch.
    KQ_UNROLL
    for (int k = 0; k < Reduction::count; ++k) {
      if (lane == 0) partials[k * block.count() + block.index()] = key[k];
    }
  }
};

/// Second of two launches.
template <class Rule, class Config_>
struct TensorCodes {
  using Config = Config_;
  using Reduction = typename Rule::Reduction;

  TensorSlices<typename Rule::Element, typename Rule::Code, Config> slices;
  const std::uint32_t* partials;
  int num_partials;  ///< blocks of the first launch
  FloatScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Combine what the blocks of the first launch found, in every block.
    std::uint32_t key[Reduction::count] = {};
    for (int i = lane; i < num_partials; i += Config::lanes) {
      KQ_UNROLL
      for (int k = 0; k < Reduction::count; ++k) {
        const std::uint32_t other = partials[k * num_partials + i];
        key[k] = other > key[k] ? other : key[k];
      }
    }
    max_over_lanes<Config::threads, Config::lanes>(block, block.template shared<WaveSlots<Reduction::count>>(), key);
    // 3. Compute the scale, in every lane; one of them stores it.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));
    if (block.index() == 0 && lane == 0) scales.at(0).write(scale);

    // 4. Quantize and store this block's slices, the last ones first: they are still in the last-level cache.
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      for (std::int64_t number = slices.count() - 1 - block.index(); number >= 0; number -= block.count()) {
        slices.with(
            number, lane,
            [&](const auto& tile, const auto& slice, const auto& split) {
              tile.store(slice.codes, split.wide, slice.count, lane, quantizer);
            },
            [&](const auto& edges, const auto& split) { edges.store(split, lane, scale.quantizer()); });
      }
    });
  }
};

template <class Rule, class Launcher>
void enqueue_in_one_launch(const Launcher& launcher, const TensorTask<Rule>& task) {
  const std::int64_t vectors = task.tensor.vectors;
  const int blocks = tensor_blocks(vectors, std::max(1, launcher.grid_reduce.capacity));
  const std::int64_t per_block = (vectors + blocks - 1) / blocks;
  const auto held = [&](auto config) {
    launcher.launch_together(TensorHeld<Rule, decltype(config)>{task, static_cast<int>(per_block)}, blocks, 0);
  };
  if (per_block <= TensorSmallConfig::capacity) return held(TensorSmallConfig{});
  if (per_block <= TensorMiddleConfig::capacity) return held(TensorMiddleConfig{});
  if (per_block <= TensorBigConfig::capacity) return held(TensorBigConfig{});

  using Kernel = TensorLarge<Rule, TensorLargeConfig>;
  const std::int64_t too_many =
      (per_block - TensorLargeConfig::capacity + Kernel::Config::lanes - 1) / Kernel::Config::lanes;
  const int shared_vectors = rows_in_shared(launcher.shared_bytes, sizeof(typename TensorTask<Rule>::Shared),
                                            Kernel::bytes_per_shared_vector, too_many);
  launcher.launch_together(Kernel{task, shared_vectors}, blocks,
                           static_cast<std::size_t>(shared_vectors) * Kernel::bytes_per_shared_vector);
}

template <class Rule, class Launcher>
void enqueue_in_two_launches(const Launcher& launcher, const kq::Request& r, const Operands& o,
                             const FloatScales& scales, const Rule& rule) {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  auto rows = rows_of<Element, Code>(r, o);
  if (is_contiguous(r)) {
    rows.size *= rows.count;
    rows.count = 1;
  }
  using Config = TensorSliceConfig;
  const std::int64_t per_row =
      std::max<std::int64_t>(1, (rows.size / vector_width<Element> + Config::capacity - 1) / Config::capacity);
  const TensorSlices<Element, Code, Config> slices{rows, per_row};
  const std::int64_t blocks = std::min(slices.count(), max_slice_blocks(launcher.multiprocessors));
  auto* const partials = static_cast<std::uint32_t*>(o.workspace);
  // What the first launch does depends on the extremes only, so that all rules which ask for max |x| share its code.
  constexpr bool asks_for_amax = std::is_same_v<typename Rule::Reduction, kq::AbsMax>;
  using Finder = std::conditional_t<asks_for_amax, kq::SymmetricInt8Rule<Element>, Rule>;
  const TensorSlices<Element, typename Finder::Code, Config> inputs{
      {rows.input, nullptr, rows.count, rows.size, rows.input_stride, 0}, per_row};
  launcher.launch(TensorExtremes<Finder, Config>{inputs, partials}, blocks);
  launcher.launch(TensorCodes<Rule, Config>{slices, partials, static_cast<int>(blocks), scales, rule}, blocks);
}

template <class Element, class Launcher>
void dynamic_tensor(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  const std::int64_t vectors = r.num_tokens * r.hidden_size / vector_width<Element>;
  kq::with_tensor_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    if (fits_one_launch(is_contiguous(r), vectors, launcher.grid_reduce.capacity)) {
      const auto tensor = tensor_of<Element, typename Rule::Code>(r, o);
      enqueue_in_one_launch(launcher, TensorTask<Rule>{tensor, launcher.grid_reduce, scales, rule});
    } else {
      enqueue_in_two_launches(launcher, r, o, scales, rule);
    }
  });
}

KQ_INSTANTIATE(dynamic_tensor)

}  // namespace kqbench::gpu
