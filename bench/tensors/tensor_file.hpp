// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file of tensors, .npy or .safetensors, or a model in several of the latter, read by rows; and what is asked of a
/// tensor that is to be quantized.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/tensors/input_file.hpp"
#include "bench/tensors/tensor.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// An open file whose header has been read and found sound. What it holds is told by its first bytes, not its name; a
/// name that ends in .json is that of a model's index (safetensors_index.hpp), whose shards are opened too.
/// Throws UsageError where the file is none of these, broken, or ends while it is read, where a shard is missing, or
/// has not what the index says. A Git LFS pointer and an HTML page are called so.
class TensorFile {
 public:
  enum class Kind : std::uint8_t { npy, safetensors, index };

  /// A file that the tensors lie in: the file itself, or a shard.
  struct Part {
    InputFile file;
    std::filesystem::path path;
    std::map<std::string, std::string> metadata;  ///< of a .safetensors file
  };

  explicit TensorFile(const std::filesystem::path& path);

  Kind kind() const { return kind_; }
  const std::filesystem::path& path() const { return path_; }
  const std::string& name() const { return name_; }  ///< the path in quotes, for messages
  bool has_names() const { return kind_ != Kind::npy; }
  const std::vector<Part>& parts() const { return parts_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }

  /// Names of tensors in shards that the index does not mention: nobody would load them.
  const std::vector<std::string>& unlisted() const { return unlisted_; }

  /// The tensor of that name; the only one if the name is empty. Throws UsageError naming some of those there are.
  const StoredTensor& find(std::string_view tensor_name) const;

  /// The tensor of that name, or null.
  const StoredTensor* find_if_there(std::string_view tensor_name) const;

  /// Fills `rows` with whole rows of `tensor` from row `first` on, in C order; a row is hidden_size elements.
  void read_rows(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> rows) const;

 private:
  void open(InputFile file);
  void open_index(const InputFile& file);
  void add_part(InputFile file, const std::filesystem::path& path, std::span<const std::byte> start);

  std::filesystem::path path_;
  std::string name_;
  Kind kind_ = Kind::npy;
  std::vector<Part> parts_;
  std::vector<StoredTensor> tensors_;
  std::map<std::string_view, std::size_t> by_name_;  ///< the place in tensors_
  std::vector<std::string> unlisted_;
};

/// Throws UsageError if the bytes, a file's first 512 or all, are those of a Git LFS pointer or an HTML page: what is
/// often found where a large file should be. `name` is the file's, in quotes.
void refuse_stand_ins(std::span<const std::byte> start, const std::string& name);

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
  std::string name;              ///< what its scales are called after: a .npy file's is the file's without .npy
};

/// Reads a tensor (`--input`, `--tensor`, `--dtype`). Throws UsageError where it cannot be used, SystemError where it
/// needs more memory than is free.
InputTensor load_input(const std::filesystem::path& path, std::string_view tensor_name,
                       std::optional<kq::Element> wanted);

}  // namespace kqbench
