// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernel: a scale for every group of consecutive elements of a row. A few lanes share a group, so that a wave works on
/// several at once and their exchange takes few steps.

#include <cstdint>
#include <type_traits>

#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

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
  std::int64_t row_step;    ///< from a row's first scale to the next row's
  std::int64_t group_step;  ///< from a group's scale to the next group's

  KQ_HOST_DEVICE Place place(std::int64_t number) const {
    const std::int64_t row = divide(number, per_row);
    const std::int64_t group = number - row * per_row;
    const std::int64_t begin = group * size;
    const std::int64_t left = rows.size - begin;
    return {row, begin, left < size ? left : size, row * row_step + group * group_step};
  }
  KQ_HOST_DEVICE const Element* input_at(const Place& place) const {
    return rows.input + place.row * rows.input_stride + place.begin;
  }
  KQ_HOST_DEVICE Code* codes_at(const Place& place) const {
    return rows.codes + place.row * rows.codes_stride + place.begin;
  }
};

/// With `Aligned`, every group begins and ends at whole vectors, as it does in most models.
template <class Rule, class Shape_, bool Aligned, template <class, class> class Groups>
struct DynamicGroup {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Extremes = typename Rule::Extremes;
  static constexpr int lanes = Config::lanes;
  static constexpr bool in_registers = Config::vectors > 0;
  using Index = std::conditional_t<in_registers, int, std::int64_t>;
  using GroupCut = CutOf<Element, Code, Index, Aligned>;
  using HeldTile = Tile<Element, lanes, in_registers ? Config::vectors : streamed_vectors>;

  Groups<Element, Code> groups;
  void* scales;    ///< float, or uint8 exponents
  bool exponents;  ///< scales are stored as UE8M0
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const auto place = groups.place(Config::span(block, groups.count));
    const GroupCut cut(groups.input_at(place), groups.codes_at(place), static_cast<Index>(place.size));

    HeldTile tile;
    HeadTail<Element, lanes> edges;
    Extremes extremes;
    if constexpr (!Aligned) edges.load(cut, lane);
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
    if constexpr (!Aligned) edges.fold(extremes, cut, lane);

    std::uint32_t key[Extremes::keys];
    extremes.to_keys(key);
    max_over_lanes<Config::threads, lanes>(block, block.template shared<WaveSlots<Extremes::keys>>(), key);
    const auto found = rule.make_quantizer(key);

    found.quantizer.with_fast_path([&](const auto& quantizer) {
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
    if constexpr (!Aligned) edges.store(cut, lane, found.quantizer);
    if (lane == 0) {
      if (exponents) {
        static_cast<std::uint8_t*>(scales)[place.scale] = kq::ue8m0_code(found.scale);
      } else {
        static_cast<float*>(scales)[place.scale] = found.scale;
      }
    }
  }
};

}  // namespace kqbench::gpu
