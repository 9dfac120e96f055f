// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/dynamic_tensor_family.hpp"
#include "backends/gpu/launch.hpp"

namespace kqbench::gpu {

KQ_INSTANTIATE(dynamic_tensor)

}  // namespace kqbench::gpu
