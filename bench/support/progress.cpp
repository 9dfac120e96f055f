// SPDX-License-Identifier: Apache-2.0
#include "bench/support/progress.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "bench/support/terminal.hpp"

namespace kqbench {
namespace {

std::size_t terminal_width() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

}  // namespace

Progress::Progress(std::size_t steps, bool wanted)
    : steps_(steps), active_(wanted && steps > 1 && !is_dumb_terminal() && isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  clear();
}

void Progress::step(const std::string& what) {
  if (!active_) return;
  constexpr std::size_t bar = 24;
  const std::size_t filled = bar * done_ / std::max<std::size_t>(1, steps_);
  ++done_;
  const std::string line = fmt::format("[{:#<{}}{:.<{}}] {}/{} {}", "", filled, "", bar - filled, done_, steps_, what);
  std::fputs(fmt::format("\r\x1b[K{}", line.substr(0, terminal_width() - 1)).c_str(), stderr);
  std::fflush(stderr);
}

void Progress::clear() {
  if (!active_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
}

}  // namespace kqbench
