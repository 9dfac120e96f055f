// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where a text goes that was asked for with --json FILE and the like.

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bench/support/output_file.hpp"

namespace kqbench {

/// A regular file appears whole or not at all (OutputFile). "-" is standard output; pipes and character devices
/// (/dev/null, a shell's >(command)) are written to as they are.
class TextOutput {
 public:
  /// Opens it, so that a place that cannot be written to is found before anything is measured. Throws UsageError for
  /// such a place and for one of the `inputs`, which are not to be lost, SystemError where the system fails.
  explicit TextOutput(const std::string& path, std::span<const std::string> inputs = {});
  ~TextOutput();
  TextOutput(TextOutput&&) noexcept;
  TextOutput& operator=(TextOutput&&) = delete;

  bool is_stdout() const { return stdout_; }

  /// All of it, once. Throws SystemError if the system fails (disk full, reader gone).
  void write(std::string_view text);

 private:
  std::string name_;  ///< in quotes, for messages
  bool stdout_ = false;
  int descriptor_ = -1;               ///< of a pipe or device
  std::unique_ptr<OutputFile> file_;  ///< of a regular file
};

}  // namespace kqbench
