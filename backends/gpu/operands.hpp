// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From a request and its operands to what kernels take.

#include <cstdint>

#include "backends/backend.hpp"
#include "backends/gpu/tile.hpp"
#include "kq/request.hpp"
#include "kq/scale_layout.hpp"

namespace kqbench::gpu {

using kq::AnyGroupScales;
using kq::FloatScales;
using kq::GivenGroupScales;
using kq::GivenScales;
using kq::GroupScales;

/// The request's tensors as rows.
template <class Element, class Code>
Rows<Element, Code> rows_of(const kq::Request& r, const Operands& o) {
  return {static_cast<const Element*>(o.input),
          static_cast<Code*>(o.codes),
          r.num_tokens,
          r.hidden_size,
          r.input_stride,
          r.codes_stride};
}

/// Whether input and codes are each one contiguous piece.
inline bool is_contiguous(const kq::Request& r) {
  return r.num_tokens == 1 || (r.input_stride == r.hidden_size && r.codes_stride == r.hidden_size);
}

/// Whether every row begins and ends at whole vectors, and its codes where one store can put those of a vector.
template <class Element, class Code>
bool is_aligned(const Rows<Element, Code>& rows) {
  constexpr int width = vector_width<Element>;
  return reinterpret_cast<std::uintptr_t>(rows.input) % sizeof(Vector16) == 0 &&
         reinterpret_cast<std::uintptr_t>(rows.codes) % width == 0 && rows.size % width == 0 &&
         (rows.count == 1 || (rows.input_stride % width == 0 && rows.codes_stride % width == 0));
}

/// A contiguous tensor as one span, split.
template <class Element, class Code, bool Aligned = false>
SplitOf<Element, Code, std::int64_t, Aligned> tensor_of(const kq::Request& r, const Operands& o) {
  return {static_cast<const Element*>(o.input), static_cast<Code*>(o.codes), r.num_tokens * r.hidden_size};
}

}  // namespace kqbench::gpu
