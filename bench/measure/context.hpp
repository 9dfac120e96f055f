// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Under what circumstances a run is made: all that a reader needs to believe or repeat it.

#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/results/result.hpp"
#include "bench/support/place.hpp"

namespace kqbench {

/// What was fixed when the program was built: version, commit, build type, compilers and what they compiled for,
/// libraries.
Context build_context();

/// The whole of it as it is before the run. `command_line` as the program was called. Of `ceilings_gbps` nothing is
/// set.
Context read_context(const Device& device, const std::string& command_line, const JobPlace& place);

/// Adds to the context what is known after the run: the clocks.
void finish_context(const Device& device, ResultFile& result);

/// Arguments as one line that a shell would take: quoted where needed, control bytes made visible.
std::string command_line_text(const std::vector<std::string>& arguments);

}  // namespace kqbench
