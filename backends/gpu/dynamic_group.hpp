// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernel: a scale for every group of consecutive elements of a row. A few lanes share a group, so that a wave works on
/// several at once and their exchange takes few steps.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/reduce.hpp"
#include "backends/gpu/shape.hpp"
#include "backends/gpu/tile.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

/// With `Aligned`, every group begins and ends at whole vectors, as it does in most models.
template <class Rule, class Shape_, bool Aligned>
struct DynamicGroup {
  using Shape = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Extremes = typename Rule::Extremes;
  static constexpr int lanes = Shape::lanes;
  static constexpr bool in_registers = Shape::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using GroupCut = std::conditional_t<Aligned, AlignedCut<Element, Code>, Cut<Element, Code, Index>>;
  using HeldTile = Tile<Element, lanes, in_registers ? Shape::vectors : streamed_vectors>;

  Rows<Element, Code> rows;
  std::int64_t group_size;
  std::int64_t groups_per_row;
  void* scales;             ///< float, or uint8 exponents
  std::int64_t token_step;  ///< from a token's first scale to the next token's
  std::int64_t group_step;  ///< from a group's scale to the next group's
  bool exponents;           ///< scales are stored as UE8M0
  Rule rule;

  template <class Block>
  KQ_FUNCTION void operator()(const Block& block) const {
    const int lane = Shape::lane(block);
    const std::int64_t number = Shape::span(block, rows.count * groups_per_row);
    const std::int64_t row = rows.count == 1 ? 0 : divide(number, groups_per_row);
    const std::int64_t group = number - row * groups_per_row;
    const std::int64_t begin = group * group_size;
    const std::int64_t size = rows.size - begin < group_size ? rows.size - begin : group_size;
    const GroupCut cut(rows.input + row * rows.input_stride + begin, rows.codes + row * rows.codes_stride + begin,
                       static_cast<Index>(size));

    HeldTile tile;
    Edges<Element, lanes> edges;
    Extremes extremes;
    if (cut.edges() > 0) edges.load(cut, lane);
    if constexpr (in_registers) {
      tile.load(cut.body, cut.vectors, lane);
      tile.fold(extremes, cut.vectors, lane);
    } else {
      for (Index first = 0; first < cut.vectors; first += HeldTile::capacity) {
        const Slice<Element, Code> slice(cut, first, HeldTile::capacity);
        tile.load(slice.input, slice.count, lane);
        tile.fold(extremes, slice.count, lane);
      }
    }
    if (cut.edges() > 0) edges.fold(extremes, cut, lane);

    std::uint32_t key[Extremes::keys];
    extremes.to_keys(key);
    max_over_lanes<Shape::threads, lanes>(block, block.template shared<WaveSlots<Extremes::keys>>(), key);
    const auto found = rule.find(key);

    found.quantizer.with_fastest([&](const auto& quantizer) {
      if constexpr (in_registers) {
        tile.store(cut.codes, cut.wide, cut.vectors, lane, quantizer);
      } else {
        for (Index first = 0; first < cut.vectors; first += HeldTile::capacity) {
          const Slice<Element, Code> slice(cut, first, HeldTile::capacity);
          tile.load(slice.input, slice.count, lane);
          tile.store(slice.codes, cut.wide, slice.count, lane, quantizer);
        }
      }
    });
    if (cut.edges() > 0) edges.store(cut, lane, found.quantizer);
    if (lane == 0) {
      const std::int64_t index = row * token_step + group * group_step;
      if (exponents) {
        static_cast<std::uint8_t*>(scales)[index] = kq::ue8m0_code(found.scale);
      } else {
        static_cast<float*>(scales)[index] = found.scale;
      }
    }
  }
};

}  // namespace kqbench::gpu
