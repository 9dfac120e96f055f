// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench compare`: result files held against each other.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "apps/kqbench/comparison_options.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/fleet/gathered.hpp"
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
  std::optional<std::string> baseline, fail_above, margin;
  bool ignore_timing = false;
  bool ignore_canary = false;
  bool allow_unequal_threads = false;
  bool fail_ambiguous = false;
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
  const auto is_unverified = [](const ComparedRow& row) {
    return !row.row->verified || (!row.baseline_row->verified && !is_peer(row.baseline.impl));
  };
  const auto unverified = std::find_if(comparison.rows.begin(), comparison.rows.end(), is_unverified);
  if (unverified != comparison.rows.end()) {
    const auto count = std::count_if(comparison.rows.begin(), comparison.rows.end(), is_unverified);
    reasons.push_back(fmt::format("{} timed but not verified, the first: {}, {}, {}",
                                  rows_are(static_cast<std::size_t>(count)),
                                  label(unverified->row->verified ? unverified->baseline : unverified->series),
                                  work_text(unverified->row->request), shape_text(unverified->row->request)));
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
    if (file.result.rows.empty()) reasons.push_back(in_quotes(file.name) + " has no rows");
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

/// Which rows are ambiguous, in one line; empty if none is.
std::string why_ambiguous(const Comparison& comparison) {
  const auto is_ambiguous = [](const ComparedRow& row) { return row.verdict == Verdict::ambiguous; };
  const auto first = std::find_if(comparison.rows.begin(), comparison.rows.end(), is_ambiguous);
  if (first == comparison.rows.end()) return "";
  return fmt::format("{} of {} ratios ambiguous with a margin of {:g} %, the first: {}, {}, {}",
                     std::count_if(comparison.rows.begin(), comparison.rows.end(), is_ambiguous),
                     comparison.rows.size(), 100.0 * comparison.margin, label(first->series),
                     work_text(first->row->request), shape_text(first->row->request));
}

/// Without a baseline that was named or is in the files themselves, a limit would be kept or not by a guess at what is
/// to be the faster.
void require_baseline(const std::vector<NamedResult>& files, const ComparisonOptions& options) {
  if (!options.baseline.empty()) return;
  const auto alone = file_without_counterpart(files, options.impls);
  if (!alone) return;
  throw UsageError(fmt::format("--fail-above: {} shares no implementation with {}; name the --baseline",
                               in_quotes(files[*alone].name), files.size() == 1 ? "another file" : "the others"));
}

int run(const CompareArguments& arguments) {
  ComparisonOptions options;
  options.baseline = arguments.baseline.value_or("");
  options.impls = split_list("--impl", arguments.impl);
  options.ignore_timing = arguments.ignore_timing;
  options.ignore_canary = arguments.ignore_canary;
  options.allow_unequal_threads = arguments.allow_unequal_threads;
  if (arguments.margin) options.margin = parse_margin(*arguments.margin);
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
    for (NamedResult& part : by_rank({name, read_result_file(name)})) {
      files.push_back(std::move(part));
    }
  }
  if (limit) require_baseline(files, options);
  Comparison comparison;
  try {
    comparison = compare(files, options);
  } catch (const NothingToCompare& nothing) {
    notice(nothing.what());
    return exit_wrong;
  }

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
  std::vector<std::string> failures;
  const auto add = [&](const char* option, const std::string& reason) {
    if (!reason.empty()) failures.push_back(fmt::format("{}: {}", option, reason));
  };
  if (limit) add("--fail-above", why_worse(files, comparison, *limit));
  if (arguments.fail_ambiguous) add("--fail-ambiguous", why_ambiguous(comparison));
  if (failures.empty()) return exit_done;
  notice(fmt::format("{}", fmt::join(failures, "; ")));
  return exit_wrong;
}

}  // namespace

void add_compare(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("compare", "Compare result files row by row");
  auto arguments = std::make_shared<CompareArguments>();
  command->add_option("FILE", arguments->files, "Result files; the output calls them A, B, C, …")->required();
  command
      ->add_option(
          "--baseline", arguments->baseline,
          "What to compare the others with: an implementation, or one of a certain file, as B:native [the same "
          "implementation in the first file; kokkos where the files have none in common]")
      ->type_name("IMPL");
  command->add_option("--impl", arguments->impl, "Implementations to compare, separated by commas [all]")
      ->type_name("IMPL,...");
  command->add_flag("--ignore-timing", arguments->ignore_timing,
                    "Compare rows even if --timing, --launch or --cache differ");
  add_use_anyway(*command, arguments->ignore_canary, arguments->allow_unequal_threads);
  add_margin(*command, arguments->margin);
  command
      ->add_option("--fail-above", arguments->fail_above,
                   "Exit with 1 if a row's ratio is above this, a row failed, was not verified or is missing, or a "
                   "file is incomplete; 1.05 allows 5 % more time")
      ->type_name("RATIO");
  command->add_flag("--fail-ambiguous", arguments->fail_ambiguous, "Exit with 1 if a row's verdict is ambiguous");
  arguments->outputs.add_to(*command);
  command->add_flag("--no-color", arguments->no_color, "Print without colours")->group("Output");
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
