// SPDX-License-Identifier: Apache-2.0

// Scales that are given: one for a contiguous tensor; one per row, or one for a tensor of separate rows; one per
// column.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/numerics.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// One scale for a contiguous tensor. A span is as many consecutive vectors as its lanes hold; the first one takes the
/// tensor's edges too.
template <class Rule, class Config_, bool Aligned>
struct StaticTensor {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static_assert(Config::lanes == Config::threads);

  SplitOf<Element, Code, std::int64_t, Aligned> tensor;
  GivenScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const Slice<Element, Code> slice(tensor, block.index() * Config::capacity, Config::capacity);
    const int count = Config::vectors_of(slice.count);
    Tile<Element, Config::lanes, Config::vectors> tile;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(tile.first(slice.input, lane), count);
    // 2. Load a slice of the tensor; then the next launch may start.
    tile.load(slice.input, count, lane);
    block.launch_dependents();
    // 3. Quantize and store it.
    const auto quantizer = rule.scale(scales, 0).quantizer();
    quantizer.with_fast_path([&](const auto& fastest) { tile.store(slice.codes, tensor.wide, count, lane, fastest); });
    // 4. The first block has the single elements at the tensor's ends too.
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
template <class Rule, class Config_>
struct StaticRows {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;

  Rows<Element, Code> rows;
  std::int64_t slices_per_row;
  GivenScales scales;
  std::int64_t scale_step;  ///< 1: a scale for each row, 0: one for all
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const std::int64_t span = Config::span(block, rows.count * slices_per_row);
    const std::int64_t row = slices_per_row == 1 ? span : divide(span, slices_per_row);
    const std::int64_t number = span - row * slices_per_row;

    const auto split = split_row<std::int64_t>(rows, row);
    const Slice<Element, Code> slice(split, number * Config::capacity, Config::capacity);
    Tile<Element, Config::lanes, Config::vectors> tile;
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(tile.first(slice.input, lane), slice.count);
    // 2. Load a slice of a row; then the next launch may start.
    tile.load(slice.input, slice.count, lane);
    block.launch_dependents();
    // 3. Quantize and store it.
    const auto quantizer = rule.scale(scales, row * scale_step).quantizer();
    quantizer.with_fast_path(
        [&](const auto& fastest) { tile.store(slice.codes, split.wide, slice.count, lane, fastest); });
    // 4. A row's first slice comes with the single elements at the row's ends.
    if (number == 0 && split.edges() > 0) {
      HeadTail<Element, Config::lanes> edges;
      edges.load(split, lane);
      edges.store(split, lane, quantizer);
    }
  }
};

/// A scale for each column. A lane owns the columns of one vector and goes down `Config::vectors` rows with them, so
/// that a column's quantizer is made once for all of those.
///
/// Rows of odd length do not start at the same address modulo 16, so that vectors of neighbouring rows lie in different
/// columns. Those of rows as many apart as a vector has elements do not: a block takes every `width`-th row.
template <class Rule, class Config_>
struct StaticColumns {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  static constexpr int width = vector_width<Element>;
  static constexpr int rows_per_span = Config::vectors;
  static_assert(Config::lanes == Config::threads);

  Rows<Element, Code> rows;
  std::int64_t tiles_per_row;  ///< of Config::lanes vectors each; the first one takes the edges too
  GivenScales scales;
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
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    if (first_row >= rows.count) return;
    const std::int64_t rows_left = (rows.count - first_row + width - 1) / width;
    const int count = rows_left < rows_per_span ? static_cast<int>(rows_left) : rows_per_span;

