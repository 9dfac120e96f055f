// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

std::string failure(Status status, const std::string& what) {
  return std::string(runtime_name) + ": " + what + ": " + KQ_GPU(GetErrorString)(status) + " (" +
         KQ_GPU(GetErrorName)(status) + ")";
}

}  // namespace kqbench::gpu
