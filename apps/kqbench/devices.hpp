// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From names on the command line to an open device and the implementations on it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "backends/plugin/plugin.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/support/place.hpp"

namespace kqbench {

/// The backend of that name, or the best there is. Throws UsageError for a name that is none, and DeviceError where the
/// backend is not built in, has no device, or cannot open this one.
std::unique_ptr<Device> open_device(const std::optional<std::string>& backend, const DeviceOptions& options);

/// What does that: open_device, or a test's own.
using DeviceOpener =
    std::function<std::unique_ptr<Device>(const std::optional<std::string>& backend, const DeviceOptions& options)>;

/// The device of a rank, of `count` that it sees: that of its local rank, or the only one, as a launcher that shows
/// each rank one device has chosen already. Throws UsageError if there are several and none for this rank.
int device_of_rank(const JobPlace& place, std::string_view backend, int count);

/// Opens what the options name; without --backend that of the plug-ins, where all of them run on one, and without
/// --device the device_of_rank. Throws as that and open_device do.
std::unique_ptr<Device> open_by(const DeviceOpener& open, const DeviceArguments& arguments, const JobPlace& place,
                                const std::vector<PluginKernel>& plugins = {});

/// Implementations by name, in the order given. With `wanted` empty those of `usual` that are there. Throws UsageError
/// for a name that is missing on this device, and DeviceError if nothing is left.
std::vector<Implementation*> choose_implementations(const Device& device, const std::vector<std::string>& wanted,
                                                    const std::vector<std::string>& usual);

}  // namespace kqbench
