// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernel: a scale a row, from the row. The row is read from memory once and stays in registers while its lanes find
/// its extremes; a row that is too long for them is read twice, the second time from its end, where the cache has it.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"

namespace kqbench::gpu {

/// With `Aligned`, every row begins and ends at whole vectors.
template <class Rule, class Shape_, bool Aligned>
struct DynamicToken {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Extremes = typename Rule::Extremes;
  static constexpr int lanes = Config::lanes;
  static constexpr bool in_registers = Config::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using HeldTile = Tile<Element, lanes, in_registers ? Config::vectors : streamed_vectors>;

  Rows<Element, Code> rows;
  float* scales;
  std::int32_t* zero_points;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const std::int64_t row = Config::span(block, rows.count);
    const auto cut = cut_row<Index, Aligned>(rows, row);

    HeldTile tile;
    HeadTail<Element, lanes> edges;
    Extremes extremes;
    if constexpr (!Aligned) edges.load(cut, lane);
    if constexpr (in_registers) {
      tile.load(cut.body, cut.vectors, lane);
      tile.fold(extremes, cut.vectors, lane);
    } else {
      for (Index begin = 0; begin < cut.vectors; begin += HeldTile::capacity) {
        const Slice<Element, Code> slice(cut, begin, HeldTile::capacity);
        tile.load(slice.input, slice.count, lane);
        tile.fold(extremes, slice.count, lane);
      }
    }
    if constexpr (!Aligned) edges.fold(extremes, cut, lane);

    std::uint32_t key[Extremes::keys];
    extremes.to_keys(key);
    max_over_lanes<Config::threads, lanes>(block, block.template shared<WaveSlots<Extremes::keys>>(), key);
    const auto found = rule.make_quantizer(key);

    found.quantizer.with_fast_path([&](const auto& quantizer) {
      if constexpr (in_registers) {
        tile.store(cut.codes, cut.wide, cut.vectors, lane, quantizer);
      } else {
        const Index last = (cut.vectors - 1) / HeldTile::capacity * HeldTile::capacity;
        for (Index begin = last; begin >= 0; begin -= HeldTile::capacity) {
          const Slice<Element, Code> slice(cut, begin, HeldTile::capacity);
          tile.load(slice.input, slice.count, lane);
          tile.store(slice.codes, cut.wide, slice.count, lane, quantizer);
        }
      }
    });
    if constexpr (!Aligned) edges.store(cut, lane, found.quantizer);
    if (lane == 0) {
      scales[row] = found.scale;
      if constexpr (Rule::has_zero_point) zero_points[row] = found.zero_point;
    }
  }
};

}  // namespace kqbench::gpu
