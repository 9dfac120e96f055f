// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The recorded files of tests/golden, as vectors.

#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "bench/tensors/npy.hpp"

namespace kqbench::test {

/// Where they are: as built, or where the environment variable KQ_GOLDEN_DIR says, for test programs that were carried
/// to another machine.
inline std::string golden_folder() {
  const char* const carried = std::getenv("KQ_GOLDEN_DIR");
  return carried != nullptr ? carried : KQ_GOLDEN_DIR;
}

inline NpyArray golden_array(const std::string& name) {
  return read_npy(golden_folder() + "/" + name);
}

/// The elements of a recorded file, which are `T` by their size.
template <class T>
std::vector<T> golden(const std::string& name) {
  const NpyArray array = golden_array(name);
  if (size_of(array.dtype) != sizeof(T)) throw std::runtime_error(name + " has elements of another size");
  std::vector<T> values(array.bytes.size() / sizeof(T));
  std::memcpy(values.data(), array.bytes.data(), array.bytes.size());
  return values;
}

}  // namespace kqbench::test
