// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the charts of a report show.

#include <optional>
#include <string>
#include <vector>

#include "bench/results/chart.hpp"
#include "bench/results/comparison.hpp"

namespace kqbench {

/// All that is drawn of one scheme, element type and timing.
struct SchemeCharts {
  std::string title;         ///< "dynamic token int8 from half"
  std::string protocol;      ///< "graph timing, cold cache"
  const Row* row = nullptr;  ///< one of them
  std::vector<Chart> charts;
};

/// For each scheme: share of the memory's ceiling and, where both were timed, Kokkos against native, over the bytes
/// that must move; then, for each hidden size, time over the number of tokens beside the least that the memory's
/// ceiling allows. What was not measured is not drawn.
std::vector<SchemeCharts> scheme_charts(const std::vector<NamedResult>& files);

/// The summary of a comparison: for each scheme, the geometric mean of each series' time as a multiple of the
/// baseline's. Nothing if that is empty.
std::optional<Chart> summary_chart(const std::vector<NamedResult>& files, const Comparison& comparison);

/// Elements quantized a second over elements a byte, for each scheme's fastest shape, under each device's memory
/// ceiling: a roofline, of which only the memory's slope is known. Nothing if no ceiling was measured.
std::optional<Chart> roofline(const std::vector<NamedResult>& files);

}  // namespace kqbench
