// SPDX-License-Identifier: Apache-2.0
#include "bench/results/setting_text.hpp"

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

std::vector<std::pair<std::string, std::string>> setting_facts(const Setting& setting) {
  std::vector<std::pair<std::string, std::string>> facts;
  const auto add = [&](const char* name, std::string value) {
    if (!value.empty()) facts.emplace_back(name, std::move(value));
  };
  add("Device",
      join({setting.device.empty() ? "" : setting.device + in_brackets(setting.architecture),
            setting.memory_bytes == 0 ? ""
                                      : fmt::format("{:.1f} GiB", static_cast<double>(setting.memory_bytes) / 0x1p30),
            setting.cache_bytes == 0
                ? ""
                : fmt::format("{:.0f} MiB last-level cache", static_cast<double>(setting.cache_bytes) / 0x1p20),
            setting.compute_units == 0
                ? ""
                : fmt::format("{} compute unit{}", setting.compute_units, setting.compute_units == 1 ? "" : "s"),
            setting.power_cap_watts ? fmt::format("power cap {:.0f} W", *setting.power_cap_watts) : ""},
           ", "));
  add("Backend", join({setting.backend, setting.runtime, prefixed("driver ", setting.driver)}, ", "));
  const RowClocks& clocks = setting.clocks;
  add("Clocks, before to after",
      join({change_text("core", clocks.core_mhz_before, clocks.core_mhz_after),
            change_text("memory", clocks.memory_mhz_before, clocks.memory_mhz_after),
            clocks.power_watts ? fmt::format("{:.0f} W", *clocks.power_watts) : "",
            clocks.temperature_celsius ? fmt::format("{:.0f} °C", *clocks.temperature_celsius) : "",
            clocks.dropped ? "dropped during a row" : ""},
           ", "));
  std::vector<std::string> ceilings;
  for (const auto& [mix, gbps] : setting.ceilings_gbps) {
    ceilings.push_back(fmt::format("{} {:.0f}", mix, gbps));
  }
  add("Memory ceiling, GB/s by read:write mix", join(ceilings, ", "));
  for (const auto& [name, description] : setting.implementations) {
    add(name.c_str(), description);
  }
  add("Host", join({setting.host_cpu, setting.host_threads == 0 ? "" : fmt::format("{} threads", setting.host_threads),
                    setting.host_threads_used == 0 ? "" : fmt::format("{} used", setting.host_threads_used),
                    setting.operating_system},
                   ", "));
  std::vector<std::string> program = {join({setting.program, setting.version}, " ") + in_brackets(setting.commit),
                                      setting.build_type,
                                      setting.compiler + prefixed(" for ", setting.host_architecture),
                                      setting.device_compiler + prefixed(" for ", setting.device_architectures)};
  for (const auto& [name, version] : setting.libraries) {
    program.push_back(join({name, version}, " "));
  }
  add("Program", join(program, ", "));
  add("Time", setting.time);
  add("Command", setting.command_line);
  return facts;
}

std::string setting_line(const Setting& setting) {
  return join({setting.device, setting.runtime, prefixed("driver ", setting.driver),
               join({setting.program, setting.version}, " ") + in_brackets(setting.commit), setting.time},
              ", ");
}

}  // namespace kqbench
