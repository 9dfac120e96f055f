// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A comparison as text, Markdown, CSV and JSON.

#include <iosfwd>
#include <string>
#include <vector>

#include "bench/results/comparison.hpp"
#include "bench/results/grid.hpp"

namespace kqbench {

/// A line for each scheme and series.
Grid summary_grid(const Comparison& comparison);

void write_comparison_text(std::ostream& out, const std::vector<NamedResult>& files, const Comparison& comparison,
                           bool color);
void write_comparison_markdown(std::ostream& out, const std::vector<NamedResult>& files, const Comparison& comparison);

/// Column headings, then a line for each compared row, then for each that could not be, then for each line of the
/// summary: `status` tells them apart.
std::string comparison_csv(const std::vector<NamedResult>& files, const Comparison& comparison);

/// Schema "kqbench-comparison/1": the margin of the verdicts, remarks (what to know before any ratio is believed),
/// files, rows, summary, unmatched, missing and failed rows. `significant` and `ci95` are null where there are too few
/// samples for an interval; then `verdict` is "ambiguous". `threads` is null where no thread of the host works, or no
/// file tells.
std::string comparison_json(const std::vector<NamedResult>& files, const Comparison& comparison);

}  // namespace kqbench
