// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A report on result files: what was measured where, a summary, charts and every row.

#include <string>
#include <vector>

#include "bench/results/comparison.hpp"
#include "bench/results/conformance.hpp"

namespace kqbench {

/// One HTML page that loads nothing else and follows the reader's choice of light or dark. Of `options`, ignore_canary,
/// allow_unequal_threads and margin are used. `conformance`: tables of what is bit-exact, shown behind the charts.
/// Throws UsageError for a file whose canary does not agree (check_canaries), unless it is ignored, and SystemError if
/// gnuplot is missing or fails.
std::string report_html(const std::vector<NamedResult>& files, const ComparisonOptions& options = {},
                        const std::vector<ConformanceTable>& conformance = {});

/// The page as Markdown, without charts.
std::string report_markdown(const std::vector<NamedResult>& files, const ComparisonOptions& options = {},
                            const std::vector<ConformanceTable>& conformance = {});

}  // namespace kqbench
