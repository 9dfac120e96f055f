// SPDX-License-Identifier: Apache-2.0

// Groups of MXFP8, MXFP4 and NVFP4: 16 or 32 elements share a scale of one byte. A thread has two consecutive vectors,
// and one to four neighbours share a group.
//
//   DynamicChunks   a group's own scale, by groups of a power of two of threads
//   LongGroups      groups of any other size, blocks of several rows, and groups whose scale is chosen of two: 32
//                   threads per group or block, which is read twice
//   TensorChunks    NVFP4 with a scale of the tensor's own: one launch, whose blocks all run at once, reads the tensor,
//                   reduces over the grid, and reads what it did not keep again from the end
//   TensorAmax      where TensorChunks does not serve (blocks cannot meet, other dialects, LongGroups): one block reads
//                   the whole tensor for its amax
//   StaticChunks    given scales

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/chunk.hpp"
#include "backends/gpu/grid_reduce.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// The quantizing half of dynamic kernels: from a chunk in registers to its codes and its group's scale.
template <bool Whole, class Rule, class ChunkSet, class Scales>
struct ChunkQuantizer {
  using Element = typename Rule::Element;
  using Reduction = typename Rule::Reduction;

  /// `lanes` neighbours share a group; every thread of a wave calls this.
  template <int GroupLanes, class Block>
  KQ_HOST_DEVICE static void run(const Block& block, const Chunk<Element>& chunk, const ChunkSet& chunks,
                                 const ChunkPlace& place, const Scales& scales, int group_lanes, const Rule& rule) {
    const int lanes = GroupLanes == 0 ? group_lanes : GroupLanes;
    // 1. Reduce over the threads that share the group.
    typename Reduction::template Fold<Element> fold;
    chunk.fold(fold);
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    KQ_UNROLL
    for (int k = 0; k < Reduction::count; ++k) {
      for (int mask = lanes / 2; mask > 0; mask /= 2) {
        const std::uint32_t other = block.exchange(key[k], mask);
        key[k] = other > key[k] ? other : key[k];
      }
    }
    // 2. Compute the scale, in each of them.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));
    // 3. Quantize and store; the group's first thread stores the scale.
    if (Whole || place.count > 0) {
      scale.quantizer().with_fast_path([&](const auto& quantizer) {
        chunk.template store<Whole>(element_address(chunks.rows.codes, place.codes), place.count, quantizer);
      });
      if (static_cast<unsigned>(block.thread()) % static_cast<unsigned>(lanes) == 0) {
        scales.at(chunks.scale_place(scales, place)).write(scale);
      }
    }
  }
};

/// A thread has a chunk, or two.
using ChunkConfig = TileConfig<256, 1, 2, 1280>;

/// A thread has `Count` chunks, as far apart as there are threads. With `Whole`, every chunk is whole and aligned, and
/// none is missing.
template <class Rule, class ChunkSet, class Scales, int GroupLanes, bool Whole, int Count = 1>
struct DynamicChunks {
  using Config = ChunkConfig;
  using Element = typename Rule::Element;

  ChunkSet chunks;
  Scales scales;
  float* global_scale;  ///< null: none
  int group_lanes;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t first = block.index() * Config::threads + block.thread();
    const std::int64_t apart = Count == 1 ? 0 : chunks.count() / Count;
    ChunkPlace place[Count];
    KQ_UNROLL
    for (int i = 0; i < Count; ++i) {
      place[i] = chunks.template place<Whole>(first + i * apart);
    }
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(chunks.rows.input + place[0].input, place[0].count);
    // 2. Load the chunks; then the next launch may start.
    Chunk<Element> chunk[Count];
    KQ_UNROLL
    for (int i = 0; i < Count; ++i) {
      chunk[i].template load<Whole>(chunks.rows.input + place[i].input, place[i].count);
    }
    block.launch_dependents();
    // 3. Find the scales, quantize and store.
    KQ_UNROLL
    for (int i = 0; i < Count; ++i) {
      ChunkQuantizer<Whole, Rule, ChunkSet, Scales>::template run<GroupLanes>(block, chunk[i], chunks, place[i], scales,
                                                                              group_lanes, rule);
    }
    // 4. One thread of all stores the tensor's scale.
    if constexpr (requires { rule.tensor_scale(); }) {
      if (first == 0 && global_scale != nullptr) *global_scale = rule.tensor_scale();
    }
  }
};

