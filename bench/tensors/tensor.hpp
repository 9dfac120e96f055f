// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A tensor in a file: what it is called, what it holds, and which bytes those are.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kqbench {

static_assert(std::endian::native == std::endian::little, "tensor files are little-endian and read as they are");

/// What an element of a stored tensor is. `other`: known to the file's format, of no use here.
enum class DType : std::uint8_t {
  float16,
  bfloat16,
  float32,
  fp8_e4m3fn,
  fp8_e5m2,
  fp8_e4m3fnuz,
  fp8_e5m2fnuz,
  ue8m0,  ///< exponents of scales
  int8,
  uint8,
  uint16,
  int32,
  other,
};

std::size_t size_of(DType dtype);       ///< bytes of one element; 0 for `other`
std::string_view name_of(DType dtype);  ///< "float16", as in messages
bool is_fp8(DType dtype);

/// One tensor of a file. The bytes lie within the file and are shape's elements, in C order unless `fortran_order`.
struct StoredTensor {
  std::string name;  ///< empty in a .npy file, which holds one
  DType dtype = DType::other;
  std::vector<std::int64_t> shape;  ///< empty for a scalar
  std::uint64_t offset = 0;         ///< of the first byte, from the file's start
  std::uint64_t bytes = 0;
  bool fortran_order = false;  ///< the first index is the one that changes fastest
  std::size_t shard = 0;       ///< which of the files of a model in shards holds it

  /// As a matrix: the last dimension is hidden_size, all others together are the tokens. A scalar is 1 x 1.
  std::int64_t num_tokens() const;
  std::int64_t hidden_size() const;
};

/// The bytes of a tensor of that shape; nothing if they do not fit in 63 bits or a dimension is negative.
std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, std::size_t element_size);

/// "[7, 1040]"
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace kqbench
