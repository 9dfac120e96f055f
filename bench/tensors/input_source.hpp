// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where the tensors come from that are quantized: random numbers, or a file.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/requests/sweep.hpp"
#include "bench/tensors/random.hpp"
#include "bench/tensors/tensor_file.hpp"

namespace CLI {
class App;
}

namespace kqbench {

class InputSource {
 public:
  InputSource(std::uint64_t seed, std::optional<InputTensor> tensor) : seed_(seed), tensor_(std::move(tensor)) {}

  /// What values are made of: the file's input, or a random one filled so, and what a producer reads beside it.
  HostTensors make(const kq::Request& request, Fill fill = Fill::normal) const;
  std::string name() const { return tensor_ ? tensor_->name : ""; }  ///< of the tensor; random ones have none
  bool is_file() const { return tensor_.has_value(); }

 private:
  std::uint64_t seed_;
  std::optional<InputTensor> tensor_;
};

/// The options --input and --tensor.
class InputArguments {
 public:
  void add_to(CLI::App& command);

  /// Reads the file, if one is asked for, and puts its shape and element type into the sweep. Throws UsageError where
  /// the sweep asks for others.
  InputSource load(Sweep& sweep, std::uint64_t seed) const;

  /// The file, if one is asked for.
  std::vector<std::string> files() const;

 private:
  std::optional<std::string> input_, tensor_;
};

}  // namespace kqbench
