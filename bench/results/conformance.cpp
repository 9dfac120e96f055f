// SPDX-License-Identifier: Apache-2.0
#include "bench/results/conformance.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>
#include <span>

#include "bench/results/grid.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/input_file.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* schema = "kqbench-conformance/1";
constexpr std::uint64_t most_file_bytes = std::uint64_t{16} << 20;

/// A table with more rows than this is folded on a page.
constexpr std::size_t most_open_rows = 24;

/// "1,234,567".
std::string with_commas(std::int64_t count) {
  std::string digits = std::to_string(count);
  for (std::size_t end = digits.size(); end > 3; end -= 3)
    digits.insert(end - 3, 1, ',');
  return digits;
}

std::string cases_text(std::int64_t cases) {
  return with_commas(cases) + (cases == 1 ? " case" : " cases");
}

std::string text_of(const ConformanceCell& cell) {
  if (cell.cases == 0) return cell.refused == 0 ? "" : "not served";
  const std::string refused = cell.refused == 0 ? "" : fmt::format(", {} not served", with_commas(cell.refused));
  if (cell.wrong != 0) return fmt::format("{} of {} wrong{}", with_commas(cell.wrong), cases_text(cell.cases), refused);
  return fmt::format("exact: {}, {} codes{}", cases_text(cell.cases), with_commas(cell.codes), refused);
}

/// "…; interrupted, …" where it was.
std::string heading(const ConformanceTable& table) {
  return table.device + (table.complete ? "" : "; interrupted, not all cases were run");
}

std::int64_t count_of(const Json& cell, const char* name) {
  if (!cell.at(name).is_number_integer()) throw std::out_of_range(name);
  const auto count = cell.at(name).get<std::int64_t>();
  if (count < 0) throw std::out_of_range(name);
  return count;
}

/// A text that can stand in a table's cell: nothing in it ends the cell or rules the terminal.
std::string cell_text(const Json& text) {
  auto cell = text.get<std::string>();
  if (cell.find_first_of("|<") != std::string::npos || printable(cell, true) != cell) throw std::out_of_range("text");
  return cell;
}

/// A cell's text as Markdown, without links, code or emphasis. Underscores stay, since they stand within words, as in
/// fp8_e4m3fn, where Markdown ignores them.
std::string markdown_of(const std::string& cell) {
  return markdown_text(cell, "\\`*[]<>|");
}

