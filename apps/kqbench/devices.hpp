// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From names on the command line to an open device and the implementations on it.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.hpp"

namespace kqbench {

/// The backend of that name, or the best there is. Throws UsageError for a name that is none, and DeviceError where the
/// backend is not built in, has no device, or cannot open this one.
std::unique_ptr<Device> open_device(const std::optional<std::string>& backend, const DeviceOptions& options);

/// What does that: open_device, or a test's own.
using DeviceOpener =
    std::function<std::unique_ptr<Device>(const std::optional<std::string>& backend, const DeviceOptions& options)>;

/// Implementations by name, in the order given. With `wanted` empty those of `usual` that are there. Throws UsageError
/// for a name that is missing on this device, and DeviceError if nothing is left.
std::vector<Implementation*> choose_implementations(const Device& device, const std::vector<std::string>& wanted,
                                                    const std::vector<std::string>& usual);

}  // namespace kqbench
