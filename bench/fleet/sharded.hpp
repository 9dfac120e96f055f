// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A tensor that is cut by columns over the ranks of a job, as tensor parallelism does, and quantized by scales of the
/// whole: what that gives, and what it costs.

#include <cstdint>
#include <optional>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/output_check.hpp"
#include "bench/measure/problem.hpp"
#include "bench/measure/rotation.hpp"
#include "bench/measure/timer.hpp"

namespace kqbench {

/// The ranks, as the exchange counts them.
struct Ranks {
  int rank = 0;
  int size = 1;
};

/// The columns of a rank: those from begin to end, as even as they can be.
struct Columns {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};
Columns columns_of(const Ranks& ranks, std::int64_t hidden_size);

/// A rank's part of a problem without a producer: its columns of the input, and of what must come out, by the scales of
/// the whole. Both are contiguous. Of a request that kq::why_not_sharded lets pass.
Problem shard_of(const Problem& whole, const Ranks& ranks);

/// Microseconds, of a rank or of the slowest one.
struct ShardedTimes {
  double local = 0.0;       ///< the part by itself: one kernel, by scales of its own
  double halves = 0.0;      ///< its extremes, then codes by these: what a local scale would take in two steps
  double sharded = 0.0;     ///< the same with the exchange in between
  double exchange = 0.0;    ///< the median of sharded - halves, of samples taken in turns
  double half_width = 0.0;  ///< of the 95 % interval of `exchange`
};

struct ShardedResult {
  std::vector<ShardedTimes> ranks;   ///< by rank
  std::vector<bool> verified;        ///< by rank: all three, before and after timing
  std::optional<Mismatch> mismatch;  ///< of this rank
  std::int64_t launches_per_sample = 0;
  int samples = 0;
  std::int64_t copies = 1;  ///< of all tensors, used in turn
  Cache cache = Cache::hot;

  bool all_verified() const;
  ShardedTimes slowest() const;  ///< each of the times by itself; there is a rank
};

/// All ranks call it alike, with the same number of samples. `whole` is the same on all of them. Throws DeviceError.
ShardedResult measure_sharded(Device& device, Implementation& implementation, Exchange& exchange, const Ranks& ranks,
                              const Problem& whole, int samples, const Clock& clock);

}  // namespace kqbench
