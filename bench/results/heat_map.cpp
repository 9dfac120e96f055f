// SPDX-License-Identifier: Apache-2.0
#include "bench/results/heat_map.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <ostream>
#include <set>
#include <utility>

#include "bench/results/canary.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/ratio.hpp"
#include "bench/results/row_text.hpp"

namespace kqbench {

// Blue and orange are told apart by nearly everybody; the cells' numbers say the same.
const char* const heat_map_style = R"css(
.heat td { text-align: right; padding: 0.2rem 0.7rem; } .heat thead th { text-align: right; }
.heat thead th:first-child { text-align: left; }
.heat { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.f1 { background: rgba(0,114,178,0.15); } .f2 { background: rgba(0,114,178,0.32); } .f3 { background: rgba(0,114,178,0.55); }
.s1 { background: rgba(213,94,0,0.15); } .s2 { background: rgba(213,94,0,0.32); } .s3 { background: rgba(213,94,0,0.55); }
)css";

namespace {

/// What goes into a cell.
struct Gathered {
  std::vector<Ratio> ratios;
  std::set<std::string> names;
};

using Cells = std::map<std::string, std::map<std::int64_t, Gathered>>;  // by scheme, by tokens

std::string row_title(const Row& row, bool one_protocol) {
  const std::string text = fmt::format("{} from {}", scheme_text(row.request), kq::to_string(row.request.element));
  return one_protocol ? text : text + ", " + protocol_text(row);
}

/// The schemes in their order of appearance, with a row of each.
using Schemes = std::vector<std::pair<std::string, const Row*>>;

HeatMap finished(std::string title, const Schemes& order, const Cells& cells) {
  std::set<std::int64_t> tokens;
  for (const auto& [scheme, by_tokens] : cells) {
    for (const auto& [count, gathered] : by_tokens)
      tokens.insert(count);
  }
  HeatMap map{std::move(title), {tokens.begin(), tokens.end()}, {}};
  for (const auto& [scheme, example] : order) {
    const auto found = cells.find(scheme);
    if (found == cells.end()) continue;
    HeatRow row{scheme, example, {}};
    for (const std::int64_t count : map.tokens) {
      const auto cell = found->second.find(count);
      if (cell == found->second.end()) {
        row.cells.emplace_back();
        continue;
      }
      const Gathered& gathered = cell->second;
      row.cells.push_back(HeatCell{geometric_mean(gathered.ratios).value, gathered.ratios.size(),
                                   fmt::format("{}", fmt::join(gathered.names, ", "))});
    }
    map.rows.push_back(std::move(row));
  }
  return map;
}

void add(Cells& cells, const std::string& scheme, const ComparedRow& row) {
  Gathered& gathered = cells[scheme][row.row->request.num_tokens];
  gathered.ratios.push_back(row.ratio);
  gathered.names.insert(label(row.series));
}

/// The colour's class: further from 1 by more than 2 %, 10 %, 50 %, either way.
const char* heat_class(double ratio) {
  const double times = std::max(ratio, 1.0 / ratio);
  if (times <= 1.02) return "";
  const bool faster = ratio < 1.0;
  if (times <= 1.1) return faster ? " class=\"f1\"" : " class=\"s1\"";
  if (times <= 1.5) return faster ? " class=\"f2\"" : " class=\"s2\"";
  return faster ? " class=\"f3\"" : " class=\"s3\"";
}

}  // namespace

std::vector<HeatMap> heat_maps(const Comparison& comparison) {
  std::set<std::string> protocols;
  for (const ComparedRow& row : comparison.rows)
    protocols.insert(protocol_text(*row.row));
  const bool one_protocol = protocols.size() == 1;
  Schemes order;
  std::map<std::string, Cells> native;  // by title
  std::map<std::string, std::map<const Row*, const ComparedRow*>> rivals;
  for (const ComparedRow& row : comparison.rows) {
    if (row.baseline.impl != "kokkos") continue;
    const std::string scheme = row_title(*row.row, one_protocol);
    const auto is_it = [&](const auto& known) { return known.first == scheme; };
    if (std::none_of(order.begin(), order.end(), is_it)) order.emplace_back(scheme, row.row);
    if (row.series.impl == "native") {
      add(native[label(row.series) + " over " + label(row.baseline)], scheme, row);
    } else if (is_peer(row.series.impl)) {
      const ComparedRow*& fastest = rivals["The fastest peer over " + label(row.baseline)][row.baseline_row];
      if (fastest == nullptr || row.ratio.value < fastest->ratio.value) fastest = &row;
    }
  }
  std::vector<HeatMap> maps;
  for (const auto& [title, rows] : rivals) {
    Cells cells;
    for (const auto& [baseline, row] : rows)
      add(cells, row_title(*row->row, one_protocol), *row);
    maps.push_back(finished(title, order, cells));
  }
  for (const auto& [title, cells] : native)
    maps.push_back(finished(title, order, cells));
  return maps;
}

void write_heat_maps_html(std::ostream& out, const std::vector<HeatMap>& maps, const ClassesOf& classes_of) {
  if (maps.empty()) return;
  out << "<p class=\"soft\">Time over Kokkos' time, by tokens and scheme; a cell is the geometric mean over hidden "
         "sizes. Blue: faster than Kokkos, orange: slower, in three steps from 2 %, 10 % and 50 %.</p>\n";
  for (const HeatMap& map : maps) {
    out << "<div class=\"wide\">\n<table class=\"heat\">\n<caption>" << html_text(map.title)
        << "</caption>\n<thead><tr><th scope=\"col\">scheme \\ tokens</th>";
    for (const std::int64_t tokens : map.tokens)
      out << fmt::format("<th scope=\"col\">{}</th>", tokens);
    out << "</tr></thead>\n<tbody>\n";
    for (const HeatRow& row : map.rows) {
      out << (classes_of ? fmt::format("<tr class=\"{}\">", classes_of(*row.row)) : "<tr>");
      out << "<th scope=\"row\">" << html_text(row.scheme) << "</th>";
      for (const std::optional<HeatCell>& cell : row.cells) {
        if (!cell) {
          out << "<td aria-label=\"not timed\"></td>";
          continue;
        }
        out << fmt::format("<td{} title=\"{}: {:.3f}, {} shape{}\">{:.2f}</td>", heat_class(cell->ratio),
                           html_text(cell->fastest), cell->ratio, cell->shapes, cell->shapes == 1 ? "" : "s",
                           cell->ratio);
      }
      out << "</tr>\n";
    }
    out << "</tbody>\n</table>\n</div>\n";
  }
}

}  // namespace kqbench
