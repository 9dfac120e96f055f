// SPDX-License-Identifier: Apache-2.0
#include "bench/plugins/child_process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "bench/support/errors.hpp"
#include "bench/support/interrupt.hpp"

namespace kqbench {
namespace {

constexpr int poll_milliseconds = 200;  ///< between two looks for a signal

void take_usual_signals() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    std::signal(signal, SIG_DFL);
  }
}

}  // namespace

void ChildProcess::Lines::say(const std::string& line) const {
  const std::string text = line + '\n';
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) std::_Exit(0);  // nobody listens any more
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

ChildProcess::ChildProcess(const std::function<void(const Lines& lines)>& body) {
  std::cout.flush();
  std::fflush(nullptr);  // what is in a buffer now would be written twice
  int ends[2];
  if (::pipe(ends) != 0) throw SystemError("a process for the plug-in cannot be started: no pipe");
  process_ = ::fork();
  if (process_ < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    throw SystemError("a process for the plug-in cannot be started; end some others");
  }
  if (process_ == 0) {
    ::close(ends[0]);
    take_usual_signals();
    body(Lines(ends[1]));
    std::_Exit(0);
  }
  ::close(ends[1]);
  file_ = ends[0];
}

ChildProcess::~ChildProcess() {
  ::close(file_);
  if (process_ <= 0) return;
  ::kill(process_, SIGKILL);
  static_cast<void>(how_it_failed());
}

std::optional<std::string> ChildProcess::next_line() {
  for (;;) {
    if (const std::size_t end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      return line;
    }
    if (interrupted()) return std::nullopt;
    pollfd waiting{file_, POLLIN, 0};
    if (::poll(&waiting, 1, poll_milliseconds) <= 0) continue;
    char bytes[4096];
    const ssize_t got = ::read(file_, bytes, sizeof bytes);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    unread_.append(bytes, static_cast<std::size_t>(got));
  }
}

std::optional<std::string> ChildProcess::how_it_failed() {
  int status = 0;
  while (::waitpid(process_, &status, 0) < 0 && errno == EINTR) {
  }
  process_ = -1;
  if (WIFSIGNALED(status)) return signal_name(WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return fmt::format("exit status {}", WEXITSTATUS(status));
  return std::nullopt;
}

std::string signal_name(int signal) {
  const char* const name = sigabbrev_np(signal);
  return name == nullptr ? fmt::format("signal {}", signal) : fmt::format("SIG{}", name);
}

}  // namespace kqbench
