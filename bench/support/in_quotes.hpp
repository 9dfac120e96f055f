// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Text from files and arguments, made fit for a message.

#include <string>
#include <string_view>

namespace kqbench {

/// `text` with control and non-ASCII bytes as \xNN: whatever a file or an argument holds, a message about it stays one
/// line.
std::string printable(std::string_view text);

/// Printable text in single quotes, cut to 200 characters.
std::string in_quotes(std::string_view text);

}  // namespace kqbench
