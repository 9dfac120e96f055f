// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// `kqbench run --profile`: something for a profiler to look at, and nothing else.

#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "bench/measure/measurement.hpp"
#include "bench/measure/problem.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// Each implementation serves the problem once between profiler start and stop, in a range named after both; what was
/// to be loaded or set up has been by launches before. Those launches also leave the cache as the timed ones of a sweep
/// find it: cold by a rotation over other copies, or hot. So a profiler should leave it alone (ncu's --cache-control
/// none). Returns a row each, checked but without times.
std::vector<Row> profile(Device& device, DeviceArena& arena, const Problem& problem,
                         const std::vector<Implementation*>& implementations, const MeasureOptions& options);

}  // namespace kqbench
