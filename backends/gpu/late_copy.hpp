// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A launch in front of another one, which finds out whether that waits.

#include <cstddef>

#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

/// As Device::enqueue_late_copy.
void enqueue_late_copy(Stream stream, void* to, const void* from, std::size_t bytes);

}  // namespace kqbench::gpu
