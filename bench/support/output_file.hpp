// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A file that appears whole or not at all.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "bench/support/interrupt.hpp"

namespace kqbench {

/// What is read is not lost for what is written: throws UsageError if `output` is that very file.
void refuse_to_replace(const std::filesystem::path& input, const std::filesystem::path& output);

/// What a path stands for: absolute, links followed.
std::filesystem::path target_of(const std::filesystem::path& path);

/// Written into a file without a name in the folder of its target, which commit() gives it; a program that is killed
/// leaves nothing. Where the file system has no such files (O_TMPFILE) it is one with a temporary name, which goes with
/// this object, or with the program that a signal other than SIGKILL ends. A target that already exists keeps its
/// permissions; a link is followed. Without commit() the target stays as it was.
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

  /// On disk, then under its name. Nothing may be written afterwards.
  void commit();

  /// All of several files that belong together, or none: if one cannot get its name, those that had got theirs are
  /// taken away again, and files that they had replaced are put back (except on a file system that cannot exchange two
  /// names). They get their names in the order given, no signal between two of them.
  static void commit_all(std::span<const std::unique_ptr<OutputFile>> files);

 private:
  enum class Keep : bool { nothing, replaced };
  enum class State : std::uint8_t {
    unpublished,
    is_new,     ///< its name was free
    exchanged,  ///< what it replaced has the temporary name now
    replaced    ///< what it replaced is gone
  };

  void store();             ///< on disk, not yet under its name
  void publish(Keep keep);  ///< under its name; what it replaces may be kept, to be put back by retract()
  void retract() noexcept;  ///< undoes publish(Keep::replaced)
  void finish() noexcept;   ///< what was kept goes
  bool link_to(const std::string& path) const noexcept;
  void give_temporary_name();
  [[noreturn]] void fail(int error) const;

  std::filesystem::path shown_;   ///< as the user wrote it, for messages
  std::filesystem::path target_;  ///< target_of() it
  std::string temporary_;         ///< the name that is not the target's, if it has one
  State state_ = State::unpublished;
  std::optional<UndoAtSignal> removed_at_signal_;
  int descriptor_ = -1;
};

}  // namespace kqbench
