// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The options of `kqbench run`: as the user wrote them, and as they are understood.

#include <optional>
#include <string>
#include <vector>

#include "backends/plugin/plugin.hpp"
#include "bench/measure/measurement.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/requests/sweep.hpp"
#include "bench/results/outputs.hpp"
#include "bench/tensors/input_source.hpp"

namespace kqbench {

struct RunArguments {
  void add_to(CLI::App& command);

  RequestArguments sweep;
  InputArguments input;
  DeviceArguments device;
  OutputArguments outputs;
  std::optional<std::string> named_sweep, num_warmup_iters, num_iters, max_time, rounds, timing, launch, cache;
  bool profile = false;
  bool no_ceiling = false;
  bool allow_unequal_threads = false;
  bool quiet = false;
  bool no_progress = false;
  bool no_color = false;
  bool together = false;  ///< of ranks that MPI started
  bool alone = false;
  bool fom = false;
  std::string command_line;  ///< of the whole program, for the result file
};

struct RunPlan {
  SweepPlan sweep;
  InputSource input;
  GivenScales given;
  std::optional<Timing> timing;  ///< nothing: the device's usual one
  MeasureOptions options;
  std::vector<PluginKernel> plugins;
  bool asks_dialect = false;  ///< --dialect was given: plug-ins are compared with that, whatever they follow
};

/// Loads plug-ins too. Throws UsageError.
RunPlan understand(const RunArguments& arguments);

}  // namespace kqbench
