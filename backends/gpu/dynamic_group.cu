// SPDX-License-Identifier: Apache-2.0

// One scale for every group of consecutive elements of a row. A few lanes share a group, so that a wave works on
// several at once and their exchange takes few steps.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/groups.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// With `Aligned`, every group begins and ends at whole vectors, as it does in most models.
template <class Rule, class Config_, bool Aligned, class Groups, class Scales>
struct DynamicGroup {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  using Fold = typename Reduction::template Fold<Element>;
  static constexpr int lanes = Config::lanes;
  static constexpr bool in_registers = Config::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using GroupSplit = SplitOf<Element, Code, Index, Aligned>;
  using HeldTile = Tile<Element, lanes, in_registers ? Config::vectors : streamed_vectors>;

  Groups groups;
  Scales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const auto place = groups.place(scales, Config::span(block, groups.count));
    const GroupSplit split(groups.first_input() + place.input, element_address(groups.first_code(), place.codes),
                           static_cast<Index>(place.size));

    const auto vectors = Config::vectors_of(split.vectors);
    HeldTile tile;
    HeadTail<Element, lanes> edges;
    Fold fold;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(tile.first(split.body, lane), static_cast<int>(vectors));
    // 2. Load the group, or fold it slice by slice where it does not fit in registers; then the next launch may start.
    if constexpr (!Aligned) edges.load(split, lane);
    if constexpr (in_registers) {
      tile.load(split.body, vectors, lane);
      block.launch_dependents();
      tile.fold(fold, vectors, lane);
    } else {
      for (Index first = 0; first < vectors; first += HeldTile::capacity) {
        const Slice<Element, Code> slice(split, first, HeldTile::capacity);
        tile.load(slice.input, slice.count, lane);
        tile.fold(fold, slice.count, lane);
      }
    }
    if constexpr (!Aligned) edges.fold(fold, split, lane);

    // 3. Reduce over the lanes that share the group.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, lanes>(block, block.template shared<WaveSlots<Reduction::count>>(), key);

    // 4. Compute the scale, in every lane.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 5. Quantize and store.
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      if constexpr (in_registers) {
        tile.store(split.codes, split.wide, vectors, lane, quantizer);
      } else {
        for (Index first = 0; first < vectors; first += HeldTile::capacity) {
          const Slice<Element, Code> slice(split, first, HeldTile::capacity);
          tile.load(slice.input, slice.count, lane);
          tile.store(slice.codes, split.wide, slice.count, lane, quantizer);
        }
      }
    });
    if constexpr (!Aligned) edges.store(split, lane, scale.quantizer());

    // 6. One lane stores the scale.
    if (lane == 0) scales.at(place.scale).write(scale);
  }
};

template <class Element, class Launcher>
void dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (kq::is_block_format(r)) return dynamic_block_format<Element>(launcher, r, o);
  kq::with_group_scales(r, o.scales, [&]<class Scales>(const Scales& scales) {
    constexpr bool may_be_flat = std::is_same_v<Scales, GroupScales>;
    kq::with_block_rule<Element>(r, [&]<class Rule>(const Rule& rule) {
      with_groups<Element, typename Rule::Code, may_be_flat>(
          r, o, launcher.multiprocessors,
          [&]<class Config, class Aligned, class Groups>(Config config, Aligned, const Groups& groups) {
            using Kernel = DynamicGroup<Rule, Config, Aligned::value, Groups, Scales>;
            launcher.launch(Kernel{groups, scales, rule}, config.blocks(groups.count));
          });
    });
  });
}

KQ_INSTANTIATE(dynamic_group)

}  // namespace kqbench::gpu
