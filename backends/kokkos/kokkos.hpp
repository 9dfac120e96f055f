// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The portable kernels as an Implementation, for whichever devices Kokkos was built.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backends/backend.hpp"

namespace kqbench {

/// Kokkos's version and the execution space it offers that backend ("Kokkos 3.4.1, Serial"), or an empty string.
std::string kokkos_description(std::string_view backend);

/// Why there is no "kokkos" implementation for a backend, in one line; nothing if there is one.
std::optional<std::string> kokkos_missing(std::string_view backend);

/// Threads that Kokkos's host execution space uses; host_threads 0 leaves the choice to Kokkos. Starts Kokkos.
int kokkos_host_concurrency(const DeviceOptions& options);

/// The portable kernels on a backend's device, working on `native_stream` (cudaStream_t or hipStream_t, ignored on the
/// host). Kokkos is started at first use, on that device, and stopped when the program ends; a program that wants
/// another device afterwards gets a DeviceError.
std::unique_ptr<Implementation> make_kokkos_implementation(std::string_view backend, const DeviceOptions& options,
                                                           void* native_stream);

// Regions with a name, which nest, for Kokkos Tools to see. Without a tool, or before Kokkos is started, they do
// nothing.
void push_kokkos_region(const char* name);
void pop_kokkos_region();

}  // namespace kqbench
