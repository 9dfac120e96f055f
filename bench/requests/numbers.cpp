// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

/// The number, or nothing if the text is anything else or out of the type's range.
template <class Number>
bool read(std::string_view text, Number& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

template <class Number>
Number parse_finite(std::string_view option, std::string_view text) {
  Number number{};
  if (!read(text, number) || !std::isfinite(number)) {
    throw UsageError(fmt::format("{}: {} is not a finite number that a {}-bit float can hold", option, in_quotes(text),
                                 8 * sizeof(Number)));
  }
  return number;
}

}  // namespace

std::int64_t parse_integer(std::string_view option, std::string_view text, std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  if (!read(text, number) || number < least || number > most) {
    const std::string range = most == std::numeric_limits<std::int64_t>::max()
                                  ? fmt::format("of {} or more", least)
                                  : fmt::format("from {} to {}", least, most);
    throw UsageError(fmt::format("{}: {} is not a whole number {}", option, in_quotes(text), range));
  }
  return number;
}

std::uint64_t parse_unsigned(std::string_view option, std::string_view text) {
  std::uint64_t number = 0;
  if (!read(text, number)) {
    throw UsageError(fmt::format("{}: {} is not a whole number from 0 to 2^64 - 1", option, in_quotes(text)));
  }
  return number;
}

float parse_float(std::string_view option, std::string_view text) {
  return parse_finite<float>(option, text);
}
float parse_upper_bound(std::string_view option, std::string_view text) {
  float number = 0.0f;
  return read(text, number) && number == std::numeric_limits<float>::infinity() ? number : parse_float(option, text);
}
double parse_double(std::string_view option, std::string_view text) {
  return parse_finite<double>(option, text);
}

std::vector<std::string> split_list(std::string_view option, const std::vector<std::string>& arguments) {
  std::vector<std::string> items;
  for (const std::string& argument : arguments) {
    std::size_t begin = 0;
    while (begin <= argument.size()) {
      const std::size_t end = std::min(argument.find(',', begin), argument.size());
      const std::string item = argument.substr(begin, end - begin);
      if (item.empty()) {
        throw UsageError(fmt::format("{}: {} has an empty item; give values separated by single commas", option,
                                     in_quotes(argument)));
      }
      if (std::find(items.begin(), items.end(), item) == items.end()) items.push_back(item);
      begin = end + 1;
    }
  }
  return items;
}

void require_one_at_most(std::string_view option, std::size_t items) {
  if (items > 1) throw UsageError(fmt::format("{}: takes one value here, not {}; leave out the others", option, items));
}

}  // namespace kqbench
