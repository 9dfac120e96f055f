// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench compare`: result files held against each other.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "apps/kqbench/subcommands.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/results/comparison.hpp"
#include "bench/results/comparison_text.hpp"
#include "bench/results/json_reader.hpp"
#include "bench/results/outputs.hpp"
#include "bench/results/row_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/terminal.hpp"

namespace kqbench {
namespace {

struct CompareArguments {
  std::vector<std::string> files, impl;
  std::optional<std::string> baseline, fail_above;
  bool ignore_timing = false;
  bool no_color = false;
  OutputArguments outputs;
};

/// "1 row is", "3 rows are".
std::string rows_are(std::size_t count) {
  return count == 1 ? "1 row is" : fmt::format("{} rows are", count);
}

/// Why the limit is not kept, in one line; empty if it is. Rows that failed or are missing count: code that gives wrong
/// output is no faster, and what was not measured may be as slow as it likes.
std::string why_worse(const std::vector<NamedResult>& files, const Comparison& comparison, double limit) {
  std::vector<std::string> reasons;
  std::size_t above = 0;
  const ComparedRow* worst = nullptr;
  for (const ComparedRow& row : comparison.rows) {
    if (!(row.ratio.value > limit)) continue;
    ++above;
    if (worst == nullptr || row.ratio.value > worst->ratio.value) worst = &row;
  }
  if (worst != nullptr) {
    reasons.push_back(fmt::format("{} of {} ratios above {:g}, the worst {:.3f}: {}, {}, {}", above,
                                  comparison.rows.size(), limit, worst->ratio.value, label(worst->series),
                                  work_text(worst->row->request), shape_text(worst->row->request)));
  }
  if (!comparison.failed.empty()) {
    reasons.push_back(rows_are(comparison.failed.size()) + " without a time, because the output was wrong");
  }
  if (!comparison.missing.empty()) {
    const MissingRow& first = comparison.missing.front();
    const kq::Request& request = first.there.row->request;
    reasons.push_back(fmt::format("{} missing, the first: {} has {}, {}, and {} not",
                                  rows_are(comparison.missing.size()), label(first.there.series), work_text(request),
                                  shape_text(request),
                                  first.lacking ? label(*first.lacking) + " has" : "the others have"));
  }
  for (const NamedResult& file : files) {
    if (!file.result.complete) reasons.push_back(in_quotes(file.name) + " is incomplete");
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

int run(const CompareArguments& arguments) {
  ComparisonOptions options;
  options.baseline = arguments.baseline.value_or("");
  options.impls = split_list("--impl", arguments.impl);
  options.ignore_timing = arguments.ignore_timing;
  if (arguments.baseline && arguments.baseline->empty()) {
    throw UsageError("--baseline: '' names no implementation; give one, or leave it out");
  }
  std::optional<double> limit;
  if (arguments.fail_above) {
    limit = parse_double("--fail-above", *arguments.fail_above);
    if (!(*limit > 0.0)) throw UsageError("--fail-above: must be above 0; 1.05 allows 5 % more time");
  }
  ResultOutputs outputs(arguments.outputs, arguments.files);
  std::vector<NamedResult> files;
  for (const std::string& name : arguments.files) {
    files.push_back({name, read_result_file(name)});
  }
  const Comparison comparison = compare(files, options);

  if (!outputs.use_stdout()) {
    std::ostringstream text;
    write_comparison_text(text, files, comparison, use_color(arguments.no_color));
    TextOutput("-").write(text.str());
  }
  outputs.write([&] { return comparison_json(files, comparison); }, [&] { return comparison_csv(files, comparison); },
                [&] {
                  std::ostringstream text;
                  write_comparison_markdown(text, files, comparison);
                  return text.str();
                });
  const std::string worse = limit ? why_worse(files, comparison, *limit) : "";
  if (worse.empty()) return exit_done;
  notice("--fail-above: " + worse);
  return exit_wrong;
}

}  // namespace

void add_compare(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("compare", "Hold result files against each other");
  auto arguments = std::make_shared<CompareArguments>();
  command->add_option("files", arguments->files, "Result files; they are called A, B, C, …")->required();
  command
      ->add_option("--baseline", arguments->baseline,
                   "What the others are held against: an implementation, or B:native for that of the second file "
                   "[each against itself in the first file; kokkos if the files have no implementation in common]")
      ->type_name("IMPL");
  command->add_option("--impl", arguments->impl, "Which implementations to compare [all]")->type_name("IMPL,...");
  command->add_flag("--ignore-timing", arguments->ignore_timing, "Compare rows even if their timing or cache differ");
  command
      ->add_option("--fail-above", arguments->fail_above,
                   "Exit with 1 if a row's ratio is above this, a row failed or is missing, or a file is incomplete; "
                   "1.05 allows 5 % more time")
      ->type_name("RATIO");
  arguments->outputs.add_to(*command);
  command->add_flag("--no-color", arguments->no_color, "No colours")->group("Output");
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
