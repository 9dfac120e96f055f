// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// AMD GPUs as a Backend.

#include "backends/backend.hpp"

namespace kqbench {

Backend hip_backend();

}  // namespace kqbench
