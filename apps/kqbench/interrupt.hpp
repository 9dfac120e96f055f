// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// SIGINT and SIGTERM: they ask the program to end in good order; a second SIGINT ends it at once.

namespace kqbench {

/// From now on the two signals are noted instead of ending the program.
void catch_interrupts();

/// Whether one has come.
bool interrupted();

}  // namespace kqbench
