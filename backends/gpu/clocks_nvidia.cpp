// SPDX-License-Identifier: Apache-2.0

// Clocks by NVIDIA's management library. Its few functions that are used here are declared by hand, as nvml.h documents
// them, so that neither the header nor the library is needed to build: the library comes with the driver.

#include "backends/gpu/clocks.hpp"
#include "backends/gpu/library.hpp"

namespace kqbench::gpu {
namespace {

using NvmlDevice = struct NvmlDeviceOpaque*;
constexpr int success = 0;       // NVML_SUCCESS
constexpr int clock_sm = 1;      // NVML_CLOCK_SM
constexpr int clock_memory = 2;  // NVML_CLOCK_MEM
constexpr int sensor_gpu = 0;    // NVML_TEMPERATURE_GPU

class Nvml {
 public:
  Nvml() {
    const auto init = library_.function<int()>("nvmlInit_v2");
    works_ = init != nullptr && init() == success;
  }

  std::string driver_version() const {
    char version[96] = {};
    if (!works_ || version_ == nullptr || version_(version, sizeof(version)) != success) return {};
    return version;
  }

  ClockReading read(const std::string& pci_bus_id) const {
    ClockReading reading;
    NvmlDevice device = nullptr;
    if (!works_ || handle_ == nullptr || handle_(pci_bus_id.c_str(), &device) != success) return reading;
    unsigned value = 0;
    if (clock_ != nullptr && clock_(device, clock_sm, &value) == success) reading.core_mhz = value;
    if (clock_ != nullptr && clock_(device, clock_memory, &value) == success) reading.memory_mhz = value;
    if (power_ != nullptr && power_(device, &value) == success) reading.power_watts = value * 1e-3;
    if (power_cap_ != nullptr && power_cap_(device, &value) == success) reading.power_cap_watts = value * 1e-3;
    if (temperature_ != nullptr && temperature_(device, sensor_gpu, &value) == success) {
      reading.temperature_celsius = value;
    }
    return reading;
  }

 private:
  using Reading = int(NvmlDevice, unsigned*);

  Library library_{"libnvidia-ml.so.1"};
  int (*version_)(char*, unsigned) = library_.function<int(char*, unsigned)>("nvmlSystemGetDriverVersion");
  int (*handle_)(const char*,
                 NvmlDevice*) = library_.function<int(const char*, NvmlDevice*)>("nvmlDeviceGetHandleByPciBusId_v2");
  int (*clock_)(NvmlDevice, int,
                unsigned*) = library_.function<int(NvmlDevice, int, unsigned*)>("nvmlDeviceGetClockInfo");  // MHz
  Reading* power_ = library_.function<Reading>("nvmlDeviceGetPowerUsage");                                  // mW
  Reading* power_cap_ = library_.function<Reading>("nvmlDeviceGetEnforcedPowerLimit");                      // mW
  int (*temperature_)(NvmlDevice, int, unsigned*) =
      library_.function<int(NvmlDevice, int, unsigned*)>("nvmlDeviceGetTemperature");  // degrees Celsius
  bool works_ = false;
};

const Nvml& nvml() {
  static const Nvml library;
  return library;
}

}  // namespace

ClockReading read_clocks(const std::string& pci_bus_id) {
  return nvml().read(pci_bus_id);
}

std::string driver_version() {
  return nvml().driver_version();
}

}  // namespace kqbench::gpu
