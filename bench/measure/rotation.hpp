// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Cold caches by rotation: a request is run over several copies of its tensors in turn, so many that by the time a
/// copy comes round again the cache has seen more than twice its size of other bytes.

#include <cstdint>
#include <string_view>
#include <vector>

namespace kqbench {

/// Whether the bytes of a launch were in the last-level cache before it.
enum class Cache : std::uint8_t {
  cold,  ///< more than twice the cache was touched between two uses of the same bytes
  warm,  ///< several copies were used in turn, but too few bytes to be sure of `cold`
  hot    ///< one copy, used again and again
};
std::string_view to_string(Cache cache);

/// What is known before rotating. All sizes in bytes.
struct RotationLimits {
  std::uint64_t bytes_per_launch = 0;   ///< that one launch moves at least
  std::uint64_t cache_bytes = 0;        ///< of the last level; 0: not known
  std::uint64_t memory_per_copy = 0;    ///< that one copy takes, with the outputs of every implementation
  std::uint64_t memory_for_copies = 0;  ///< that all copies may take
  std::int64_t most_copies = 1 << 15;   ///< beyond, capturing and checking take longer than measuring
};

/// Where a device does not tell the size of its last-level cache: larger than any known to the author.
inline constexpr std::uint64_t assumed_cache_bytes = std::uint64_t{1} << 30;

/// The least number of copies that makes a cold rotation, or the most there is room for; at least one.
std::int64_t copies_for_cold(const RotationLimits& limits);

/// Hands out copies in turn.
class Rotation {
 public:
  explicit Rotation(std::int64_t copies) : copies_(copies) {}
  std::int64_t copies() const { return copies_; }

  std::int64_t next() {
    const std::int64_t copy = next_;
    next_ = next_ + 1 == copies_ ? 0 : next_ + 1;
    return copy;
  }

 private:
  std::int64_t copies_;
  std::int64_t next_ = 0;
};

/// Watches which copies are launched, and knows the fewest bytes that were touched between two uses of one copy. The
/// label of a result comes from here, from what was done, not from what was planned.
class ReuseAudit {
 public:
  /// All copies have just been written, in ascending order.
  ReuseAudit(std::int64_t copies, std::uint64_t bytes_per_launch);

  void launched(std::int64_t copy) {
    std::int64_t& last = last_use_[static_cast<std::size_t>(copy)];
    if (uses_ - last < shortest_) shortest_ = uses_ - last;
    last = uses_++;
  }

  /// Bytes of the whole launches between the two closest uses of one copy.
  std::uint64_t least_bytes_between_uses() const;

  /// `cold` if those are more than twice the cache's size (0: not known).
  Cache label(std::uint64_t cache_bytes) const;

 private:
  std::uint64_t bytes_per_launch_;
  std::vector<std::int64_t> last_use_;
  std::int64_t uses_;
  std::int64_t shortest_;  ///< launches from a use of a copy to its next
};

}  // namespace kqbench
