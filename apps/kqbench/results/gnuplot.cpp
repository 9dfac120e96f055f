// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/results/gnuplot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>

#include "apps/kqbench/errors.hpp"

extern char** environ;

namespace kqbench {
namespace {

/// What the child has in place of its standard streams.
class Streams {
 public:
  explicit Streams(const std::string& errors) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, errors.c_str(), O_WRONLY | O_CREAT, 0600);
  }
  ~Streams() { ::posix_spawn_file_actions_destroy(&actions_); }
  Streams(const Streams&) = delete;
  Streams& operator=(const Streams&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_{};
};

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary);
  out << text << std::flush;
  if (!out) throw SystemError(fmt::format("{}: cannot be written; free some space, or set TMPDIR", path.string()));
}

/// The first line that says something; gnuplot points at columns with lines of blanks and carets.
std::string first_message(const std::filesystem::path& errors) {
  std::ifstream in(errors);
  for (std::string line; std::getline(in, line);) {
    if (line.find_first_not_of(" \t^") != std::string::npos) return line;
  }
  return "it does not say why";
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::temp_directory_path(error);
  std::string name = (parent / "kqbench.XXXXXX").string();
  if (error || ::mkdtemp(name.data()) == nullptr) {
    throw SystemError(
        fmt::format("{}: no temporary folder can be made; set TMPDIR to one that can be written to", parent.string()));
  }
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void run_gnuplot(const std::string& script, const TemporaryFolder& folder) {
  std::string file = (folder.path() / "script.gp").string();
  const std::string errors = (folder.path() / "errors.txt").string();
  write_file(file, script);
  const Streams streams(errors);
  std::string program = "gnuplot";
  std::string no_settings = "-d";
  const std::array<char*, 4> arguments = {program.data(), no_settings.data(), file.data(), nullptr};
  pid_t child = 0;
  const int failure = ::posix_spawnp(&child, program.c_str(), streams.actions(), nullptr, arguments.data(), environ);
  if (failure == ENOENT) {
    throw SystemError(
        "gnuplot: is not installed, and draws the charts; install it (Debian: gnuplot-nox), or take "
        "--format md");
  }
  if (failure != 0) throw SystemError(fmt::format("gnuplot: cannot be started: {}", std::strerror(failure)));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw SystemError(fmt::format("gnuplot: cannot be waited for: {}", std::strerror(errno)));
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw SystemError(fmt::format("gnuplot: failed: {}; take --format md", first_message(errors)));
  }
}

}  // namespace kqbench
