// SPDX-License-Identifier: Apache-2.0
#include "bench/support/terminal.hpp"

#include <unistd.h>

#include <cstdlib>
#include <string_view>

namespace kqbench {

bool is_dumb_terminal() {
  const char* const kind = std::getenv("TERM");
  return kind != nullptr && std::string_view(kind) == "dumb";
}

bool use_color(bool no_color) {
  const char* const unwanted = std::getenv("NO_COLOR");
  return !no_color && (unwanted == nullptr || *unwanted == '\0') && !is_dumb_terminal() && isatty(STDOUT_FILENO) == 1;
}

}  // namespace kqbench
