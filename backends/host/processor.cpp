// SPDX-License-Identifier: Apache-2.0

#include "backends/host/processor.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>
#include <utility>
#include <vector>

#include "backends/host/threads.hpp"
#include "kq/architecture.hpp"

namespace kqbench {
namespace {

namespace fs = std::filesystem;

/// The first line of a small file; empty if it cannot be read.
std::string first_line(const fs::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// Calls function(value) for each line "key : value" of /proc/cpuinfo.
template <class Function>
void for_each_cpuinfo(const fs::path& root, std::string_view key, const Function& function) {
  std::ifstream file(root / "proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (colon == std::string::npos) continue;
    const auto key_end = line.find_last_not_of(" \t", colon == 0 ? 0 : colon - 1);
    if (std::string_view(line).substr(0, key_end + 1) != key) continue;
    const auto value = line.find_first_not_of(" \t", colon + 1);
    function(value == std::string::npos ? std::string() : line.substr(value));
  }
}

/// "48K" in bytes; 0 if that is no size.
std::uint64_t parse_size(const std::string& text) {
  std::istringstream stream(text);
  std::uint64_t size = 0;
  char unit = 'B';
  if (!(stream >> size)) return 0;
  stream >> unit;
  const int shift = unit == 'K' ? 10 : (unit == 'M' ? 20 : (unit == 'G' ? 30 : 0));
  return size << shift;
}

/// Folders named `prefix` and a number, in a folder that may not exist.
std::vector<fs::path> numbered_folders(const fs::path& parent, std::string_view prefix) {
  std::vector<fs::path> folders;
  std::error_code ignored;
  for (fs::directory_iterator entry(parent, ignored), end; entry != end; entry.increment(ignored)) {
    const std::string name = entry->path().filename();
    if (name.size() > prefix.size() && name.compare(0, prefix.size(), prefix) == 0 &&
        name.find_first_not_of("0123456789", prefix.size()) == std::string::npos) {
      folders.push_back(entry->path());
    }
  }
  return folders;
}

/// The least of two limits, of which either may be missing.
std::optional<double> tighter(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a || !b) return a ? a : b;
  return std::min(*a, *b);
}

/// "200000 100000" are 2 processors: microseconds in each period of so many. Nothing for "max" or a quota of -1.
std::optional<double> quota_over_period(const std::string& text) {
  std::istringstream stream(text);
  double quota = 0.0;
  double period = 0.0;
  if (!(stream >> quota >> period) || !(quota > 0.0) || !(period > 0.0)) return std::nullopt;
  return quota / period;
}

/// The tightest limit of a control group and all groups above it, up to `hierarchy`. Version 2 has one file for both
/// numbers, version 1 has two.
std::optional<double> processors_of_group(const fs::path& hierarchy, const std::string& group, int version) {
  std::optional<double> tightest;
  for (fs::path path = fs::path(group).relative_path();; path = path.parent_path()) {
    const fs::path folder = hierarchy / path;
    const std::string limit =
        version == 2 ? first_line(folder / "cpu.max")
                     : first_line(folder / "cpu.cfs_quota_us") + ' ' + first_line(folder / "cpu.cfs_period_us");
    tightest = tighter(tightest, quota_over_period(limit));
    if (path.empty()) return tightest;
  }
}

/// Processors of the affinity mask. OpenMP binds the first thread to one of them where it is told to, and then knows
/// how many the process was started with.
int processors_in_mask() {
#if defined(_OPENMP)
  return std::max(1, omp_get_num_procs());
#else
  for (int most = 1024; most <= 1 << 20; most *= 2) {
    cpu_set_t* const mask = CPU_ALLOC(static_cast<std::size_t>(most));
    if (mask == nullptr) break;
    const std::size_t bytes = CPU_ALLOC_SIZE(static_cast<std::size_t>(most));
    const int count = sched_getaffinity(0, bytes, mask) == 0 ? CPU_COUNT_S(bytes, mask) : 0;
    CPU_FREE(mask);
    if (count > 0) return count;
  }
  return 1;
#endif
}

#if defined(__x86_64__)
constexpr std::array<std::string_view, 4> x86_levels{"x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4"};

/// Place of a level in x86_levels; nothing for another architecture.
std::optional<std::size_t> x86_level(const std::string& architecture) {
  for (std::size_t i = 0; i < x86_levels.size(); ++i) {
    if (x86_levels[i] == architecture) return i;
  }
  return std::nullopt;
}
#endif

}  // namespace

std::string processor_name(const fs::path& root) {
  std::string name;
  for_each_cpuinfo(root, "model name", [&](const std::string& value) { name = value; });
  // Arm's kernel gives no name but, on some boards, that of the machine.
  if (name.empty()) {
    name = first_line(root / "sys/firmware/devicetree/base/model");
    name = name.substr(0, name.find('\0'));
  }
  return name.empty() ? "unknown processor" : name;
}

std::string processor_architecture() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  const bool v2 = __builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("popcnt");
  const bool v3 =
      v2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("fma");
  const bool v4 = v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                  __builtin_cpu_supports("avx512vl");
  return std::string(x86_levels[v4 ? 3 : (v3 ? 2 : (v2 ? 1 : 0))]);
#else
  return std::string(kq::compiled_architecture());
#endif
}

