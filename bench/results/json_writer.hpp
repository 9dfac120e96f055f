// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The result file as JSON.

#include <string>
#include <string_view>

#include "bench/results/result.hpp"

namespace kqbench {

/// What this program writes. The reader (json_reader.hpp) takes this version and older ones.
inline constexpr std::string_view result_schema_name = "kqbench";
inline constexpr int result_schema_version = 1;

/// UTF-8, ends with a newline; each row is a line of its own, so that files can be searched and compared by lines.
std::string to_json(const ResultFile& result);

}  // namespace kqbench
