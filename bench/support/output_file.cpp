// SPDX-License-Identifier: Apache-2.0
#include "bench/support/output_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <system_error>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

std::string reason(int error) {
  return std::generic_category().message(error);
}

/// The link in /proc through which a file without a name can be given one: without privileges the only way.
std::string name_of_descriptor(int descriptor) {
  return fmt::format("/proc/self/fd/{}", descriptor);
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

/// A file without a name in a folder, or -1 where the system has none, or none that could get a name later on.
int open_unnamed(const std::filesystem::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (descriptor < 0) return -1;
  struct stat link {};
  if (::lstat(name_of_descriptor(descriptor).c_str(), &link) == 0) return descriptor;
  ::close(descriptor);  // no /proc
  return -1;
}

/// Short enough to be a file's name where the target's own is as long as one may be. mkostemp replaces the Xs.
std::string temporary_pattern(const std::filesystem::path& target) {
  return (target.parent_path() / fmt::format(".{}.XXXXXX", target.filename().native().substr(0, 200))).native();
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

  int error = 0;
  descriptor_ = open_unnamed(target_.parent_path());
  if (descriptor_ < 0) {
    temporary_ = temporary_pattern(target_);
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
  const bool synced = ::fsync(descriptor_) == 0 || errno == EINVAL;  // EINVAL: a file system that cannot sync
  if (!synced) fail(errno);
}

bool OutputFile::link_to(const std::string& path) const noexcept {
  return ::linkat(AT_FDCWD, name_of_descriptor(descriptor_).c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
}

void OutputFile::give_temporary_name() {
  std::random_device random;
  do {
    temporary_ = temporary_pattern(target_);
    temporary_.replace(temporary_.size() - 6, 6, fmt::format("{:06x}", random() & 0xffffffu));
    if (link_to(temporary_)) {
      removed_at_signal_.emplace(unlink_at_signal, temporary_.c_str());
      return;
    }
  } while (errno == EEXIST);
  const int error = errno;
  temporary_.clear();
  fail(error);
}

void OutputFile::publish(Keep keep) {
  const SignalsHeld held;
  // A link replaces nothing: where there is a file, a name of its own comes first, which is then exchanged or renamed.
  if (temporary_.empty()) {
    if (link_to(target_.native())) {
      state_ = State::is_new;
      return;
    }
    if (errno != EEXIST) fail(errno);
    give_temporary_name();
  }
  const char* const from = temporary_.c_str();
  const char* const to = target_.c_str();
  struct stat there {};
  const bool is_new = ::lstat(to, &there) != 0;
  const bool exchange = keep == Keep::replaced && !is_new && S_ISREG(there.st_mode);
  if (exchange && ::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_EXCHANGE) == 0) {
    state_ = State::exchanged;
    return;
  }
  if (std::rename(from, to) != 0) fail(errno);
  state_ = is_new ? State::is_new : State::replaced;
  removed_at_signal_.reset();
  temporary_.clear();
}

void OutputFile::retract() noexcept {
  if (state_ == State::exchanged) {
    ::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE);
  } else if (state_ == State::is_new) {
    ::unlink(target_.c_str());
  }
}

void OutputFile::finish() noexcept {
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  removed_at_signal_.reset();
  temporary_.clear();
  ::close(descriptor_);
  descriptor_ = -1;
}

void OutputFile::commit() {
  store();
  publish(Keep::nothing);
  finish();
}

void OutputFile::commit_all(std::span<const std::unique_ptr<OutputFile>> files) {
  for (const auto& file : files) {
    file->store();
  }
  const SignalsHeld held;
  try {
    for (const auto& file : files) {
      file->publish(Keep::replaced);
    }
  } catch (...) {
    for (const auto& file : files) {
      file->retract();
    }
    throw;
  }
  for (const auto& file : files) {
    file->finish();
  }
}

void OutputFile::fail(int error) const {
  throw SystemError(fmt::format("{}: cannot be written: {}; make room or choose another place",
                                in_quotes(shown_.native()), reason(error)));
}

}  // namespace kqbench
