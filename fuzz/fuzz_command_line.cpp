// SPDX-License-Identifier: Apache-2.0

// Whole command lines, one argument per line, of every subcommand: each ends with status 0, 2 or 3, and an error is one
// line. Nothing is opened: no_files.cpp has no file, and its host no device. The options of `kqbench run` are also
// looked at by themselves: any are refused with one line, or are a sweep of valid requests.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "apps/kqbench/run_arguments.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/notice.hpp"
#include "fuzz/require.hpp"
#include "kq/request.hpp"

namespace {

using Arguments = std::vector<std::string>;

Arguments lines(const std::uint8_t* data, std::size_t size) {
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  Arguments result;
  for (std::string line; std::getline(text, line);) {
    result.push_back(line);
  }
  return result;
}

/// A line that does nothing to a terminal.
bool is_one_line(std::string_view message) {
  const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
  return !message.empty() && std::none_of(message.begin(), message.end(), is_control);
}

/// What the program said on standard error: that of libFuzzer's is left alone.
std::vector<std::string> said;

void run_all(Arguments arguments) {
  arguments.insert(arguments.begin(), "kqbench");
  said.clear();
  const int status = kqbench::run_program(arguments);
  fuzz::require(status == kqbench::exit_done || status == kqbench::exit_usage || status == kqbench::exit_system,
                "a status of 0, 2 or 3");
  std::ptrdiff_t errors = 0;
  for (const std::string& line : said) {
    fuzz::require(is_one_line(line), "a notice of one line");
    errors += line.starts_with("left out ") ? 0 : 1;
  }
  fuzz::require(errors == (status == kqbench::exit_done ? 0 : 1), "one line for an error, and none without one");
}

void plan_run(Arguments arguments) {
  using namespace kqbench;
  if (!arguments.empty() && arguments.front() == "run") arguments.erase(arguments.begin());
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them
  CLI::App program("", "kqbench");
  RunArguments run;
  run.add_to(program);
  try {
    program.parse(arguments);
    const RunPlan plan = understand(run);
    fuzz::require(!plan.sweep.requests.empty(), "there is something to do");
    for (const kq::Request& request : plan.sweep.requests) {
      fuzz::require(!kq::validate(request), "a valid request");
    }
  } catch (const CLI::ParseError&) {  // run_all() looks at the messages
  } catch (const UsageError&) {
  }
}

}  // namespace

void kqbench::notice(std::string_view line) {
  said.emplace_back(line);
}

extern "C" int LLVMFuzzerInitialize(int* /*argc*/, char*** /*argv*/) {
  return std::freopen("/dev/null", "w", stdout) == nullptr ? 1 : 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Arguments arguments = lines(data, size);
  run_all(arguments);
  plan_run(arguments);
  return 0;
}
