// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A GPU as a Device, for whichever of the two runtimes this file is compiled.

#include <memory>
#include <string>

#include "backends/backend.hpp"

namespace kqbench::gpu {

/// The GPUs this program can see; 0 without a driver. Never throws.
int device_count();

/// "NVIDIA H200"; empty if there is no such device.
std::string device_name(int index);

/// "CUDA 13.0": what this program was compiled with.
std::string compiled_version();

/// Throws DeviceError if there is no such device or it cannot be used.
std::unique_ptr<Device> open_device(const DeviceOptions& options);

}  // namespace kqbench::gpu
