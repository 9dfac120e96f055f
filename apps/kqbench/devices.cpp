// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/devices.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

const Backend& choose_backend(const std::optional<std::string>& name) {
  if (!name) return best_backend();
  if (const Backend* backend = find_backend(*name)) return *backend;
  throw UsageError(fmt::format("--backend: {} is not known; give {}", in_quotes(*name), backend_names()));
}

Implementation* find_implementation(const Device& device, std::string_view name) {
  for (const auto& implementation : device.implementations()) {
    if (implementation->name() == name) return implementation.get();
  }
  return nullptr;
}

std::string names_on(const Device& device) {
  std::vector<std::string_view> names;
  for (const auto& implementation : device.implementations()) {
    names.push_back(implementation->name());
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

std::unique_ptr<Device> open_device(const std::optional<std::string>& name, const DeviceOptions& options) {
  const Backend& backend = choose_backend(name);
  if (!backend.built) {
    throw DeviceError(
        fmt::format("--backend {}: not built into this program; `kqbench list` shows what is, docs/building.md "
                    "how to build with it",
                    backend.name));
  }
  const int count = backend.device_count();
  if (count == 0) {
    throw DeviceError(fmt::format("--backend {}: no device or no driver was found; `kqbench list` shows what there is",
                                  backend.name));
  }
  if (options.index >= count) {
    throw UsageError(fmt::format("--device: {} is not there; {} has {} device{}, counted from 0", options.index,
                                 backend.name, count, count == 1 ? "" : "s"));
  }
  return backend.open(options);
}

int device_of_rank(const JobPlace& place, std::string_view backend, int count) {
  const int local_rank = place.local_rank.value_or(0);
  if (local_rank < count) return local_rank;
  if (count <= 1) return 0;
  throw UsageError(
      fmt::format("--device: local rank {} ({}) has no device of its own, {} has {}; start no more ranks on a node, or "
                  "give --device",
                  local_rank, place.local_rank_name, backend, count));
}

std::unique_ptr<Device> open_by(const DeviceOpener& open, const DeviceArguments& arguments, const JobPlace& place,
                                const std::vector<PluginKernel>& plugins) {
  std::optional<std::string> name = arguments.backend();
  const auto runs_elsewhere = [&](const PluginKernel& kernel) { return kernel.backend != plugins.front().backend; };
  if (!name && !plugins.empty() && std::none_of(plugins.begin(), plugins.end(), runs_elsewhere)) {
    name = plugins.front().backend;
  }
  int index = arguments.device().value_or(0);
  if (!arguments.device() && place.local_rank.value_or(0) > 0) {
    const Backend& backend = choose_backend(name);
    index = device_of_rank(place, backend.name, backend.built ? backend.device_count() : 0);
  }
  return open(name, {index, arguments.host_threads()});
}

std::vector<Implementation*> choose_implementations(const Device& device, const std::vector<std::string>& wanted,
                                                    const std::vector<std::string>& usual) {
  std::vector<Implementation*> chosen;
  for (const std::string& name : wanted.empty() ? usual : wanted) {
    if (Implementation* implementation = find_implementation(device, name)) {
      chosen.push_back(implementation);
    } else if (!wanted.empty()) {
      const std::optional<std::string> why = device.why_missing(name);
      throw UsageError(fmt::format("--impl: there is no {} on the {} backend{}; it has {}", in_quotes(name),
                                   device.info().backend, why ? " (" + *why + ")" : "", names_on(device)));
    }
  }
  if (chosen.empty()) {
    throw DeviceError(fmt::format("the {} backend has none of the implementations {}; it has {}", device.info().backend,
                                  fmt::join(usual, ", "), names_on(device)));
  }
  return chosen;
}

}  // namespace kqbench