/// 32 threads per group, or per block of `block_rows` rows.
template <class Rule, class ChunkSet, class Scales>
struct LongGroups {
  using Config = TileConfig<32, 32, 2, 512>;
  using Element = typename Rule::Element;
  using Reduction = typename Rule::Reduction;

  ChunkSet chunks;
  std::int64_t groups_per_row;
  std::int64_t block_rows;
  Scales scales;
  float* global_scale;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t row = divide(block.index(), groups_per_row);
    const std::int64_t group = block.index() - row * groups_per_row;
    const std::int64_t begin = group * chunks.group_size;
    const std::int64_t left = chunks.rows.size - begin;
    const std::int64_t size = left < chunks.group_size ? left : chunks.group_size;
    const std::int64_t first_row = row * block_rows;
    const std::int64_t end_row =
        first_row + block_rows < chunks.rows.count ? first_row + block_rows : chunks.rows.count;
    const Element* const input = chunks.rows.input + first_row * chunks.rows.input_stride + begin;
    const auto for_each_chunk = [&](const auto& function) {
      const std::int64_t per_row = divide(size + ChunkSet::size - 1, std::int64_t{ChunkSet::size});
      const std::int64_t total = (end_row - first_row) * per_row;
      for (std::int64_t n = block.thread(); n < total; n += Config::threads) {
        const std::int64_t of_row = block_rows == 1 ? 0 : divide(n, per_row);
        const std::int64_t i = (n - of_row * per_row) * ChunkSet::size;
        const int count = size - i < ChunkSet::size ? static_cast<int>(size - i) : ChunkSet::size;
        Chunk<Element> chunk;
        chunk.template load<false>(input + of_row * chunks.rows.input_stride + i, count);
        function(chunk, (first_row + of_row) * chunks.rows.codes_stride + begin + i, count);
      }
    };
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Fold the group or block; then the next launch may start.
    typename Reduction::template Fold<Element> fold;
    for_each_chunk([&](const Chunk<Element>& chunk, std::int64_t, int) { chunk.fold(fold); });
    block.launch_dependents();
    // 3. Reduce over the wave.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    KQ_UNROLL
    for (int k = 0; k < Reduction::count; ++k) {
      key[k] = max_in_wave<32>(block, key[k]);
    }
    // 4. Compute the scale, quantize and store.
    const auto scale = kq::scale_of_span(rule, value_of_keys<Reduction>(key), input, size);
    const auto quantizer = scale.quantizer();
    for_each_chunk([&](const Chunk<Element>& chunk, std::int64_t i, int count) {
      chunk.template store<false>(element_address(chunks.rows.codes, i), count, quantizer);
    });
    if (block.thread() == 0) scales.at(scales.place(row, group)).write(scale);
    if constexpr (requires { rule.tensor_scale(); }) {
      if (block.index() == 0 && block.thread() == 0 && global_scale != nullptr) *global_scale = rule.tensor_scale();
    }
  }
};

/// Chunks that the registers of a block of TensorChunks hold.
inline constexpr int chunks_in_registers = 2048;

/// Of a thread's chunks, the first `held` stay in registers and the next `in_shared` in shared memory; the others are
/// read again. With `Whole`, every chunk is whole and aligned, and all threads of a wave have as many. Without it, all
/// threads have as many, some of them empty. So none is missing when neighbours exchange values.
template <class Element_, class ChunkSet, class Scales, int GroupLanes, bool Whole, int Threads>
struct TensorChunks {
  using Config = TileConfig<Threads, Threads, 2, Threads>;
  using Element = Element_;
  using Rule = kq::Nvfp4Rule<Element>;
  static constexpr int held = chunks_in_registers / Threads;
  static constexpr int streamed = 2;  ///< chunks of a thread that are read at once

