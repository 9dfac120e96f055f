// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Streaming passes over host memory, to measure its ceiling with.

#include <cstddef>

#include "backends/backend.hpp"

namespace kqbench {

/// Ways to write and to divide the work among threads; see stream.cpp.
int host_stream_variants();

/// One pass over `bytes` bytes in all, as Device::enqueue_stream, by `threads` threads. Both addresses are aligned to
/// 64 bytes; the last few hundred bytes are left out where `bytes` is no multiple of what a step moves.
void host_stream(StreamMix mix, int variant, int threads, const void* read, void* write, std::size_t bytes);

}  // namespace kqbench
