// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Options that several subcommands share: each group adds itself to a subcommand, keeps what the user wrote, and turns
/// it into values when asked, throwing UsageError.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/requests/sweep.hpp"
#include "bench/tensors/given_scales.hpp"

namespace CLI {
class App;
}

namespace kqbench {

/// Which subcommand the options are for. The help shows its defaults.
enum class Use { run, verify, quantize };

/// A line of help for commands whose options take a LIST.
extern const char* const how_to_write_a_list;

/// From what to what to quantize, and how.
class SchemeArguments {
 public:
  void add_to(CLI::App& command, Use use);

  /// Without shapes. Lists that were not given are empty.
  Sweep sweep() const;
  GivenScales given_scales(const Sweep& sweep) const;  ///< reads the file of --scales
  std::vector<std::string> files() const;              ///< that file, if it is given

 private:
  std::vector<std::string> quant_dtype_, dtype_, granularity_;
  bool static_scale_ = false;
  bool asymmetric_ = false;
  std::optional<std::string> scale_, scales_, zero_point_, scale_ub_, qmax_, scale_format_, scale_layout_;
};

/// Those options, and shapes and random numbers.
class SweepArguments {
 public:
  void add_to(CLI::App& command, Use use);

  Sweep sweep() const;
  GivenScales given_scales(const Sweep& sweep) const { return scheme_.given_scales(sweep); }
  std::vector<std::string> files() const { return scheme_.files(); }
  std::uint64_t seed() const;

 private:
  SchemeArguments scheme_;
  std::vector<std::string> num_tokens_, hidden_size_;
  std::optional<std::string> input_stride_, scale_stride_, seed_;
};

/// Where to do it, and by whom.
class DeviceArguments {
 public:
  void add_to(CLI::App& command, Use use, const std::string& default_implementations);

  const std::optional<std::string>& backend() const { return backend_; }
  int device() const;
  int host_threads() const;                          ///< 0: not given
  std::vector<std::string> implementations() const;  ///< empty: not given

 private:
  std::vector<std::string> impl_;
  std::optional<std::string> backend_, device_, host_threads_;
};

}  // namespace kqbench