  ChunkSet chunks;
  Scales scales;
  float* global_scale;
  int group_lanes;
  int in_shared;
  GridReduceWorkspace grid_reduce;

  struct Shared {
    WaveSlots<1> of_block;
    WaveSlots<1> of_grid;
  };

  /// Shared memory for one chunk of each thread.
  static constexpr std::size_t bytes_per_shared = sizeof(Chunk<Element>) * Config::threads;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t first = block.index() * Config::threads + block.thread();
    const std::int64_t step = std::int64_t{block.count()} * Config::threads;
    const auto count = static_cast<int>(divide(chunks.count() + step - 1 - (Whole ? first : 0), step));
    const int rest = held + in_shared;  // the first chunk that is read again
    const int kept = rest < count ? rest : count;
    auto* const tile = static_cast<Vector16*>(block.tile_memory()) + block.thread();
    const auto at = [&](int n) { return tile + (n - held) * Chunk<Element>::vectors * Config::threads; };
    const auto load = [&](Chunk<Element>& chunk, int n) {
      const ChunkPlace place = chunks.template place<Whole>(first + n * step);
      chunk.template load<Whole>(chunks.rows.input + place.input, place.count);
    };
    // Calls function(chunk, n) for chunks begin to end - 1.
    const auto read = [&](int begin, int end, const auto& function) {
      for (; begin < end; begin += streamed) {
        Chunk<Element> chunk[streamed];
        KQ_UNROLL
        for (int i = 0; i < streamed; ++i) {
          if (begin + i < end) load(chunk[i], begin + i);
        }
        KQ_UNROLL
        for (int i = 0; i < streamed; ++i) {
          if (begin + i < end) function(chunk[i], begin + i);
        }
      }
    };
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    const bool alone = block.count() == 1;
    const std::uint32_t number = alone ? 0 : next_epoch(block, grid_reduce);
    // 2. Read this thread's chunks, fold them, and keep the first.
    kq::AbsMax::Fold<Element> fold;
    Chunk<Element> in_registers[held];
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (n < count) load(in_registers[n], n);
    }
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (n < count) in_registers[n].fold(fold);
    }
    read(held, kept, [&](const Chunk<Element>& chunk, int n) {
      chunk.fold(fold);
      chunk.keep(at(n), Config::threads);
    });
    read(rest, count, [&](const Chunk<Element>& chunk, int) { chunk.fold(fold); });
    block.launch_dependents();
    // 3. Reduce over the block, then over the grid.
    auto& shared = block.template shared<Shared>();
    std::uint32_t key[1];
    to_keys<kq::AbsMax>(fold, key);
    max_over_lanes<Config::threads, Config::threads>(block, shared.of_block, key);
    if (!alone) max_over_grid<Config::threads>(block, grid_reduce, number, shared.of_grid, key);
    // 4. Compute the tensor's scale, in every thread of every block.
    const Rule rule(kq::Nvfp4Global{kq::nvfp4_global_scale(kq::AbsMaxKey::value(key[0]))});
    if (first == 0) *global_scale = rule.tensor_scale();
    // 5. Find the groups' scales, quantize and store, from the end, which the cache still has. The next chunk is read
    //    while one is quantized.
    const auto quantize = [&](const Chunk<Element>& chunk, int n) {
      ChunkQuantizer<Whole, Rule, ChunkSet, Scales>::template run<GroupLanes>(
          block, chunk, chunks, chunks.template place<Whole>(first + n * step), scales, group_lanes, rule);
    };
    Chunk<Element> next;
    if (count > rest) load(next, count - 1);
    for (int n = count - 1; n >= rest; --n) {
      const Chunk<Element> chunk = next;
      if (n > rest) load(next, n - 1);
      quantize(chunk, n);
    }
    for (int n = held; n < kept; ++n) {
      Chunk<Element> chunk;
      chunk.take(at(n), Config::threads);
      quantize(chunk, n);
    }
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (n < count) quantize(in_registers[n], n);
    }
  }
};

