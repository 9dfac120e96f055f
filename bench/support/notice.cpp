// SPDX-License-Identifier: Apache-2.0
#include "bench/support/notice.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace kqbench {

void notice(std::string_view line) {
  // Not fmt::print, which throws where stderr cannot be written: there is nobody left to tell.
  std::fputs(fmt::format("kqbench: {}\n", line).c_str(), stderr);
}

}  // namespace kqbench
