// SPDX-License-Identifier: Apache-2.0

// One scale for every column, in three launches: the first leaves the extremes of each column of slabs of rows in the
// workspace, the second combines those of all slabs and stores the scales, the third quantizes. In all of them a thread
// has neighbouring columns, as many as a vector has elements, and goes down rows with them.

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/tile.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// The maxima of columns, [count, slabs, columns]: maximum k of a slab's column.
struct ColumnPartials {
  float* values;
  std::int64_t slabs;
  std::int64_t columns;

  KQ_HOST_DEVICE float& at(int k, std::int64_t slab, std::int64_t column) const {
    return values[(k * slabs + slab) * columns + column];
  }

  /// What the reduction found in a column, of one slab or of all, if they are combined.
  template <class Reduction>
  KQ_HOST_DEVICE kq::Maxima<Reduction> read(std::int64_t slab, std::int64_t column) const {
    kq::Maxima<Reduction> maxima;
    for (int k = 0; k < Reduction::count; ++k) {
      maxima.value[k] = at(k, slab, column);
    }
    return maxima;
  }
  template <class Reduction>
  KQ_HOST_DEVICE void write(std::int64_t slab, std::int64_t column, const kq::Maxima<Reduction>& maxima) const {
    for (int k = 0; k < Reduction::count; ++k) {
      at(k, slab, column) = maxima.value[k];
    }
  }
};

/// A thread's columns of a row, as many as a vector has elements. With `Aligned`, every row begins and ends at whole
/// vectors; without, elements move one by one.
template <class Element, class Code, bool Aligned>
struct ColumnVector {
  static constexpr int width = vector_width<Element>;

  std::int64_t first;  ///< column
  int count;           ///< columns that there are; 0 or `width` if aligned

  KQ_HOST_DEVICE ColumnVector(std::int64_t number, std::int64_t columns) : first(number * width) {
    const std::int64_t left = columns - first;
    count = left < width ? (left > 0 ? static_cast<int>(left) : 0) : width;
  }
  KQ_HOST_DEVICE Vector16 load(const Rows<Element, Code>& rows, std::int64_t row) const {
    const Element* const address = rows.input + row * rows.input_stride + first;
    if constexpr (Aligned) {
      return kq::arch::load16(address);
    } else {
      return kq::load_elements(address, count);
    }
  }
  KQ_HOST_DEVICE void store(const Rows<Element, Code>& rows, std::int64_t row,
                            const CodePack<Code, width>& pack) const {
    Code* const address = element_address(rows.codes, row * rows.codes_stride + first);
    if constexpr (Aligned) {
      store_codes(address, true, pack);
    } else {
      kq::store_first_codes(address, count, pack);
    }
  }
};

/// Rows of a slab, of `slabs` nearly equal ones.
struct Slab {
  std::int64_t begin;
  std::int64_t end;
  KQ_HOST_DEVICE Slab(std::int64_t rows, std::int64_t number, std::int64_t slabs)
      : begin(divide(rows * number, slabs)), end(divide(rows * (number + 1), slabs)) {}
};

/// A block is a strip of columns in a slab of rows, those of a slab one after the other.
template <class Rule, bool Aligned>
struct ChannelExtremes {
  using Config = ChannelConfig;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  static constexpr int width = vector_width<Element>;

  Rows<Element, Code> rows;
  std::int64_t strips;
  ColumnPartials partials;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t number = divide(block.index(), strips);
    const std::int64_t strip = block.index() - number * strips;
    const Slab slab(rows.count, number, partials.slabs);
    const ColumnVector<Element, Code, Aligned> mine(strip * Config::threads + block.thread(), rows.size);
    block.wait_for_prerequisites();
    if (mine.count == 0) return;

    // 1. Go down the slab's rows, several loads ahead.
    kq::Maxima<Reduction> maxima[width];
    for (std::int64_t row = slab.begin; row < slab.end; row += streamed_vectors) {
      Vector16 vectors[streamed_vectors];
      KQ_UNROLL
      for (int n = 0; n < streamed_vectors; ++n) {
        if (row + n < slab.end) vectors[n] = mine.load(rows, row + n);
      }
      KQ_UNROLL
      for (int n = 0; n < streamed_vectors; ++n) {
        if (row + n < slab.end) extend(maxima, vectors[n]);
      }
    }
    block.launch_dependents();
    // 2. Leave each column's maxima.
    KQ_UNROLL
    for (int i = 0; i < width; ++i) {
      if (i < mine.count) partials.write(number, mine.first + i, maxima[i]);
    }
  }

 private:
  KQ_HOST_DEVICE static void extend(kq::Maxima<Reduction> (&maxima)[width], const Vector16& vector) {
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      float x[4];
      kq::unpack4<Element>(vector, quarter, x);
      KQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        Reduction::extend(maxima[4 * quarter + i].value, x[i]);
      }
    }
  }
};

