// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What --plugin names, from the command line to a device's implementations.

#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.hpp"
#include "bench/requests/sweep.hpp"

namespace kqbench {

/// The kernels of each "FILE" or "FILE:NAME", loaded. Each library is first loaded in a process of its own, so this
/// comes before the process has threads or a device. Throws UsageError for what is no plug-in, crashes, or has a name
/// twice.
std::vector<PluginKernel> load_plugins(const std::vector<std::string>& arguments);

/// Where the user chose no dialect, those that the kernels follow are gone through: every kernel is compared with what
/// it says it gives. Returns whether the user chose one.
bool choose_dialects(Sweep& sweep, const std::vector<PluginKernel>& kernels);

/// Adds the kernels to the device's implementations. Throws UsageError for one of another backend.
void add_plugins(Device& device, const std::vector<PluginKernel>& kernels, bool asks_dialect);

/// The names of implementations that are taken where the user names none: `usual`, and the kernels'.
std::vector<std::string> with_plugins(std::vector<std::string> usual, const std::vector<PluginKernel>& kernels);

}  // namespace kqbench
