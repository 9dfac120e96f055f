// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench report`: result files as one page to read and to pass on.

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "apps/kqbench/comparison_options.hpp"
#include "apps/kqbench/subcommands.hpp"
#include "bench/fleet/gathered.hpp"
#include "bench/results/json_reader.hpp"
#include "bench/results/report_page.hpp"
#include "bench/results/text_output.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

struct ReportArguments {
  std::vector<std::string> files;
  std::vector<std::string> conformance;
  std::string output = "-";
  std::string format = "html";
  std::optional<std::string> margin;
  bool ignore_canary = false;
  bool allow_unequal_threads = false;
};

int run(const ReportArguments& arguments) {
  const bool markdown = arguments.format == "md";
  if (!markdown && arguments.format != "html") {
    throw UsageError("--format: " + in_quotes(arguments.format) + " is not known; give html or md");
  }
  ComparisonOptions options;
  options.ignore_canary = arguments.ignore_canary;
  options.allow_unequal_threads = arguments.allow_unequal_threads;
  if (arguments.margin) options.margin = parse_margin(*arguments.margin);
  std::vector<std::string> inputs = arguments.files;
  inputs.insert(inputs.end(), arguments.conformance.begin(), arguments.conformance.end());
  TextOutput output(arguments.output, inputs);
  std::vector<NamedResult> files;
  for (const std::string& name : arguments.files) {
    for (NamedResult& part : by_rank({name, read_result_file(name)})) {
      files.push_back(std::move(part));
    }
  }
  std::vector<ConformanceTable> conformance;
  for (const std::string& name : arguments.conformance)
    conformance.push_back(read_conformance_file(name));
  output.write(markdown ? report_markdown(files, options, conformance) : report_html(files, options, conformance));
  return exit_done;
}

}  // namespace

void add_report(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("report", "Make a page of result files: summary, charts, context, rows");
  auto arguments = std::make_shared<ReportArguments>();
  command->add_option("FILE", arguments->files, "Result files; the page calls them A, B, C, …")->required();
  command->add_option("-o,--output", arguments->output, "Where the page goes; - is standard output [-]")
      ->type_name("FILE");
  command
      ->add_option("--format", arguments->format,
                   "Format of the page: html (with charts, which gnuplot draws), md (no charts) [html]")
      ->type_name("FORMAT");
  command
      ->add_option(
          "--conformance", arguments->conformance,
          "A file of kqbench verify --json, which says what is bit-exact on a device; may be given several times")
      ->type_name("FILE")
      ->expected(1)
      ->take_all();
  add_margin(*command, arguments->margin);
  add_use_anyway(*command, arguments->ignore_canary, arguments->allow_unequal_threads);
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
