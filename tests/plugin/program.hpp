// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// kqbench as a program, with a plug-in: what it says, and how it ends.

#include <sys/wait.h>

#include <cstdio>
#include <stdexcept>
#include <string>

#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench::test {

struct Ended {
  int status;
  std::string out;
  std::string err;
};

/// Runs `kqbench <arguments>`, which a shell takes apart.
inline Ended kqbench_program(const std::string& arguments) {
  const ScratchFolder folder;
  const std::string errors = (folder / "err").native();
  const std::string command = std::string(KQBENCH_PROGRAM) + ' ' + arguments + " 2>" + errors;
  std::FILE* const pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) throw std::runtime_error("no shell for: " + command);
  Ended ended{};
  char bytes[4096];
  while (const std::size_t got = std::fread(bytes, 1, sizeof bytes, pipe)) {
    ended.out.append(bytes, got);
  }
  ended.status = WEXITSTATUS(::pclose(pipe));
  ended.err = contents(errors);
  return ended;
}

/// A run that is over soon, on 6 x 256 elements; a work with groups, from float.
inline const std::string short_run =
    "run --backend host --host-threads 1 --num-tokens 6 --hidden-size 256 --cache hot --max-time 0.01 --num-iters 20 "
    "--no-ceiling --no-color --no-progress ";
inline const std::string groups = "--dtype float --quant-dtype fp8 --granularity group:64 ";

inline std::string faults(const std::string& name) {
  return "--plugin " FAULTS ":" + name + " ";
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace kqbench::test
