// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/setting.hpp"

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

Setting build_setting() {
  Setting setting;
  setting.version = build::version;
  setting.commit = build::commit;
  setting.build_type = build::build_type;
  setting.compiler = build::compiler;
  setting.device_compiler = build::device_compiler;
  setting.device_architectures = build::device_architectures;
  setting.host_architecture = build::host_architecture;
  setting.libraries["CLI11"] = CLI11_VERSION;
  setting.libraries["fmt"] = fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100);
  setting.libraries["nlohmann-json"] =
      fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH);
  return setting;
}

Setting read_setting(const Device& device, const std::string& command_line) {
  Setting setting = build_setting();
  const DeviceInfo& info = device.info();
  setting.backend = info.backend;
  setting.device = info.name;
  setting.architecture = info.architecture;
  setting.driver = info.driver;
  setting.runtime = info.runtime;
  setting.memory_bytes = info.memory_bytes;
  setting.cache_bytes = info.cache_bytes;
  setting.compute_units = info.compute_units;
  const ClockReading clocks = device.read_clocks();
  setting.power_cap_watts = clocks.power_cap_watts;
  setting.clocks.core_mhz_before = clocks.core_mhz;
  setting.clocks.memory_mhz_before = clocks.memory_mhz;
  for (const auto& implementation : device.implementations()) {
    setting.implementations[std::string(implementation->name())] = implementation->description();
  }
  setting.host_cpu = host_cpu();
  setting.host_threads = available_threads();
  setting.host_threads_used = has_queue(device) ? 1 : info.compute_units;
  setting.operating_system = operating_system();
  setting.time = now_utc();
  setting.command_line = command_line;
  return setting;
}

void finish_setting(const Device& device, ResultFile& result) {
  const ClockReading reading = device.read_clocks();
  RowClocks& clocks = result.setting.clocks;
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
