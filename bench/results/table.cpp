// SPDX-License-Identifier: Apache-2.0
#include "bench/results/table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "bench/measure/statistics.hpp"
#include "bench/results/context_text.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/row_text.hpp"

namespace kqbench {
namespace {

std::vector<Cell> cells_of(const Row& row) {
  std::vector<Cell> cells = {shape_text(row.request), row.impl};
  if (row.time_us) {
    const Paint ceiling = row.suspect ? Paint::warning : Paint::plain;
    cells.insert(cells.end(),
                 {microseconds_text(row.time_us->median), half_width_cell(row), fmt::format("{:.1f}", row.gbps),
                  Cell(percent_text(row.ceiling_fraction), ceiling), number_text(row.time_ratio_to_native, 3)});
  } else {
    cells.insert(cells.end(), {"-", "-", "-", "-", "-"});
  }
  cells.push_back(verdict_cell(row));
  return cells;
}

}  // namespace

Grid results_grid(const ResultFile& result, const ClassesOf& of_section, const ClassesOf& of_line) {
  Grid grid({{"shape", Align::right},
             {"impl", Align::left},
             {"median µs", Align::right},
             {"±", Align::right},
             {"GB/s", Align::right},
             {"ceiling", Align::right},
             {"vs native", Align::right},
             {"verified", Align::left}});
  std::string title;
  for (const Row& row : result.rows) {
    const std::string section = fmt::format("{} ({})", work_text(row.request), protocol_text(row));
    if (grid.empty() || section != title) {
      grid.begin_section(section, of_section ? of_section(row) : "");
    }
    title = section;
    grid.add(cells_of(row), of_line ? of_line(row) : "");
  }
  return grid;
}

std::vector<std::string> result_remarks(const ResultFile& result) {
  std::vector<std::string> lines;
  const auto any = [&](auto condition) { return std::any_of(result.rows.begin(), result.rows.end(), condition); };
  const Context& context = result.context;
  if (context.backend == "host" && context.host_threads_used > 0 && !context.host_architecture.empty()) {
    lines.push_back(fmt::format("On the host: code for {}, {} thread{}", context.host_architecture,
                                context.host_threads_used, context.host_threads_used == 1 ? "" : "s"));
  }
  if (any([](const Row& row) { return row.suspect; })) {
    lines.emplace_back(
        "ok?  suspect: more than 1.05 of what the memory can do: the cache was not cold, or the ceiling is too low");
  }
  if (any([](const Row& row) { return row.verified && !row.suspect && (row.clocks.dropped || row.drifted); })) {
    lines.emplace_back("ok~  unsteady: a clock dropped or times drifted while it was measured");
  }
  if (any(is_unchecked)) lines.emplace_back("unchecked  not compared with kqbench's codes; apps/peers compares them");
  if (any([](const Row& row) { return is_unsettled(row) && !has_few_samples(row); })) {
    lines.emplace_back("*  sampling ended, by --max-time or by a signal, before the interval was within 1 %");
  }
  if (any(has_few_samples)) {
    lines.push_back(fmt::format("n=  so few samples, less than {}, give no interval of 95 %", least_samples));
  }
  if (any([](const Row& row) { return row.cache == "warm"; })) {
    lines.emplace_back("warm cache: a cold one takes more memory, or more copies, than kqbench uses");
  }
  if (!result.complete) lines.emplace_back("Incomplete: rows or samples are missing.");
  for (const Row& row : result.rows) {
    if (row.verified || row.failure.empty() || row.codes_checked) continue;  // a peer's cell says how many differ
    lines.push_back(
        fmt::format("FAILED: {}, {}, {}: {}", row.impl, work_text(row.request), shape_text(row.request), row.failure));
  }
  return lines;
}

void write_table(std::ostream& out, const ResultFile& result, bool color) {
  results_grid(result).write_text(out, color);
  for (const std::string& remark : result_remarks(result)) {
    out << remark << '\n';
  }
}

void write_markdown(std::ostream& out, const ResultFile& result) {
  for (const auto& [name, value] : context_facts(result.context)) {
    out << "- " << markdown_text(name) << ": " << markdown_text(value) << '\n';
  }
  out << '\n';
  results_grid(result).write_markdown(out);
  for (const std::string& remark : result_remarks(result)) {
    out << "- " << markdown_text(remark) << '\n';
  }
}

}  // namespace kqbench
