// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/option_message.hpp"

#include <cctype>
#include <string_view>
#include <vector>

#include "kq/parameters.hpp"

namespace kqbench {

std::string option_message(const kq::InvalidField& invalid) {
  std::string text = invalid.reason;
  for (const kq::Parameter& parameter : kq::parameters()) {
    // A name of one word, "asymmetric", may be an ordinary word: it is an option after "add" or "leave out" only.
    const bool plain = parameter.name.find('_') == std::string_view::npos;
    const std::vector<std::string_view> before =
        plain ? std::vector<std::string_view>{"add ", "leave out "} : std::vector<std::string_view>{""};
    for (const std::string_view verb : before) {
      const std::string told = std::string(verb) + std::string(parameter.name);
      for (std::size_t at = text.find(told); at != std::string::npos; at = text.find(told, at + 1)) {
        const std::size_t end = at + told.size();
        const auto is_of_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
        if ((at > 0 && is_of_word(text[at - 1])) || (end < text.size() && is_of_word(text[end]))) continue;
        const std::string option = std::string(verb) + kq::option_name(parameter);
        text.replace(at, told.size(), option);
        at += option.size() - 1;
      }
    }
  }
  return kq::option_of_field(invalid.field) + ": " + text;
}

}  // namespace kqbench
