// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether there is room for a request, asked before anything is allocated.

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Bytes that one request takes at the least, with one copy of its buffers.
struct MemoryNeed {
  std::uint64_t device = 0;
  std::uint64_t host = 0;  ///< the input, what the reference makes of it, and what is fetched to be compared
};
MemoryNeed memory_need(const kq::Request& request, std::span<Implementation* const> implementations);

/// An implementation that is left out of a request, and why, in one line.
struct TooLarge {
  Implementation* implementation;
  std::string reason;
};

/// Takes out of `implementations`, which serve the request, those whose workspaces there is no room for beside the
/// tensors of all, the largest workspace first, until the others have room. Where the tensors alone have none, nobody
/// is taken out: require_memory() refuses the request.
std::vector<TooLarge> take_out_too_large(const Device& device, const kq::Request& request,
                                         std::vector<Implementation*>& implementations);

/// Throws DeviceError, naming the request, the bytes needed and the bytes there are, if there is no room.
void require_memory(const Device& device, const kq::Request& request, std::span<Implementation* const> implementations);

}  // namespace kqbench
