// SPDX-License-Identifier: Apache-2.0

/// \file
/// kqbench: chooses the subcommand, and turns whatever goes wrong into one line and an exit status.

#include "apps/kqbench/entry.hpp"

int main(int argc, char** argv) {
  return kqbench_main(argc, argv);
}
