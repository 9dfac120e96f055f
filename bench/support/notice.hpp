// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace kqbench {

/// One line on stderr, beginning with the program's name: an error, or something the user should know.
void notice(std::string_view line);

}  // namespace kqbench
