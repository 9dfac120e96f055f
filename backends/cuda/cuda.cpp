// SPDX-License-Identifier: Apache-2.0

#include "backends/cuda/cuda.hpp"

#include "backends/gpu/device.hpp"

namespace kqbench {

Backend cuda_backend() {
  Backend backend;
  backend.name = "cuda";
  backend.built = true;
  backend.version = gpu::compiled_version();
  backend.device_count = gpu::device_count;
  backend.device_name = gpu::device_name;
  backend.open = gpu::open_device;
  return backend;
}

}  // namespace kqbench
