// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Completion of kqbench's command line, made from the options that the program has.

#include <string>

namespace CLI {
class App;
}

namespace kqbench {

/// A script for bash: subcommands, their options, the values that an option's help lists, and file names where an
/// option wants one.
std::string bash_completion(const CLI::App& program);

}  // namespace kqbench
