// SPDX-License-Identifier: Apache-2.0

// An index of a model's shards of any contents is refused with one line, or names tensors and the files beside it that
// they are in; what is written of it reads the same.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "bench/support/errors.hpp"
#include "bench/tensors/safetensors_index.hpp"
#include "fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  SafetensorsIndex index;
  try {
    index = parse_safetensors_index(text, "'f'");
  } catch (const UsageError& error) {
    const std::string message = error.what();
    fuzz::require(message.starts_with("'f': ") && message.find('\n') == std::string::npos, "a message of one line");
    return 0;
  }
  fuzz::require(!index.tensors.empty(), "there is something in it");
  for (const std::string& shard : index.shards) {
    fuzz::require(!shard.empty() && shard.find('/') == std::string::npos && shard != "..", "a file beside the index");
  }
  std::map<std::string, std::string> files;
  for (const auto& [tensor, shard] : index.tensors) {
    fuzz::require(shard < index.shards.size(), "a shard that there is");
    fuzz::require(files.emplace(tensor, index.shards[shard]).second, "no name twice");
  }
  const SafetensorsIndex again = parse_safetensors_index(safetensors_index_text(files, size), "our own");
  fuzz::require(again.shards == index.shards && again.tensors == index.tensors, "what is written is read back");
  return 0;
}
