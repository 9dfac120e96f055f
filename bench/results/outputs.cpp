// SPDX-License-Identifier: Apache-2.0
#include "bench/results/outputs.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
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
  add("--csv", csv, "Write them as CSV");
  add("--markdown", markdown, "Write them as Markdown");
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

void ResultOutputs::write(const Text& json, const Text& csv, const Text& markdown) {
  if (json_) json_->write(json());
  if (csv_) csv_->write(csv());
  if (markdown_) markdown_->write(markdown());
}

}  // namespace kqbench
