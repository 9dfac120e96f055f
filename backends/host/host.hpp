// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The machine's own processors as a Backend.

#include "backends/backend.hpp"

namespace kqbench {

Backend host_backend();

}  // namespace kqbench
