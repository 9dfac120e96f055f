// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/program.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <new>
#include <string_view>
#include <system_error>

#include "apps/kqbench/subcommands.hpp"
#include "backends/backend.hpp"
#include "bench/measure/context.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/support/notice.hpp"

namespace kqbench {
namespace {

std::string version_text() {
  const Context build = build_context();
  return fmt::format("kqbench {} ({}, {}, {})", build.version, build.commit, build.build_type, build.compiler);
}

/// Options without a subcommand are those of `run`, so that vLLM's command lines work as they stand.
std::vector<std::string> with_subcommand(std::vector<std::string> arguments) {
  static const std::vector<std::string> own = {"--help", "-h", "--version"};
  const bool none = arguments.empty() ||
                    (arguments[0].starts_with('-') && std::find(own.begin(), own.end(), arguments[0]) == own.end());
  if (none) arguments.insert(arguments.begin(), "run");
  return arguments;
}

/// `help` is --help, and `help run` is `run --help`.
std::vector<std::string> with_help_as_option(std::vector<std::string> arguments) {
  if (arguments.empty() || arguments[0] != "help") return arguments;
  if (arguments.size() == 1) return {"--help"};
  if (arguments[1].starts_with('-')) return arguments;
  arguments.erase(arguments.begin());
  arguments.insert(arguments.begin() + 1, "--help");
  return arguments;
}

/// So that the help lists it. with_help_as_option() replaces all of its uses but its own --help.
void add_help(CLI::App& program) {
  CLI::App* command = program.add_subcommand("help", "Show what the program or a subcommand takes");
  static std::string subcommand;
  command->add_option("SUBCOMMAND", subcommand, "The subcommand to show [the program]")->type_name("");
}

void require_known_subcommand(const CLI::App& program, const std::string& name) {
  if (name.starts_with('-')) return;
  std::vector<std::string> names;
  for (const CLI::App* subcommand : program.get_subcommands([](const CLI::App*) { return true; })) {
    if (subcommand->get_name() == name) return;
    names.push_back(subcommand->get_name());
  }
  throw UsageError(fmt::format("{} is no subcommand; there are {}", in_quotes(name), fmt::join(names, ", ")));
}

/// The first line of a message of CLI11, whose messages may have several.
std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

/// The option of `command` whose name begins most like `name`, if more than dashes and a letter or two are the same.
std::string similar_option(const CLI::App& command, const std::string& name) {
  std::string best;
  std::size_t longest = std::string_view("--xx").size();
  for (const CLI::Option* option : command.get_options()) {
    const std::string known = option->get_name();
    const auto end = std::mismatch(name.begin(), name.end(), known.begin(), known.end()).first;
    const auto same = static_cast<std::size_t>(end - name.begin());
    if (same > longest) {
      longest = same;
      best = known;
    }
  }
  return best;
}

/// What is wrong with the command line of `command`, and where to look.
std::string usage_text(const CLI::App& program, const CLI::App& command, const CLI::ParseError& error) {
  const bool is_subcommand = command.get_parent() != nullptr;
  const std::string help = fmt::format("see `kqbench {}--help`", is_subcommand ? command.get_name() + ' ' : "");
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    static const std::string end = " is required";
    std::string name = first_line(error.what());
    if (name.ends_with(end)) {
      name.resize(name.size() - end.size());
      return fmt::format("{}: is missing; give it, {}", name, help);
    }
  }
  if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
    const std::string text = first_line(error.what());
    const std::string name = text.substr(0, text.find(": "));
    // CLI11 2.6 writes "most".
    if (text.find(": At Most 1 ") != std::string::npos || text.find(": At most 1 ") != std::string::npos) {
      return fmt::format("{}: is given more than once; give it one value, {}", name, help);
    }
    if (text.ends_with(" missing")) return fmt::format("{}: has no value; give it one, {}", name, help);
  }
  const std::vector<std::string> extras = program.remaining(true);
  if (dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr || extras.empty()) {
    return fmt::format("{}; {}", printable(first_line(error.what())), help);
  }
  const std::string& first = extras.front();
  const std::string name = is_subcommand ? command.get_name() : "kqbench";
  if (!first.starts_with('-')) return fmt::format("{}: is not expected by {}; {}", in_quotes(first), name, help);
  const std::string similar = similar_option(command, first);
  return fmt::format("{}: is no option of {}; {}{}", in_quotes(first), name,
                     similar.empty() ? "" : "try " + similar + ", or ", help);
}

