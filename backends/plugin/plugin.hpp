// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Kernels of other projects as Implementations: shared libraries with the C interface of capi/kq_plugin.h.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "capi/kq_plugin.h"

namespace kqbench {

/// A kernel of a plug-in as it describes itself, checked. Its functions stay as long as the process: a library is never
/// unloaded, since CUDA's runtime in it may still have something to do when the process ends.
struct PluginKernel {
  kq_plugin c;          ///< as this program knows it: fields that the plug-in does not know are 0
  std::string library;  ///< the path that it was loaded from
  std::string name;
  std::string description;             ///< one line; empty if there is none
  std::string backend;                 ///< "host", "cuda" or "hip"
  std::optional<kq::Dialect> dialect;  ///< nothing: whatever a request asks for
};

/// Loads a library, and returns its kernels or the one named so. Runs code of it. Throws std::runtime_error, in one
/// line, if it cannot be loaded, is no plug-in, has no such kernel, or describes itself wrongly.
std::vector<PluginKernel> load_plugin(const std::string& path, const std::optional<std::string>& name);

/// The kernel at work on a device of its backend, on the device's stream. Where `asks_dialect` is false, requests of
/// another dialect than the kernel's are refused; where it is true the user chose the dialect, and only the kernel may
/// refuse. enqueue() throws DeviceError with what the kernel says has failed.
std::unique_ptr<Implementation> make_plugin_implementation(const PluginKernel& kernel, const Device& device,
                                                           bool asks_dialect);

}  // namespace kqbench
