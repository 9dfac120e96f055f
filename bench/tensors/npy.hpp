// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// NumPy's .npy files, format versions 1.0, 2.0 and 3.0 (numpy.lib.format, NEP 1).
///
/// Debian 12 packages no C++ reader. Those in use (cnpy, libnpy) find their way through the header by searching for
/// substrings, and allocate what it asks for; this one accepts what numpy.save writes for the element types below, and
/// nothing else.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support/output_file.hpp"
#include "bench/tensors/tensor.hpp"

namespace kqbench {

/// How much of a file's start parse_npy wants to see: magic, version, length and the longest header it accepts.
inline constexpr std::size_t max_npy_head = 12 + 65536;

/// True if these bytes, a file's first, are those every .npy file begins with.
bool is_npy(std::span<const std::byte> head);

/// The tensor of a file of `file_size` bytes that begins with `head` (max_npy_head bytes of it, or all). uint16 is
/// `uint16` here: whether it stands for bfloat16 is for the caller to know. Two bytes without a type (<V2) are
/// bfloat16, which ml_dtypes saves so. Throws UsageError, its message beginning with `name`, unless the file is exactly
/// one array of type <f2, <f4, <V2, |V2, <u2, |u1, |i1 or <i4.
StoredTensor parse_npy(std::span<const std::byte> head, std::uint64_t file_size, const std::string& name);

/// The header of such a file, padded so that the data begin at a multiple of 64 bytes. bfloat16 is written as uint16,
/// fp8 as uint8: NumPy has no types for them.
std::string npy_header(DType dtype, const std::vector<std::int64_t>& shape);

/// A whole array in memory.
struct NpyArray {
  DType dtype = DType::other;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> bytes;
};

/// An array in C order; throws UsageError for another.
NpyArray read_npy(const std::filesystem::path& path);
void write_npy(const std::filesystem::path& path, const NpyArray& array);

}  // namespace kqbench
