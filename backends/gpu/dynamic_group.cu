// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/dynamic_group_family.hpp"
#include "backends/gpu/launch.hpp"

namespace kqbench::gpu {

KQ_INSTANTIATE(dynamic_group)

}  // namespace kqbench::gpu
