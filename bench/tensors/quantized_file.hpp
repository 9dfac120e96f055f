// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes and scales in files: where each block of rows goes, and how it is read back.
///
/// A .safetensors file holds, for each tensor, <name> (the codes: F8_E4M3, F8_E5M2, F8_E4M3FNUZ, F8_E5M2FNUZ or I8),
/// <name>.scale (F32, U8 for UE8M0 exponents, F8_E4M3) and, for an asymmetric scheme, <name>.zero_point (I32). Codes of
/// four bits are U8, two per byte, the even column in the low half. Block formats (4-bit codes, and exponents by an MX
/// rounding) have F8_E8M0 for their exponents, and E4M3 scales have <name>.global_scale (F32), which multiplies them.
/// TensorNames has the names of other engines. <name> is the
/// input's, or that of the .npy file it came from. Its metadata are the input's (of several those of each, the first's
/// where they differ), `"format": "pt"` if they name no format, for that is what Transformers' loader asks for, and
/// what the scheme was. OUT.npy has OUT.scale.npy and, where there is one, OUT.zero_point.npy or OUT.global_scale.npy
/// beside it; NumPy has no fp8, so those codes are uint8 there.
///
/// Codes have the input's shape [..., hidden_size]. Scales and zero points have one that broadcasts against it:
/// [1] for the whole tensor, [..., 1] for a token's, [1, hidden_size] for a channel's; group scales have
/// [..., groups], or [groups, num_tokens] in column layout.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "bench/support/output_file.hpp"
#include "bench/tensors/input_file.hpp"
#include "bench/tensors/tensor.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// By what names, and as what, the outputs of a tensor NAME are in a .safetensors file.
enum class TensorNames : std::uint8_t {
  kqbench,             ///< NAME, NAME.scale, NAME.zero_point, NAME.global_scale: 1 / g
  compressed_tensors,  ///< NAME, or NAME_packed of 4-bit codes; NAME_scale, exponents as U8; NAME_global_scale: g
  modelopt,            ///< NAME; NAME_scale, exponents as U8; NAME_scale_2: 1 / g
};

std::optional<TensorNames> parse_tensor_names(std::string_view name);  ///< kqbench, compressed-tensors, modelopt

/// A tensor that is to be quantized.
struct PlannedTensor {
  StoredTensor source;
  kq::Request request;    ///< of the whole tensor; valid and resolved, no gaps between rows
  std::size_t input = 0;  ///< which of the input files it is from
  std::string name;       ///< in a .safetensors file
  TensorNames names = TensorNames::kqbench;
};

/// Where the outputs of a plan lie: the files in the order they are made, and in one of them each component.
class QuantizedLayout {
 public:
  /// No tensor has both of the last two.
  enum Component : std::size_t { codes, scales, zero_points, global_scale = zero_points };

  /// By what `output` is: NAME.safetensors holds all tensors; NAME.safetensors.index.json is the index of shards beside
  /// it, NAME-00001-of-00003.safetensors and so on, one for each file or shard that tensors came from; NAME.npy holds
  /// one tensor; in a folder that exists each input becomes what it was, under its own name.
  /// Throws UsageError if it is none of these, or if two outputs would have one name.
  QuantizedLayout(const std::filesystem::path& output, const std::vector<TensorFile>& inputs,
                  const std::vector<PlannedTensor>& plan);

  struct Part {
    std::filesystem::path path;
    std::string head;         ///< its first bytes, before any tensor's
    std::uint64_t bytes = 0;  ///< length of the whole file
  };
  struct Place {
    std::size_t file = 0;
    std::uint64_t offset = 0;
  };
  /// What refers to others comes first: an index, codes before their scales.
  const std::vector<Part>& files() const { return files_; }
  Place place(std::size_t tensor, Component component) const { return places_[tensor][component]; }

 private:
  using Tensors = std::vector<std::size_t>;  ///< by their places in the plan

  void add(const std::filesystem::path& output, const Tensors& tensors);
  void add_shards(const std::filesystem::path& index, const Tensors& tensors);
  std::uint64_t add_safetensors(const std::filesystem::path& path, const Tensors& tensors);
  void add_npy(const std::filesystem::path& path, std::size_t tensor);

  const std::vector<TensorFile>& inputs_;
  const std::vector<PlannedTensor>& plan_;
  std::vector<Part> files_;
  std::vector<std::vector<Place>> places_;
};

/// Writes blocks to their places. Every file is whole, or (without commit) none is there.
class QuantizedWriter {
 public:
  QuantizedWriter(const QuantizedLayout& layout, const std::vector<PlannedTensor>& plan);

  /// The outputs of rows first_token and on of a planned tensor; `block` describes them alone.
  void write(std::size_t tensor, const kq::Request& block, std::int64_t first_token, const HostTensors& outputs);

  void commit();

 private:
  const QuantizedLayout& layout_;
  const std::vector<PlannedTensor>& plan_;
  std::vector<std::unique_ptr<OutputFile>> files_;
};

/// Reads blocks back from where the writer put them.
class QuantizedReader {
 public:
  QuantizedReader(const QuantizedLayout& layout, const std::vector<PlannedTensor>& plan);

  HostTensors read(std::size_t tensor, const kq::Request& block, std::int64_t first_token) const;

 private:
  const QuantizedLayout& layout_;
  const std::vector<PlannedTensor>& plan_;
  std::vector<InputFile> files_;
};

}  // namespace kqbench
