// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/input_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {

InputFile::InputFile(const std::filesystem::path& path) : name_(in_quotes(path.native())) {
  // Without O_NONBLOCK, opening a pipe would wait for someone to write to it.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) {
    const std::string reason = std::generic_category().message(errno);
    throw UsageError(fmt::format("{}: cannot be opened: {}; check the path", name_, reason));
  }
  struct stat status {};
  const bool known = ::fstat(descriptor_, &status) == 0;
  if (known && S_ISREG(status.st_mode) && status.st_size > 0) {
    size_ = static_cast<std::uint64_t>(status.st_size);
    return;
  }
  ::close(descriptor_);
  descriptor_ = -1;
  if (known && S_ISDIR(status.st_mode)) throw UsageError(name_ + ": is a folder; name a file in it");
  if (known && S_ISREG(status.st_mode)) throw UsageError(name_ + ": is empty; write it again");
  throw UsageError(name_ + ": is not a regular file; copy its contents into one");
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : name_(std::move(other.name_)), descriptor_(std::exchange(other.descriptor_, -1)), size_(other.size_) {}

void InputFile::read_at(std::uint64_t offset, std::span<std::byte> bytes) const {
  while (!bytes.empty()) {
    const ssize_t got = ::pread(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (got == 0) throw UsageError(fmt::format("{}: ends at byte {} while being read; write it again", name_, offset));
    if (got < 0) {
      if (errno == EINTR) continue;
      const std::string reason = std::generic_category().message(errno);
      throw SystemError(fmt::format("{}: cannot be read at byte {}: {}; check the disk", name_, offset, reason));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

}  // namespace kqbench