/// A thread is a column. The maxima of all slabs take the place of the first one's.
template <class Rule>
struct ChannelScales {
  using Config = ChannelConfig;
  using Reduction = typename Rule::Reduction;

  ColumnPartials partials;
  FloatScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t column = block.index() * Config::threads + block.thread();
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    if (column >= partials.columns) return;
    // 2. Combine the maxima of a column's slabs.
    kq::Maxima<Reduction> maxima;
    for (std::int64_t slab = 0; slab < partials.slabs; ++slab) {
      maxima.add(partials.read<Reduction>(slab, column));
    }
    // 3. Leave them for the last launch, and store the scale.
    partials.write(0, column, maxima);
    scales.at(column).write(rule.scale(Reduction::value(maxima.value)));
  }
};

/// A block is a strip of columns in a slab of rows. A column's quantizer is made once for all of those.
template <class Rule, bool Aligned>
struct ChannelQuantize {
  using Config = ChannelConfig;
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  using Reduction = typename Rule::Reduction;
  static constexpr int width = vector_width<Element>;

  Rows<Element, Code> rows;
  std::int64_t strips;
  std::int64_t slabs;
  ColumnPartials partials;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t number = divide(block.index(), strips);
    const std::int64_t strip = block.index() - number * strips;
    const Slab slab(rows.count, number, slabs);
    const ColumnVector<Element, Code, Aligned> mine(strip * Config::threads + block.thread(), rows.size);
    block.wait_for_prerequisites();
    if (mine.count == 0) return;

    for (std::int64_t row = slab.begin; row < slab.end; row += channel_rows) {
      // 1. Load several rows' vectors.
      Vector16 vectors[channel_rows];
      KQ_UNROLL
      for (int n = 0; n < channel_rows; ++n) {
        if (row + n < slab.end) vectors[n] = mine.load(rows, row + n);
      }
      // 2. Quantize four columns at a time.
      CodePack<Code, width> packs[channel_rows];
      KQ_UNROLL
      for (int quarter = 0; quarter < width / 4; ++quarter) {
        const std::int64_t first = mine.first + 4 * quarter;
        const decltype(quantizer_of(0)) quantizers[4] = {quantizer_of(first), quantizer_of(first + 1),
                                                         quantizer_of(first + 2), quantizer_of(first + 3)};
        KQ_UNROLL
        for (int n = 0; n < channel_rows; ++n) {
          float x[4];
          kq::unpack4<Element>(vectors[n], quarter, x);
          packs[n].put4(quarter, kq::codes4_each(quantizers, x, kq::signs4<Element>(vectors[n], quarter)));
        }
      }
      // 3. Store.
      KQ_UNROLL
      for (int n = 0; n < channel_rows; ++n) {
        if (row + n < slab.end) mine.store(rows, row + n, packs[n]);
      }
    }
  }

 private:
  /// Columns that are not there have the last one's.
  KQ_HOST_DEVICE auto quantizer_of(std::int64_t column) const {
    const std::int64_t there = column < rows.size ? column : rows.size - 1;
    return rule.scale(Reduction::value(partials.template read<Reduction>(0, there).value)).quantizer();
  }
};

template <class Element, class Launcher>
void dynamic_channel(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  constexpr std::int64_t strip = ChannelConfig::threads * vector_width<Element>;
  const std::int64_t strips = (r.hidden_size + strip - 1) / strip;
  const ColumnPartials partials{static_cast<float*>(o.workspace), channel_slabs(r, launcher.multiprocessors),
                                r.hidden_size};
  const FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
  kq::with_channel_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    const auto rows = rows_of<Element, typename Rule::Code>(r, o);
    const auto run = [&](auto aligned) {
      launcher.launch(ChannelExtremes<Rule, aligned.value>{rows, strips, partials}, strips * partials.slabs);
      launcher.launch(ChannelScales<Rule>{partials, scales, rule},
                      (r.hidden_size + ChannelConfig::threads - 1) / ChannelConfig::threads);
      const std::int64_t slabs = (r.num_tokens + channel_rows - 1) / channel_rows;
      launcher.launch(ChannelQuantize<Rule, aligned.value>{rows, strips, slabs, partials, rule}, strips * slabs);
    };
    is_aligned(rows) ? run(Aligned()) : run(Any());
  });
}

KQ_INSTANTIATE(dynamic_channel)

}  // namespace kqbench::gpu
