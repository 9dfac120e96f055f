// SPDX-License-Identifier: Apache-2.0
#include "bench/results/report_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>

#include "bench/fleet/fleet.hpp"
#include "bench/fleet/fleet_text.hpp"
#include "bench/results/comparison_text.hpp"
#include "bench/results/context_text.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/heat_map.hpp"
#include "bench/results/page_filter.hpp"
#include "bench/results/report_charts.hpp"
#include "bench/results/table.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

constexpr std::string_view style_sheet = R"css(
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2329; --soft: #5d6873; --line: #d5dade;
        --good: #1d7a3e; --warning: #96600a; --bad: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14181c; --ink: #e3e7ea; --soft: #9aa5af; --line: #39424a;
          --good: #63c587; --warning: #e0aa55; --bad: #ff8a80; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto;
       max-width: 92rem; padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin-bottom: 0.2rem; } nav { margin: 0.6rem 0; } nav a { margin-right: 1.2rem; color: inherit; }
h2 { font-size: 1.25rem; margin-top: 2.5rem; }
h3 { font-size: 1.05rem; margin: 1.8rem 0 0.2rem; } summary h3 { display: inline-block; margin: 0.4rem 0; }
p { max-width: 60rem; margin: 0.3rem 0; } .soft { color: var(--soft); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.2rem; margin: 0.5rem 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); gap: 1rem; margin-top: 0.6rem; }
figure { margin: 0; break-inside: avoid; } figcaption { font-size: 0.9rem; font-weight: 600; } .widest { max-width: 60rem; }
figure svg { width: 100%; height: auto; display: block; }
figure [fill="black"] { fill: var(--ink); }
figure [stroke="black"], figure [stroke="rgb(  0,   0,   0)"] { stroke: var(--ink); }
figure [stroke="gray"], figure [stroke="rgb(190, 190, 190)"] { stroke: var(--line); }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 0.4rem 0; }
th, td { padding: 0.15rem 0.9rem 0.15rem 0; text-align: left; white-space: nowrap; }
tbody tr:not(.more) > * { border-top: 1px solid var(--line); } table { border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; } .number { text-align: right; }
tr { break-inside: avoid; } .wide { overflow-x: auto; }
.good { color: var(--good); } .warning { color: var(--warning); } .bad { color: var(--bad); font-weight: 600; }
@page { margin: 14mm; }
@media print {
  :root { color-scheme: light; --paper: #ffffff; --ink: #000000; --soft: #444444; --line: #bbbbbb;
          --good: #1d7a3e; --warning: #96600a; --bad: #b3261e; }
  body { max-width: none; margin: 0; padding: 0; font-size: 9.5pt; } nav { display: none; }
  h2, h3, caption, .soft { break-after: avoid; } h2 { margin-top: 1.4rem; } dl { break-inside: avoid; }
  .charts { grid-template-columns: 1fr 1fr; } .wide { overflow: visible; }
  table { font-size: 7.5pt; } th, td { padding-right: 0.6rem; } }
)css";

/// A file with more rows than this has them folded.
constexpr std::size_t most_open_rows = 400;

/// With more schemes than this each one's charts are folded.
constexpr std::size_t most_open_schemes = 24;

constexpr std::string_view content_policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'";

std::string ratio_remark(const Comparison& comparison) {
  return fmt::format(
      "Ratio: its time / the baseline's, above 1 is slower; the geometric mean, with its 95 % interval, over the "
      "shapes and input types that all lines of a scheme were timed at, as far as there are any. Same: the interval is "
      "within a margin of {:g} %; ambiguous: it reaches over that margin's edge. The last four columns count the rows "
      "of each verdict.",
      100.0 * comparison.margin);
}

constexpr std::string_view roofline_remark =
    "Quantization moves bytes and computes little: the roof is the memory's, measured with plain streaming kernels at "
    "the best of the rows' read:write mixes.";

constexpr std::string_view lead =
    "How long it takes to turn activations into 8-bit codes and their scales: the kernels that kqbench has written "
    "once in Kokkos and by hand in native code, and what else was timed at the same work.";

std::string title_of(const std::vector<NamedResult>& files) {
  std::vector<std::string> devices;
  for (const NamedResult& file : files) {
    const std::string& device = file.result.context.device;
    if (std::find(devices.begin(), devices.end(), device) == devices.end()) devices.push_back(device);
  }
  std::string title = "Activation quantization on ";
  for (std::size_t i = 0; i < devices.size(); ++i) {
    title += (i == 0 ? "" : ", ") + devices[i];
  }
  return title;
}

