// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A reduction over the rows of a block, which leaves the maxima of each of its columns.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/host.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// Where the maxima of columns are stored: the k-th of column i at data[k * step + i].
struct ColumnMaximaSlots {
  float* data;
  std::int64_t step;
};

/// One lane's columns: as many consecutive ones as a vector has elements. A block is as wide as all lanes together, or
/// narrower.
template <class Reduction, class Element, class Config>
class DeviceColumnMaxima {
 public:
  static constexpr int width = vector_width<Element>;
  static constexpr std::int64_t capacity = std::int64_t{Config::lanes} * width;  ///< columns of a block at most

  KQ_HOST_DEVICE DeviceColumnMaxima(const Block<const Element>& block, int lane) {
    const std::int64_t begin = std::int64_t{lane} * width;
    const std::int64_t left = block.size - begin;
    count_ = left < width ? (left > 0 ? static_cast<int>(left) : 0) : width;
    const Element* const mine = block.data + begin;
    arch::wait_for_prerequisite_grids();
    for (std::int64_t first = 0; first < block.rows; first += batch) {
      Vector16 v[batch];
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (first + n < block.rows) load(mine + (first + n) * block.stride, v[n]);
      }
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (first + n < block.rows) add(v[n]);
      }
    }
    arch::launch_dependent_grids();
  }

  KQ_HOST_DEVICE void store(const ColumnMaximaSlots& slots, int lane) const {
    KQ_UNROLL
    for (int i = 0; i < width; ++i) {
      for (int k = 0; k < Reduction::count && i < count_; ++k) {
        slots.data[k * slots.step + std::int64_t{lane} * width + i] = column_[i].value[k];
      }
    }
  }

 private:
  static constexpr int batch = 4;  ///< rows that are loaded before the first is used

  /// Columns that the block does not have are 0, and never stored.
  KQ_HOST_DEVICE void load(const Element* address, Vector16& v) const {
    if constexpr (Config::aligned) {
      v = count_ == 0 ? Vector16{} : arch::load16(address);
    } else {
      v = load_elements(address, count_);
    }
  }
  KQ_HOST_DEVICE void add(const Vector16& v) {
    KQ_UNROLL
    for (int quarter = 0; quarter < width / 4; ++quarter) {
      float x[4];
      unpack4<Element>(v, quarter, x);
      KQ_UNROLL
      for (int i = 0; i < 4; ++i) {
        Reduction::extend(column_[4 * quarter + i].value, x[i]);
      }
    }
  }

  int count_;  ///< columns that this lane has
  Maxima<Reduction> column_[width];
};

/// All columns of a block, at most `capacity`, by a host's thread.
template <class Reduction, class Element>
class HostColumnMaxima {
 public:
  static constexpr std::int64_t capacity = host::block_size;

  KQ_HOST_DEVICE explicit HostColumnMaxima(const Block<const Element>& block) : size_(block.size) {
    for (auto& values : value_) {
      for (std::int64_t i = 0; i < size_; ++i) {
        values[i] = Reduction::identity;
      }
    }
    float x[capacity];
    for (std::int64_t row = 0; row < block.rows; ++row) {
      host::to_floats(block.row(row).data, x, size_);
      for (std::int64_t i = 0; i < size_; ++i) {
        float maxima[Reduction::count];
        for (int k = 0; k < Reduction::count; ++k) {
          maxima[k] = value_[k][i];
        }
        Reduction::extend(maxima, x[i]);
        for (int k = 0; k < Reduction::count; ++k) {
          value_[k][i] = maxima[k];
        }
      }
    }
  }

  KQ_HOST_DEVICE void store(const ColumnMaximaSlots& slots) const {
    for (int k = 0; k < Reduction::count; ++k) {
      for (std::int64_t i = 0; i < size_; ++i) {
        slots.data[k * slots.step + i] = value_[k][i];
      }
    }
  }

 private:
  std::int64_t size_;
  float value_[Reduction::count][capacity];
};

}  // namespace kq
