// SPDX-License-Identifier: Apache-2.0
#include "bench/plugins/crash_report.hpp"

#include <fmt/format.h>
#include <signal.h>  // NOLINT: sigaction is POSIX's, not <csignal>'s
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdlib>
#include <sstream>

#include "bench/plugins/child_process.hpp"

namespace kqbench {
namespace {

/// Farther from all that is known, an address has nothing to do with it.
constexpr std::uintptr_t near_bytes = std::uintptr_t{1} << 20;

// Of one process and one handler, which cannot be given anything.
int report_file = -1;                         // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::array<NamedMemory, 8> described_memory;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::size_t described_count = 0;              // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
std::array<char, 65536> other_stack;          // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

/// A line, put together as a signal handler may.
class HandlerLine {
 public:
  void add(std::string_view text) {
    for (const char c : text) {
      if (size_ < text_.size()) text_[size_++] = c;
    }
  }
  void add(std::uint64_t number) {
    std::array<char, 20> digits{};
    std::size_t first = digits.size();
    do {
      digits[--first] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    add(std::string_view(digits.data() + first, digits.size() - first));
  }
  void write_to(int file) const { static_cast<void>(!::write(file, text_.data(), size_)); }

 private:
  std::array<char, 160> text_{};
  std::size_t size_ = 0;
};

/// " read", " wrote", or " touched" where the processor does not tell.
std::string_view access_of([[maybe_unused]] const void* context) {
#if defined(__x86_64__)
  const auto error = static_cast<const ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR];
  return (error & 2) != 0 ? " wrote" : " read";
#else
  return " touched";
#endif
}

/// Where an address lies, seen from a piece of memory.
struct Spot {
  std::string_view side;
  std::uintptr_t distance;  ///< from the beginning, in or before the memory; else from its end
};

Spot spot_of(std::uintptr_t address, const NamedMemory& memory) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.begin);
  const std::uintptr_t end = begin + memory.bytes;
  if (address < begin) return {" before ", begin - address};
  if (address < end) return {" in ", address - begin};
  return {" behind ", address - end};
}

/// Adds " <access> <place> <distance> <name>" of the piece of memory that the address lies in, or of the nearest one.
void add_place(HandlerLine& line, const void* address, const void* context) {
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  const NamedMemory* nearest = nullptr;
  std::uintptr_t least = near_bytes;
  for (std::size_t i = 0; i < described_count; ++i) {
    const Spot place = spot_of(at, described_memory[i]);
    const std::uintptr_t distance = place.side == " in " ? 0 : place.distance;
    if (distance > least) continue;
    least = distance;
    nearest = &described_memory[i];
  }
  if (nearest == nullptr) return;
  const Spot place = spot_of(at, *nearest);
  line.add(access_of(context));
  line.add(place.side);
  line.add(static_cast<std::uint64_t>(place.distance));
  line.add(" ");
  line.add(nearest->name);
}

extern "C" void report_crash(int signal, siginfo_t* info, void* context) {
  HandlerLine line;
  line.add("crash ");
  line.add(static_cast<std::uint64_t>(signal));
  if (signal == SIGSEGV || signal == SIGBUS) add_place(line, info->si_addr, context);
  line.add("\n");
  line.write_to(report_file);
  std::_Exit(1);
}

}  // namespace

void report_crashes(int file) {
  report_file = file;
  stack_t stack = {};
  stack.ss_sp = other_stack.data();  // a crash may be the end of the usual one
  stack.ss_size = other_stack.size();
  sigaltstack(&stack, nullptr);
  struct sigaction action = {};
  action.sa_sigaction = report_crash;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT}) {
    sigaction(signal, &action, nullptr);
  }
}

void describe_crashes_by(std::span<const NamedMemory> memory) {
  described_count = std::min(memory.size(), described_memory.size());
  std::copy_n(memory.begin(), described_count, described_memory.begin());
}

std::string crash_text(const std::string& line) {
  std::istringstream words(line);
  std::string crash;
  std::string access;
  std::string place;
  std::string name;
  int signal = 0;
  std::uint64_t distance = 0;
  words >> crash >> signal;
  std::string what = signal_name(signal);
  if (!(words >> access >> place >> distance >> name)) return what;
  if (place == "in") return fmt::format("{}: it {} byte {} of {}, which is only read", what, access, distance, name);
  const std::string edge = place == "before" ? "before the beginning of" : "behind the end of";
  if (place == "behind" && distance == 0) return fmt::format("{}: it {} right {} {}", what, access, edge, name);
  return fmt::format("{}: it {} {} byte{} {} {}", what, access, distance, distance == 1 ? "" : "s", edge, name);
}

}  // namespace kqbench
