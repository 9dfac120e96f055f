// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <vector>

#include "apps/kqbench/errors.hpp"
#include "apps/kqbench/subcommands.hpp"

namespace kqbench {
namespace {

/// With spaces around each, so that the script can look for a whole word.
std::string spaced(const std::vector<std::string>& words) {
  return fmt::format(" {} ", fmt::join(words, " "));
}

/// The arm of the script's `case` for a subcommand: its options, those that a value follows, those that a file follows.
std::string arm(const std::string& pattern, const CLI::App& command) {
  std::vector<std::string> options;
  std::vector<std::string> with_value;
  std::vector<std::string> with_file;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      options.push_back("--" + name);
      if (option->get_items_expected_max() == 0) continue;
      (option->get_type_name() == "FILE" ? with_file : with_value).push_back("--" + name);
    }
  }
  return fmt::format("    {})\n      options='{}'\n      with_value='{}'\n      with_file='{}'\n      ;;\n", pattern,
                     fmt::join(options, " "), spaced(with_value), spaced(with_file));
}

constexpr const char* script = R"(# Completion of kqbench's command line for bash, printed by `kqbench completion`.
_kqbench() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local options with_value with_file
  case ${{COMP_WORDS[1]}} in
{arms}  esac
  COMPREPLY=()
  if [[ $with_file == *" $previous "* ]]; then
    compopt -o default
  elif [[ $with_value == *" $previous "* ]]; then
    return
  elif [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif ((COMP_CWORD == 1)); then
    mapfile -t COMPREPLY < <(compgen -W '{subcommands}' -- "$current")
  else
    compopt -o default
  fi
}}
complete -F _kqbench kqbench
)";

}  // namespace

std::string bash_completion(const CLI::App& program) {
  std::string arms;
  std::vector<std::string> subcommands;
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; })) {
    subcommands.push_back(command->get_name());
    arms += arm(command->get_name(), *command);
  }
  arms += arm("*", *program.get_subcommand("run"));
  return fmt::format(script, fmt::arg("arms", arms), fmt::arg("subcommands", fmt::join(subcommands, " ")));
}

void add_completion(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("completion", "Print a completion script for bash");
  command->callback([&program, &chosen] {
    chosen = [&program] {
      fmt::print("{}", bash_completion(program));
      return exit_done;
    };
  });
}

}  // namespace kqbench
