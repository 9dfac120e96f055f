// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/launch.hpp"
#include "backends/gpu/static_scale_family.hpp"

namespace kqbench::gpu {

KQ_INSTANTIATE(static_scale)

}  // namespace kqbench::gpu