/// The tensor's amax, by one block.
template <class Element_, class ChunkSet>
struct TensorAmax {
  using Config = TileConfig<1024, 1024, 2, 1024>;
  using Element = Element_;

  ChunkSet chunks;
  float* amax;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    block.wait_for_prerequisites();
    kq::AbsMax::Fold<Element> fold;
    for (std::int64_t number = block.thread(); number < chunks.count(); number += Config::threads) {
      const ChunkPlace place = chunks.template place<false>(number);
      Chunk<Element> chunk;
      chunk.template load<false>(chunks.rows.input + place.input, place.count);
      chunk.fold(fold);
    }
    std::uint32_t key[1];
    to_keys<kq::AbsMax>(fold, key);
    max_over_lanes<Config::threads, Config::threads>(block, block.template shared<WaveSlots<1>>(), key);
    if (block.thread() == 0) *amax = kq::AbsMaxKey::value(key[0]);
  }
};

/// Given scales. Groups are whole chunks, of any number.
template <class Rule, class ChunkSet, bool Whole>
struct StaticChunks {
  using Config = ChunkConfig;
  using Element = typename Rule::Element;

  ChunkSet chunks;
  GivenGroupScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const ChunkPlace place = chunks.template place<Whole>(block.index() * Config::threads + block.thread());
    const Element* const input = chunks.rows.input + place.input;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(input, place.count);
    // 2. Load the chunk; then the next launch may start.
    Chunk<Element> chunk;
    chunk.template load<Whole>(input, place.count);
    block.launch_dependents();
    if (!Whole && place.count == 0) return;
    // 3. Look the scale up, quantize and store.
    const auto scale = rule.scale(scales, chunks.scale_place(scales, place));
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      chunk.template store<Whole>(element_address(chunks.rows.codes, place.codes), place.count, quantizer);
    });
  }
};

/// The logarithm of a power of two; -1 for other numbers.
inline int shift_of(std::int64_t number) {
  const auto bits = static_cast<std::uint64_t>(number);
  return std::has_single_bit(bits) ? std::countr_zero(bits) : -1;
}

/// The chunks of a request's rows.
template <bool PowerOfTwo, class Element, class Code>
Chunks<Element, Code, false, PowerOfTwo> chunks_of_rows(const kq::Request& r, const Operands& o) {
  constexpr int size = Chunk<Element>::size;
  const std::int64_t per_row = kq::groups_per_row(r) * ((r.group_size + size - 1) / size);
  return {rows_of<Element, Code>(r, o), per_row, r.group_size, shift_of(r.group_size)};
}

/// Calls function(chunks, whether every chunk is whole and aligned) for a request.
template <bool PowerOfTwo, class Element, class Code, class Function>
void with_chunks(const kq::Request& r, const Operands& o, const Function& function) {
  constexpr int size = Chunk<Element>::size;
  auto rows = rows_of<Element, Code>(r, o);
  const bool aligned = reinterpret_cast<std::uintptr_t>(o.input) % sizeof(Vector16) == 0 &&
                       reinterpret_cast<std::uintptr_t>(o.codes) % CodePack<Code, size>::bytes == 0;
  if (is_contiguous(r) && r.hidden_size % r.group_size == 0 && r.scale_layout == kq::ScaleLayout::row) {
    rows.size *= rows.count;
    rows.count = 1;
    const Chunks<Element, Code, true, PowerOfTwo> chunks{rows, rows.size / size, r.group_size, shift_of(r.group_size)};
    const bool whole = aligned && chunks.count() % ChunkConfig::threads == 0;
    return whole ? function(chunks, Aligned()) : function(chunks, Any());
  }
  const auto chunks = chunks_of_rows<PowerOfTwo, Element, Code>(r, o);
  const bool whole = aligned && r.hidden_size % r.group_size == 0 && r.input_stride % vector_width<Element> == 0 &&
                     r.codes_stride % size == 0 && chunks.count() % ChunkConfig::threads == 0;
  whole ? function(chunks, Aligned()) : function(chunks, Any());
}

