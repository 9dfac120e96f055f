// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/context.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/utsname.h>

#include <CLI/Version.hpp>
#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string_view>

#include "backends/host/processor.hpp"
#include "bench/measure/timer.hpp"
#include "kq/architecture.hpp"
#include "kqbench_build.hpp"

namespace kqbench {
namespace {

std::string host_cpu() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(':');
    if (line.starts_with("model name") && colon != std::string::npos) {
      return line.substr(std::min(line.size(), colon + 2));
    }
  }
  return {};
}

std::string operating_system() {
  utsname names{};
  if (uname(&names) != 0) return {};
  return fmt::format("{} {} {}", names.sysname, names.release, names.machine);
}

std::string now_utc() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(now));
}

}  // namespace

Context build_context() {
  Context context;
  context.version = build::version;
  context.commit = build::commit;
  context.build_type = build::build_type;
  context.compiler = build::compiler;
  context.device_compiler = build::device_compiler;
  context.device_architectures = build::device_architectures;
  // The library that the loader chose, where there are several.
  context.host_architecture =
      build::host_architecture == std::string_view("baseline") ? kq::compiled_architecture() : build::host_architecture;
  context.libraries["CLI11"] = CLI11_VERSION;
  context.libraries["fmt"] = fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
  context.libraries["nlohmann-json"] =
      fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
  return context;
}

Context read_context(const Device& device, const std::string& command_line, const JobPlace& place) {
  Context context = build_context();
  const DeviceInfo& info = device.info();
  context.backend = info.backend;
  context.device = info.name;
  context.device_id = info.id;
  context.architecture = info.architecture;
  context.driver = info.driver;
  context.runtime = info.runtime;
  context.memory_bytes = info.memory_bytes;
  context.cache_bytes = info.cache_bytes;
  context.compute_units = info.compute_units;
  const ClockReading clocks = device.read_clocks();
  context.power_cap_watts = clocks.power_cap_watts;
  context.clocks.core_mhz_before = clocks.core_mhz;
  context.clocks.memory_mhz_before = clocks.memory_mhz;
  for (const auto& implementation : device.implementations()) {
    context.implementations[std::string(implementation->name())] = implementation->description();
  }
  context.host_cpu = host_cpu();
  context.host_threads = available_threads();
  context.host_threads_used = has_queue(device) ? 1 : info.compute_units;
  context.operating_system = operating_system();
  context.time = now_utc();
  context.command_line = command_line;
  context.host = place.host;
  context.node = place.node;
  context.launcher = place.launcher;
  context.rank = place.rank;
  context.size = place.size;
  return context;
}

void finish_context(const Device& device, ResultFile& result) {
  const ClockReading reading = device.read_clocks();
  RowClocks& clocks = result.context.clocks;
  clocks.core_mhz_after = reading.core_mhz;
  clocks.memory_mhz_after = reading.memory_mhz;
  clocks.power_watts = reading.power_watts;
  clocks.temperature_celsius = reading.temperature_celsius;
  clocks.dropped =
      std::any_of(result.rows.begin(), result.rows.end(), [](const Row& row) { return row.clocks.dropped; });
}

std::string command_line_text(const std::vector<std::string>& arguments) {
  constexpr std::string_view plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+,.:/@%";
  std::string line;
  for (const std::string& argument : arguments) {
    if (!line.empty()) line += ' ';
    if (!argument.empty() && argument.find_first_not_of(plain) == std::string::npos) {
      line += argument;
      continue;
    }
    line += '\'';
    for (const char c : argument) {
      if (c == '\'') {
        line += "'\\''";
      } else if (c < ' ' || c > '~') {
        line += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      } else {
        line += c;
      }
    }
    line += '\'';
  }
  return line;
}

}  // namespace kqbench
