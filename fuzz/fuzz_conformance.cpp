// SPDX-License-Identifier: Apache-2.0

// A file of `verify --json` of any contents is refused with one line, or is read: then what is written of it reads the
// same, and its pages have neither control characters nor elements of the file's.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>

#include "bench/results/conformance.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "fuzz/require.hpp"

namespace {

std::size_t lines_of(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

bool is_printable(std::string text) {
  std::erase(text, '\n');
  return kqbench::printable(text, true) == text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ConformanceTable table;
  try {
    table = parse_conformance(text, "'f'");
  } catch (const UsageError& error) {
    const std::string message = error.what();
    fuzz::require(message.starts_with("'f': ") && message.find('\n') == std::string::npos, "a message of one line");
    return 0;
  }
  std::size_t cells = 0;
  for (const ConformanceTable::Row& row : table.rows) {
    fuzz::require(row.cells.size() == table.implementations.size(), "a cell for every implementation");
    cells += row.cells.size();
  }
  fuzz::require(cells <= size, "no more cells than the file has");
  const std::string written = table.json();
  fuzz::require(parse_conformance(written, "what we wrote ourselves").json() == written,
                "what is written is read back");

  const std::string markdown = table.markdown();
  fuzz::require(lines_of(markdown) == table.rows.size() + 4 && is_printable(markdown), "a line for each row");
  std::ostringstream html;
  table.write_html(html);
  const std::string page = html.str();
  fuzz::require(is_printable(page), "a page without control characters");
  std::size_t shown = 0;
  for (std::size_t at = page.find("<td"); at != std::string::npos; at = page.find("<td", at + 1))
    ++shown;
  fuzz::require(shown == cells + 4 * table.rows.size(), "an element for each cell");
  return 0;
}
