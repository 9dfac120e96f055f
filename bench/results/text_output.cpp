// SPDX-License-Identifier: Apache-2.0
#include "bench/results/text_output.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <span>
#include <system_error>
#include <utility>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

bool is_pipe_or_device(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && (S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode));
}

void write_all(int descriptor, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      throw SystemError(fmt::format("{}: cannot be written: {}; make room or choose another place", name,
                                    std::generic_category().message(errno)));
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

TextOutput::TextOutput(const std::string& path, std::span<const std::string> inputs)
    : name_(path == "-" ? "standard output" : in_quotes(path)), stdout_(path == "-") {
  if (stdout_) return;
  if (!is_pipe_or_device(path)) {
    for (const std::string& input : inputs) {
      refuse_to_replace(input, path);
    }
    file_ = std::make_unique<OutputFile>(path);
    return;
  }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    throw UsageError(
        fmt::format("{}: cannot be written: {}; choose another name", name_, std::generic_category().message(errno)));
  }
}

TextOutput::TextOutput(TextOutput&& other) noexcept
    : name_(std::move(other.name_)),
      stdout_(other.stdout_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      file_(std::move(other.file_)) {}

TextOutput::~TextOutput() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TextOutput::write(std::string_view text) {
  if (file_) {
    file_->write_at(0, std::as_bytes(std::span(text)));
    file_->commit();
  } else if (stdout_) {
    std::fflush(stdout);  // what was printed before comes first
    write_all(STDOUT_FILENO, text, name_);
  } else {
    write_all(descriptor_, text, name_);
  }
}

}  // namespace kqbench
