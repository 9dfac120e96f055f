// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/rotation.hpp"

#include <algorithm>
#include <numeric>

namespace kqbench {
namespace {

/// More bytes than this must be touched between two uses.
std::uint64_t bytes_to_exceed(std::uint64_t cache_bytes) {
  return 2 * (cache_bytes == 0 ? assumed_cache_bytes : cache_bytes);
}

}  // namespace

std::string_view to_string(Cache cache) {
  switch (cache) {
    case Cache::cold:
      return "cold";
    case Cache::warm:
      return "warm";
    case Cache::hot:
      return "hot";
  }
  return "";
}

std::int64_t copies_for_cold(const RotationLimits& limits) {
  const std::uint64_t others = bytes_to_exceed(limits.cache_bytes) / limits.bytes_per_launch + 1;
  const std::uint64_t room = limits.memory_for_copies / limits.memory_per_copy;
  const std::uint64_t most = std::min(static_cast<std::uint64_t>(limits.most_copies), room);
  return static_cast<std::int64_t>(std::max<std::uint64_t>(1, std::min(others + 1, most)));
}

ReuseAudit::ReuseAudit(std::int64_t copies, std::uint64_t bytes_per_launch)
    : bytes_per_launch_(bytes_per_launch),
      last_use_(static_cast<std::size_t>(copies)),
      uses_(copies),
      shortest_(copies) {
  std::iota(last_use_.begin(), last_use_.end(), std::int64_t{0});
}

std::uint64_t ReuseAudit::least_bytes_between_uses() const {
  return static_cast<std::uint64_t>(shortest_ - 1) * bytes_per_launch_;
}

Cache ReuseAudit::label(std::uint64_t cache_bytes) const {
  if (least_bytes_between_uses() > bytes_to_exceed(cache_bytes)) return Cache::cold;
  return last_use_.size() == 1 ? Cache::hot : Cache::warm;
}

}  // namespace kqbench
