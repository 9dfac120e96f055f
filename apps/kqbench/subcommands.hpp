// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The subcommands, one file each. Each adds its name and options to the program; if the command line chooses it, it
/// sets `chosen` to what main() then runs.

#include <functional>
#include <string>

#include "apps/kqbench/devices.hpp"

namespace CLI {
class App;
}

namespace kqbench {

/// Does the work and returns the exit status; may throw UsageError, SystemError and DeviceError.
using Action = std::function<int()>;

/// Also what runs without a subcommand. `command_line` is for the result file.
void add_run(CLI::App& program, const std::string& command_line, const DeviceOpener& open, Action& chosen);
void add_verify(CLI::App& program, const DeviceOpener& open, Action& chosen);
void add_list(CLI::App& program, Action& chosen);
void add_compare(CLI::App& program, Action& chosen);
void add_fleet(CLI::App& program, Action& chosen);
void add_sharded(CLI::App& program, const std::string& command_line, const DeviceOpener& open, Action& chosen);
void add_report(CLI::App& program, Action& chosen);
void add_quantize(CLI::App& program, const DeviceOpener& open, Action& chosen);
void add_identify(CLI::App& program, Action& chosen);
void add_completion(CLI::App& program, Action& chosen);

}  // namespace kqbench
