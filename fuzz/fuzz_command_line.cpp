// SPDX-License-Identifier: Apache-2.0

// The options of `kqbench run`, one argument a line: any are refused with one line, or are a sweep of valid requests.
// Nothing is opened: inputs that name a file to read are left out.

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <sstream>
#include <string>
#include <vector>

#include "apps/kqbench/errors.hpp"
#include "apps/kqbench/run_arguments.hpp"
#include "fuzz/require.hpp"
#include "kq/request.hpp"

namespace {

std::vector<std::string> lines(const std::uint8_t* data, std::size_t size) {
  std::istringstream text(std::string(reinterpret_cast<const char*>(data), size));
  std::vector<std::string> result;
  for (std::string line; std::getline(text, line);) {
    result.push_back(line);
  }
  return result;
}

bool is_one_line(const std::string& message) {
  return !message.empty() && message.find('\n') == std::string::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace kqbench;
  std::vector<std::string> arguments = lines(data, size);
  const auto reads_a_file = [](const std::string& argument) { return argument.starts_with("--input"); };
  if (std::any_of(arguments.begin(), arguments.end(), reads_a_file)) return 0;
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 wants them

  CLI::App program("", "kqbench");
  RunArguments run;
  run.add_to(program);
  try {
    program.parse(arguments);
  } catch (const CLI::ParseError&) {
    return 0;  // of which the program prints the first line
  }
  try {
    const RunPlan plan = understand(run);
    fuzz::require(!plan.sweep.requests.empty(), "there is something to do");
    for (const kq::Request& request : plan.sweep.requests) {
      fuzz::require(!kq::validate(request), "a valid request");
    }
    for (const std::string& line : plan.sweep.left_out) {
      fuzz::require(is_one_line(line), "a notice of one line");
    }
    (void)run.device.device();
    (void)run.device.host_threads();
    (void)run.device.implementations();
  } catch (const UsageError& error) {
    fuzz::require(is_one_line(error.what()), "a message of one line");
  }
  return 0;
}
