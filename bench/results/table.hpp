// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The rows of a run for people: on a terminal, and as Markdown.

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "bench/results/grid.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

using ClassesOf = std::function<std::string(const Row& row)>;

/// A line for each row, a section for each operation with its types, timing and cache; with HTML classes for both.
Grid results_grid(const ResultFile& result, const ClassesOf& of_section = {}, const ClassesOf& of_line = {});

/// What a table cannot say in a cell, a line each: what its signs mean where they occur, and what failed.
std::vector<std::string> result_remarks(const ResultFile& result);

/// At most 100 columns wide, whatever the rows. Each section has one operation and its types in the title, with the
/// timing and cache that its figures are of. Signs beside `ok` are explained below the table where they occur.
void write_table(std::ostream& out, const ResultFile& result, bool color = false);

/// The context, then the same table, as Markdown.
void write_markdown(std::ostream& out, const ResultFile& result);

}  // namespace kqbench
