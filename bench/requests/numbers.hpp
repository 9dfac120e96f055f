// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Numbers from the command line: all of the text or an error that names the option.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace kqbench {

/// Each throws UsageError, beginning with `option`, unless the whole text is one decimal number in the range.
std::int64_t parse_integer(std::string_view option, std::string_view text,
                           std::int64_t least = std::numeric_limits<std::int64_t>::min(),
                           std::int64_t most = std::numeric_limits<std::int64_t>::max());
std::uint64_t parse_unsigned(std::string_view option, std::string_view text);

/// Any float but NaN and the infinities; text that rounds to infinity is out of range.
float parse_float(std::string_view option, std::string_view text);
/// A float as parse_float reads it, or "inf": no bound.
float parse_upper_bound(std::string_view option, std::string_view text);
double parse_double(std::string_view option, std::string_view text);

/// The items of a list given as "a,b", as "a b" and by repeating the option, each once, in the order given. Throws
/// UsageError for an empty item.
std::vector<std::string> split_list(std::string_view option, const std::vector<std::string>& arguments);

/// Throws UsageError if a list of so many items has more than the one that a command takes.
void require_one_at_most(std::string_view option, std::size_t items);

}  // namespace kqbench