ConformanceTable table_of(const Json& json) {
  ConformanceTable table;
  table.device = cell_text(json.at("device"));
  table.complete = json.at("complete").get<bool>();
  for (const Json& name : json.at("implementations"))
    table.implementations.push_back(cell_text(name));
  // So that no row has more cells than it names.
  const std::set<std::string> names(table.implementations.begin(), table.implementations.end());
  if (names.size() != table.implementations.size()) throw std::out_of_range("implementations");
  for (const Json& of_row : json.at("rows")) {
    ConformanceTable::Row row{cell_text(of_row.at("dialect")),
                              cell_text(of_row.at("scheme")),
                              cell_text(of_row.at("quant_dtype")),
                              cell_text(of_row.at("scale_format")),
                              {}};
    for (const std::string& name : table.implementations) {
      const Json& cell = of_row.at("implementations").at(name);
      row.cells.push_back(
          {count_of(cell, "cases"), count_of(cell, "codes"), count_of(cell, "wrong"), count_of(cell, "not_served")});
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace

std::string ConformanceTable::markdown() const {
  std::string text = markdown_of(heading(*this)) + "\n\n| dialect | scheme | codes | scales |";
  std::string rule = "| --- | --- | --- | --- |";
  for (const std::string& name : implementations) {
    text += fmt::format(" {} |", markdown_of(name));
    rule += " --- |";
  }
  text += '\n' + rule + '\n';
  for (const Row& row : rows) {
    text += fmt::format("| {} | {} | {} | {} |", markdown_of(row.dialect), markdown_of(row.scheme),
                        markdown_of(row.codes), markdown_of(row.scales));
    for (const ConformanceCell& cell : row.cells) {
      text += cell.wrong == 0 ? fmt::format(" {} |", text_of(cell)) : fmt::format(" **{}** |", text_of(cell));
    }
    text += '\n';
  }
  return text;
}

std::string ConformanceTable::json() const {
  Json json = {{"schema", schema},
               {"complete", complete},
               {"device", device},
               {"implementations", implementations},
               {"rows", Json::array()}};
  for (const Row& row : rows) {
    Json of_row = {
        {"dialect", row.dialect}, {"scheme", row.scheme}, {"quant_dtype", row.codes}, {"scale_format", row.scales}};
    for (std::size_t i = 0; i < implementations.size(); ++i) {
      const ConformanceCell& cell = row.cells[i];
      of_row["implementations"][implementations[i]] = {
          {"cases", cell.cases}, {"codes", cell.codes}, {"wrong", cell.wrong}, {"not_served", cell.refused}};
    }
    json["rows"].push_back(std::move(of_row));
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + '\n';
}

void ConformanceTable::write_html(std::ostream& out) const {
  std::vector<Column> columns = {{"dialect"}, {"scheme"}, {"codes"}, {"scales"}};
  for (const std::string& name : implementations)
    columns.push_back({name});
  Grid grid(std::move(columns));
  for (const Row& row : rows) {
    std::vector<Cell> line = {row.dialect, row.scheme, row.codes, row.scales};
    for (const ConformanceCell& cell : row.cells) {
      const Paint paint = cell.wrong != 0 ? Paint::bad : (cell.cases != 0 ? Paint::good : Paint::plain);
      line.emplace_back(text_of(cell), paint);
    }
    grid.add(std::move(line));
  }
  const auto is_wrong = [](const Row& row) {
    return std::any_of(row.cells.begin(), row.cells.end(), [](const ConformanceCell& cell) { return cell.wrong != 0; });
  };
  const auto wrong = std::count_if(rows.begin(), rows.end(), is_wrong);
  const bool folded = rows.size() > most_open_rows;
  out << "<p class=\"soft\">" << html_text(heading(*this)) << "</p>\n";
  if (folded && wrong == 0) out << fmt::format("<details>\n<summary>{} rows, none wrong</summary>\n", rows.size());
  if (folded && wrong != 0) {
    out << fmt::format("<details open>\n<summary>{} rows, {} wrong</summary>\n", rows.size(), wrong);
  }
  out << "<div class=\"wide\">\n";
  grid.write_html(out);
  out << "</div>\n" << (folded ? "</details>\n" : "");
}

ConformanceTable parse_conformance(std::string_view text, const std::string& name) {
  const auto refuse = [&](const char* what) -> UsageError {
    return UsageError(fmt::format("{}: {}; give a file that verify --json wrote", name, what));
  };
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw refuse("is no JSON, or cut short");
  if (!json.is_object() || json.value("schema", Json()) != schema) throw refuse("is no table of conformance");
  try {
    return table_of(json);
  } catch (const std::exception&) {
    throw refuse("lacks a member, or has one that cannot be");
  }
}

ConformanceTable read_conformance_file(const std::filesystem::path& path) {
  const InputFile file(path);
  if (file.size() > most_file_bytes) {
    throw UsageError(
        fmt::format("{}: is too large for a table of conformance; give a file that verify --json wrote", file.name()));
  }
  std::string text(static_cast<std::size_t>(file.size()), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  return parse_conformance(text, file.name());
}

ConformanceCell& Conformance::cell(const kq::Request& r, const std::string& implementation) {
  return rows_[{r.dialect, !r.static_scale, r.granularity, r.asymmetric, r.format, r.scale_format}][implementation];
}

void Conformance::add(const kq::Request& request, const std::string& implementation, std::int64_t codes, bool right) {
  ConformanceCell& found = cell(request, implementation);
  ++found.cases;
  found.codes += codes;
  found.wrong += right ? 0 : 1;
}

void Conformance::add_refused(const kq::Request& request, const std::string& implementation) {
  ++cell(request, implementation).refused;
}

ConformanceTable Conformance::table(std::string device, bool complete) const {
  ConformanceTable table{std::move(device), complete, implementations_, {}};
  for (const auto& [key, cells] : rows_) {
    std::string granularity = kq::to_string(key.granularity, 0);
    granularity.resize(std::min(granularity.find(':'), granularity.size()));
    ConformanceTable::Row row{
        std::string(kq::to_string(key.dialect)),
        fmt::format("{} {}{}", key.dynamic ? "dynamic" : "static", granularity, key.asymmetric ? " asymmetric" : ""),
        std::string(kq::to_string(key.format)),
        std::string(kq::to_string(key.scale_format)),
        {}};
    for (const std::string& name : implementations_) {
      const auto found = cells.find(name);
      row.cells.push_back(found == cells.end() ? ConformanceCell() : found->second);
    }
    table.rows.push_back(std::move(row));
  }
  return table;
}

}  // namespace kqbench
