// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file of tensors, .npy or .safetensors, read by rows; and what is asked of a tensor that is to be quantized.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/tensors/input_file.hpp"
#include "bench/tensors/tensor.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// An open file whose header has been read and found sound. What it holds is told by its first bytes, not its name.
/// Throws UsageError where the file is not one of the two formats, broken, or ends while it is read.
class TensorFile {
 public:
  explicit TensorFile(const std::filesystem::path& path);

  const std::string& name() const { return file_.name(); }  ///< the path in quotes, for messages
  bool has_names() const { return has_names_; }             ///< a .safetensors file
  const std::vector<StoredTensor>& tensors() const { return tensors_; }

  /// The tensor of that name; the only one if the name is empty. Throws UsageError naming some of those there are.
  const StoredTensor& find(std::string_view tensor_name) const;

  /// Fills `rows` with whole rows of `tensor` from row `first` on; a row is hidden_size elements.
  void read_rows(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> rows) const;

 private:
  InputFile file_;
  bool has_names_ = false;
  std::vector<StoredTensor> tensors_;
};

/// The element type a tensor is quantized from: float16, bfloat16 or float32, or uint16 if the user says it stands for
/// bfloat16. Throws UsageError where it is none of these or not the one `wanted`, and where the tensor is empty.
kq::Element element_of(const TensorFile& file, const StoredTensor& tensor, std::optional<kq::Element> wanted);

/// Throws SystemError if this machine has less free memory than the `bytes` that work on the file takes.
void require_memory(const TensorFile& file, std::uint64_t bytes);

/// A whole tensor in memory: what `run` and `verify` use in place of random numbers.
struct InputTensor {
  kq::Element element = kq::Element::half;
  std::int64_t num_tokens = 0;
  std::int64_t hidden_size = 0;
  std::vector<std::byte> bytes;  ///< [num_tokens, hidden_size], rows without gaps
};

/// Reads a tensor (`--input`, `--tensor`, `--dtype`). Throws UsageError where it cannot be used, SystemError where it
/// needs more memory than is free.
InputTensor load_input(const std::filesystem::path& path, std::string_view tensor_name,
                       std::optional<kq::Element> wanted);

}  // namespace kqbench
