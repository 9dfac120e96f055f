// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Clocks, power and temperature of a device, from what its vendor provides for that: NVML, loaded when the program
/// runs, or the files of AMD's kernel driver, which ROCm SMI reads too.

#include <filesystem>
#include <string>

#include "backends/backend.hpp"

namespace kqbench::gpu {

/// `pci_bus_id` is the device's as its runtime names it, "0000:65:00.0". Nothing where the source does not tell.
ClockReading read_clocks(const std::string& pci_bus_id);

/// The driver's version; empty where it is not told.
std::string driver_version();

/// AMD's: what the kernel driver's hwmon folder of a device says, looked for under `sysfs`.
ClockReading read_hwmon(const std::filesystem::path& sysfs, const std::string& pci_bus_id);

}  // namespace kqbench::gpu
