// SPDX-License-Identifier: Apache-2.0

// A given scale for every group of consecutive elements of a row, or of the rows of a block. A few lanes share a group.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/groups.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// With `Aligned`, every group begins and ends at whole vectors, as it does in most models.
template <class Rule, class Config_, bool Aligned, class Groups>
struct StaticGroup {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static constexpr int lanes = Config::lanes;
  static constexpr bool in_registers = Config::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using GroupSplit = SplitOf<Element, Code, Index, Aligned>;
  using HeldTile = Tile<Element, lanes, in_registers ? Config::vectors : streamed_vectors>;

  Groups groups;
  GivenGroupScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const auto place = groups.place(scales, Config::span(block, groups.count));
    const GroupSplit split(groups.first_input() + place.input, element_address(groups.first_code(), place.codes),
                           static_cast<Index>(place.size));

    const auto vectors = Config::vectors_of(split.vectors);
    HeldTile tile;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(tile.first(split.body, lane), static_cast<int>(vectors));
    // 2. Load the group, as far as registers hold it; then the next launch may start.
    if constexpr (in_registers) tile.load(split.body, vectors, lane);
    block.launch_dependents();
    // 3. Look the scale up.
    const auto scale = rule.scale(scales, place.scale);
    // 4. Quantize and store: at once, or slice by slice where the group does not fit in registers.
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
    // 5. The single elements at the group's ends.
    if constexpr (!Aligned) {
      HeadTail<Element, lanes> edges;
      edges.load(split, lane);
      edges.store(split, lane, scale.quantizer());
    }
  }
};

template <class Element, class Launcher>
void static_group(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.format == kq::Format::fp4_e2m1) return static_block_format<Element>(launcher, r, o);
  const GivenGroupScales scales = kq::given_group_scales(r, o.scales);
  kq::with_static_group_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    with_groups<Element, typename Rule::Code, true>(
        r, o, launcher.multiprocessors, [&](auto config, auto aligned, const auto& groups) {
          using Kernel = StaticGroup<Rule, decltype(config), aligned.value, std::decay_t<decltype(groups)>>;
          launcher.launch(Kernel{groups, scales, rule}, config.blocks(groups.count));
        });
  });
}

KQ_INSTANTIATE(static_group)

}  // namespace kqbench::gpu
