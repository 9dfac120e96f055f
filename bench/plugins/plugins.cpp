// SPDX-License-Identifier: Apache-2.0
#include "bench/plugins/plugins.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <set>

#include "bench/plugins/child_process.hpp"
#include "bench/plugins/crash_report.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/input_file.hpp"
#include "kq/dialect.hpp"

namespace kqbench {
namespace {

struct PluginChoice {
  std::string path;
  std::optional<std::string> name;
};

/// "FILE" or "FILE:NAME"; a colon in the name of a folder is one of the file's.
PluginChoice parse_choice(const std::string& argument) {
  const std::size_t colon = argument.rfind(':');
  if (colon == std::string::npos || argument.find('/', colon) != std::string::npos) return {argument, std::nullopt};
  return {argument.substr(0, colon), argument.substr(colon + 1)};
}

[[noreturn]] void refuse(const PluginChoice& choice, const std::string& why) {
  throw UsageError(fmt::format("--plugin: {} {}", in_quotes(choice.path), printable(why)));
}

/// Throws UsageError if a process that loads the library does not live to tell of it.
void require_survival(const PluginChoice& choice) {
  ChildProcess child([&](const ChildProcess::Lines& lines) {
    report_crashes(lines.file());
    try {
      load_plugin(choice.path, choice.name);
    } catch (const std::exception&) {  // thrown again where it is loaded once more
    }
    lines.say("finished");
  });
  std::string crash;
  while (const std::optional<std::string> line = child.next_line()) {
    if (*line == "finished") return;
    crash = crash_text(*line);
  }
  if (crash.empty()) crash = child.how_it_failed().value_or("exit status 0");
  refuse(choice, "ends the process that loads it, or asks it for its kernels: " + crash);
}

}  // namespace

std::vector<PluginKernel> load_plugins(const std::vector<std::string>& arguments) {
  std::vector<PluginKernel> kernels;
  std::set<std::string> names;
  for (const std::string& argument : arguments) {
    const PluginChoice choice = parse_choice(argument);
    InputFile readable(choice.path);
    require_survival(choice);
    std::vector<PluginKernel> found;
    try {
      found = load_plugin(choice.path, choice.name);
    } catch (const std::exception& error) {
      refuse(choice, error.what());
    }
    for (PluginKernel& kernel : found) {
      if (!names.insert(kernel.name).second) {
        refuse(choice,
               fmt::format("has a kernel {0}, as another one is named too; choose one as FILE:{0}", kernel.name));
      }
      kernels.push_back(std::move(kernel));
    }
  }
  return kernels;
}

bool choose_dialects(Sweep& sweep, const std::vector<PluginKernel>& kernels) {
  if (sweep.has("dialect")) return true;
  Sweep::Values dialects;
  for (const PluginKernel& kernel : kernels) {
    if (!kernel.dialect) continue;
    const kq::ParameterValue name(std::string(kq::to_string(*kernel.dialect)));
    if (std::find(dialects.begin(), dialects.end(), name) == dialects.end()) dialects.push_back(name);
  }
  if (!dialects.empty()) sweep.set("dialect", std::move(dialects));
  return false;
}

void add_plugins(Device& device, const std::vector<PluginKernel>& kernels, bool asks_dialect) {
  for (const PluginKernel& kernel : kernels) {
    if (kernel.backend != device.info().backend) {
      throw UsageError(fmt::format("--plugin: {} runs on {}, and this is {}; give --backend {}", kernel.name,
                                   kernel.backend, device.info().backend, kernel.backend));
    }
    device.add_implementation(make_plugin_implementation(kernel, device, asks_dialect));
  }
}

std::vector<std::string> with_plugins(std::vector<std::string> usual, const std::vector<PluginKernel>& kernels) {
  for (const PluginKernel& kernel : kernels) {
    usual.push_back(kernel.name);
  }
  return usual;
}

}  // namespace kqbench
