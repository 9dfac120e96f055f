// SPDX-License-Identifier: Apache-2.0

#include <fstream>

#include "backends/gpu/clocks.hpp"

namespace kqbench::gpu {

ClockReading read_clocks(const std::string& pci_bus_id) {
  return read_hwmon("/sys", pci_bus_id);
}

std::string driver_version() {
  std::ifstream file("/sys/module/amdgpu/version");  // only of the driver that ROCm's packages bring
  std::string version;
  file >> version;
  return version;
}

}  // namespace kqbench::gpu
