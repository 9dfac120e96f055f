// SPDX-License-Identifier: Apache-2.0
#include "bench/support/terminal.hpp"

#include <unistd.h>

#include <cstdlib>

namespace kqbench {

bool use_color(bool no_color) {
  const char* const unwanted = std::getenv("NO_COLOR");
  return !no_color && (unwanted == nullptr || *unwanted == '\0') && isatty(STDOUT_FILENO) == 1;
}

}  // namespace kqbench
