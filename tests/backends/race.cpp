// SPDX-License-Identifier: Apache-2.0

// Threads that leave each their own mark, or, with an argument, all of them in one place: a race, which ThreadSanitizer
// must report where it watches the backends' threads.

#include <cstddef>
#include <cstdio>
#include <vector>

#include "backends/host/threads.hpp"

int main(int argc, char** /*argv*/) {
  constexpr int parts = 3;
  std::vector<int> marks(parts, 0);
  for (int round = 1; round <= 100; ++round) {
    kqbench::in_parallel(parts, [&](int part) { marks[argc > 1 ? 0 : static_cast<std::size_t>(part)] += round; });
  }
  std::printf("%d\n", marks[0]);
  return kqbench::has_threads && marks[0] != 0 ? 0 : 1;
}
