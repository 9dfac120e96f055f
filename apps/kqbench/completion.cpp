// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/completion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <regex>
#include <set>
#include <vector>

#include "apps/kqbench/subcommands.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

/// With spaces around each, so that the script can look for a whole word.
std::string spaced(const std::vector<std::string>& words) {
  return fmt::format(" {} ", fmt::join(words, " "));
}

/// What an option takes, where its help lists that: "What: a, b (why), c:G, d:MxN [a]" takes a, b, c: and d:.
std::vector<std::string> listed_values(const CLI::Option& option) {
  static const std::set<std::string> types = {"NAME", "LIST", "FORMAT"};
  if (!types.contains(option.get_type_name())) return {};
  static const std::regex aside(R"( \([^)]*\)| \[[^\]]*\])");
  static const std::regex word("([a-z0-9_.-]+:?)(?:[A-Z]x)?[A-Z]?");
  std::string text = std::regex_replace(option.get_description(), aside, "");
  if (const std::size_t colon = text.find(": "); colon != std::string::npos) text.erase(0, colon + 2);
  std::vector<std::string> values;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(", ", start), text.size());
    const std::string item = text.substr(start, end - start);
    std::smatch match;
    if (!std::regex_match(item, match, word)) return {};
    values.push_back(match[1]);
    start = end + 2;
  }
  return values;
}

/// The arm of the script's `case` for a subcommand: its options, those that a value follows, those that a file follows;
/// and of the one before the cursor the values, where they are known.
std::string arm(const std::string& pattern, const CLI::App& command) {
  std::vector<std::string> options;
  std::vector<std::string> with_value;
  std::vector<std::string> with_file;
  std::string values;
  for (const CLI::Option* option : command.get_options()) {
    const std::vector<std::string> listed = listed_values(*option);
    for (const std::string& name : option->get_lnames()) {
      options.push_back("--" + name);
      if (option->get_items_expected_max() == 0) continue;
      (option->get_type_name() == "FILE" ? with_file : with_value).push_back("--" + name);
      if (listed.empty()) continue;
      values += fmt::format("        --{}) values='{}'{} ;;\n", name, fmt::join(listed, " "),
                            option->get_type_name() == "LIST" ? " list=yes" : "");
    }
  }
  if (!values.empty()) values = fmt::format("      case $previous in\n{}      esac\n", values);
  return fmt::format("    {})\n      options='{}'\n      with_value='{}'\n      with_file='{}'\n{}      ;;\n", pattern,
                     fmt::join(options, " "), spaced(with_value), spaced(with_file), values);
}

constexpr const char* script = R"(# Completion of kqbench's command line for bash, printed by `kqbench completion`.
_kqbench() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  local options with_value with_file values='' list='' before=''
  COMPREPLY=()
  if [[ $current == : || $previous == : ]]; then # the number in group:128
    return
  elif [[ $current == = ]]; then # --option=value is three words
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  case ${{COMP_WORDS[1]}} in
{arms}  esac
  if [[ $with_file == *" $previous "* ]]; then
    compopt -o default
  elif [[ $with_value == *" $previous "* ]]; then
    if [[ $list && $current == *,* ]]; then
      before=${{current%,*}},
    fi
    mapfile -t COMPREPLY < <(compgen -P "$before" -W "$values" -- "${{current#"$before"}}")
    if [[ $list || ${{COMPREPLY[*]}} == *: ]]; then # more may follow
      compopt -o nospace
    fi
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
