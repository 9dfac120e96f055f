// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Streaming passes over device memory, to measure its ceiling with.

#include <cstddef>

#include "backends/backend.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

/// Launch shapes: four numbers of threads per block, each with four and with eight vectors per thread.
int stream_variants();

/// As Device::enqueue_stream.
void enqueue_stream(Stream stream, StreamMix mix, int variant, const void* read, void* write, std::size_t bytes);

}  // namespace kqbench::gpu