/// Threads that share a group, if those are a power of two of a wave's; else 0.
template <class Element>
int lanes_of_group(const kq::Request& r) {
  if (r.group_size % Chunk<Element>::size != 0) return 0;
  const auto lanes = static_cast<std::uint64_t>(r.group_size / Chunk<Element>::size);
  return lanes <= 32 && std::has_single_bit(lanes) ? static_cast<int>(lanes) : 0;
}

/// Calls function(integral constant): how many threads share a group, as a constant for MX's and NVFP4's usual sizes,
/// 0 for others.
template <class Element, int UsualSize, class Function>
void with_group_lanes(int lanes, const Function& function) {
  constexpr int usual = UsualSize / Chunk<Element>::size;
  if (lanes == usual) return function(std::integral_constant<int, usual>());
  function(std::integral_constant<int, 0>());
}

inline constexpr std::int64_t blocks_of_threads(std::int64_t chunks, std::int64_t threads) {
  return (chunks + threads - 1) / threads;
}

/// Groups by a rule that has all it needs.
template <class Element, class Rule, class Launcher>
void enqueue_groups(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Code = typename Rule::Code;
  constexpr bool is_nvfp4 = std::is_same_v<Rule, kq::Nvfp4Rule<Element>>;
  const int lanes = lanes_of_group<Element>(r);
  float* const global_scale = kq::has_global_scale(r) ? o.global_scale : nullptr;
  kq::with_group_scales(r, o.scales, [&]<class Scales>(const Scales& scales) {
    if (lanes == 0 || Rule::reads_span || r.granularity == kq::Granularity::block) {
      const auto chunks = chunks_of_rows<false, Element, Code>(r, o);
      using Kernel = LongGroups<Rule, std::decay_t<decltype(chunks)>, Scales>;
      return launcher.launch(Kernel{chunks, kq::groups_per_row(r), kq::rows_per_scale(r), scales, global_scale, rule},
                             kq::num_scales(r));
    }
    if constexpr (!Rule::reads_span) {
      with_chunks<true, Element, Code>(r, o, [&]<class ChunkSet, class Whole>(const ChunkSet& chunks, Whole) {
        if constexpr (!ChunkSet::is_flat || std::is_same_v<Scales, GroupScales>) {
          with_group_lanes<Element, is_nvfp4 ? 16 : 32>(
              lanes, [&]<int GroupLanes>(std::integral_constant<int, GroupLanes>) {
                const auto launch_by = [&]<int Count>(std::integral_constant<int, Count>) {
                  using Kernel = DynamicChunks<Rule, ChunkSet, Scales, GroupLanes, Whole::value, Count>;
                  launcher.launch(Kernel{chunks, scales, global_scale, lanes, rule},
                                  blocks_of_threads(chunks.count() / Count, Kernel::Config::threads));
                };
                if constexpr (Whole::value && ChunkSet::is_flat && GroupLanes > 0 && Rule::Format::code_bits == 4 &&
                              kq::arch::all_kernels) {
                  if (kq::takes_two_chunks(chunks.count(), launcher.multiprocessors) &&
                      chunks.count() % (2 * ChunkConfig::threads) == 0) {
                    return launch_by(std::integral_constant<int, 2>());
                  }
                }
                launch_by(std::integral_constant<int, 1>());
              });
        }
      });
    }
  });
}

