// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// NVIDIA GPUs as a Backend.

#include "backends/backend.hpp"

namespace kqbench {

Backend cuda_backend();

}  // namespace kqbench
