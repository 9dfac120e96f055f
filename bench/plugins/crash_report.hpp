// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a process that crashes still says: the signal, and how far from which piece of memory it came to that.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace kqbench {

/// Memory that a crash is described by.
struct NamedMemory {
  std::string_view name;
  const std::byte* begin = nullptr;
  std::size_t bytes = 0;
};

/// From now on SIGSEGV, SIGBUS, SIGFPE, SIGILL and SIGABRT write a line to `file` and end the process. The line begins
/// with "crash ", and crash_text() makes words of it. For a process that is there to crash: the handlers stay.
void report_crashes(int file);

/// What the next crash is described by; no more than eight. Names must outlive it.
void describe_crashes_by(std::span<const NamedMemory> memory);

/// "SIGSEGV: it wrote right behind the end of codes", of a line as report_crashes() writes it.
std::string crash_text(const std::string& line);

}  // namespace kqbench