/// The summary's comparison, and what to know before any figure is believed.
struct Compared {
  std::optional<Comparison> comparison;
  std::string reason;  ///< why there is none
  std::vector<std::string> remarks;
};

/// All against kokkos where there is one and others beside it. No comparison where there is nothing to compare. Throws
/// UsageError for a canary that does not agree.
Compared compared(const std::vector<NamedResult>& files, ComparisonOptions options) {
  Compared compared;
  compared.remarks = check_canaries(files, std::vector<bool>(files.size(), true), options.ignore_canary);
  options.ignore_canary = true;  // which has been said
  std::set<std::string> impls;
  for (const NamedResult& file : files) {
    for (const Row& row : file.result.rows) {
      impls.insert(row.impl);
    }
  }
  if (impls.size() > 1 && impls.contains("kokkos")) options.baseline = "kokkos";
  try {
    compared.comparison = compare(files, options);
  } catch (const UsageError& nothing) {
    compared.reason = nothing.what();
    return compared;
  }
  for (const std::string& remark : compared.comparison->remarks) {
    const auto& said = compared.remarks;
    if (std::find(said.begin(), said.end(), remark) == said.end()) compared.remarks.push_back(remark);
  }
  return compared;
}

/// "160 of 160 rows", or the like, for the rows that are so.
std::string share_text(std::size_t some, std::size_t all) {
  return fmt::format("{} of {} row{}", some, all, all == 1 ? "" : "s");
}

/// How many rows' outputs were right. Peers' are told apart: they are compared, but need not be equal.
std::string checks_text(const std::vector<NamedResult>& files) {
  std::size_t own = 0, right = 0, peers = 0, checked = 0, equal = 0;
  double most_unequal = 0.0;  // of a row's codes
  for (const NamedResult& file : files) {
    for (const Row& row : file.result.rows) {
      if (is_peer(row.impl)) {
        ++peers;
        checked += row.codes_checked ? 1 : 0;
        equal += row.codes_checked && row.codes_checked->differ == 0 ? 1 : 0;
        if (row.codes_checked && row.codes_checked->differ > 0) {
          most_unequal = std::max(most_unequal, static_cast<double>(row.codes_checked->differ) /
                                                    static_cast<double>(row.codes_checked->compared));
        }
      } else {
        ++own;
        right += row.verified ? 1 : 0;
      }
    }
  }
  std::string text;
  if (own > 0) {
    text = fmt::format("{} of kqbench's own had every timed output byte right, compared with the reference.",
                       share_text(right, own));
  }
  if (peers > 0) {
    text += fmt::format("{}Other projects' codes were compared in {}, and equal to kqbench's in {}",
                        text.empty() ? "" : " ", share_text(checked, peers), equal);
    text += most_unequal > 0.0
                ? fmt::format("; in the others at most {:.2g} % of the codes differ.", 100.0 * most_unequal)
                : std::string(".");
  }
  return text;
}

/// What this is about: which files, whose implementations, and whether they were right.
void write_lead(std::ostream& out, const std::vector<NamedResult>& files, const std::vector<std::string>& remarks) {
  out << "<p>" << lead << ' ' << html_text(checks_text(files)) << "</p>\n";
  for (const std::string& remark : remarks) {
    out << "<p class=\"warning\">" << html_text(remark) << "</p>\n";
  }
  out << "<dl>\n";
  for (std::size_t file = 0; file < files.size(); ++file) {
    const Context& context = files[file].result.context;
    out << fmt::format("<dt>{}</dt><dd>{}: {}</dd>\n", file_letter(file), html_text(files[file].name),
                       html_text(context_line(context)));
    std::set<std::string> impls;
    for (const Row& row : files[file].result.rows) {
      impls.insert(row.impl);
    }
    for (const auto& [name, description] : context.implementations) {
      if (!impls.contains(name)) continue;
      out << fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(label({file, name})), html_text(description));
    }
  }
  out << "</dl>\n";
}

/// The devices of a job held against each other; nothing if the files are of no job's ranks, or no two of the same
/// work.
std::optional<FleetSummary> fleet_of(const std::vector<NamedResult>& files) {
  const auto is_rank = [](const NamedResult& file) { return file.result.context.size > 1; };
  if (!std::all_of(files.begin(), files.end(), is_rank)) return std::nullopt;
  Fleet fleet;
  try {
    for (const NamedResult& file : files) {
      fleet.add(file);
    }
  } catch (const UsageError&) {
    return std::nullopt;  // a device before and after something: that is a comparison
  }
  FleetSummary summary = fleet.summary(standard_fleet_limit);
  if (summary.operations.empty()) return std::nullopt;
  return summary;
}

