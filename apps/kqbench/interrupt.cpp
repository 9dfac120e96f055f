// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/interrupt.hpp"

#include <csignal>

namespace kqbench {
namespace {

volatile std::sig_atomic_t signal_came = 0;

extern "C" void note_signal(int /*signal*/) {
  signal_came = 1;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = note_signal;
  sigemptyset(&action.sa_mask);
  // A second SIGTERM is nobody's impatience: timeout(1) sends two, to its child and to the group that it is in.
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  // The terminal is gone; nohup(1), which outlives it, has the signal ignored.
  struct sigaction before = {};
  sigaction(SIGHUP, nullptr, &before);
  if (before.sa_handler != SIG_IGN) sigaction(SIGHUP, &action, nullptr);
  // A second SIGINT ends the program at once.
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() {
  return signal_came != 0;
}

}  // namespace kqbench
