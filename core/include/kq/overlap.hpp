// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether the tensors of a call share memory. Kernels read and write in any order, and some read their input twice, so
/// what a call writes must have memory of its own.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "kq/request.hpp"
#include "kq/tensors.hpp"

namespace kq {

/// The memory of a tensor: `rows` rows of `row_bytes` bytes, each `stride` bytes behind the one before. The bytes
/// between the rows are not part of it.
struct ByteRows {
  const void* address = nullptr;
  std::int64_t rows = 0;
  std::int64_t row_bytes = 0;
  std::int64_t stride = 0;  ///< row_bytes or more
};

/// `bytes` consecutive bytes.
ByteRows one_row(const void* address, std::size_t bytes);

/// A tensor of a request.
ByteRows tensor_rows(const TensorSpec& tensor, const void* address);

/// Whether a byte belongs to both. Exact: rows of one tensor may lie in the gaps of the other. Takes constant time
/// where either has one row or both have one stride, else time proportional to the rows of the one that has fewer.
bool overlap(const ByteRows& a, const ByteRows& b);

/// A tensor of a call.
struct TensorMemory {
  std::string_view name;  ///< as the caller knows it: "codes"
  ByteRows memory;
  bool written = false;
};

/// The first tensor that is written and shares memory with another. Tensors that are only read may overlap.
std::optional<InvalidField> find_overlap(std::span<const TensorMemory> tensors);

}  // namespace kq
