// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// gnuplot as another process.

#include <filesystem>
#include <optional>
#include <string>

#include "bench/support/interrupt.hpp"

namespace kqbench {

/// A new, empty folder that goes with its contents when this does; the files in it also where a signal ends the
/// program. Throws SystemError.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::optional<UndoAtSignal> removed_at_signal_;
};

/// Runs a script, without the user's own settings, to its end. Throws SystemError if gnuplot is not installed or fails,
/// with the first line that it wrote to standard error.
void run_gnuplot(const std::string& script, const TemporaryFolder& folder);

}  // namespace kqbench
