// SPDX-License-Identifier: Apache-2.0
#include "bench/support/in_quotes.hpp"

#include <fmt/format.h>

namespace kqbench {

std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  constexpr std::size_t limit = 200;
  return '\'' + printable(text.substr(0, limit)) + (text.size() > limit ? "...'" : "'");
}

}  // namespace kqbench
