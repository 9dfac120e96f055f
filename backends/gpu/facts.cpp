// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/facts.hpp"

#include <algorithm>
#include <array>

#include "backends/gpu/clocks.hpp"
#include "backends/gpu/device.hpp"

namespace kqbench::gpu {
namespace {

/// Versions are encoded as 13000 for 13.0 (CUDA) and 50221153 for 5.2.21153 (HIP).
std::string version_text(int encoded) {
  if (KQ_GPU_HIP) {
    return std::to_string(encoded / 10'000'000) + '.' + std::to_string(encoded / 100'000 % 100) + '.' +
           std::to_string(encoded % 100'000);
  }
  return std::to_string(encoded / 1000) + '.' + std::to_string(encoded % 1000 / 10);
}

std::string architecture(const Properties& properties) {
#if KQ_GPU_HIP
  const std::string name = properties.gcnArchName;  // "gfx90a:sramecc+:xnack-"
  return name.substr(0, name.find(':'));
#else
  return "sm_" + std::to_string(properties.major) + std::to_string(properties.minor);
#endif
}

/// The management library's version of the driver; failing that, the newest runtime the driver supports.
std::string driver() {
  const std::string version = driver_version();
  if (!version.empty()) return version;
  int encoded = 0;
  if (KQ_GPU(DriverGetVersion)(&encoded) != KQ_GPU(Success)) return {};
  return std::string("for ") + runtime_name + ' ' + version_text(encoded);
}

std::string runtime() {
  int encoded = 0;
  check(KQ_GPU(RuntimeGetVersion)(&encoded), "asking for the runtime's version");
  return std::string(runtime_name) + ' ' + version_text(encoded);
}

}  // namespace

std::uint64_t infinity_cache_bytes(std::string_view architecture) {
  struct Row {
    std::string_view architecture;
    std::uint64_t mebibytes;
  };
  // The largest product of each architecture, from AMD's product pages; a benchmark that takes too large a cache for
  // granted touches more memory than it must, no less.
  constexpr std::array<Row, 13> rows{{{"gfx942", 256},
                                      {"gfx950", 256},
                                      {"gfx1030", 128},
                                      {"gfx1031", 96},
                                      {"gfx1032", 32},
                                      {"gfx1100", 96},
                                      {"gfx1101", 64},
                                      {"gfx1102", 32},
                                      {"gfx1151", 32},
                                      {"gfx1200", 32},
                                      {"gfx1201", 64},
                                      {"gfx940", 256},
                                      {"gfx941", 256}}};
  for (const Row& row : rows) {
    if (row.architecture == architecture) return row.mebibytes << 20;
  }
  return 0;
}

std::string pci_bus_id(int index) {
  char text[32] = {};
  if (KQ_GPU(DeviceGetPCIBusId)(text, sizeof(text), index) != KQ_GPU(Success)) return {};
  return text;
}

namespace {

/// As the vendor's tools name it: nvidia-smi by UUID, rocm-smi by PCI address.
std::string device_id([[maybe_unused]] const Properties& properties, [[maybe_unused]] int index) {
#if KQ_GPU_HIP
  return pci_bus_id(index);
#else
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    const auto byte = static_cast<unsigned char>(properties.uuid.bytes[i]);
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
#endif
}

}  // namespace

DeviceInfo device_info(const Properties& properties, int index) {
  DeviceInfo info;
  info.backend = backend_name;
  info.name = properties.name;
  info.id = device_id(properties, index);
  info.architecture = architecture(properties);
  info.driver = driver();
  info.runtime = runtime();
  info.memory_bytes = properties.totalGlobalMem;
  info.cache_bytes =
      std::max(static_cast<std::uint64_t>(properties.l2CacheSize), infinity_cache_bytes(info.architecture));
  info.compute_units = properties.multiProcessorCount;
  info.host_memory = properties.integrated != 0;
  return info;
}

int device_count() {
  int count = 0;
  const Status status = KQ_GPU(GetDeviceCount)(&count);
  static_cast<void>(KQ_GPU(GetLastError)());  // no device or no driver is an answer, not an error to find later
  return status == KQ_GPU(Success) ? count : 0;
}

std::string device_name(int index) {
  Properties properties;
  if (index < 0 || index >= device_count()) return {};
  if (KQ_GPU(GetDeviceProperties)(&properties, index) != KQ_GPU(Success)) return {};
  return properties.name;
}

std::string compiled_version() {
#if KQ_GPU_HIP
  return std::string(runtime_name) + ' ' + version_text(HIP_VERSION);
#else
  return std::string(runtime_name) + ' ' + version_text(CUDART_VERSION);
#endif
}

}  // namespace kqbench::gpu
