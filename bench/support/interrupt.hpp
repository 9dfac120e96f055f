// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// SIGINT, SIGTERM and SIGHUP: they end the program, with status 130 and nothing temporary left, or ask it to end in
/// good order. An ignored SIGHUP stays ignored. All of this is for the main thread; a signal that another one gets is
/// sent on.

#include <csignal>

namespace kqbench {

/// From now on these signals end the program at once.
void end_at_signals();

/// From now on they are noted instead; a second SIGINT still ends the program at once.
void catch_interrupts();

/// Whether one was noted.
bool interrupted();

/// As long as one lives, the signals wait.
class SignalsHeld {
 public:
  SignalsHeld();
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  sigset_t before_{};
};

/// As long as one lives, a signal that ends the program first calls `undo(what)`, which may do no more than a signal
/// handler may; what was made last is undone first. What is to be undone is made with the signals held.
class UndoAtSignal {
 public:
  UndoAtSignal(void (*undo)(const void* what), const void* what);
  ~UndoAtSignal();
  UndoAtSignal(const UndoAtSignal&) = delete;
  UndoAtSignal& operator=(const UndoAtSignal&) = delete;

  static void undo_all();  ///< for the signal handler

 private:
  void (*undo_)(const void* what);
  const void* what_;
  UndoAtSignal* next_ = nullptr;
};

}  // namespace kqbench
