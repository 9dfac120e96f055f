// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Exchange by NCCL or RCCL, whose library is looked for when the program runs.

#include <memory>
#include <string>

#include "backends/backend.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

/// Throws DeviceError if the library is not there.
std::string make_exchange_id();

/// Waits for all `size` processes. The current device is that of `stream`. Throws DeviceError.
std::unique_ptr<Exchange> join_exchange(const std::string& id, int rank, int size, Stream stream);

}  // namespace kqbench::gpu
