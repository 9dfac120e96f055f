// SPDX-License-Identifier: Apache-2.0
#include "bench/results/context_text.hpp"

#include <fmt/format.h>

#include <string_view>

namespace kqbench {
namespace {

/// The parts that are not empty, joined.
std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (const std::string& part : parts) {
    if (part.empty()) continue;
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

/// `text` with `before` in front, or nothing.
std::string prefixed(std::string_view before, const std::string& text) {
  return text.empty() ? "" : fmt::format("{}{}", before, text);
}

/// "core 345 to 1980 MHz", or nothing.
std::string change_text(std::string_view what, const std::optional<double>& before,
                        const std::optional<double>& after) {
  if (!before || !after) return "";
  return *before == *after ? fmt::format("{} {:.0f} MHz", what, *after)
                           : fmt::format("{} {:.0f} to {:.0f} MHz", what, *before, *after);
}

std::string in_brackets(const std::string& text) {
  return text.empty() ? "" : fmt::format(" ({})", text);
}

}  // namespace

std::vector<std::pair<std::string, std::string>> context_facts(const Context& context) {
  std::vector<std::pair<std::string, std::string>> facts;
  const auto add = [&](const char* name, std::string value) {
    if (!value.empty()) facts.emplace_back(name, std::move(value));
  };
  add("Device",
      join({context.device.empty() ? "" : context.device + in_brackets(context.architecture), context.device_id,
            context.memory_bytes == 0 ? ""
                                      : fmt::format("{:.1f} GiB", static_cast<double>(context.memory_bytes) / 0x1p30),
            context.cache_bytes == 0
                ? ""
                : fmt::format("{:.0f} MiB last-level cache", static_cast<double>(context.cache_bytes) / 0x1p20),
            context.compute_units == 0
                ? ""
                : fmt::format("{} compute unit{}", context.compute_units, context.compute_units == 1 ? "" : "s"),
            context.power_cap_watts ? fmt::format("power cap {:.0f} W", *context.power_cap_watts) : ""},
           ", "));
  add("Backend", join({context.backend, context.runtime, prefixed("driver ", context.driver)}, ", "));
  const RowClocks& clocks = context.clocks;
  add("Clocks, before to after",
      join({change_text("core", clocks.core_mhz_before, clocks.core_mhz_after),
            change_text("memory", clocks.memory_mhz_before, clocks.memory_mhz_after),
            clocks.power_watts ? fmt::format("{:.0f} W", *clocks.power_watts) : "",
            clocks.temperature_celsius ? fmt::format("{:.0f} °C", *clocks.temperature_celsius) : "",
            clocks.dropped ? "dropped during a row" : ""},
           ", "));
  std::vector<std::string> ceilings;
  for (const auto& [mix, gbps] : context.ceilings_gbps) {
    ceilings.push_back(fmt::format("{} {:.0f}", mix, gbps));
  }
  add("Memory ceiling, GB/s by read:write mix", join(ceilings, ", "));
  for (const auto& [name, description] : context.implementations) {
    add(name.c_str(), description);
  }
  add("Host", join({context.host, context.host_cpu,
                    context.host_threads == 0 ? "" : fmt::format("{} threads", context.host_threads),
                    context.host_threads_used == 0 ? "" : fmt::format("{} used", context.host_threads_used),
                    context.operating_system},
                   ", "));
  add("Job", join({prefixed("node ", context.node == context.host ? "" : context.node),
                   context.size > 1 ? fmt::format("rank {} of {}", context.rank, context.size) : "",
                   prefixed("started by ", context.launcher), prefixed("measured ", context.measured)},
                  ", "));
  std::vector<std::string> program = {join({context.program, context.version}, " ") + in_brackets(context.commit),
                                      context.build_type,
                                      context.compiler + prefixed(" for ", context.host_architecture),
                                      context.device_compiler + prefixed(" for ", context.device_architectures)};
  for (const auto& [name, version] : context.libraries) {
    program.push_back(join({name, version}, " "));
  }
  add("Program", join(program, ", "));
  add("Time", context.time);
  add("Command", context.command_line);
  return facts;
}

std::string context_line(const Context& context) {
  return join({context.device, context.runtime, prefixed("driver ", context.driver),
               join({context.program, context.version}, " ") + in_brackets(context.commit), context.time},
              ", ");
}

}  // namespace kqbench
