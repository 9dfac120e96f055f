// SPDX-License-Identifier: Apache-2.0
#include "bench/support/interrupt.hpp"

#include <pthread.h>
#include <unistd.h>

#include <string_view>

#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};

pthread_t main_thread;
volatile std::sig_atomic_t only_noted = 0;
volatile std::sig_atomic_t signal_came = 0;
volatile std::sig_atomic_t sigint_came = 0;

/// Changed with the signals held and read by their handler, both on the main thread.
UndoAtSignal* last_made = nullptr;

[[noreturn]] void end_at_once() {
  UndoAtSignal::undo_all();
  constexpr std::string_view line = "kqbench: interrupted; no unfinished file is left\n";
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, line.data(), line.size());
  ::_exit(exit_interrupted);
}

extern "C" void take_signal(int signal) {
  if (pthread_equal(pthread_self(), main_thread) == 0) {
    pthread_kill(main_thread, signal);
    return;
  }
  // A second SIGTERM is nobody's impatience: timeout(1) sends two, to its child and to the group that it is in.
  const bool again = signal == SIGINT && sigint_came != 0;
  if (only_noted == 0 || again) end_at_once();
  signal_came = 1;
  if (signal == SIGINT) sigint_came = 1;
}

sigset_t all_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  return set;
}

void install() {
  main_thread = pthread_self();
  struct sigaction action = {};
  action.sa_handler = take_signal;
  action.sa_mask = all_signals();
  action.sa_flags = SA_RESTART;
  for (const int signal : signals) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    // The terminal is gone; nohup(1), which outlives it, has the signal ignored.
    if (signal == SIGHUP && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
}

}  // namespace

void end_at_signals() {
  install();
}

void catch_interrupts() {
  only_noted = 1;
  install();
}

bool interrupted() {
  return signal_came != 0;
}

SignalsHeld::SignalsHeld() {
  const sigset_t set = all_signals();
  pthread_sigmask(SIG_BLOCK, &set, &before_);
}

SignalsHeld::~SignalsHeld() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

UndoAtSignal::UndoAtSignal(void (*undo)(const void* what), const void* what) : undo_(undo), what_(what) {
  const SignalsHeld held;
  next_ = last_made;
  last_made = this;
}

UndoAtSignal::~UndoAtSignal() {
  const SignalsHeld held;
  UndoAtSignal** link = &last_made;
  while (*link != this) {
    link = &(*link)->next_;
  }
  *link = next_;
}

void UndoAtSignal::undo_all() {
  for (const UndoAtSignal* one = last_made; one != nullptr; one = one->next_) {
    one->undo_(one->what_);
  }
}

}  // namespace kqbench
