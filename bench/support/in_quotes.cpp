// SPDX-License-Identifier: Apache-2.0
#include "bench/support/in_quotes.hpp"

#include <fmt/format.h>
#include <langinfo.h>
#include <locale.h>  // NOLINT: newlocale is POSIX's, not <clocale>'s

#include <algorithm>
#include <cstdint>

namespace kqbench {
namespace {

/// The character that a text begins with, as Unicode 15.0 (table 3-7) allows it: no overlong form, no surrogate.
struct Character {
  std::uint32_t code = 0;
  std::size_t bytes = 0;  ///< 0: the text does not begin with one
};

Character first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::uint32_t lead = byte(0);
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (bytes == 0 || text.size() < bytes) return {};
  std::uint32_t code = lead & (0xffu >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0u) != 0x80u) return {};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  const bool overlong = (bytes == 3 && code < 0x800) || (bytes == 4 && code < 0x10000);
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  return overlong || surrogate || code > 0x10ffff ? Character{} : Character{code, bytes};
}

/// Control characters, those that end a line, and those that set its direction.
bool is_control(std::uint32_t code) {
  const auto within = [code](std::uint32_t first, std::uint32_t last) { return code >= first && code <= last; };
  return code < 0x20 || within(0x7f, 0x9f) || code == 0x61c || within(0x200e, 0x200f) || within(0x2028, 0x202e) ||
         within(0x2066, 0x2069);
}

}  // namespace

bool locale_is_utf8() {
  static const bool utf8 = [] {
    locale_t const locale = ::newlocale(LC_CTYPE_MASK, "", nullptr);
    if (locale == nullptr) return false;
    const bool is = std::string_view(::nl_langinfo_l(CODESET, locale)) == "UTF-8";
    ::freelocale(locale);
    return is;
  }();
  return utf8;
}

std::string printable(std::string_view text, bool utf8) {
  std::string out;
  while (!text.empty()) {
    const Character first = first_character(text);
    const std::size_t bytes = utf8 && first.bytes > 1 ? first.bytes : 1;
    const bool shown = first.bytes == bytes && !is_control(first.code);
    for (const char c : text.substr(0, bytes)) {
      if (shown) {
        out += c;
      } else {
        out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      }
    }
    text.remove_prefix(bytes);
  }
  return out;
}

std::string in_quotes(std::string_view text, bool utf8) {
  constexpr std::size_t limit = 200;
  std::size_t end = std::min(text.size(), limit);
  if (utf8 && end < text.size()) {
    // Not within a character: that begins at most three bytes before.
    for (std::size_t back = 1; back <= 3; ++back) {
      const Character last = first_character(text.substr(end - back));
      if (last.bytes > back) {
        end -= back;
        break;
      }
    }
  }
  return '\'' + printable(text.substr(0, end), utf8) + (end < text.size() ? "...'" : "'");
}

}  // namespace kqbench
