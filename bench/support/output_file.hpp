// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file that appears whole or not at all.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "bench/support/interrupt.hpp"

namespace kqbench {

/// What is read is not lost for what is written: throws UsageError if `output` is that very file.
void refuse_to_replace(const std::filesystem::path& input, const std::filesystem::path& output);

/// What a path stands for: absolute, links followed.
std::filesystem::path target_of(const std::filesystem::path& path);

/// Written under a temporary name in the folder of its target and renamed over it by commit(). A target that already
/// exists keeps its permissions; a link is followed. Without commit() the target stays as it was, and the temporary
/// file goes with this object, or with the program that a signal ends.
///
/// Throws UsageError where the path cannot be written to (folder missing, not allowed, not a regular file) and
/// SystemError where the system fails (disk full).
class OutputFile {
 public:
  explicit OutputFile(const std::filesystem::path& path);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Bytes at an offset from the file's start; in any order. What no one writes reads as zero.
  void write_at(std::uint64_t offset, std::span<const std::byte> bytes);

  /// On disk, not yet under its name: of several files that belong together, all first. Nothing may be written
  /// afterwards.
  void store();

  /// On disk, then under its name. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void fail(int error) const;

  std::filesystem::path shown_;   ///< as the user wrote it, for messages
  std::filesystem::path target_;  ///< target_of() it
  std::string temporary_;         ///< empty once it has its name
  std::optional<UndoAtSignal> removed_at_signal_;
  int descriptor_ = -1;
};

}  // namespace kqbench
