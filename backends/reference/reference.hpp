// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The reference as an Implementation, so that it can be chosen and timed like any other. `kqbench::reference` in
/// backends/backend.hpp is the same computation on plain memory.

#include <memory>

#include "backends/backend.hpp"

namespace kqbench {

/// The reference on host memory. It works when enqueued, in as many threads as the machine has, and allocates.
std::unique_ptr<Implementation> make_reference_implementation();

}  // namespace kqbench
