// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/notice.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace kqbench {

void notice(std::string_view line) {
  fmt::print(stderr, "kqbench: {}\n", line);
}

}  // namespace kqbench
