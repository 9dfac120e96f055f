// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "apps/kqbench/devices.hpp"

namespace kqbench {

/// The whole program but for main(): `arguments` as the shell gives them, the program's name first. Returns the exit
/// status; every error has been said in one line on stderr.
int run_program(const std::vector<std::string>& arguments, const DeviceOpener& open = open_device);

}  // namespace kqbench
