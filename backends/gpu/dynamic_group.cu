// SPDX-License-Identifier: Apache-2.0

// One scale for every group of consecutive elements of a row. A few lanes share a group, so that a wave works on
// several at once and their exchange takes few steps.

#include <algorithm>
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

/// Groups that follow each other in memory, as do their scales.
template <class Element, class Code>
struct FlatGroups {
  struct Place {
    std::int64_t begin;  ///< of input and codes
    int size;
    std::int64_t scale;
  };

  const Element* input;
  Code* codes;
  std::int64_t count;
  int size;

  KQ_HOST_DEVICE Place place(std::int64_t number) const { return {number * size, size, number}; }
  KQ_HOST_DEVICE const Element* input_at(const Place& place) const { return input + place.begin; }
  KQ_HOST_DEVICE Code* codes_at(const Place& place) const { return codes + place.begin; }
};

/// Groups of separate rows, those of a row one after the other.
template <class Element, class Code>
struct RowGroups {
  struct Place {
    std::int64_t row;
    std::int64_t begin;  ///< in the row
    std::int64_t size;
    std::int64_t scale;
  };

  Rows<Element, Code> rows;
  std::int64_t count;
  std::int64_t size;
  std::int64_t per_row;
  kq::ScaleOffset scale_offset;

  KQ_HOST_DEVICE Place place(std::int64_t number) const {
    const std::int64_t row = divide(number, per_row);
    const std::int64_t group = number - row * per_row;
    const std::int64_t begin = group * size;
    const std::int64_t left = rows.size - begin;
    return {row, begin, left < size ? left : size, scale_offset(row, group)};
  }
  KQ_HOST_DEVICE const Element* input_at(const Place& place) const {
    return rows.input + place.row * rows.input_stride + place.begin;
  }
  KQ_HOST_DEVICE Code* codes_at(const Place& place) const {
    return rows.codes + place.row * rows.codes_stride + place.begin;
  }
};

/// With `Aligned`, every group begins and ends at whole vectors, as it does in most models.
template <class Rule, class Config_, bool Aligned, template <class, class> class Groups>
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

  Groups<Element, Code> groups;
  GroupScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const auto place = groups.place(Config::span(block, groups.count));
    const GroupSplit split(groups.input_at(place), groups.codes_at(place), static_cast<Index>(place.size));

    // 1. Load the group, or fold it slice by slice where it does not fit in registers.
    HeldTile tile;
    HeadTail<Element, lanes> edges;
    Fold fold;
    if constexpr (!Aligned) edges.load(split, lane);
    if constexpr (in_registers) {
      tile.load(split.body, split.vectors, lane);
      tile.fold(fold, split.vectors, lane);
    } else {
      for (Index first = 0; first < split.vectors; first += HeldTile::capacity) {
        const Slice<Element, Code> slice(split, first, HeldTile::capacity);
        tile.load(slice.input, slice.count, lane);
        tile.fold(fold, slice.count, lane);
      }
    }
    if constexpr (!Aligned) edges.fold(fold, split, lane);

    // 2. Reduce over the lanes that share the group.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, lanes>(block, block.template shared<WaveSlots<Reduction::count>>(), key);

    // 3. Compute the scale, in every lane.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 4. Quantize and store.
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      if constexpr (in_registers) {
        tile.store(split.codes, split.wide, split.vectors, lane, quantizer);
      } else {
        for (Index first = 0; first < split.vectors; first += HeldTile::capacity) {
          const Slice<Element, Code> slice(split, first, HeldTile::capacity);
          tile.load(slice.input, slice.count, lane);
          tile.store(slice.codes, split.wide, slice.count, lane, quantizer);
        }
      }
    });
    if constexpr (!Aligned) edges.store(split, lane, scale.quantizer());

    // 5. One lane stores the scale.
    if (lane == 0) scales.at(place.scale).write(scale);
  }
};

template <class Element, class Launcher>
void dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const GroupScales scales{o.scales, r.scale_format == kq::ScaleFormat::ue8m0};
  const std::int64_t per_row = kq::groups_per_row(r);
  const std::int64_t count = r.num_tokens * per_row;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const std::int64_t vectors = size / vector_width<Element>;
  kq::with_group_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    const auto rows = rows_of<Element, typename Rule::Code>(r, o);
    const bool aligned = is_aligned(rows) && size % vector_width<Element> == 0;
    const auto flat = [&](auto config) {
      using Kernel = DynamicGroup<Rule, decltype(config), true, FlatGroups>;
      launcher.launch(Kernel{{rows.input, rows.codes, count, static_cast<int>(size)}, scales, rule},
                      config.blocks(count));
    };
    if (aligned && r.scale_layout == kq::ScaleLayout::row && is_contiguous(r) && r.hidden_size % size == 0 &&
        with_flat_group_config(vectors, count, launcher.multiprocessors, flat)) {
      return;
    }
    with_group_config(vectors, aligned, [&](auto config, auto is_known_aligned) {
      using Kernel = DynamicGroup<Rule, decltype(config), is_known_aligned.value, RowGroups>;
      launcher.launch(Kernel{{rows, count, size, per_row, kq::scale_offset(r)}, scales, rule}, config.blocks(count));
    });
  });
}

KQ_INSTANTIATE(dynamic_group)

}  // namespace kqbench::gpu
