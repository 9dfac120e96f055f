// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The rows of a run for people: on a terminal, and as Markdown.

#include <iosfwd>

#include "apps/kqbench/results/result.hpp"

namespace kqbench {

/// At most 100 columns wide, whatever the rows. Each section has one operation and its types in the title, with the
/// timing and cache that its figures are of. Signs beside `ok` are explained below the table where they occur.
void write_table(std::ostream& out, const ResultFile& result, bool color = false);

/// The setting, then the same table, as Markdown.
void write_markdown(std::ostream& out, const ResultFile& result);

}  // namespace kqbench
