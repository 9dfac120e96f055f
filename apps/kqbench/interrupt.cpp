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
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return signal_came != 0;
}

}  // namespace kqbench