std::optional<std::string> architecture_mismatch([[maybe_unused]] const std::string& compiled,
                                                 [[maybe_unused]] const std::string& present) {
#if defined(__x86_64__)
  const auto needed = x86_level(compiled);
  const auto there = x86_level(present);
  if (needed && there && *needed > *there) {
    return "this program was compiled for " + compiled + ", the processor is " + present + ": build it on this machine";
  }
#endif
  return std::nullopt;
}

std::uint64_t last_level_cache_bytes(const fs::path& root) {
  int last_level = 0;
  std::set<std::pair<std::string, std::uint64_t>> instances;  // the processors that share it, and its size
  for (const fs::path& cpu : numbered_folders(root / "sys/devices/system/cpu", "cpu")) {
    for (const fs::path& cache : numbered_folders(cpu / "cache", "index")) {
      if (first_line(cache / "type") == "Instruction") continue;
      const int level = std::atoi(first_line(cache / "level").c_str());
      const std::uint64_t size = parse_size(first_line(cache / "size"));
      if (size == 0 || level < last_level) continue;
      if (level > last_level) instances.clear();
      last_level = level;
      instances.emplace(first_line(cache / "shared_cpu_list"), size);
    }
  }
  std::uint64_t bytes = 0;
  for (const auto& [processors, size] : instances) {
    bytes += size;
  }
#if defined(_SC_LEVEL3_CACHE_SIZE)
  if (bytes == 0 && root == "/") {
    for (const int name : {_SC_LEVEL3_CACHE_SIZE, _SC_LEVEL2_CACHE_SIZE}) {
      const long size = sysconf(name);
      if (bytes == 0 && size > 0) bytes = static_cast<std::uint64_t>(size);
    }
  }
#endif
  return bytes;
}

std::optional<double> control_group_processors(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  std::optional<double> tightest;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "4:cpu,cpuacct:/path", or "0::/path" for version 2
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string group = line.substr(second + 1);
    if (controllers.empty()) {
      tightest = tighter(tightest, processors_of_group(mount, group, 2));
    } else if ((',' + controllers + ',').find(",cpu,") != std::string::npos) {
      tightest = tighter(tightest, processors_of_group(mount / "cpu", group, 1));  // often a link to the other
      tightest = tighter(tightest, processors_of_group(mount / controllers, group, 1));
    }
  }
  return tightest;
}

int available_threads(const fs::path& root) {
  const int processors = processors_in_mask();
  const auto limit = control_group_processors(root);
  if (!limit || *limit >= processors) return processors;
  return std::max(1, static_cast<int>(std::ceil(*limit)));
}

std::optional<double> processor_mhz(const fs::path& root) {
  double sum = 0.0;
  int count = 0;
  const auto add = [&](const std::string& text, double unit) {
    std::istringstream stream(text);
    double value = 0.0;
    if (!(stream >> value) || !(value > 0.0)) return;
    sum += value * unit;
    ++count;
  };
  for (const fs::path& cpu : numbered_folders(root / "sys/devices/system/cpu", "cpu")) {
    add(first_line(cpu / "cpufreq/scaling_cur_freq"), 1e-3);
  }
  if (count == 0) for_each_cpuinfo(root, "cpu MHz", [&](const std::string& value) { add(value, 1.0); });
  if (count == 0) return std::nullopt;
  return sum / count;
}

}  // namespace kqbench