void write_contents(std::ostream& out, bool has_fleet, bool has_conformance) {
  out << "<nav><a href=\"#summary\">Summary</a>" << (has_fleet ? "<a href=\"#fleet\">Fleet</a>" : "")
      << "<a href=\"#roofline\">Roofline</a><a href=\"#schemes\">By scheme</a>"
      << (has_conformance ? "<a href=\"#conformance\">Conformance</a>" : "")
      << "<a href=\"#context\">Context</a><a href=\"#rows\">All rows</a></nav>\n";
}

constexpr std::string_view conformance_remark =
    "Which implementation gives the reference's bytes, whose own are anchored in recorded outputs of each engine: "
    "exact means that every code, scale and zero point of every case was equal.";

void write_conformance(std::ostream& out, const std::vector<ConformanceTable>& tables) {
  if (tables.empty()) return;
  out << "<h2 id=\"conformance\">Conformance</h2>\n<p class=\"soft\">" << html_text(std::string(conformance_remark))
      << "</p>\n";
  for (const ConformanceTable& table : tables)
    table.write_html(out);
}

void write_context(std::ostream& out, const std::vector<NamedResult>& files) {
  out << "<h2 id=\"context\">Context</h2>\n";
  for (std::size_t file = 0; file < files.size(); ++file) {
    const ResultFile& result = files[file].result;
    out << fmt::format("<h3>{}: {}{}</h3>\n<dl>\n", file_letter(file), html_text(files[file].name),
                       result.complete ? "" : " <span class=\"bad\">incomplete: it was interrupted</span>");
    for (const auto& [name, value] : context_facts(result.context)) {
      out << fmt::format("<dt>{}</dt><dd>{}</dd>\n", html_text(name), html_text(value));
    }
    out << "</dl>\n";
  }
}

void write_figure(std::ostream& out, const Chart& chart, const std::string& svg) {
  const std::string title = html_text(chart.title);
  out << fmt::format("<figure role=\"img\" aria-label=\"{0}\"{1}>\n<figcaption>{0}</figcaption>\n{2}</figure>\n", title,
                     chart.categories.empty() && !chart.wide ? "" : " class=\"widest\"", svg);
}

/// `chart` and `svg`: of the summary, where there is one.
void write_summary(std::ostream& out, const std::optional<Comparison>& comparison, const std::string& reason,
                   const std::optional<Chart>& chart, const std::string& svg, const ClassesOf& work_classes) {
  out << "<h2 id=\"summary\">Summary</h2>\n";
  if (!comparison || comparison->summary.empty()) {
    out << "<p class=\"soft\">None: " << html_text(reason) << "</p>\n";
    return;
  }
  write_heat_maps_html(out, heat_maps(*comparison), work_classes);
  if (chart) write_figure(out, *chart, svg);
  out << "<div class=\"wide\">\n";
  summary_grid(*comparison).write_html(out);
  out << "</div>\n<p class=\"soft\">" << html_text(ratio_remark(*comparison)) << "</p>\n";
}

/// Summary, roofline and schemes, with their charts: gnuplot is asked once.
void write_charts(std::ostream& out, const std::vector<NamedResult>& files, const Compared& compared,
                  const ClassesOf& work_classes) {
  const std::optional<Comparison>& comparison = compared.comparison;
  const std::optional<Chart> summary = comparison ? summary_chart(files, *comparison) : std::nullopt;
  const std::optional<Chart> roof = roofline(files);
  const std::vector<SchemeCharts> schemes = scheme_charts(files);
  std::vector<Chart> charts;
  if (summary) charts.push_back(*summary);
  if (roof) charts.push_back(*roof);
  for (const SchemeCharts& scheme : schemes) {
    charts.insert(charts.end(), scheme.charts.begin(), scheme.charts.end());
  }
  const std::vector<std::string> drawn = draw_svg(charts);
  std::size_t next = summary ? 1 : 0;
  write_summary(out, comparison, compared.reason, summary, summary ? drawn.front() : "", work_classes);
  out << "<h2 id=\"roofline\">Roofline</h2>\n";
  if (roof) {
    out << "<p class=\"soft\">" << html_text(std::string(roofline_remark)) << "</p>\n";
    write_figure(out, *roof, drawn[next++]);
  } else {
    out << "<p class=\"soft\">None: the memory's ceiling was not measured.</p>\n";
  }
  out << "<h2 id=\"schemes\">By scheme</h2>\n";
  const bool folded = schemes.size() > most_open_schemes;
  for (const SchemeCharts& scheme : schemes) {
    const std::string heading = fmt::format("<h3>{}</h3>", html_text(scheme.title));
    out << fmt::format("<section class=\"{}\">\n{}\n<p class=\"soft\">{}</p>\n<div class=\"charts\">\n",
                       work_classes(*scheme.row), folded ? "<details>\n<summary>" + heading + "</summary>" : heading,
                       html_text(scheme.protocol));
    for (const Chart& chart : scheme.charts) {
      write_figure(out, chart, drawn[next++]);
    }
    out << "</div>\n" << (folded ? "</details>\n" : "") << "</section>\n";
  }
}

