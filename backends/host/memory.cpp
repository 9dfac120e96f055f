// SPDX-License-Identifier: Apache-2.0

#include "backends/host/memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>

#include "backends/backend.hpp"

namespace kqbench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t unlimited = std::numeric_limits<std::uint64_t>::max();

/// The number in a file of one number; nothing if there is none ("max", no such file).
std::optional<std::uint64_t> read_number(const fs::path& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (!(file >> number)) return std::nullopt;
  return number;
}

/// The number after `key` in a file of lines that begin with a key.
std::optional<std::uint64_t> read_field(const fs::path& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    std::uint64_t number = 0;
    if (words >> word >> number && word == key) return number;
  }
  return std::nullopt;
}

struct Limit {
  std::uint64_t total = unlimited;
  std::uint64_t available = unlimited;
};

/// What the names of a control group's files are, by version.
struct ControlGroupFiles {
  const char* limit;
  const char* usage;
  const char* reclaimable;  ///< in memory.stat: file pages that make room when asked
};
constexpr ControlGroupFiles version1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
constexpr ControlGroupFiles version2{"memory.max", "memory.current", "inactive_file"};

/// The tightest limit of a group and all groups above it, up to `hierarchy`.
Limit limit_of_group(const fs::path& hierarchy, const std::string& group, const ControlGroupFiles& files) {
  Limit tightest;
  fs::path path = fs::path(group).relative_path();
  for (;;) {
    const fs::path folder = hierarchy / path;
    if (const auto limit = read_number(folder / files.limit)) {
      const std::uint64_t usage = read_number(folder / files.usage).value_or(0);
      const std::uint64_t reclaimable = read_field(folder / "memory.stat", files.reclaimable).value_or(0);
      const std::uint64_t used = usage - std::min(usage, reclaimable);
      tightest.total = std::min(tightest.total, *limit);
      tightest.available = std::min(tightest.available, *limit - std::min(*limit, used));
    }
    if (path.empty()) return tightest;
    path = path.parent_path();
  }
}

Limit control_group_limit(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  Limit tightest;
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "4:memory:/path", or "0::/path" for version 2
    const auto first = line.find(':');
    const auto second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
    const std::string group = line.substr(second + 1);
    Limit limit;
    if (controllers == ",,") limit = limit_of_group(mount, group, version2);
    if (controllers.find(",memory,") != std::string::npos) limit = limit_of_group(mount / "memory", group, version1);
    tightest.total = std::min(tightest.total, limit.total);
    tightest.available = std::min(tightest.available, limit.available);
  }
  return tightest;
}

std::uint64_t meminfo_bytes(const fs::path& root, const std::string& key) {
  return read_field(root / "proc/meminfo", key).value_or(0) * 1024;
}

}  // namespace

std::uint64_t memory_total_bytes(const fs::path& root) {
  return std::min(meminfo_bytes(root, "MemTotal:"), control_group_limit(root).total);
}

std::uint64_t memory_available_bytes(const fs::path& root) {
  return std::min(meminfo_bytes(root, "MemAvailable:"), control_group_limit(root).available);
}

void* allocate_host_memory(std::size_t bytes) {
  const auto fail = [&]() {
    throw DeviceError("host memory: " + std::to_string(bytes) + " bytes wanted, " +
                      std::to_string(memory_available_bytes()) + " available; take a smaller shape");
  };
  constexpr std::size_t huge_page = std::size_t{1} << 21;
  const bool large = bytes >= 2 * huge_page;
  const std::size_t alignment = large ? huge_page : 256;
  if (large && bytes > memory_available_bytes()) fail();  // to find that out takes longer than a small allocation
  const std::size_t rounded = (std::max<std::size_t>(bytes, 1) + alignment - 1) / alignment * alignment;
  void* const address = std::aligned_alloc(alignment, rounded);
  if (address == nullptr) fail();
  if (alignment == huge_page) madvise(address, rounded, MADV_HUGEPAGE);  // advice: nothing is lost if it is not taken
  return address;
}

void release_host_memory(void* address) noexcept {
  std::free(address);
}

}  // namespace kqbench
