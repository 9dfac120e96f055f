// SPDX-License-Identifier: Apache-2.0

// One scale for every block of rows by columns. The threads of a thread block share one: a few lanes for each row, so
// that many rows are read at once. A block that fits in registers is read once; a larger one twice, the second time
// from the caches.

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

/// `Config::lanes` of a thread block's threads share a row of the block. With `Aligned`, the rows of every block begin
/// and end at whole vectors.
template <class Rule, class Config_, bool Aligned>
struct DynamicBlock {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  using Fold = typename Reduction::template Fold<Element>;
  static constexpr int lanes = Config::lanes;
  static constexpr int rows_at_once = Config::spans_per_block;
  using RowSplit = SplitOf<Element, Code, std::int64_t, Aligned>;
  using RowTile = Tile<Element, lanes, Config::vectors>;

  Rows<Element, Code> rows;
  std::int64_t block_rows;
  std::int64_t block_columns;
  AnyGroupScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const int my_row = static_cast<int>(static_cast<unsigned>(block.thread()) / unsigned{lanes});
    const std::int64_t scale_row = divide(block.index(), scales.columns);
    const std::int64_t scale_column = block.index() - scale_row * scales.columns;
    const std::int64_t first_row = scale_row * block_rows;
    const std::int64_t last_row = first_row + block_rows < rows.count ? first_row + block_rows : rows.count;

    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Fold this thread's part of every rows_at_once-th row; then the next launch may start.
    Fold fold;
    for (std::int64_t row = first_row + my_row; row < last_row; row += rows_at_once) {
      const RowSplit split = split_piece(row, scale_column);
      for_each_slice(split, lane, [&](const RowTile& tile, const auto& slice) { tile.fold(fold, slice.count, lane); });
      if constexpr (!Aligned) {
        HeadTail<Element, lanes> edges;
        edges.load(split, lane);
        edges.fold(fold, split, lane);
      }
    }
    block.launch_dependents();

    // 3. Reduce over all threads.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, Config::threads>(block, block.template shared<WaveSlots<Reduction::count>>(), key);

    // 4. Compute the scale, in every thread.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 5. Read the rows again, quantize and store.
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      for (std::int64_t row = first_row + my_row; row < last_row; row += rows_at_once) {
        const RowSplit split = split_piece(row, scale_column);
        for_each_slice(split, lane, [&](const RowTile& tile, const auto& slice) {
          tile.store(slice.codes, split.wide, slice.count, lane, quantizer);
        });
        if constexpr (!Aligned) {
          HeadTail<Element, lanes> edges;
          edges.load(split, lane);
          edges.store(split, lane, scale.quantizer());
        }
      }
    });

    // 6. One thread stores the scale.
    if (block.thread() == 0) scales.at({scale_row, scale_column}).write(scale);
  }

 private:
  /// A row's part of the block.
  KQ_HOST_DEVICE RowSplit split_piece(std::int64_t row, std::int64_t scale_column) const {
    const std::int64_t begin = scale_column * block_columns;
    const std::int64_t left = rows.size - begin;
    return {rows.input + row * rows.input_stride + begin, element_address(rows.codes, row * rows.codes_stride + begin),
            left < block_columns ? left : block_columns};
  }

  /// function(tile, slice) for what registers hold at a time of a row's part, loaded.
  template <class Function>
  KQ_HOST_DEVICE static void for_each_slice(const RowSplit& split, int lane, const Function& function) {
    for (std::int64_t first = 0; first < split.vectors; first += RowTile::capacity) {
      const Slice<Element, Code> slice(split, first, RowTile::capacity);
      RowTile tile;
      tile.load(slice.input, slice.count, lane);
      function(tile, slice);
    }
  }
};

/// A block that begins and ends at whole vectors and fits in registers: `Config::lanes` threads share a row, each with
/// a vector of every rows_at_once-th row, `Config::vectors` of them at most. It is read once.
template <class Rule, class Config_>
struct DynamicHeldBlock {
  using Config = Config_;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  static constexpr int width = vector_width<Element>;
  static constexpr int rows_at_once = Config::spans_per_block;

