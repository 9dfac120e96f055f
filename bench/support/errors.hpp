// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How the program ends, and what is thrown to make it end so. A message is one line: what, where, what to do.

#include <stdexcept>

namespace kqbench {

enum ExitStatus : int {
  exit_done = 0,
  exit_wrong = 1,         ///< an output was wrong, or a comparison failed
  exit_usage = 2,         ///< bad usage or a bad input file
  exit_system = 3,        ///< the device or the system failed
  exit_interrupted = 130  ///< SIGINT, SIGTERM or SIGHUP
};

/// The user asked for something that cannot be, or gave a file that cannot be read (exit status 2).
/// DeviceError of backends/backend.hpp is its sibling for exit status 3.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The system failed where a device did not: an output file that cannot be written, say (exit status 3).
class SystemError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace kqbench
