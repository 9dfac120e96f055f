// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Hugging Face's .safetensors files: eight bytes of header length, a JSON header, then the tensors' bytes. Neither
/// Debian 12 nor the format's own project has a C++ reader; this one refuses what the reference implementation refuses,
/// and names that appear twice; only of types that it cannot quantize it does not know the size.

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "bench/tensors/tensor.hpp"

namespace kqbench {

/// The longest header that is read; the reference implementation's limit.
inline constexpr std::uint64_t max_safetensors_header = 100'000'000;

/// The length of the header, from the file's first eight bytes. Throws UsageError, its message beginning with `name`,
/// if it is longer than the file or the limit.
std::uint64_t safetensors_header_length(std::span<const std::byte> head, std::uint64_t file_size,
                                        const std::string& name);

struct SafetensorsHeader {
  std::vector<StoredTensor> tensors;            ///< in the order of their bytes; of a type that DType lacks: `other`
  std::map<std::string, std::string> metadata;  ///< empty if there is none, or null
};

/// The header of a file of `file_size` bytes. Throws UsageError unless it is sound: JSON of just the prescribed shape,
/// no name twice, and the tensors' bytes as long as type and shape say and side by side from the header to the file's
/// end.
SafetensorsHeader parse_safetensors(std::span<const std::byte> header, std::uint64_t file_size,
                                    const std::string& name);

/// Where the tensors of a new file go: offsets and byte counts are set from types and shapes, in the given order,
/// except that wider types come first, so that every tensor is aligned to its type. Returns the file's first bytes, up
/// to the first tensor. Throws UsageError if a name is used twice.
std::string place_safetensors(std::vector<StoredTensor>& tensors, const std::map<std::string, std::string>& metadata);

}  // namespace kqbench
