// SPDX-License-Identifier: Apache-2.0

// A .safetensors file of any contents is refused with one line, or holds tensors side by side from its header to its
// end.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/support/errors.hpp"
#include "bench/tensors/safetensors.hpp"
#include "fuzz/require.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  const std::span file(reinterpret_cast<const std::byte*>(data), size);
  std::vector<StoredTensor> tensors;
  std::map<std::string, std::string> metadata;
  std::uint64_t end = 8;
  try {
    const std::uint64_t length = safetensors_header_length(file.first(std::min<std::size_t>(8, size)), size, "'f'");
    end += length;
    SafetensorsHeader header = parse_safetensors(file.subspan(8, length), size, "'f'");
    tensors = std::move(header.tensors);
    metadata = std::move(header.metadata);
  } catch (const UsageError& error) {
    const std::string message = error.what();
    fuzz::require(message.starts_with("'f': ") && message.find('\n') == std::string::npos, "a message of one line");
    return 0;
  }
  std::set<std::string> names;
  bool writable = true;
  for (const StoredTensor& tensor : tensors) {
    fuzz::require(tensor.offset == end, "a tensor begins where the one before it ends");
    end += tensor.bytes;
    fuzz::require(names.insert(tensor.name).second, "no name twice");
    fuzz::require(tensor.num_tokens() >= 0 && tensor.hidden_size() >= 0, "no size is negative");
    writable = writable && tensor.dtype != DType::other;
  }
  fuzz::require(end == size, "the last tensor ends with the file");
  if (!writable) return 0;

  const std::string head = place_safetensors(tensors, metadata);
  std::uint64_t bytes = 0;
  for (const StoredTensor& tensor : tensors) {
    bytes += tensor.bytes;
  }
  const SafetensorsHeader again =
      parse_safetensors(std::as_bytes(std::span(head)).subspan(8), head.size() + bytes, "our own");
  fuzz::require(again.tensors.size() == tensors.size(), "what is written is read back");
  fuzz::require(again.metadata == metadata, "the metadata are kept");
  return 0;
}
