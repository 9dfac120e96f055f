// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether there is room for a request, asked before anything is allocated.

#include <cstdint>
#include <span>

#include "backends/backend.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Bytes that one request takes at the least, with one copy of its buffers.
struct MemoryNeed {
  std::uint64_t device = 0;
  std::uint64_t host = 0;  ///< the input, what the reference makes of it, and what is fetched to be compared
};
MemoryNeed memory_need(const kq::Request& request, std::span<Implementation* const> implementations);

/// Throws DeviceError, naming the request, the bytes needed and the bytes there are, if there is no room.
void require_memory(const Device& device, const kq::Request& request, std::span<Implementation* const> implementations);

}  // namespace kqbench
