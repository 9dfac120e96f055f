// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One problem, run and timed by several implementations in turns.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/clock_watch.hpp"
#include "bench/measure/output_check.hpp"
#include "bench/measure/problem.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "bench/measure/rotation.hpp"
#include "bench/measure/statistics.hpp"
#include "bench/measure/stopping_rule.hpp"
#include "bench/measure/timer.hpp"

namespace kqbench {

struct MeasureOptions {
  Timing timing = Timing::wall;
  bool hot = false;                  ///< one copy; otherwise as many as a cold cache takes
  std::int64_t warmup_launches = 5;  ///< of each implementation, at least
  double sample_seconds = 2e-3;      ///< a sample lasts about as long, or longer
  StoppingLimits limits;
};

/// What is known of one implementation afterwards.
struct Measurement {
  std::string implementation;
  std::optional<Mismatch> mismatch;  ///< if there is one, the output was wrong and the times below are empty

  std::vector<double> samples;  ///< microseconds a launch, in the order taken
  std::int64_t launches_per_sample = 0;
  double median = 0.0;
  Interval interval;
  std::optional<PairedRatio> ratio_to_native;  ///< this one's time to native's; absent without a native one
  bool drifted = false;                        ///< the second half of the samples is slower or faster than the first
};

/// What is the same for all implementations of a problem.
struct GroupMeasurement {
  std::vector<Measurement> implementations;
  StopReason stop = StopReason::interval;
  Cache cache = Cache::hot;
  std::int64_t copies = 1;
  std::uint64_t bytes_between_uses = 0;  ///< of the same bytes, at the least
  ClockWatch clocks;
};

/// Asked now and then; true ends the measurement early.
using Interrupted = std::function<bool()>;

/// Copies the inputs to the device, checks each implementation, warms up, times them in turns, and checks again what
/// was timed. An implementation whose output is wrong is not timed further. Throws DeviceError.
GroupMeasurement measure(Device& device, DeviceArena& arena, const Problem& problem,
                         std::span<Implementation* const> implementations, const MeasureOptions& options,
                         const Clock& clock, const Interrupted& interrupted);

/// The copies that `measure` would use on this device: enough for a cold cache if half of the room allows.
std::int64_t plan_copies(const Device& device, const DeviceArena& arena, const kq::Request& request,
                         std::span<Implementation* const> implementations, bool hot);

/// Bytes of the arena that they take.
std::uint64_t planned_bytes(const Device& device, const DeviceArena& arena, const kq::Request& request,
                            std::span<Implementation* const> implementations, bool hot);

}  // namespace kqbench
