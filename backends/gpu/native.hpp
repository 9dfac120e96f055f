// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Hand-written CUDA and HIP: what the portable kernels are compared with on a GPU.

#include <memory>

#include "backends/backend.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

/// Serves every request on the current device, on `stream`.
std::unique_ptr<Implementation> make_native_implementation(Stream stream, const Properties& properties);

}  // namespace kqbench::gpu
