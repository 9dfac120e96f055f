// SPDX-License-Identifier: Apache-2.0

// Tensors as bytes, for files.

#include <nanobind/stl/string.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "calls.hpp"
#include "errors.hpp"
#include "operands.hpp"
#include "tensor.hpp"

namespace kq::python {
namespace {

using namespace nb::literals;

nb::object new_bytes(std::int64_t size) {
  nb::object bytes = nb::steal(PyBytes_FromStringAndSize(nullptr, size));
  if (!bytes.is_valid()) throw nb::python_error();
  std::memset(PyBytes_AS_STRING(bytes.ptr()), 0, static_cast<std::size_t>(size));
  return bytes;
}

/// Rows without the gaps between them.
nb::object bytes_of_rows(const Tensor& tensor, const char* field) {
  const Rows rows = rows_of(tensor, field);
  const std::int64_t size = size_of(tensor.type());
  const std::int64_t row_bytes = rows.hidden_size * size;
  nb::object bytes = new_bytes(rows.tokens * row_bytes);
  for (std::int64_t row = 0; row < rows.tokens; ++row) {
    std::memcpy(PyBytes_AS_STRING(bytes.ptr()) + row * row_bytes,
                static_cast<const char*>(tensor.data()) + row * rows.stride * size,
                static_cast<std::size_t>(row_bytes));
  }
  return bytes;
}

/// The memory from the first element to the last. Columns are whole: what pads the last one may not be the tensor's,
/// and is 0 here.
nb::object bytes_as_they_lie(const Tensor& tensor, const char* field) {
  const auto shape = tensor.shape();
  const auto strides = tensor.strides();
  std::int64_t elements = 1;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (strides[i] < 0) throw Invalid(field, "must not be reversed; pass a contiguous copy");
    elements += (shape[i] - 1) * strides[i];
  }
  const std::int64_t size = size_of(tensor.type());
  const bool has_columns = shape.size() > 1 && shape.back() > 1 && strides.back() > 1;
  nb::object bytes = new_bytes((has_columns ? std::max(elements, shape.back() * strides.back()) : elements) * size);
  std::memcpy(PyBytes_AS_STRING(bytes.ptr()), tensor.data(), static_cast<std::size_t>(elements * size));
  return bytes;
}

/// (type, shape, bytes) of a tensor on the host; no bytes where there are no elements or the type is not known.
nb::tuple stored(nb::handle object, const char* field, bool as_it_lies) {
  const Tensor tensor(object, field, false);
  if (!tensor.is_on_host()) throw Invalid(field, "must be on the host");
  nb::list shape;
  for (const std::int64_t size : tensor.shape())
    shape.append(size);
  nb::object bytes;
  if (tensor.elements() == 0 || size_of(tensor.type()) == 0) {
    bytes = new_bytes(0);
  } else {
    bytes = as_it_lies ? bytes_as_they_lie(tensor, field) : bytes_of_rows(tensor, field);
  }
  return nb::make_tuple(tensor.type_name(), shape, bytes);
}

}  // namespace

void bind_stored(nb::module_& m) {
  m.def("stored", &stored, "tensor"_a, "field"_a, "as_it_lies"_a);
}

}  // namespace kq::python
