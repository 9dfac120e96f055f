// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How much to try: everything that can be tried, the slice of it that fits into everyday runs, or less.

#include <cstdlib>

namespace kqbench::test {

/// True where the environment has KQ_EXHAUSTIVE=1: "KQ_EXHAUSTIVE=1 ctest -L core" takes minutes.
inline bool exhaustive() {
  const char* const value = std::getenv("KQ_EXHAUSTIVE");
  return value != nullptr && value[0] == '1';
}

/// Whether g++ compiled this for a sanitizer that makes it take ten times as long as it does otherwise.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

}  // namespace kqbench::test
