// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What people read of a run's context.

#include <string>
#include <utility>
#include <vector>

#include "bench/results/result.hpp"

namespace kqbench {

/// Name and value, such as "Device", "NVIDIA H200 (sm_90), 139.8 GiB"; what nothing told is left out.
std::vector<std::pair<std::string, std::string>> context_facts(const Context& context);

/// One line: "NVIDIA H200, CUDA 13.0, driver 580.82, kqbench 0.1.0 (1a2b3c4), 2026-11-23T14:00:00Z".
std::string context_line(const Context& context);

}  // namespace kqbench
