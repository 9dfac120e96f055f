// SPDX-License-Identifier: Apache-2.0
#include "bench/results/outputs.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>
#include <utility>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using Name = std::optional<std::string>;

void require_different(const char* option, const Name& name, const char* other_option, const Name& other) {
  if (name && other && (*name == *other || target_of(*name) == target_of(*other))) {
    throw UsageError(fmt::format("{} and {}: both go to {}; give them different names", option, other_option,
                                 *name == "-" ? "standard output" : in_quotes(*name)));
  }
}

}  // namespace

void OutputArguments::add_to(CLI::App& command) {
  const auto add = [&](const char* option, Name& name, const char* help) {
    command.add_option(option, name, help)->type_name("FILE")->group("Output");
  };
  add("--json", json, "Write the results as JSON; - is standard output");
  add("--csv", csv, "Write the results as CSV; - is standard output");
  add("--markdown", markdown, "Write the results as Markdown; - is standard output");
}

OutputArguments OutputArguments::at(const JobPlace& place) const {
  const auto placed = [&](const Name& name) { return name ? Name(with_place(*name, place)) : name; };
  return {placed(json), placed(csv), placed(markdown)};
}

bool OutputArguments::names_ranks() const {
  bool any = false;
  for (const Name& name : {json, csv, markdown}) {
    if (!name) continue;
    if (!names_each_rank(*name)) return false;
    any = true;
  }
  return any;
}

std::optional<std::string> OutputArguments::shared_name() const {
  for (const Name& name : {json, csv, markdown}) {
    std::error_code not_there;
    if (name && *name != "-" && !names_each_rank(*name) && !std::filesystem::is_character_file(*name, not_there)) {
      return name;
    }
  }
  return std::nullopt;
}

ResultOutputs::ResultOutputs(const OutputArguments& arguments, std::span<const std::string> inputs) {
  require_different("--json", arguments.json, "--csv", arguments.csv);
  require_different("--json", arguments.json, "--markdown", arguments.markdown);
  require_different("--csv", arguments.csv, "--markdown", arguments.markdown);
  if (arguments.json) json_.emplace(*arguments.json, inputs);
  if (arguments.csv) csv_.emplace(*arguments.csv, inputs);
  if (arguments.markdown) markdown_.emplace(*arguments.markdown, inputs);
}

bool ResultOutputs::use_stdout() const {
  const auto is_stdout = [](const std::optional<TextOutput>& output) { return output && output->is_stdout(); };
  return is_stdout(json_) || is_stdout(csv_) || is_stdout(markdown_);
}

bool ResultOutputs::use_stdout(const OutputArguments& arguments) {
  return arguments.json == "-" || arguments.csv == "-" || arguments.markdown == "-";
}

void ResultOutputs::write(const Text& json, const Text& csv, const Text& markdown) {
  if (json_) json_->write(json());
  if (csv_) csv_->write(csv());
  if (markdown_) markdown_->write(markdown());
}

}  // namespace kqbench
