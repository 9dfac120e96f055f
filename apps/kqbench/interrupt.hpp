// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// SIGINT, SIGTERM and SIGHUP: they ask the program to end in good order; a second SIGINT ends it at once.

namespace kqbench {

/// From now on these signals are noted instead of ending the program. An ignored SIGHUP stays ignored.
void catch_interrupts();

/// Whether one has come.
bool interrupted();

}  // namespace kqbench
