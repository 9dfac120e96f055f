// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Somebody's quantization of a tensor: what went in and what came out, without a word about how.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bench/tensors/tensor.hpp"
#include "kq/request.hpp"

namespace kqbench {

struct Sample {
  kq::Element element = kq::Element::half;
  std::int64_t num_tokens = 0;
  std::int64_t hidden_size = 0;
  std::vector<std::byte> input;     ///< [num_tokens, hidden_size], rows without gaps
  std::vector<std::byte> codes;     ///< the same shape, one byte each, those of four bits too
  std::vector<kq::Format> formats;  ///< that the codes can be of; several where their file has plain bytes
  /// As many bytes as the file has: float32 (16-bit floats are widened), or one byte each (a packed int32 is four).
  std::vector<std::byte> scales;
  bool scales_are_bytes = false;
  std::vector<kq::ScaleFormat> byte_formats;  ///< that scales of one byte can be of
  std::optional<float> global_scale;          ///< the tensor's, as stored, where the file of the scales has one
  std::vector<std::byte> zero_points;         ///< int32 each; empty for symmetric codes
};

/// Which tensors of which files. A .npy file holds one; of a .safetensors file the tensor's name is given, or it is the
/// only one of its kind: `NAME` for the input and the codes, `NAME.scale`, `NAME_scale`, `NAME.zero_point`,
/// `NAME_zero_point` for the others, which then may come from the file of the codes. Codes of four bits are `NAME` or
/// `NAME_packed`; a scale of the tensor is `NAME.global_scale`, `NAME_scale_2` (as kqbench and ModelOpt store it) or
/// `NAME_global_scale` (its reciprocal, as compressed-tensors does).
struct SampleFiles {
  std::filesystem::path input, codes;
  std::optional<std::filesystem::path> scales;       ///< nothing: in the codes' file
  std::optional<std::filesystem::path> zero_points;  ///< nothing: in the codes' file, if anywhere
  std::string tensor;                                ///< its name; empty: the only one
  std::optional<kq::Element> element;                ///< of the input, where its file has uint16
};

/// Codes of four bits, two per byte in rows of whole bytes, as one byte each.
std::vector<std::byte> unpacked(const std::vector<std::byte>& halves, std::int64_t num_tokens,
                                std::int64_t hidden_size);

/// Throws UsageError where the files do not fit each other, SystemError where they need more memory than is free.
Sample read_sample(const SampleFiles& files);

}  // namespace kqbench
