// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace kqbench {

/// Whether the terminal says that it knows no escape sequences (TERM=dumb).
bool is_dumb_terminal();

/// Whether standard output should be coloured: on a terminal that can do so, unless the user (`no_color`) or the
/// environment (NO_COLOR, https://no-color.org) asks for none.
bool use_color(bool no_color);

}  // namespace kqbench
