// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Files of tensors in, files of codes and scales out, in blocks of rows: neither need fit into memory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/given_scales.hpp"
#include "bench/tensors/quantized_file.hpp"
#include "kq/error_report.hpp"
#include "kq/request.hpp"

namespace kqbench {

struct QuantizeJob {
  std::vector<std::filesystem::path> inputs;
  std::filesystem::path output;         ///< see QuantizedLayout
  std::string tensor;                   ///< empty: the only one of a file, or all 2-D ones of a .safetensors file
  std::optional<kq::Element> element;   ///< what the input must be; bfloat16 makes one of uint16
  kq::Request scheme;                   ///< element, shape and strides are taken from the file
  GivenScales given;                    ///< static schemes: what is not given is found in the data
  std::size_t block_bytes = 256 << 20;  ///< of input held in memory at a time, at least one row
  TensorNames names = TensorNames::kqbench;
  bool read_back = false;  ///< read the written files again and take the error from them a second time
};

/// A tensor that is not quantized where all of a file are.
struct SkippedTensor {
  std::string name;
  std::string_view reason;  ///< "not being floats in two dimensions"
};

/// What became of one tensor.
struct QuantizedTensor {
  std::string name;  ///< a .npy file's: the file's without .npy; empty if it alone becomes a .npy file again
  std::vector<std::int64_t> shape;
  kq::Request request;
  kq::ErrorReport error;
  double microseconds = 0.0;                   ///< quantizing alone, all blocks
  std::optional<kq::ErrorReport> error_again;  ///< by read_back; the same unless something is broken
};

struct QuantizeResult {
  std::vector<QuantizedTensor> tensors;
  std::vector<SkippedTensor> skipped;
  std::vector<std::filesystem::path> files;  ///< written
  bool interrupted = false;                  ///< before the end; `files` says whether they are there
};

/// Throws UsageError for what the user or the input is to blame for, SystemError or DeviceError otherwise. No file is
/// written then. `interrupted` is asked between blocks; true ends the work.
QuantizeResult quantize_file(const QuantizeJob& job, Device& device, Implementation& implementation,
                             const std::function<bool()>& interrupted);

}  // namespace kqbench
