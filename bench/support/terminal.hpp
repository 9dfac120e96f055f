// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace kqbench {

/// Whether standard output should be coloured: on a terminal, unless the user (`no_color`) or the environment
/// (NO_COLOR, https://no-color.org) asks for none.
bool use_color(bool no_color);

}  // namespace kqbench