/// `--json=` has an empty value, but what parses the command line takes the next argument for it; of `-o=x` it takes
/// `=x`.
void refuse_misplaced_equals_signs(const std::vector<std::string>& arguments) {
  for (const std::string& argument : arguments) {
    if (argument == "--") return;
    if (argument.size() > 3 && argument.starts_with("--") && argument.find('=') == argument.size() - 1) {
      throw UsageError(in_quotes(argument) + ": has no value after =; give one, or leave the option out");
    }
    if (argument.size() > 2 && argument[0] == '-' && argument[1] != '-' && argument[2] == '=') {
      throw UsageError(in_quotes(argument) + ": a short option's value follows after a space; leave out the =");
    }
  }
}

/// `--json --quiet` lacks a file name, but what parses the command line takes the next argument for it, whatever it is.
/// `--json=--quiet` means a file of that name. Lists and what follows `--` are left to the parser.
void refuse_options_as_values(const CLI::App& command, const std::vector<std::string>& arguments) {
  const auto option_named = [&](const std::string& argument) -> const CLI::Option* {
    return argument.size() > 1 && argument[0] == '-' ? command.get_option_no_throw(argument) : nullptr;
  };
  for (std::size_t i = 1; i < arguments.size() && arguments[i - 1] != "--"; ++i) {
    const CLI::Option* const option = option_named(arguments[i - 1]);
    if (option == nullptr || option->get_items_expected_max() != 1 || option->get_items_expected_min() != 1) continue;
    if (option_named(arguments[i]) == nullptr) continue;
    throw UsageError(fmt::format("{}: has no value, {} after it is an option; give one, or {}={} if that is its value",
                                 arguments[i - 1], arguments[i], option->get_name(), arguments[i]));
  }
}

/// No option takes an empty value.
void refuse_empty_values(const CLI::App& command) {
  for (const CLI::Option* option : command.get_options()) {
    const std::vector<std::string>& values = option->results();
    if (option->get_items_expected_max() == 0 || std::find(values.begin(), values.end(), "") == values.end()) continue;
    const bool is_file = option->get_positional() || option->get_type_name() == "FILE";
    throw UsageError(option->get_name() + (is_file ? ": '' names no file; give a file name"
                                                   : ": '' is no value; give one, or leave the option out"));
  }
}

int parse_and_run(const std::vector<std::string>& all, const DeviceOpener& open) {
  CLI::App program(
      "Times activation-quantization kernels: written once in Kokkos, by hand in native code, and against\n"
      "the memory's own limit. Every output that is timed is checked bit for bit.",
      "kqbench");
  program.set_version_flag("--version", version_text(), "Print version, commit, build type and compiler");
  program.require_subcommand(1);
  program.get_formatter()->column_width(34);
  program.footer(
      "Without a subcommand: run. `kqbench help run` shows its options.\n"
      "Exit status: 0 done, 1 wrong output or failed comparison, 2 bad usage or input file,\n"
      "3 device or system error, 130 interrupted.");
  Action chosen;
  add_run(program, command_line_text(all), open, chosen);
  add_verify(program, open, chosen);
  add_list(program, chosen);
  add_quantize(program, open, chosen);
  add_identify(program, chosen);
  add_compare(program, chosen);
  add_fleet(program, chosen);
  add_sharded(program, command_line_text(all), open, chosen);
  add_report(program, chosen);
  add_completion(program, chosen);
  add_help(program);

  std::vector<std::string> arguments = with_subcommand(with_help_as_option({all.begin() + 1, all.end()}));
  require_known_subcommand(program, arguments.front());
  const CLI::App* const command =
      arguments.front().starts_with('-') ? &program : program.get_subcommand(arguments.front());
  refuse_misplaced_equals_signs(arguments);
  refuse_options_as_values(*command, arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  try {
    program.parse(arguments);
  } catch (const CLI::Success& help_or_version) {
    return program.exit(help_or_version);
  } catch (const CLI::ParseError& error) {
    throw UsageError(usage_text(program, *command, error));
  }
  refuse_empty_values(*command);
  return chosen();
}

constexpr const char* output_lost = "standard output: cannot be written; make room or choose another place";

int report(const char* message, int status) {
  std::cout.flush();
  notice(first_line(message));
  return status;
}

/// The status, once all that was printed is out.
int with_output_written(int status) {
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return status;
  return report(output_lost, exit_system);
}

}  // namespace

int run_program(const std::vector<std::string>& arguments, const DeviceOpener& open) {
  try {
    return with_output_written(parse_and_run(arguments, open));
  } catch (const UsageError& error) {
    return report(error.what(), exit_usage);
  } catch (const DeviceError& error) {
    return report(error.what(), exit_system);
  } catch (const std::bad_alloc&) {
    return report("out of host memory; take a smaller shape", exit_system);
  } catch (const std::system_error& error) {
    // What fmt prints to standard output and does not get rid of throws words of its own.
    return report(std::ferror(stdout) != 0 ? output_lost : error.what(), exit_system);
  } catch (const std::exception& error) {
    return report(error.what(), exit_system);
  }
}

}  // namespace kqbench
