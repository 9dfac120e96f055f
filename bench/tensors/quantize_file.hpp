// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file of tensors in, a file of codes and scales out, in blocks of rows: neither needs to fit into memory.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/scale_finder.hpp"
#include "kq/error_report.hpp"
#include "kq/request.hpp"

namespace kqbench {

struct QuantizeJob {
  std::filesystem::path input;
  std::filesystem::path output;
  std::string tensor;                   ///< empty: the only one, or all 2-D ones of a .safetensors file
  std::optional<kq::Element> element;   ///< what the input must be; bfloat16 makes one of uint16
  kq::Request scheme;                   ///< element, shape and strides are taken from the file
  GivenScale given;                     ///< static schemes: what is not given is found in the data
  std::size_t block_bytes = 256 << 20;  ///< of input held in memory at a time, at least one row
  bool read_back = false;               ///< read the written files again and take the error from them a second time
};

/// What became of one tensor.
struct QuantizedTensor {
  std::string name;  ///< a .npy file's: the file's without .npy in a .safetensors file, else empty
  std::vector<std::int64_t> shape;
  kq::Request request;
  kq::ErrorReport error;
  double microseconds = 0.0;                   ///< quantizing alone, all blocks
  std::optional<kq::ErrorReport> error_again;  ///< by read_back; the same unless something is broken
};

struct QuantizeResult {
  std::vector<QuantizedTensor> tensors;
  std::vector<std::string> skipped;          ///< names of those that are not two-dimensional, or not floats
  std::vector<std::filesystem::path> files;  ///< written
  bool interrupted = false;                  ///< before the end; `files` says whether they are there
};

/// Throws UsageError for what the user or the input is to blame for, SystemError or DeviceError otherwise. No file is
/// written then. `interrupted` is asked between blocks; true ends the work.
QuantizeResult quantize_file(const QuantizeJob& job, Device& device, Implementation& implementation,
                             const std::function<bool()>& interrupted);

}  // namespace kqbench
