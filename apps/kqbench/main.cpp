// SPDX-License-Identifier: Apache-2.0

/// \file
/// kqbench: chooses the subcommand, and turns whatever goes wrong into one line and an exit status.

#include <exception>
#include <string>
#include <vector>

#include "apps/kqbench/program.hpp"

int main(int argc, char** argv) {
  return kqbench::run_program(std::vector<std::string>(argv, argv + argc));
}
