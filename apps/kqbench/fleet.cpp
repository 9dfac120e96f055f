// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench fleet`: the devices of a cluster held against each other.

#include "bench/fleet/fleet.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "apps/kqbench/subcommands.hpp"
#include "bench/fleet/fleet_text.hpp"
#include "bench/fleet/gathered.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/results/json_reader.hpp"
#include "bench/results/outputs.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/notice.hpp"
#include "bench/support/terminal.hpp"

namespace kqbench {
namespace {

struct FleetArguments {
  std::vector<std::string> files;
  std::optional<std::string> fail_outside;
  bool no_color = false;
  OutputArguments outputs;
};

/// "5%" or "5", as a fraction.
double parse_limit(std::string text) {
  const std::string written = text;
  if (text.ends_with('%')) text.pop_back();
  const double percent = parse_double("--fail-outside", text);
  if (!(percent > 0.0 && percent <= 1000.0)) {
    throw UsageError(
        fmt::format("--fail-outside: {} is not above 0 % and up to 1000 %; 5% allows ratios to the median "
                    "from 0.952 to 1.05",
                    in_quotes(written)));
  }
  return percent / 100.0;
}

int run(const FleetArguments& arguments) {
  const double limit = arguments.fail_outside ? parse_limit(*arguments.fail_outside) : standard_fleet_limit;
  ResultOutputs outputs(arguments.outputs, arguments.files);
  Fleet fleet;
  for (const std::string& name : arguments.files) {
    for (const NamedResult& part : by_rank({name, read_result_file(name)})) {
      fleet.add(part);
    }
  }
  const FleetSummary summary = fleet.summary(limit);
  if (summary.operations.empty()) {
    notice(
        "fleet: no two devices of one model were timed at the same operation in the same way; give files of several "
        "devices, or several ranks");
    return exit_wrong;
  }
  if (!outputs.use_stdout()) {
    std::ostringstream text;
    write_fleet_text(text, summary, use_color(arguments.no_color));
    TextOutput("-").write(text.str());
  }
  outputs.write([&] { return fleet_json(summary); }, [&] { return fleet_csv(summary); },
                [&] {
                  std::ostringstream text;
                  write_fleet_markdown(text, summary);
                  return text.str();
                });
  const std::string reason = arguments.fail_outside ? why_outside(summary) : "";
  if (reason.empty()) return exit_done;
  notice("--fail-outside: " + reason);
  return exit_wrong;
}

}  // namespace

void add_fleet(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("fleet", "Compare the devices of a cluster");
  auto arguments = std::make_shared<FleetArguments>();
  command->add_option("FILE", arguments->files, "Result files: one for each device, or gathered from several ranks")
      ->required();
  command
      ->add_option(
          "--fail-outside", arguments->fail_outside,
          "Exit with 1 if a device's ratio to the median is further from 1 than this, an output was wrong, a row is "
          "missing, or a file is incomplete; 5% allows 0.952 to 1.05")
      ->type_name("PERCENT");
  arguments->outputs.add_to(*command);
  command->add_flag("--no-color", arguments->no_color, "Print without colours")->group("Output");
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
