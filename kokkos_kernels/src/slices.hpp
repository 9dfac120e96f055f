// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tensors as kernels take them: rows, and slices of rows.

#include <cstdint>

#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq::detail {

/// A tensor cut into rows, and each row into slices of `slice_size` elements, the last one shorter.
template <class Element_, class Code_>
struct RowSlices {
  using Element = Element_;
  using Code = Code_;
  static constexpr bool is_flat = false;

  Rows<const Element> input;
  Rows<Code> codes;
  std::int64_t num_rows;
  std::int64_t slices_per_row;
  std::int64_t slice_size;

  KQ_HOST_DEVICE std::int64_t num_slices() const { return num_rows * slices_per_row; }
  KQ_HOST_DEVICE std::int64_t row(std::int64_t slice) const {
    return slices_per_row == 1 ? slice : divide(slice, slices_per_row);
  }
  KQ_HOST_DEVICE std::int64_t begin(std::int64_t slice) const {
    return (slice - row(slice) * slices_per_row) * slice_size;
  }
  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t slice) const {
    return input.slice(row(slice), begin(slice), slice_size);
  }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t slice) const {
    return codes.slice(row(slice), begin(slice), slice_size);
  }
};

/// A contiguous tensor cut into slices of a size that the compiler knows.
template <class Element_, class Code_, int SliceSize>
struct FlatSlices {
  using Element = Element_;
  using Code = Code_;
  static constexpr bool is_flat = true;
  static constexpr std::int64_t slice_size = SliceSize;

  Span<const Element> input;
  Span<Code> codes;

  KQ_HOST_DEVICE std::int64_t num_slices() const { return (input.size + slice_size - 1) / slice_size; }
  KQ_HOST_DEVICE static std::int64_t row(std::int64_t) { return 0; }
  KQ_HOST_DEVICE std::int64_t begin(std::int64_t slice) const { return slice * slice_size; }
  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t slice) const { return cut(input, slice); }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t slice) const { return cut(codes, slice); }

 private:
  template <class T>
  KQ_HOST_DEVICE Span<T> cut(const Span<T>& span, std::int64_t slice) const {
    const std::int64_t left = span.size - begin(slice);
    return {element_address(span.data, begin(slice)), left < slice_size ? left : slice_size};
  }
};

/// A contiguous tensor that is whole slices of a size that the compiler knows. How many there are is not stored.
template <class Element_, class Code_, std::int64_t SliceSize>
struct WholeSlices {
  using Element = Element_;
  using Code = Code_;
  static constexpr bool is_flat = true;
  static constexpr std::int64_t slice_size = SliceSize;

  const Element* input;
  Code* codes;

  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t slice) const {
    return {input + slice * slice_size, slice_size};
  }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t slice) const {
    return {element_address(codes, slice * slice_size), slice_size};
  }
};

/// The rows of a request's input and codes.
template <class Element>
Rows<const Element> input_rows(const Request& r, const Operands& b) {
  return {static_cast<const Element*>(b.input), r.hidden_size, r.input_stride};
}
template <class Code>
Rows<Code> code_rows(const Request& r, const Operands& b) {
  return {static_cast<Code*>(b.codes), r.hidden_size, r.codes_stride};
}

/// Whether input and codes are each one piece of memory.
inline bool is_flat(const Request& r) {
  return r.num_tokens == 1 || (r.input_stride == r.hidden_size && r.codes_stride == r.hidden_size);
}

/// Whether every row begins and ends at whole vectors, and its codes where one store can put a vector's.
template <class Element>
bool is_aligned(const Request& r, const Operands& b) {
  constexpr int width = vector_width<Element>;
  return reinterpret_cast<std::uintptr_t>(b.input) % sizeof(Vector16) == 0 &&
         reinterpret_cast<std::uintptr_t>(b.codes) % width == 0 && r.hidden_size % width == 0 &&
         r.input_stride % width == 0 && r.codes_stride % width == 0;
}

}  // namespace kq::detail