/// NVFP4 with a scale of the tensor's own, by blocks that reduce together.
template <class Element, class Launcher>
void enqueue_tensor_groups(const Launcher& launcher, const kq::Request& r, const Operands& o, int lanes) {
  kq::with_group_scales(r, o.scales, [&]<class Scales>(const Scales& scales) {
    with_chunks<true, Element, kq::Code4>(r, o, [&]<class ChunkSet, class Whole>(const ChunkSet& chunks, Whole) {
      if constexpr (!ChunkSet::is_flat || std::is_same_v<Scales, GroupScales>) {
        with_group_lanes<Element, 16>(lanes, [&]<int GroupLanes>(std::integral_constant<int, GroupLanes>) {
          const std::int64_t most = launcher.grid_reduce.capacity;  // above 1
          const auto run = [&]<int Threads>(std::integral_constant<int, Threads>) {
            using Kernel = TensorChunks<Element, ChunkSet, Scales, GroupLanes, Whole::value, Threads>;
            const std::int64_t blocks = std::min(most, blocks_of_threads(chunks.count(), Threads));
            const std::int64_t too_many = blocks_of_threads(chunks.count(), blocks * Threads) - Kernel::held;
            const int in_shared = rows_in_shared(launcher.shared_bytes, sizeof(typename Kernel::Shared),
                                                 Kernel::bytes_per_shared, too_many);
            launcher.launch_together(Kernel{chunks, scales, o.global_scale, lanes, in_shared, launcher.grid_reduce},
                                     static_cast<int>(blocks),
                                     static_cast<std::size_t>(in_shared) * Kernel::bytes_per_shared);
          };
          // More threads hide the time of loads (4096x8192 bfloat16 on an H200: 38.5 µs with 1024, 50.7 with 512 that
          // kept nothing in shared memory), fewer leave each block more to hold.
          if constexpr (ChunkSet::is_flat) {
            if (chunks.count() > most * chunks_in_registers) return run(std::integral_constant<int, 1024>());
          }
          run(std::integral_constant<int, 512>());
        });
      }
    });
  });
}

template <class Element, class Launcher>
void dynamic_block_format(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.format != kq::Format::fp4_e2m1) {
    return kq::with_mx_group_rule<Element>(r, [&](const auto& rule) { enqueue_groups<Element>(launcher, r, o, rule); });
  }
  auto* const amax = static_cast<float*>(o.workspace);
  if (kq::finds_global_scale(r)) {
    const int lanes = lanes_of_group<Element>(r);
    const bool is_group = r.granularity == kq::Granularity::group;
    if (lanes > 0 && launcher.grid_reduce.capacity > 1 && r.dialect == kq::Dialect::kqbench && is_group)
      return enqueue_tensor_groups<Element>(launcher, r, o, lanes);
    with_chunks<false, Element, kq::Code4>(r, o, [&]<class ChunkSet>(const ChunkSet& chunks, auto) {
      launcher.launch(TensorAmax<Element, ChunkSet>{chunks, amax}, 1);
    });
  }
  kq::with_fp4_group_rule<Element>(r, amax, [&](const auto& rule) { enqueue_groups<Element>(launcher, r, o, rule); });
}

template <class Element, class Launcher>
void static_block_format(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  kq::with_static_fp4_group_rule<Element>(r, o.global_scale, [&]<class Rule>(const Rule& rule) {
    const auto run = [&]<class ChunkSet, class Whole>(const ChunkSet& chunks, Whole) {
      using Kernel = StaticChunks<Rule, ChunkSet, Whole::value>;
      launcher.launch(Kernel{chunks, kq::given_group_scales(r, o.scales), rule},
                      blocks_of_threads(chunks.count(), Kernel::Config::threads));
    };
    using Code = typename Rule::Code;
    if (shift_of(r.group_size) >= 0) return with_chunks<true, Element, Code>(r, o, run);
    run(chunks_of_rows<false, Element, Code>(r, o), Any());
  });
}

KQ_INSTANTIATE(dynamic_block_format)
KQ_INSTANTIATE(static_block_format)

}  // namespace kqbench::gpu
