// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From tensors to what a request says of them: rows and strides, and the shapes that outputs have.

#include "kq/request.hpp"
#include "tensor.hpp"

namespace kq::python {

/// A tensor as rows: all dimensions but the last are taken for one.
struct Rows {
  std::int64_t tokens = 1;
  std::int64_t hidden_size = 1;
  std::int64_t stride = 0;  ///< elements from one row to the next; 0 where there is one row at most
};

/// Throws Invalid unless the elements of a row are consecutive and the rows lie at one distance from each other.
Rows rows_of(const Tensor& tensor, const char* field);

/// What codes are: `preferred` is a new tensor's, with a name for the format where the framework has one.
Type codes_type(Format format, bool named_formats);
/// What scales are: float32, bytes for UE8M0 and E4M3, int32 where four of the former are packed.
Type scales_type(const Request& request, bool named_formats);

/// Scales (and zero points) for an input whose dimensions but the last are `leading`. The request is valid.
///
///   tensor   [1]
///   token    [*leading, 1]
///   channel  [hidden_size]
///   group    [*leading, groups], packed: [*leading, ceil(groups / 4)]
///   block    [ceil(tokens / block_rows), groups], packed: as above
///
/// In tiles: [rows, columns] of those with their padding, whatever the leading dimensions are.
Layout scales_layout(const Request& request, std::span<const std::int64_t> leading);

/// Throws Invalid unless a tensor of scales or zero points, which `object` is, is of `type`, or as many bytes, and lies
/// as the layout says. A layout `column` takes its stride from the tensor, and so does `column_aligned` where scales
/// are read, and where those that are written have no room for the padding behind the last column: `request` gets it.
void require_scales(const Tensor& given, nb::handle object, const char* field, Request& request, Type type,
                    std::span<const std::int64_t> leading, bool written);

/// Throws Invalid unless the types agree, a plain byte standing for any format of one byte.
void require_type(const Tensor& given, const char* field, Type type);

/// "[2, 3]"
std::string shape_text(std::span<const std::int64_t> shape);

}  // namespace kq::python
