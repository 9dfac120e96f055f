// SPDX-License-Identifier: Apache-2.0
#include "bench/results/comparison_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string_view>

#include "bench/results/context_text.hpp"
#include "bench/results/csv.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/row_text.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

std::string percent(double fraction) {
  return fmt::format("{:g} %", 100.0 * fraction);
}

/// What the columns mean.
std::vector<std::string> explanation(const Comparison& comparison) {
  return {"ratio: its time / the baseline's time, above 1 is slower; the interval holds it with 95 % confidence.",
          fmt::format("same: the interval is within {} of 1; ambiguous: it reaches over that margin's edge.",
                      percent(comparison.margin)),
          "Between files the interval also covers what another run might give: each row's repeatability, or,",
          fmt::format("where its file has none, {} on a host and {} on a device.", percent(assumed_on_host),
                      percent(assumed_on_device))};
}

std::string ratio_text(const Ratio& ratio) {
  return fmt::format("{:.3f}", ratio.value);
}

std::string interval_text(const Ratio& ratio) {
  return ratio.interval ? fmt::format("{:.3f} - {:.3f}", ratio.interval->low, ratio.interval->high) : "too few samples";
}

Cell verdict_cell(Verdict verdict) {
  const Paint paint = verdict == Verdict::slower   ? Paint::warning
                      : verdict == Verdict::faster ? Paint::good
                                                   : Paint::plain;
  return {to_string(verdict), paint};
}

/// What else one must know of a row: nothing for most.
std::string caveat(const Row& row) {
  if (row.codes_checked && row.codes_checked->differ != 0) return verdict_cell(row).text;
  if (row.suspect) return "suspect";
  if (row.clocks.dropped || row.drifted) return "unsteady";
  if (is_unchecked(row)) return "unchecked";
  return row.verified ? "" : "not verified";
}

/// What else one must know of a row held against a baseline, which may be of another protocol.
std::string caveat(const ComparedRow& compared) {
  std::vector<std::string> parts;
  if (protocol_text(*compared.row) != protocol_text(*compared.baseline_row)) {
    parts.push_back(protocol_text(*compared.row));
  }
  if (const std::string own = caveat(*compared.row); !own.empty()) parts.push_back(own);
  if (compared.unequal_threads()) {
    parts.push_back(fmt::format("threads {} to {}", *compared.threads, *compared.baseline_threads));
  }
  if (compared.unequal_launches()) {
    parts.push_back(fmt::format("launches {} to {}", compared.row->launches_per_sample,
                                compared.baseline_row->launches_per_sample));
  }
  return fmt::format("{}", fmt::join(parts, ", "));
}

std::string section_title(const Row& row) {
  return fmt::format("{} ({})", work_text(row.request), protocol_text(row));
}

Grid rows_grid(const Comparison& comparison) {
  Grid grid({{"shape", Align::right},
             {"what", Align::left},
             {"median µs", Align::right},
             {"ratio", Align::right},
             {"95 % interval", Align::right},
             {"", Align::left},
             {"note", Align::left}});
  std::string title;
  const Row* baseline = nullptr;
  for (const ComparedRow& compared : comparison.rows) {
    const std::string section = section_title(*compared.baseline_row);
    if (section != title) grid.begin_section(section);
    title = section;
    if (compared.baseline_row != baseline) {
      baseline = compared.baseline_row;
      grid.add({shape_text(baseline->request), label(compared.baseline), microseconds_text(baseline->time_us->median),
                "1", "", "baseline", Cell(caveat(*baseline), Paint::warning)});
    }
    grid.add({shape_text(compared.row->request), label(compared.series),
              microseconds_text(compared.row->time_us->median), ratio_text(compared.ratio),
              interval_text(compared.ratio), verdict_cell(compared.verdict), Cell(caveat(compared), Paint::warning)});
  }
  return grid;
}

std::string summary_name(const SchemeSummary& summary) {
  return summary.series ? label(*summary.series) : "fastest peer";
}

/// Rows in few words: one line for all the shapes of a series that did the same.
std::vector<std::string> lone_lines(const std::vector<LoneRow>& rows) {
  std::vector<std::string> lines;
  std::string what;
  for (const LoneRow& lone : rows) {
    const std::string now = fmt::format("{}, {}:", label(lone.series), section_title(*lone.row));
    if (lines.empty() || now != what) lines.push_back(now);
    what = now;
    lines.back() += ' ' + shape_text(lone.row->request);
  }
  return lines;
}

/// "80", or "20 of 80" where the others have fewer in common with it.
std::string rows_text(const SchemeSummary& summary) {
  return summary.rows == summary.all_rows ? fmt::to_string(summary.rows)
                                          : fmt::format("{} of {}", summary.rows, summary.all_rows);
}

