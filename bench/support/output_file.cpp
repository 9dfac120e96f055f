// SPDX-License-Identifier: Apache-2.0
#include "bench/support/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// What a new file may be, as the user's umask says. There is no way to read the mask but to set it.
mode_t new_file_mode() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return 0666 & ~mask;
}

void unlink_at_signal(const void* path) {
  ::unlink(static_cast<const char*>(path));
}

}  // namespace

void refuse_to_replace(const std::filesystem::path& input, const std::filesystem::path& output) {
  std::error_code not_there;
  if (std::filesystem::equivalent(input, output, not_there)) {
    throw UsageError(in_quotes(output.native()) + ": is the input itself; choose another name");
  }
}

std::filesystem::path target_of(const std::filesystem::path& path) {
  std::error_code failed;
  std::filesystem::path target = std::filesystem::absolute(path, failed);
  if (!failed) target = std::filesystem::weakly_canonical(target, failed);
  return failed ? path : target;
}

OutputFile::OutputFile(const std::filesystem::path& path) : shown_(path), target_(target_of(path)) {
  const std::string name = in_quotes(shown_.native());
  if (path.filename().empty()) throw UsageError(name + ": names no file; give a file name");
  struct stat existing {};
  const bool exists = ::stat(target_.c_str(), &existing) == 0;
  if (!exists && errno == ENAMETOOLONG)
    throw UsageError(name + ": is too long for a file's name; choose a shorter one");
  if (exists && S_ISDIR(existing.st_mode)) throw UsageError(fmt::format("{}: is a folder; name a file in it", name));
  if (exists && !S_ISREG(existing.st_mode)) {
    throw UsageError(fmt::format("{}: is not a regular file; name one that may be replaced", name));
  }
  if (exists && ::access(target_.c_str(), W_OK) != 0) {
    throw UsageError(fmt::format("{}: cannot be written: {}; choose another name", name, reason(errno)));
  }

  // Short enough to be a file's name where the target's own is as long as one may be.
  const std::string beginning = target_.filename().native().substr(0, 200);
  temporary_ = (target_.parent_path() / fmt::format(".{}.XXXXXX", beginning)).native();
  int error = 0;
  {
    const SignalsHeld held;
    descriptor_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    error = errno;
    if (descriptor_ >= 0) removed_at_signal_.emplace(unlink_at_signal, temporary_.c_str());
  }
  if (descriptor_ < 0) {
    const std::string message = fmt::format("{}: cannot be created: {}", name, reason(error));
    if (error == ENOSPC || error == EIO || error == EMFILE || error == ENFILE) {
      throw SystemError(message + "; make room and run again");
    }
    throw UsageError(message + "; choose a folder that exists and may be written to");
  }
  // Best effort: a file system without permissions refuses, and needs none.
  [[maybe_unused]] const int changed = ::fchmod(descriptor_, exists ? existing.st_mode & 07777 : new_file_mode());
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void OutputFile::write_at(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0) {
      if (errno == EINTR) continue;
      fail(errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
}

void OutputFile::store() {
  if (descriptor_ < 0) return;
  const bool synced = ::fsync(descriptor_) == 0 || errno == EINVAL;  // EINVAL: a file system that cannot sync
  const int error = errno;
  const bool closed = ::close(descriptor_) == 0;
  descriptor_ = -1;
  if (!synced || !closed) fail(synced ? errno : error);
}

void OutputFile::commit() {
  store();
  if (std::rename(temporary_.c_str(), target_.c_str()) != 0) fail(errno);
  removed_at_signal_.reset();
  temporary_.clear();
}

void OutputFile::fail(int error) const {
  throw SystemError(fmt::format("{}: cannot be written: {}; make room or choose another place",
                                in_quotes(shown_.native()), reason(error)));
}

}  // namespace kqbench