void write_rows(std::ostream& out, const std::vector<NamedResult>& files, const PageFilter& filter,
                const ClassesOf& work_classes) {
  out << "<h2 id=\"rows\">All rows</h2>\n";
  for (std::size_t file = 0; file < files.size(); ++file) {
    // A page of thousands of rows is read from its top; a browser's search opens what is folded.
    const std::size_t rows = files[file].result.rows.size();
    const bool folded = rows > most_open_rows;
    out << "<h3>" << file_letter(file) << ": " << html_text(files[file].name) << "</h3>\n";
    if (folded) out << fmt::format("<details>\n<summary>{} rows</summary>\n", rows);
    out << "<div class=\"wide\">\n";
    const auto series_class = [&](const Row& row) { return filter.series_class({file, row.impl}); };
    results_grid(files[file].result, work_classes, series_class).write_html(out);
    out << "</div>\n" << (folded ? "</details>\n" : "");
    for (const std::string& remark : result_remarks(files[file].result)) {
      out << "<p>" << html_text(remark) << "</p>\n";
    }
  }
}

}  // namespace

std::string report_html(const std::vector<NamedResult>& files, const ComparisonOptions& options,
                        const std::vector<ConformanceTable>& conformance) {
  const Compared with = compared(files, options);
  const std::string title = html_text(title_of(files));
  const PageFilter filter(files);
  const auto work_classes = [&](const Row& row) { return filter.work_classes(row); };
  std::ostringstream out;
  out << "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      << "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      << "<meta http-equiv=\"Content-Security-Policy\" content=\"" << content_policy << "\">\n"
      << "<link rel=\"icon\" href=\"data:,\">\n<title>" << title << "</title>\n<style>" << style_sheet << heat_map_style
      << filter.style() << "</style>\n</head>\n<body>\n<h1>" << title << "</h1>\n";
  write_lead(out, files, with.remarks);
  const std::optional<FleetSummary> fleet = fleet_of(files);
  write_contents(out, fleet.has_value(), !conformance.empty());
  out << filter.form_html();
  if (fleet) {
    out << "<h2 id=\"fleet\">Fleet</h2>\n";
    write_fleet_html(out, *fleet);
  }
  write_charts(out, files, with, work_classes);
  write_conformance(out, conformance);
  write_context(out, files);
  write_rows(out, files, filter, work_classes);
  out << "</body>\n</html>\n";
  return out.str();
}

std::string report_markdown(const std::vector<NamedResult>& files, const ComparisonOptions& options,
                            const std::vector<ConformanceTable>& conformance) {
  const Compared with = compared(files, options);
  std::ostringstream out;
  out << "# " << markdown_text(title_of(files)) << "\n\n" << lead << ' ' << markdown_text(checks_text(files)) << "\n\n";
  for (const std::string& remark : with.remarks) {
    out << "**" << markdown_text(remark) << "**\n\n";
  }
  out << "## Summary\n\n";
  if (with.comparison && !with.comparison->summary.empty()) {
    out << ratio_remark(*with.comparison) << "\n\n";
    summary_grid(*with.comparison).write_markdown(out);
  } else {
    out << "None: " << markdown_text(with.reason) << "\n\n";
  }
  if (!conformance.empty()) out << "## Conformance\n\n" << conformance_remark << "\n\n";
  for (const ConformanceTable& table : conformance)
    out << table.markdown() << '\n';
  if (const std::optional<FleetSummary> fleet = fleet_of(files)) {
    out << "## Fleet\n\n";
    write_fleet_markdown(out, *fleet);
    out << '\n';
  }
  for (std::size_t file = 0; file < files.size(); ++file) {
    out << "## " << file_letter(file) << ": " << markdown_text(files[file].name) << "\n\n";
    write_markdown(out, files[file].result);
    out << '\n';
  }
  return out.str();
}

}  // namespace kqbench