/// What the lines of the summary are about, where that is not all rows; or nothing.
std::string summary_remark(const Comparison& comparison) {
  const auto any = [&](auto condition) {
    return std::any_of(comparison.summary.begin(), comparison.summary.end(), condition);
  };
  if (any([](const SchemeSummary& s) { return !s.in_common; })) {
    return "Some schemes have no row that all were timed at: their lines are about different rows.";
  }
  if (any([](const SchemeSummary& s) { return s.rows != s.all_rows; })) {
    return "Of each scheme, only rows that all were timed at are summarized.";
  }
  return "";
}

/// Rows that some series lack and others have.
std::vector<LoneRow> lacking_rows(const Comparison& comparison) {
  std::vector<LoneRow> rows;
  for (const MissingRow& missing : comparison.missing) {
    if (missing.elsewhere && missing.lacking) rows.push_back({*missing.lacking, missing.there.row});
  }
  return rows;
}

/// How many rows are faster, slower, the same and ambiguous, and how many ratios are not 1.
std::vector<std::string> closing_remarks(const Comparison& comparison) {
  const auto count = [&](Verdict verdict) {
    return std::count_if(comparison.rows.begin(), comparison.rows.end(),
                         [&](const ComparedRow& row) { return row.verdict == verdict; });
  };
  const auto significant = std::count_if(comparison.rows.begin(), comparison.rows.end(),
                                         [](const ComparedRow& row) { return row.ratio.significant(); });
  return {fmt::format("Of {} row{}, with a margin of {}: {} faster, {} slower, {} same, {} ambiguous.",
                      comparison.rows.size(), comparison.rows.size() == 1 ? "" : "s", percent(comparison.margin),
                      count(Verdict::faster), count(Verdict::slower), count(Verdict::same), count(Verdict::ambiguous)),
          fmt::format("{} of {} ratios differ significantly from 1; about {:.0f} would by chance alone.", significant,
                      comparison.rows.size(), 0.05 * static_cast<double>(comparison.rows.size()))};
}

/// Fields of a CSV line: what was done.
std::vector<std::string> work_fields(const Row& row) {
  const kq::Request& request = row.request;
  return {kq::operation_name(request),
          std::string(kq::to_string(request.element)),
          std::string(kq::to_string(request.format)),
          fmt::to_string(request.num_tokens),
          fmt::to_string(request.hidden_size),
          row.timing,
          row.launch,
          row.cache};
}

/// Of a ratio: itself, its interval, whether it is significant, and the verdict with its margin.
std::vector<std::string> ratio_fields(const Ratio& ratio, Verdict verdict, double margin) {
  std::vector<std::string> fields = {fmt::to_string(ratio.value), "", "", "", to_string(verdict),
                                     fmt::to_string(margin)};
  if (ratio.interval) {
    fields[1] = fmt::to_string(ratio.interval->low);
    fields[2] = fmt::to_string(ratio.interval->high);
    fields[3] = fmt::to_string(ratio.significant());
  }
  return fields;
}

std::optional<std::int64_t> launches_of(const Row& row) {
  return row.launches_per_sample != 0 ? std::optional(row.launches_per_sample) : std::nullopt;
}

/// From `ratio` to `baseline_threads`.
constexpr std::size_t fields_of_ratio = 10;

template <class Number>
std::string number_field(const std::optional<Number>& value) {
  return value ? fmt::to_string(*value) : "";
}

void append(std::vector<std::string>& line, const std::vector<std::string>& fields) {
  line.insert(line.end(), fields.begin(), fields.end());
}

Json interval_json(const Ratio& ratio) {
  return ratio.interval ? Json({ratio.interval->low, ratio.interval->high}) : Json(nullptr);
}

template <class Number>
Json number_json(const std::optional<Number>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json work_json(const Row& row) {
  const kq::Request& request = row.request;
  return {{"operation", kq::operation_name(request)},
          {"num_tokens", request.num_tokens},
          {"hidden_size", request.hidden_size},
          {"dtype", kq::to_string(request.element)},
          {"quant_dtype", kq::to_string(request.format)},
          {"timing", row.timing},
          {"launch", row.launch},
          {"cache", row.cache}};
}

Json lone_json(const std::vector<LoneRow>& rows) {
  Json list = Json::array();
  for (const LoneRow& lone : rows) {
    Json json = {{"file", file_letter(lone.series.file)}, {"impl", lone.series.impl}};
    json.update(work_json(*lone.row));
    if (!lone.row->failure.empty()) json["failure"] = lone.row->failure;
    list.push_back(std::move(json));
  }
  return list;
}

}  // namespace

