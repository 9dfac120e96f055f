// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Comma-separated values as RFC 4180 has them, but with line feeds alone.

#include <string>
#include <string_view>
#include <vector>

#include "bench/results/result.hpp"

namespace kqbench {

/// One line with its line feed: fields that need quotes get them.
std::string csv_line(const std::vector<std::string>& fields);

/// The rows under one line of headings: every figure of the JSON but the samples and the rounds, at full precision.
/// What is absent is empty.
std::string to_csv(const ResultFile& result);

}  // namespace kqbench
