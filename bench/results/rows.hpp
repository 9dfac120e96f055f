// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From what was measured to rows of a result file.

#include <string>
#include <vector>

#include "bench/measure/ceiling.hpp"
#include "bench/measure/measurement.hpp"
#include "bench/results/result.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// A cold row above this fraction of the ceiling is suspect.
inline constexpr double suspect_fraction = 1.05;

/// One row an implementation; those that were interrupted before their first sample are left out.
std::vector<Row> rows_of(const GroupMeasurement& group, const kq::Request& request, const std::string& backend,
                         Timing timing, Launch launch, const Ceilings& ceilings);

/// The row of an implementation that was never launched here, and why. What it would have been timed by is not set.
Row failed_row(const kq::Request& request, const std::string& implementation, const std::string& failure);

}  // namespace kqbench
