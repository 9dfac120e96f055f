// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scales and zero points that the user gives: numbers on the command line, or a file of calibrated ones.

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/tensors/scale_finder.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Scales (float32, float16 or bfloat16) and zero points (int32 or int8) in a file, as `kqbench quantize` writes them.
///
/// In a .npy file is one tensor of scales, for whatever is quantized; if its name ends in .scale.npy, the zero points
/// are in the file beside it whose name ends in .zero_point.npy, where there is one. In a .safetensors file or a
/// model's index the scales of a tensor NAME are called NAME.scale, NAME_scale or NAME, and its zero points
/// NAME.zero_point or NAME_zero_point; those called `scale` and `zero_point` are for tensors without any of their own.
/// Where what is quantized has no name, the file's only scales are taken.
class ScalesFile {
 public:
  explicit ScalesFile(const std::filesystem::path& path);

  /// The scales of a tensor, and its zero points where there are any, by its name, or none. Throws UsageError where the
  /// file has none, or their shape is not the one of the request's spans ([tokens], [channels], one number, or what
  /// broadcasts against the tensor), or a scale is not finite, or below 2^-126.
  GivenScale read(const kq::Request& request, std::string_view tensor_name) const;

  const TensorFile& file() const { return file_; }

 private:
  const StoredTensor& find_scales(std::string_view tensor_name) const;

  TensorFile file_;
};

/// What is given for every tensor that a command quantizes.
class GivenScales {
 public:
  GivenScales() = default;
  /// `file` may be null.
  GivenScales(const GivenScale& numbers, std::shared_ptr<const ScalesFile> file)
      : numbers_(numbers), file_(std::move(file)) {}

  /// For a request that is valid; nothing is given for one that is not static. Throws as ScalesFile::read does, and
  /// UsageError if a zero point is given twice.
  GivenScale of(const kq::Request& request, std::string_view tensor_name) const;

  /// The files that the scales are read from.
  std::vector<std::filesystem::path> files() const;

 private:
  GivenScale numbers_;
  std::shared_ptr<const ScalesFile> file_;
};

}  // namespace kqbench
