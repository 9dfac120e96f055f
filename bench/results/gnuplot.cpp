// SPDX-License-Identifier: Apache-2.0
#include "bench/results/gnuplot.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <system_error>

#include "bench/support/errors.hpp"

extern char** environ;

namespace kqbench {
namespace {

/// The files in it, then the folder. By system calls alone, for a signal handler has neither C++'s nor C's ways.
void remove_folder_at_signal(const void* path) {
  const auto* const name = static_cast<const char*>(path);
  const int folder = ::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;
  alignas(dirent64) char entries[4096];
  for (long size = 0; (size = ::syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0;) {
    for (long at = 0; at < size;) {
      const auto* const entry = reinterpret_cast<const dirent64*>(entries + at);
      ::unlinkat(folder, entry->d_name, 0);
      at += entry->d_reclen;
    }
  }
  ::close(folder);
  ::rmdir(name);
}

/// Before its files are removed: it would write more.
void kill_at_signal(const void* child) {
  const pid_t process = *static_cast<const pid_t*>(child);
  ::kill(process, SIGKILL);
  while (::waitpid(process, nullptr, 0) < 0 && errno == EINTR) {
  }
}

/// How a child begins: other standard streams, and the signals blocked that are when this is made.
class ChildSettings {
 public:
  explicit ChildSettings(const std::string& errors) {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, errors.c_str(), O_WRONLY | O_CREAT, 0600);
    sigset_t blocked;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &blocked);
    ::posix_spawnattr_init(&attributes_);
    ::posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
    ::posix_spawnattr_setsigmask(&attributes_, &blocked);
  }
  ~ChildSettings() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  ChildSettings(const ChildSettings&) = delete;
  ChildSettings& operator=(const ChildSettings&) = delete;

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
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
  const SignalsHeld held;
  if (error || ::mkdtemp(name.data()) == nullptr) {
    throw SystemError(
        fmt::format("{}: no temporary folder can be made; set TMPDIR to one that can be written to", parent.string()));
  }
  path_ = name;
  removed_at_signal_.emplace(remove_folder_at_signal, path_.c_str());
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void run_gnuplot(const std::string& script, const TemporaryFolder& folder) {
  std::string file = (folder.path() / "script.gp").string();
  const std::string errors = (folder.path() / "errors.txt").string();
  write_file(file, script);
  const ChildSettings settings(errors);
  std::string program = "gnuplot";
  std::string no_settings = "-d";
  const std::array<char*, 4> arguments = {program.data(), no_settings.data(), file.data(), nullptr};
  pid_t child = 0;
  std::optional<UndoAtSignal> killed_at_signal;
  int failure = 0;
  {
    const SignalsHeld held;
    failure =
        ::posix_spawnp(&child, program.c_str(), settings.actions(), settings.attributes(), arguments.data(), environ);
    if (failure == 0) killed_at_signal.emplace(kill_at_signal, &child);
  }
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
  killed_at_signal.reset();
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw SystemError(fmt::format("gnuplot: failed: {}; take --format md", first_message(errors)));
  }
}

}  // namespace kqbench