    // 2. Load a vector's columns in several rows, quantize and store them.
    const auto split = split_row<std::int64_t>(rows, first_row);
    const std::int64_t vector = tile * Config::lanes + lane;
    if (vector < split.vectors) quantize_vectors(split, vector, count);
    // 3. A row's first tile comes with the single elements at the row's ends.
    if (tile == 0) {
      for (int edge = lane; edge < split.edges(); edge += Config::lanes) {
        quantize_edges(split, edge, count);
      }
    }
  }

 private:
  KQ_HOST_DEVICE auto quantizer_of(std::int64_t column) const { return rule.scale(scales, column).quantizer(); }

  /// The vector's columns in `count` rows.
  template <class RowSplit>
  KQ_HOST_DEVICE void quantize_vectors(const RowSplit& split, std::int64_t vector, int count) const {
    const Element* const input = split.body + vector * width;
    Vector16 vectors[rows_per_span];
    KQ_UNROLL
    for (int n = 0; n < rows_per_span; ++n) {
      if (n < count) vectors[n] = kq::arch::load16(input + n * width * rows.input_stride);
    }
    const std::int64_t column = split.head + vector * width;
    CodePack<Code, width> packs[rows_per_span];
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      const std::int64_t first = column + 4 * quarter;
      const decltype(quantizer_of(0)) quantizers[4] = {quantizer_of(first), quantizer_of(first + 1),
                                                       quantizer_of(first + 2), quantizer_of(first + 3)};
      KQ_UNROLL
      for (int n = 0; n < rows_per_span; ++n) {
        float x[4];
        kq::unpack4<Element>(vectors[n], quarter, x);
        packs[n].put4(quarter, kq::codes4_each(quantizers, x, kq::signs4<Element>(vectors[n], quarter)));
      }
    }
    Code* const codes = element_address(split.codes, vector * width);
    KQ_UNROLL
    for (int n = 0; n < rows_per_span; ++n) {
      if (n < count) store_codes(element_address(codes, n * width * rows.codes_stride), split.wide, packs[n]);
    }
  }

  /// A single element's column in `count` rows.
  template <class RowSplit>
  KQ_HOST_DEVICE void quantize_edges(const RowSplit& split, int edge, int count) const {
    const std::int64_t place = split.edge(edge);
    const auto quantizer = quantizer_of(split.head + place);
    for (int n = 0; n < count; ++n) {
      const Element x = split.body[place + n * width * rows.input_stride];
      split.codes[place + n * width * rows.codes_stride] = quantizer.code(kq::to_float(x));
    }
  }
};

template <class Element, class Launcher>
void static_scale(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const GivenScales scales{static_cast<const float*>(o.scales), o.zero_points};
  const std::int64_t vectors_per_row = r.hidden_size / vector_width<Element>;
  const auto pieces = [](std::int64_t vectors, int capacity) {
    return std::max<std::int64_t>(1, (vectors + capacity - 1) / capacity);
  };
  kq::with_static_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    using Code = typename Rule::Code;
    const auto rows = rows_of<Element, Code>(r, o);
    if (r.granularity == kq::Granularity::channel) {
      using Kernel = StaticColumns<Rule, TileConfig<128, 128, 8, 512>>;
      const std::int64_t tiles = pieces(vectors_per_row, Kernel::Config::lanes);
      launcher.launch(Kernel{rows, tiles, scales, rule}, Kernel::blocks(r.num_tokens, tiles));
    } else if (r.granularity == kq::Granularity::tensor && is_contiguous(r)) {
      const std::int64_t vectors = r.num_tokens * vectors_per_row;
      with_static_tensor_config(vectors, is_aligned(rows), launcher.multiprocessors, [&](auto config, auto aligned) {
        using Kernel = StaticTensor<Rule, decltype(config), aligned.value>;
        const auto tensor = tensor_of<Element, Code, aligned.value>(r, o);
        launcher.launch(Kernel{tensor, scales, rule}, pieces(tensor.vectors, config.capacity));
      });
    } else {
      const std::int64_t scale_step = r.granularity == kq::Granularity::tensor ? 0 : 1;
      with_static_rows_config(vectors_per_row, [&](auto config) {
        using Kernel = StaticRows<Rule, decltype(config)>;
        const std::int64_t slices = pieces(vectors_per_row, config.capacity);
        launcher.launch(Kernel{rows, slices, scales, scale_step, rule}, config.blocks(rows.count * slices));
      });
    }
  });
}

KQ_INSTANTIATE(static_scale)

}  // namespace kqbench::gpu
