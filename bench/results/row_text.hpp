// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What people read of a row, the same in every table.

#include <optional>
#include <string>

#include "bench/results/grid.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

std::string shape_text(const kq::Request& request);   ///< "4096x8192", num_tokens first
std::string scheme_text(const kq::Request& request);  ///< "dynamic token fp8_e4m3fn"

/// Scheme, element type, and whatever else is not the default: "dynamic token int8 from half, row stride 8256".
std::string work_text(const kq::Request& request);

/// "graph timing, cold cache", "graph timing, overlapped launches, cold cache".
std::string protocol_text(const Row& row);

std::string microseconds_text(double microseconds);                         ///< "26.540"
Cell half_width_cell(const Row& row);                                       ///< of a timed row's interval: "0.2%"
std::string percent_text(const std::optional<double>& fraction);            ///< "89.1%", or "-"
std::string number_text(const std::optional<double>& value, int decimals);  ///< "1.012", or "-"
Cell verdict_cell(const Row& row);                                          ///< "ok", "FAILED", "12% differ", …

/// True if sampling ended before the interval was as narrow as was asked for; then half_width_cell has an asterisk.
bool is_unsettled(const Row& row);

/// True if a timed row has too few samples for an interval; then half_width_cell has their number, "n=3".
bool has_few_samples(const Row& row);

/// True of a row of another project whose codes were not compared with kqbench's.
bool is_unchecked(const Row& row);

}  // namespace kqbench
