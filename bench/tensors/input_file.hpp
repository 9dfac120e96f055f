// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A regular file, read by position. Not mapped into memory: a mapped file that another process cuts short ends the
/// program with SIGBUS, a read of it ends in a message.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

namespace kqbench {

/// Throws UsageError where the path is missing, unreadable, empty, a folder or anything else without a size of its own
/// (/dev/zero, a pipe).
class InputFile {
 public:
  explicit InputFile(const std::filesystem::path& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;
  InputFile& operator=(InputFile&&) = delete;

  std::uint64_t size() const { return size_; }       ///< bytes, as found when it was opened
  const std::string& name() const { return name_; }  ///< the path in quotes, for messages

  /// Fills `bytes` from an offset. Throws UsageError if the file ends before, SystemError if the disk fails.
  void read_at(std::uint64_t offset, std::span<std::byte> bytes) const;

 private:
  std::string name_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace kqbench
