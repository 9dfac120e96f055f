// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Everything under test: each implementation on each device that is present.

#include <string>
#include <vector>

#include "backends/backend.hpp"

namespace kqbench::test {

/// An implementation and the device it works on.
struct Candidate {
  std::string name;  ///< "host kokkos", "cuda native", "host native, 3 threads"
  Device* device;
  Implementation* implementation;
};

/// All of them, on the first device of every built backend that has one. The host's hand-written code comes twice: with
/// the usual number of threads, and with three, which divide few tensors evenly. Devices are opened on the first call.
const std::vector<Candidate>& candidates();

}  // namespace kqbench::test
