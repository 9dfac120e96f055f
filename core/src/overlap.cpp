// SPDX-License-Identifier: Apache-2.0
#include "kq/overlap.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace kq {
namespace {

/// An address, or the difference of two: neither fits 64 bits with a sign.
__extension__ using Wide = __int128;

Wide begin_of(const ByteRows& rows) {
  return static_cast<Wide>(reinterpret_cast<std::uintptr_t>(rows.address));
}

/// The end of the last row.
Wide end_of(const ByteRows& rows) {
  return begin_of(rows) + static_cast<Wide>(rows.rows - 1) * rows.stride + rows.row_bytes;
}

Wide floor_divide(Wide value, Wide divisor) {
  return value / divisor - (value % divisor < 0 ? 1 : 0);
}

/// Whether some row of `b` has a byte of [begin, end).
bool meets(const ByteRows& b, Wide begin, Wide end) {
  const Wide first = std::max<Wide>(0, floor_divide(begin - begin_of(b) - b.row_bytes, b.stride) + 1);
  return first < b.rows && begin_of(b) + first * b.stride < end;
}

/// Rows one stride apart: row j of `b` begins (j - i) * stride + distance behind row i of `a`, so what counts is j - i.
bool overlap_at_one_stride(const ByteRows& a, const ByteRows& b) {
  const Wide distance = begin_of(b) - begin_of(a);
  const Wide first = std::max<Wide>(1 - a.rows, floor_divide(-b.row_bytes - distance, a.stride) + 1);
  return first < b.rows && first * a.stride + distance < a.row_bytes;
}

/// Rows without gaps are one row.
ByteRows joined(const ByteRows& rows) {
  if (rows.rows > 1 && rows.stride > rows.row_bytes) return rows;
  const std::int64_t bytes = rows.rows * rows.row_bytes;
  return {rows.address, 1, bytes, std::max<std::int64_t>(bytes, 1)};
}

}  // namespace

ByteRows one_row(const void* address, std::size_t bytes) {
  const auto size = static_cast<std::int64_t>(bytes);
  return {address, 1, size, size};
}

ByteRows tensor_rows(const TensorSpec& tensor, const void* address) {
  return {address, tensor.rows, static_cast<std::int64_t>(tensor.row_bytes),
          static_cast<std::int64_t>(tensor.row_stride)};
}

bool overlap(const ByteRows& first, const ByteRows& second) {
  if (first.rows <= 0 || second.rows <= 0 || first.row_bytes <= 0 || second.row_bytes <= 0) return false;
  ByteRows a = joined(first);
  ByteRows b = joined(second);
  if (end_of(a) <= begin_of(b) || end_of(b) <= begin_of(a)) return false;
  if (a.stride == b.stride && a.rows > 1 && b.rows > 1) return overlap_at_one_stride(a, b);
  if (b.rows < a.rows) std::swap(a, b);
  for (std::int64_t row = 0; row < a.rows; ++row) {
    const Wide begin = begin_of(a) + static_cast<Wide>(row) * a.stride;
    if (meets(b, begin, begin + a.row_bytes)) return true;
  }
  return false;
}

std::optional<InvalidField> find_overlap(std::span<const TensorMemory> tensors) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (!tensors[i].written && !tensors[j].written) continue;
      if (!overlap(tensors[i].memory, tensors[j].memory)) continue;
      const auto& [written, other] =
          tensors[i].written ? std::pair(tensors[i], tensors[j]) : std::pair(tensors[j], tensors[i]);
      return InvalidField{std::string(written.name), "shares memory with " + std::string(other.name) +
                                                         "; nothing is done in place, give it memory of its own"};
    }
  }
  return std::nullopt;
}

}  // namespace kq
