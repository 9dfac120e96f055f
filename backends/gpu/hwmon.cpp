// SPDX-License-Identifier: Apache-2.0

// Clocks by the files of the amdgpu kernel driver (Linux kernel documentation, "GPU Power/Thermal Controls and
// Monitoring"). ROCm SMI reads the same files; read here, they need no library, whose structures change between
// releases.

#include <algorithm>
#include <cctype>
#include <fstream>
#include <system_error>

#include "backends/gpu/clocks.hpp"

namespace kqbench::gpu {
namespace {

/// A file's number in units of `unit`, if it is there and has one.
std::optional<double> read_number(const std::filesystem::path& file, double unit) {
  std::ifstream stream(file);
  double value = 0.0;
  if (!(stream >> value)) return std::nullopt;
  return value * unit;
}

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

}  // namespace

ClockReading read_hwmon(const std::filesystem::path& sysfs, const std::string& pci_bus_id) {
  ClockReading reading;
  std::error_code none;
  const auto folder = sysfs / "bus/pci/devices" / lower_case(pci_bus_id) / "hwmon";
  for (const auto& monitor : std::filesystem::directory_iterator(folder, none)) {
    const auto& path = monitor.path();
    reading.core_mhz = read_number(path / "freq1_input", 1e-6);        // Hz
    reading.memory_mhz = read_number(path / "freq2_input", 1e-6);      // Hz
    reading.power_watts = read_number(path / "power1_average", 1e-6);  // microwatts
    if (!reading.power_watts) reading.power_watts = read_number(path / "power1_input", 1e-6);
    reading.power_cap_watts = read_number(path / "power1_cap", 1e-6);
    reading.temperature_celsius = read_number(path / "temp1_input", 1e-3);  // millidegrees
    return reading;
  }
  return reading;
}

}  // namespace kqbench::gpu
