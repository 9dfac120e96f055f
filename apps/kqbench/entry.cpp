// SPDX-License-Identifier: Apache-2.0

/// \file
/// kqbench but for main(): in a library of its own where one package has several for a processor each (KqLevels.cmake).

#include "apps/kqbench/entry.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "bench/support/interrupt.hpp"

namespace {

/// Standard streams that are closed get their numbers taken, lest a file that is opened gets one and what is printed
/// lands in it. Printing there still fails: they are opened the wrong way round.
void occupy_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest number that is free, and so this one.
    if (::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
  }
}

}  // namespace

extern "C" int kqbench_main(int argc, char** argv) {
  occupy_closed_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // a file larger than it may become is an error of writing it, as on a full disk
  kqbench::end_at_signals();
  return kqbench::run_program(std::vector<std::string>(argv, argv + argc));
}
