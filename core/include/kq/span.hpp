// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Pieces of memory, as kernels name them.

#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/code_pack.hpp"

namespace kq {

/// `size` consecutive elements in memory.
template <class T>
struct Span {
  T* data;
  std::int64_t size;
};

/// A block of a tensor: `rows` pieces of rows of `size` elements each, `stride` elements from one to the next.
template <class T>
struct Block {
  T* data;
  std::int64_t rows;
  std::int64_t size;
  std::int64_t stride;

  KQ_HOST_DEVICE Span<T> row(std::int64_t index) const { return {element_address(data, index * stride), size}; }
};

/// The rows of a tensor: [num_rows, size], `stride` elements from one to the next.
template <class T>
struct Rows {
  T* data;
  std::int64_t size;
  std::int64_t stride;

  KQ_HOST_DEVICE Span<T> row(std::int64_t index) const { return {element_address(data, index * stride), size}; }

  /// Elements [begin, begin + length) of a row, cut at the row's end.
  KQ_HOST_DEVICE Span<T> slice(std::int64_t row, std::int64_t begin, std::int64_t length) const {
    return {element_address(data, row * stride + begin), length < size - begin ? length : size - begin};
  }

  /// Elements [begin, begin + length) of `count` rows, cut at the rows' ends.
  KQ_HOST_DEVICE Block<T> block(std::int64_t row, std::int64_t count, std::int64_t begin, std::int64_t length) const {
    const Span<T> first = slice(row, begin, length);
    return {first.data, count, first.size, stride};
  }
};

/// Least and greatest element of a span.
struct Range {
  float min;
  float max;
};

}  // namespace kq
