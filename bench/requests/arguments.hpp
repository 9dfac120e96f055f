// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Options that several subcommands share: each group adds itself to a subcommand, keeps what the user wrote, and turns
/// it into values when asked, throwing UsageError.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/requests/sweep.hpp"
#include "bench/tensors/given_scales.hpp"

namespace CLI {
class App;
}

namespace kqbench {

/// Which subcommand the options are for. The help shows its defaults, and `sharded` has no options that it would
/// refuse.
enum class Use { run, verify, quantize, identify, sharded };

/// Where nothing was chosen, what the help of `run` and `sharded` gives as the default: shape, types and, for
/// `sharded`, granularities.
void set_usual(Sweep& sweep, Use use);

/// A line of help for commands whose options take a LIST.
extern const char* const how_to_write_a_list;

/// What a request can be told, one option for each parameter of kq/parameters.hpp, and where scales are given from.
/// `quantize` and `identify` take the shape from their files and have no options for it.
class RequestArguments {
 public:
  void add_to(CLI::App& command, Use use);

  /// What was given, and nothing else.
  Sweep sweep() const;
  GivenScales given_scales(const Sweep& sweep) const;  ///< reads the file of --scales
  std::vector<std::string> files() const;              ///< that file, if it is given
  std::uint64_t seed() const;                          ///< of the random input

 private:
  /// What was written for a parameter.
  struct Written {
    std::vector<std::string> list;
    std::optional<std::string> value;
    bool flag = false;
  };
  std::vector<std::string> schemes_;
  std::map<std::string_view, Written> written_;
  std::optional<std::string> scale_, scales_, zero_point_, seed_;
};

/// The option --plugin, which may be repeated.
void add_plugin_option(CLI::App& command, std::vector<std::string>& values, const std::string& group);

/// Where to do it, and by whom.
class DeviceArguments {
 public:
  /// `default_implementations` is for the help; empty where there is no choice of them.
  void add_to(CLI::App& command, Use use, const std::string& default_implementations);

  const std::optional<std::string>& backend() const { return backend_; }
  std::optional<int> device() const;                 ///< nothing: not given
  int host_threads() const;                          ///< 0: not given
  std::vector<std::string> implementations() const;  ///< empty: not given
  const std::vector<std::string>& plugins() const { return plugins_; }

 private:
  std::vector<std::string> impl_, plugins_;
  std::optional<std::string> backend_, device_, host_threads_;
};

}  // namespace kqbench
