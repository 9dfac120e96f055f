// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A function in a process of its own, whose lines of text the parent reads: what crashes there costs nothing here.

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

namespace kqbench {

class ChildProcess {
 public:
  /// Where the child's lines go. Written at once: what was said before a crash arrives.
  class Lines {
   public:
    explicit Lines(int file) : file_(file) {}
    void say(const std::string& line) const;
    int file() const { return file_; }

   private:
    int file_;
  };

  /// Forks. The child runs `body` and ends; signals end it at once, and so does the end of this process. Must come
  /// before the process has threads, OpenMP's among them, and before it has opened a device: a child has neither.
  /// Throws SystemError where there can be no more processes.
  explicit ChildProcess(const std::function<void(const Lines& lines)>& body);
  ~ChildProcess();  ///< ends the child
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  /// The child's next line; nothing once it has ended, or when a signal asks this process to end.
  std::optional<std::string> next_line();

  /// How the child ended, where that was not by itself: "SIGKILL", "exit status 3". Waits for it.
  std::optional<std::string> how_it_failed();

 private:
  pid_t process_ = -1;
  int file_ = -1;
  std::string unread_;
};

/// "SIGSEGV"; "signal 77" for one without a name.
std::string signal_name(int signal);

}  // namespace kqbench
