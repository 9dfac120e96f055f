// SPDX-License-Identifier: Apache-2.0
#include "tests/support/implementations.hpp"

#include <memory>

namespace kqbench::test {
namespace {

/// Devices stay open for as long as the program runs.
struct Opened {
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<Candidate> candidates;

  Device& open(const Backend& backend, const DeviceOptions& options) {
    devices.push_back(backend.open(options));
    return *devices.back();
  }

  Opened() {
    for (const Backend& backend : backends()) {
      if (!backend.built || backend.device_count() == 0) continue;
      Device& device = open(backend, {});
      for (const auto& implementation : device.implementations()) {
        candidates.push_back(
            {std::string(backend.name) + ' ' + std::string(implementation->name()), &device, implementation.get()});
      }
      if (backend.name == "host") add_three_threads(backend);
    }
  }

  void add_three_threads(const Backend& host) try {
    DeviceOptions options;
    options.host_threads = 3;
    Device& device = open(host, options);
    for (const auto& implementation : device.implementations()) {
      if (implementation->name() == "native") {
        candidates.push_back({"host native, 3 threads", &device, implementation.get()});
      }
    }
  } catch (const DeviceError&) {  // built without OpenMP: the host has one thread
  }
};

}  // namespace

const std::vector<Candidate>& candidates() {
  static const Opened opened;
  return opened.candidates;
}

}  // namespace kqbench::test
