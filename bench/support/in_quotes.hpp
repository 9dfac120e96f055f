// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Text from files and arguments, made fit for a message.

#include <string>
#include <string_view>

namespace kqbench {

/// True if the user's locale (LC_ALL, LC_CTYPE, LANG) says that text is UTF-8, and is installed.
bool locale_is_utf8();

/// `text` with some bytes as \xNN, so that whatever a file or an argument holds, a message about it stays one line and
/// shows which bytes it holds. These are control characters (of Unicode too, and those that change a line's direction),
/// what is not UTF-8, and unless `utf8` all that is not ASCII.
std::string printable(std::string_view text, bool utf8 = locale_is_utf8());

/// Printable text in single quotes, cut to at most 200 bytes, between two characters.
std::string in_quotes(std::string_view text, bool utf8 = locale_is_utf8());

}  // namespace kqbench
