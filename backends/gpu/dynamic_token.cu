// SPDX-License-Identifier: Apache-2.0

// One scale per row, from the row. The row is read from memory once and stays in registers while its lanes find its
// extremes; a row that is too long for them is read twice.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// With `Aligned`, every row begins and ends at whole vectors.
template <class Rule, class Config_, bool Aligned>
struct DynamicToken {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  using Fold = typename Reduction::template Fold<Element>;
  static constexpr int lanes = Config::lanes;
  static constexpr bool in_registers = Config::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using HeldTile = Tile<Element, lanes, in_registers ? Config::vectors : streamed_vectors>;

  Rows<Element, Code> rows;
  FloatScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const std::int64_t row = Config::span(block, rows.count);
    const auto split = split_row<Index, Aligned>(rows, row);

    const auto vectors = Config::vectors_of(split.vectors);
    HeldTile tile;
    HeadTail<Element, lanes> edges;
    Fold fold;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(tile.first(split.body, lane), static_cast<int>(vectors));
    // 2. Load the row, or fold it slice by slice where it does not fit in registers; then the next launch may start.
    if constexpr (!Aligned) edges.load(split, lane);
    if constexpr (in_registers) {
      tile.load(split.body, vectors, lane);
      block.launch_dependents();
      tile.fold(fold, vectors, lane);
    } else {
      for (Index begin = 0; begin < vectors; begin += HeldTile::capacity) {
        const Slice<Element, Code> slice(split, begin, HeldTile::capacity);
        tile.load(slice.input, slice.count, lane);
        tile.fold(fold, slice.count, lane);
      }
    }
    if constexpr (!Aligned) edges.fold(fold, split, lane);

    // 3. Reduce over the lanes that share the row: exchanges within a wave, shared memory between waves.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, lanes>(block, block.template shared<WaveSlots<Reduction::count>>(), key);

    // 4. Compute the scale, in every lane.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 5. Quantize and store. A row that was not kept is read again from its end, which the cache still has.
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      if constexpr (in_registers) {
        tile.store(split.codes, split.wide, vectors, lane, quantizer);
      } else {
        const Index last = (vectors - 1) / HeldTile::capacity * HeldTile::capacity;
        for (Index begin = last; begin >= 0; begin -= HeldTile::capacity) {
          const Slice<Element, Code> slice(split, begin, HeldTile::capacity);
          tile.load(slice.input, slice.count, lane);
          tile.store(slice.codes, split.wide, slice.count, lane, quantizer);
        }
      }
    });
    if constexpr (!Aligned) edges.store(split, lane, scale.quantizer());

    // 6. One lane stores the scale.
    if (lane == 0) scales.at(row).write(scale);
  }
};

template <class Element, class Launcher>
void dynamic_token(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  kq::with_token_rule<Element>(r, o.scale_ub, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    const auto rows = rows_of<Element, typename Rule::Code>(r, o);
    with_token_config(r.hidden_size / vector_width<Element>, r.num_tokens, is_aligned(rows), launcher.multiprocessors,
                      [&](auto config, auto aligned) {
                        using Kernel = DynamicToken<Rule, decltype(config), aligned.value>;
                        launcher.launch(Kernel{rows, scales, rule}, config.blocks(rows.count));
                      });
  });
}

KQ_INSTANTIATE(dynamic_token)

}  // namespace kqbench::gpu
