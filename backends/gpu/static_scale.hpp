// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernels for a given scale: one for a contiguous tensor, one a row or for a tensor of separate rows, one a column.

#include <cstdint>

#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/numerics.hpp"

namespace kqbench::gpu {

/// One scale for a contiguous tensor. A span is as many consecutive vectors as its lanes hold; the first one takes the
/// tensor's edges too.
template <class Rule, class Shape_, bool Aligned>
struct StaticTensor {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static_assert(Config::lanes == Config::threads);

  CutOf<Element, Code, std::int64_t, Aligned> tensor;
  const float* scale;
  const std::int32_t* zero_point;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    const Slice<Element, Code> slice(tensor, block.index() * Config::capacity, Config::capacity);
    Tile<Element, Config::lanes, Config::vectors> tile;
    tile.load(slice.input, slice.count, lane);
    const auto quantizer = rule.quantizer(*scale, zero_point);
    quantizer.with_fast_path(
        [&](const auto& fastest) { tile.store(slice.codes, tensor.wide, slice.count, lane, fastest); });
    if constexpr (!Aligned) {
      if (block.index() == 0 && tensor.edges() > 0) {
        HeadTail<Element, Config::lanes> edges;
        edges.load(tensor, lane);
        edges.store(tensor, lane, quantizer);
      }
    }
  }
};

/// A span is a slice of a row.
template <class Rule, class Shape_>
struct StaticRows {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;

  Rows<Element, Code> rows;
  std::int64_t slices_per_row;
  const float* scales;
  const std::int32_t* zero_points;
  std::int64_t scale_step;  ///< 1: a scale a row, 0: the same for all
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const std::int64_t span = Config::span(block, rows.count * slices_per_row);
    const std::int64_t row = slices_per_row == 1 ? span : divide(span, slices_per_row);
    const std::int64_t number = span - row * slices_per_row;

    const auto cut = cut_row<std::int64_t>(rows, row);
    const Slice<Element, Code> slice(cut, number * Config::capacity, Config::capacity);
    Tile<Element, Config::lanes, Config::vectors> tile;
    tile.load(slice.input, slice.count, lane);
    const auto quantizer = rule.quantizer(scales[row * scale_step], zero_points + row * scale_step);
    quantizer.with_fast_path(
        [&](const auto& fastest) { tile.store(slice.codes, cut.wide, slice.count, lane, fastest); });
    if (number == 0 && cut.edges() > 0) {
      HeadTail<Element, Config::lanes> edges;
      edges.load(cut, lane);
      edges.store(cut, lane, quantizer);
    }
  }
};

/// A scale a column. A lane owns the columns of one vector and goes down `Config::vectors` rows with them, so that a
/// column's quantizer is made once for all of those.
///
/// Rows of odd length do not start at the same address modulo 16, so that vectors of neighbouring rows lie in different
/// columns. Those of rows as many apart as a vector has elements do not: a block takes every `width`-th row.
template <class Rule, class Shape_>
struct StaticColumns {
  using Config = Shape_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static constexpr int width = vector_width<Element>;
  static constexpr int rows_per_span = Config::vectors;
  static_assert(Config::lanes == Config::threads);

  Rows<Element, Code> rows;
  std::int64_t tiles_per_row;  ///< of Config::lanes vectors each; the first one takes the edges too
  const float* scales;
  const std::int32_t* zero_points;
  Rule rule;

  /// Every tile of every `width`-th row of some rows is a block's.
  static std::int64_t blocks(std::int64_t num_rows, std::int64_t tiles_per_row) {
    constexpr std::int64_t rows_at_once = std::int64_t{width} * rows_per_span;
    return (num_rows + rows_at_once - 1) / rows_at_once * width * tiles_per_row;
  }

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = block.thread();
    const std::int64_t number = divide(block.index(), tiles_per_row);
    const std::int64_t tile = block.index() - number * tiles_per_row;
    const std::int64_t first_row = number / width * (width * rows_per_span) + number % width;
    if (first_row >= rows.count) return;
    const std::int64_t rows_left = (rows.count - first_row + width - 1) / width;
    const int count = rows_left < rows_per_span ? static_cast<int>(rows_left) : rows_per_span;

    const auto cut = cut_row<std::int64_t>(rows, first_row);
    const std::int64_t vector = tile * Config::lanes + lane;
    if (vector < cut.vectors) quantize_vectors(cut, vector, count);
    if (tile == 0) {
      for (int edge = lane; edge < cut.edges(); edge += Config::lanes) {
        quantize_edges(cut, edge, count);
      }
    }
  }

 private:
  KQ_HOST_DEVICE auto quantizer_of(std::int64_t column) const {
    return rule.quantizer(scales[column], zero_points + column);
  }

  /// The vector's columns in `count` rows.
  template <class RowCut>
  KQ_HOST_DEVICE void quantize_vectors(const RowCut& cut, std::int64_t vector, int count) const {
    const Element* const input = cut.body + vector * width;
    Vector16 vectors[rows_per_span];
    KQ_UNROLL
    for (int n = 0; n < rows_per_span; ++n) {
      if (n < count) vectors[n] = kq::device::load16(input + n * width * rows.input_stride);
    }
    const std::int64_t column = cut.head + vector * width;
    std::uint32_t words[rows_per_span][width / 4];
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      const std::int64_t first = column + 4 * quarter;
      const decltype(quantizer_of(0)) quantizers[4] = {quantizer_of(first), quantizer_of(first + 1),
                                                       quantizer_of(first + 2), quantizer_of(first + 3)};
      KQ_UNROLL
      for (int n = 0; n < rows_per_span; ++n) {
        float x[4];
        kq::device::unpack4<Element>(vectors[n], quarter, x);
        words[n][quarter] = kq::codes4_each(quantizers, x, kq::device::signs4<Element>(vectors[n], quarter));
      }
    }
    Code* const codes = cut.codes + vector * width;
    KQ_UNROLL
    for (int n = 0; n < rows_per_span; ++n) {
      if (n < count) store_codes(codes + n * width * rows.codes_stride, cut.wide, words[n]);
    }
  }

  /// A single element's column in `count` rows.
  template <class RowCut>
  KQ_HOST_DEVICE void quantize_edges(const RowCut& cut, int edge, int count) const {
    const std::int64_t place = cut.edge(edge);
    const auto quantizer = quantizer_of(cut.head + place);
    for (int n = 0; n < count; ++n) {
      const Element x = cut.body[place + n * width * rows.input_stride];
      cut.codes[place + n * width * rows.codes_stride] = quantizer.code(kq::to_float(x));
    }
  }
};

}  // namespace kqbench::gpu
