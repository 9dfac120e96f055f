// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Hand-written C++ for the host's processors: what the portable kernels are compared with there.

#include <memory>

#include "backends/backend.hpp"

namespace kqbench {

/// Serves every request, with `threads` threads.
std::unique_ptr<Implementation> make_native_host_implementation(int threads);

}  // namespace kqbench
