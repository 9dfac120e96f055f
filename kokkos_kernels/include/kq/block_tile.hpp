// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A block of a tensor, several pieces of rows below each other, as a program works on it. It stays in memory and is
/// read each time it is used: the second time from a cache.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/device_tile.hpp"
#include "kq/host.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// As one lane sees it. A row takes a lane for each of its vectors, rounded up to a power of two, or all lanes where
/// it has more vectors. Lanes that are left take the rows below at the same time.
template <class Element_, class Config>
class DeviceBlockTile {
 public:
  using Element = Element_;

  KQ_HOST_DEVICE DeviceBlockTile(const Block<const Element>& block, int lane) : block_(block) {
    const std::int64_t vectors = (block.size + width - 1) / width;
    while (lanes_per_row_ < vectors && lanes_per_row_ < Config::lanes) {
      lanes_per_row_ *= 2;
    }
    row_ = lane / lanes_per_row_;
    lane_ = lane % lanes_per_row_;
    arch::wait_for_prerequisite_grids();
  }

  /// Calls on_vector(v, row, column) for this lane's vectors and on_edge(x, row, column) for its single elements at the
  /// ends of rows: `row` and `column` are where the vector begins, or the element lies, in the block.
  template <class VectorFunction, class EdgeFunction>
  KQ_HOST_DEVICE void for_each(const VectorFunction& on_vector, const EdgeFunction& on_edge) const {
    const int rows_at_once = Config::lanes / lanes_per_row_;
    if constexpr (Config::aligned) {
      for (std::int64_t column = lane_ * width; column < block_.size; column += lanes_per_row_ * width) {
        for (std::int64_t first = row_; first < block_.rows; first += batch * rows_at_once) {
          Vector16 v[batch];
          KQ_UNROLL
          for (int n = 0; n < batch; ++n) {
            const std::int64_t row = first + n * rows_at_once;
            if (row < block_.rows) v[n] = arch::load16(block_.row(row).data + column);
          }
          KQ_UNROLL
          for (int n = 0; n < batch; ++n) {
            const std::int64_t row = first + n * rows_at_once;
            if (row < block_.rows) on_vector(v[n], row, column);
          }
        }
      }
    } else {
      for (std::int64_t row = row_; row < block_.rows; row += rows_at_once) {
        const Span<const Element> span = block_.row(row);
        const VectorLayout<Element, std::int64_t> layout(span);
        for (std::int64_t vector = lane_; vector < layout.body; vector += lanes_per_row_) {
          const std::int64_t column = layout.vector_begin(vector);
          on_vector(arch::load16(span.data + column), row, column);
        }
        for (std::int64_t edge = lane_; edge < layout.edges(); edge += lanes_per_row_) {
          const std::int64_t column = layout.edge_index(edge);
          on_edge(span.data[column], row, column);
        }
      }
    }
  }

  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> partial() const {
    typename Reduction::template Fold<Element> fold;
    for_each([&](const Vector16& v, std::int64_t, std::int64_t) { fold.add(v); },
             [&](Element x, std::int64_t, std::int64_t) { fold.add(x); });
    arch::launch_dependent_grids();
    return Maxima<Reduction>::of(fold);
  }

  template <class Code, class Quantizer>
  KQ_HOST_DEVICE void store(const Block<Code>& codes, const Quantizer& quantizer) const {
    for_each(
        [&](const Vector16& v, std::int64_t row, std::int64_t column) {
          Code* const address = element_address(codes.row(row).data, column);
          CodePack<Code, width> pack;
          quantize_vector<Element>(v, quantizer, pack);
          store_codes(address, Config::aligned || takes_packs<Code, width>(address), pack);
        },
        [&](Element x, std::int64_t row, std::int64_t column) {
          codes.row(row).data[column] = quantizer.code(to_float(x));
        });
  }

 private:
  static constexpr int width = vector_width<Element>;
  static constexpr int batch = 4;  ///< vectors of a lane that are loaded before the first is used

  Block<const Element> block_;
  int lanes_per_row_ = 1;
  int row_;   ///< this lane's first
  int lane_;  ///< among those of its row
};

/// As a host's thread sees it: row by row.
template <class Element_>
struct HostBlockTile {
  using Element = Element_;
  Block<const Element> block;

  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> partial() const {
    Maxima<Reduction> maxima;
    for (std::int64_t row = 0; row < block.rows; ++row) {
      maxima.add(host::maxima(Reduction{}, block.row(row).data, block.size));
    }
    return maxima;
  }

  template <class Code, class Quantizer>
  KQ_HOST_DEVICE void store(const Block<Code>& codes, const Quantizer& quantizer) const {
    for (std::int64_t row = 0; row < block.rows; ++row) {
      host::quantize(block.row(row).data, codes.row(row).data, block.size, quantizer,
                     host::prefetch_distance<Element>(block.size));
    }
  }
};

}  // namespace kq