Grid summary_grid(const Comparison& comparison) {
  Grid grid({{"scheme", Align::left},
             {"what", Align::left},
             {"baseline", Align::left},
             {"rows", Align::right},
             {"ratio", Align::right},
             {"95 % interval", Align::right},
             {"", Align::left},
             {"faster", Align::right},
             {"slower", Align::right},
             {"same", Align::right},
             {"ambiguous", Align::right}});
  grid.begin_section("Geometric mean of the ratios over shapes and input types");
  for (const SchemeSummary& summary : comparison.summary) {
    grid.add({summary.scheme, summary_name(summary), label(summary.baseline), rows_text(summary),
              ratio_text(summary.ratio), interval_text(summary.ratio), verdict_cell(summary.verdict),
              fmt::to_string(summary.faster), fmt::to_string(summary.slower), fmt::to_string(summary.same),
              fmt::to_string(summary.ambiguous)});
  }
  return grid;
}

void write_comparison_text(std::ostream& out, const std::vector<NamedResult>& files, const Comparison& comparison,
                           bool color) {
  for (std::size_t file = 0; file < files.size(); ++file) {
    const ResultFile& result = files[file].result;
    out << fmt::format("{}  {}: {}{}\n", file_letter(file), in_quotes(files[file].name), context_line(result.context),
                       result.complete ? "" : "; INCOMPLETE");
  }
  const auto write_lines = [&](const std::vector<std::string>& lines) {
    for (const std::string& line : lines) {
      out << line << '\n';
    }
  };
  write_lines(comparison.remarks);
  write_lines(explanation(comparison));
  out << '\n';
  if (!comparison.rows.empty()) {
    rows_grid(comparison).write_text(out, color);
    out << '\n';
    summary_grid(comparison).write_text(out, color);
    out << '\n';
    if (const std::string remark = summary_remark(comparison); !remark.empty()) out << remark << '\n';
    write_lines(closing_remarks(comparison));
  }
  const auto write_lone = [&](const char* heading, const std::vector<LoneRow>& rows) {
    if (!rows.empty()) out << '\n' << heading << '\n';
    for (const std::string& line : lone_lines(rows)) {
      out << "  " << line << '\n';
    }
  };
  write_lone("No counterpart:", comparison.unmatched);
  write_lone("Missing, though others have them:", lacking_rows(comparison));
  write_lone("Failed, so without a time:", comparison.failed);
}

void write_comparison_markdown(std::ostream& out, const std::vector<NamedResult>& files, const Comparison& comparison) {
  for (std::size_t file = 0; file < files.size(); ++file) {
    const ResultFile& result = files[file].result;
    out << fmt::format("- {}: {}: {}{}\n", file_letter(file), markdown_text(files[file].name),
                       markdown_text(context_line(result.context)), result.complete ? "" : "; incomplete");
  }
  if (!comparison.remarks.empty()) out << '\n';
  for (const std::string& remark : comparison.remarks) {
    out << "- " << markdown_text(remark) << '\n';
  }
  out << '\n' << fmt::format("{}", fmt::join(explanation(comparison), "\n")) << "\n\n";
  if (!comparison.rows.empty()) {
    summary_grid(comparison).write_markdown(out);
    if (const std::string remark = summary_remark(comparison); !remark.empty()) out << remark << "\n\n";
    rows_grid(comparison).write_markdown(out);
    out << fmt::format("{}", fmt::join(closing_remarks(comparison), "\n")) << '\n';
  }
  const auto write_lone = [&](const char* heading, const std::vector<LoneRow>& rows) {
    if (!rows.empty()) out << "\n### " << heading << "\n\n";
    for (const std::string& line : lone_lines(rows)) {
      out << "- " << markdown_text(line) << '\n';
    }
  };
  write_lone("No counterpart", comparison.unmatched);
  write_lone("Missing, though others have them", lacking_rows(comparison));
  write_lone("Failed, so without a time", comparison.failed);
}

