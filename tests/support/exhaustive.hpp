// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether to try everything that can be tried, or the slice of it that fits into everyday runs.

#include <cstdlib>

namespace kqbench::test {

/// True where the environment has KQ_EXHAUSTIVE=1: "KQ_EXHAUSTIVE=1 ctest -L kokkos_kernels" takes minutes.
inline bool exhaustive() {
  const char* const value = std::getenv("KQ_EXHAUSTIVE");
  return value != nullptr && value[0] == '1';
}

}  // namespace kqbench::test
