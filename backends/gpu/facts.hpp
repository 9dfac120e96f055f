// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a runtime and its driver tell about a device, in the words of DeviceInfo.

#include <cstdint>
#include <string>
#include <string_view>

#include "backends/backend.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

DeviceInfo device_info(const Properties& properties, int index);

/// "0000:65:00.0"; empty if the runtime does not tell.
std::string pci_bus_id(int index);

/// Bytes of the cache between an AMD device's second level and its memory (Infinity Cache), by architecture; 0 where
/// there is none or it is not known.
std::uint64_t infinity_cache_bytes(std::string_view architecture);

}  // namespace kqbench::gpu