std::string comparison_csv(const std::vector<NamedResult>& files, const Comparison& comparison) {
  std::string csv = csv_line({"operation",
                              "dtype",
                              "quant_dtype",
                              "num_tokens",
                              "hidden_size",
                              "timing",
                              "launch",
                              "cache",
                              "file",
                              "impl",
                              "median_us",
                              "baseline_file",
                              "baseline_impl",
                              "baseline_median_us",
                              "ratio",
                              "ci95_low",
                              "ci95_high",
                              "significant",
                              "verdict",
                              "margin",
                              "launches_per_sample",
                              "baseline_launches_per_sample",
                              "threads",
                              "baseline_threads",
                              "status",
                              "rows",
                              "failure"});
  for (const ComparedRow& compared : comparison.rows) {
    std::vector<std::string> line = work_fields(*compared.row);
    append(line, {files[compared.series.file].name, compared.series.impl, fmt::to_string(compared.row->time_us->median),
                  files[compared.baseline.file].name, compared.baseline.impl,
                  fmt::to_string(compared.baseline_row->time_us->median)});
    append(line, ratio_fields(compared.ratio, compared.verdict, comparison.margin));
    append(line, {number_field(launches_of(*compared.row)), number_field(launches_of(*compared.baseline_row)),
                  number_field(compared.threads), number_field(compared.baseline_threads)});
    append(line, {"compared", "1", ""});
    csv += csv_line(line);
  }
  const auto add_lone = [&](const char* status, const std::vector<LoneRow>& rows) {
    for (const LoneRow& lone : rows) {
      const bool timed = lone.row->time_us && std::string_view(status) != "missing";
      std::vector<std::string> line = work_fields(*lone.row);
      append(line,
             {files[lone.series.file].name, lone.series.impl, timed ? fmt::to_string(lone.row->time_us->median) : ""});
      line.resize(line.size() + fields_of_ratio + 3);  // the baseline's three
      append(line, {status, "1", lone.row->failure});
      csv += csv_line(line);
    }
  };
  add_lone("unmatched", comparison.unmatched);
  add_lone("missing", lacking_rows(comparison));
  add_lone("failed", comparison.failed);
  for (const SchemeSummary& summary : comparison.summary) {
    const kq::Request& request = summary.first->request;
    std::vector<std::string> line = {kq::operation_name(request), "", std::string(kq::to_string(request.format))};
    append(line, {"", "", "", "", "", summary.series ? files[summary.series->file].name : "",
                  summary.series ? summary.series->impl : summary_name(summary), "", files[summary.baseline.file].name,
                  summary.baseline.impl, ""});
    append(line, ratio_fields(summary.ratio, summary.verdict, comparison.margin));
    append(line, {"", "", "", ""});
    append(line, {"summary", fmt::to_string(summary.rows), ""});
    csv += csv_line(line);
  }
  return csv;
}

std::string comparison_json(const std::vector<NamedResult>& files, const Comparison& comparison) {
  Json json = {{"schema", "kqbench-comparison/1"}, {"margin", comparison.margin}, {"remarks", comparison.remarks},
               {"files", Json::array()},           {"rows", Json::array()},       {"summary", Json::array()}};
  for (std::size_t file = 0; file < files.size(); ++file) {
    const ResultFile& result = files[file].result;
    json["files"].push_back({{"file", file_letter(file)},
                             {"name", files[file].name},
                             {"device", result.context.device},
                             {"time", result.context.time},
                             {"complete", result.complete}});
  }
  for (const ComparedRow& compared : comparison.rows) {
    Json row = work_json(*compared.row);
    row["file"] = file_letter(compared.series.file);
    row["impl"] = compared.series.impl;
    row["median_us"] = compared.row->time_us->median;
    row["baseline_file"] = file_letter(compared.baseline.file);
    row["baseline_impl"] = compared.baseline.impl;
    row["baseline_median_us"] = compared.baseline_row->time_us->median;
    row["ratio"] = compared.ratio.value;
    row["ci95"] = interval_json(compared.ratio);
    row["significant"] = compared.ratio.interval ? Json(compared.ratio.significant()) : Json(nullptr);
    row["verdict"] = to_string(compared.verdict);
    row["margin"] = comparison.margin;
    row["launches_per_sample"] = number_json(launches_of(*compared.row));
    row["baseline_launches_per_sample"] = number_json(launches_of(*compared.baseline_row));
    row["threads"] = number_json(compared.threads);
    row["baseline_threads"] = number_json(compared.baseline_threads);
    row["note"] = caveat(compared);
    json["rows"].push_back(std::move(row));
  }
  for (const SchemeSummary& summary : comparison.summary) {
    json["summary"].push_back({{"scheme", summary.scheme},
                               {"what", summary_name(summary)},
                               {"baseline", label(summary.baseline)},
                               {"rows", summary.rows},
                               {"all_rows", summary.all_rows},
                               {"in_common", summary.in_common},
                               {"ratio", summary.ratio.value},
                               {"ci95", interval_json(summary.ratio)},
                               {"verdict", to_string(summary.verdict)},
                               {"margin", comparison.margin},
                               {"faster", summary.faster},
                               {"slower", summary.slower},
                               {"same", summary.same},
                               {"ambiguous", summary.ambiguous}});
  }
  json["unmatched"] = lone_json(comparison.unmatched);
  json["missing"] = lone_json(lacking_rows(comparison));
  json["failed"] = lone_json(comparison.failed);
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + '\n';
}

}  // namespace kqbench
