// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Hugging Face's index of a model whose tensors are in several .safetensors files, its shards
/// (model.safetensors.index.json): a JSON object whose member `weight_map` has a member for each tensor, with the name
/// of the file that it is in, and whose `metadata` has `total_size`, the bytes of all tensors.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace kqbench {

/// How the name of an index ends.
inline constexpr std::string_view safetensors_index_suffix = ".safetensors.index.json";

/// The longest index that is read, in bytes; those of the largest models of 2025 have a tenth of it.
inline constexpr std::uint64_t max_safetensors_index = 100'000'000;

struct SafetensorsIndex {
  std::vector<std::string> shards;                           ///< file names, sorted
  std::vector<std::pair<std::string, std::size_t>> tensors;  ///< names, sorted, and each one's shard
};

/// Reads an index. Throws UsageError, its message beginning with `name`, unless it is JSON that has one `weight_map` of
/// names to the names of files beside it, no name twice, and at least one. What else it has is not looked at.
SafetensorsIndex parse_safetensors_index(std::string_view text, const std::string& name);

/// The text of an index as Hugging Face's libraries write it. `files`: the name of each tensor's file.
std::string safetensors_index_text(const std::map<std::string, std::string>& files, std::uint64_t total_size);

}  // namespace kqbench
