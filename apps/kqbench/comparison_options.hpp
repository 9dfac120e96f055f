// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Options that `compare` and `report` share.

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace kqbench {

void add_margin(CLI::App& command, std::optional<std::string>& margin);

/// The margin of `--margin PERCENT` as a fraction. Throws UsageError unless it is a number from 0 to 1000.
double parse_margin(std::string_view percent);

/// --ignore-canary and --allow-unequal-threads.
void add_use_anyway(CLI::App& command, bool& ignore_canary, bool& allow_unequal_threads);

}  // namespace kqbench
