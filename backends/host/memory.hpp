// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Host memory: how much there is for this program, and plain allocations of it. `root` is where /proc and /sys are
/// looked for; tests have one of their own.

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace kqbench {

/// Bytes of memory in the machine, or in the control group this program is limited to if that is less.
std::uint64_t memory_total_bytes(const std::filesystem::path& root = "/");

/// Bytes that can be had now without swapping or reaching the control group's limit.
std::uint64_t memory_available_bytes(const std::filesystem::path& root = "/");

/// Memory aligned to 256 bytes, in huge pages where it is large; not yet touched, so that whoever touches a page first
/// has it near. Throws DeviceError, naming the bytes wanted and there, if there are not as many.
void* allocate_host_memory(std::size_t bytes);
void release_host_memory(void* address) noexcept;

}  // namespace kqbench
