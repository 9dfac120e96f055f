// SPDX-License-Identifier: Apache-2.0

#include "backends/hip/hip.hpp"

#include "backends/gpu/device.hpp"

namespace kqbench {

Backend hip_backend() {
  Backend backend;
  backend.name = "hip";
  backend.built = true;
  backend.version = gpu::compiled_version();
  backend.device_count = gpu::device_count;
  backend.device_name = gpu::device_name;
  backend.open = gpu::open_device;
  return backend;
}

}  // namespace kqbench