  Rows<Element, Code> rows;
  std::int64_t block_rows;
  std::int64_t block_columns;
  AnyGroupScales scales;
  Rule rule;

  /// Whether blocks of so many rows and vectors in a row fit.
  static constexpr bool fits(std::int64_t num_rows, std::int64_t vectors_per_row) {
    return vectors_per_row <= Config::lanes && num_rows <= rows_at_once * Config::vectors;
  }

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const int lane = Config::lane(block);
    const int my_row = static_cast<int>(static_cast<unsigned>(block.thread()) / unsigned{Config::lanes});
    const std::int64_t scale_row = divide(block.index(), scales.columns);
    const std::int64_t scale_column = block.index() - scale_row * scales.columns;
    const std::int64_t first_row = scale_row * block_rows + my_row;
    const std::int64_t left = rows.count - scale_row * block_rows;
    const std::int64_t column = scale_column * block_columns + lane * width;
    const bool in_block = lane * width < block_columns && column < rows.size;
    const int end = !in_block ? 0 : static_cast<int>(left < block_rows ? left : block_rows);
    const Element* const input = rows.input + first_row * rows.input_stride + column;

    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites(input, end);
    // 2. Load this thread's vectors; then the next launch may start.
    Vector16 vectors[Config::vectors];
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (my_row + n * rows_at_once < end) {
        vectors[n] = kq::arch::load16(input + n * rows_at_once * rows.input_stride);
      }
    }
    block.launch_dependents();

    // 3. Reduce over all threads.
    typename Reduction::template Fold<Element> fold;
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (my_row + n * rows_at_once < end) fold.add(vectors[n]);
    }
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, Config::threads>(block, block.template shared<WaveSlots<Reduction::count>>(), key);

    // 4. Compute the scale, in every thread.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));

    // 5. Quantize and store.
    Code* const codes = element_address(rows.codes, first_row * rows.codes_stride + column);
    scale.quantizer().with_fast_path([&](const auto& quantizer) {
      KQ_UNROLL
      for (int n = 0; n < Config::vectors; ++n) {
        if (my_row + n * rows_at_once < end) {
          CodePack<Code, width> pack;
          quantize_vector<Element>(vectors[n], quantizer, pack);
          store_codes(element_address(codes, n * rows_at_once * rows.codes_stride), true, pack);
        }
      }
    });

    // 6. One thread stores the scale.
    if (block.thread() == 0) scales.at({scale_row, scale_column}).write(scale);
  }
};

template <class Element, class Launcher>
void dynamic_block(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (kq::is_block_format(r)) return dynamic_block_format<Element>(launcher, r, o);
  const AnyGroupScales scales = kq::any_group_scales(r, o.scales);
  const std::int64_t block_rows = std::min(r.block_rows, r.num_tokens);
  const std::int64_t block_columns = std::min(r.group_size, r.hidden_size);
  kq::with_block_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    const auto rows = rows_of<Element, typename Rule::Code>(r, o);
    const bool aligned = is_aligned(rows) && block_columns % vector_width<Element> == 0;
    const std::int64_t vectors = block_columns / vector_width<Element>;
    using Held = DynamicHeldBlock<Rule, HeldBlockConfig<vector_width<Element>>>;
    if (aligned && Held::fits(block_rows, vectors)) {
      return launcher.launch(Held{rows, block_rows, block_columns, scales, rule}, kq::num_scales(r));
    }
    with_block_config(vectors, aligned, [&](auto config, auto is_known_aligned) {
      using Kernel = DynamicBlock<Rule, decltype(config), is_known_aligned.value>;
      launcher.launch(Kernel{rows, block_rows, block_columns, scales, rule}, kq::num_scales(r));
    });
  });
}

KQ_INSTANTIATE(dynamic_block)

}  // namespace kqbench::gpu
