// SPDX-License-Identifier: Apache-2.0

#include "backends/backend.hpp"
#include "backends/cuda/cuda.hpp"
#include "backends/hip/hip.hpp"
#include "backends/host/host.hpp"

namespace kqbench {
namespace {

/// A backend that this program was not built for: it is known by name, and says how to get it.
[[maybe_unused]] Backend unbuilt(std::string_view name, const std::string& option) {
  const std::string problem = "backend " + std::string(name) + " is not built in; configure with -D" + option + "=ON";
  Backend backend;
  backend.name = name;
  backend.built = false;
  backend.device_count = [] { return 0; };
  backend.device_name = [](int) { return std::string(); };
  backend.open = [problem](const DeviceOptions&) -> std::unique_ptr<Device> { throw DeviceError(problem); };
  return backend;
}

std::vector<Backend> make_backends() {
  return {
#if defined(KQBENCH_HAVE_CUDA)
    cuda_backend(),
#else
    unbuilt("cuda", "KQBENCH_CUDA"),
#endif
#if defined(KQBENCH_HAVE_HIP)
        hip_backend(),
#else
        unbuilt("hip", "KQBENCH_HIP"),
#endif
        host_backend(),
  };
}

}  // namespace

const std::vector<Backend>& backends() {
  static const std::vector<Backend> all = make_backends();
  return all;
}

std::string backend_names() {
  std::string names;
  for (const Backend& backend : backends()) {
    names += (names.empty() ? "" : ", ") + std::string(backend.name);
  }
  return names;
}

const Backend* find_backend(std::string_view name) {
  for (const Backend& backend : backends()) {
    if (backend.name == name) return &backend;
  }
  return nullptr;
}

const Backend& best_backend() {
  for (const Backend& backend : backends()) {
    if (backend.built && backend.device_count() > 0) return backend;
  }
  return backends().back();
}

}  // namespace kqbench
