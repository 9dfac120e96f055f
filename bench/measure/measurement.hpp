// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One problem, run and timed by several implementations in turns, in rounds that may lie apart in time.

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
  Launch launch = Launch::plain;     ///< overlapped with Timing::graph only
  bool hot = false;                  ///< one copy; otherwise as many as a cold cache takes
  std::int64_t warmup_launches = 5;  ///< of each implementation, at least
  double sample_seconds = 2e-3;      ///< a sample of the fastest implementation lasts about as long, if time allows
  int rounds = 3;                    ///< that the samples are spread over
  StoppingLimits limits;
  std::function<void()> before_timing;  ///< of each round, before the warm-up: others may be waited for; may be empty
};

/// What is known of one implementation afterwards.
struct Measurement {
  std::string implementation;
  std::optional<Mismatch> mismatch;  ///< if there is one, the output was wrong and the times below are empty

  std::vector<double> samples;      ///< microseconds per launch, in the order taken
  std::vector<double> rounds;       ///< the median of each whole round, microseconds per launch
  std::optional<int> host_threads;  ///< Implementation::host_threads()
  double median = 0.0;
  Interval interval;
  std::optional<double> repeatability;         ///< kqbench::repeatability of the rounds
  std::optional<PairedRatio> ratio_to_native;  ///< this one's time to native's; absent without a native one
  bool drifted = false;                        ///< the second half of the samples is slower or faster than the first
};

/// What is the same for all implementations of a problem.
struct GroupMeasurement {
  std::vector<Measurement> implementations;
  int rounds = 0;                          ///< that were measured
  std::int64_t launches_per_sample = 0;    ///< of every implementation alike
  double seconds = 0.0;                    ///< spent on launches; checking outputs does not count
  StopReason stop = StopReason::interval;  ///< of the last round
  Cache cache = Cache::hot;
  std::int64_t copies = 1;
  std::uint64_t bytes_between_uses = 0;  ///< of the same bytes, at the least
  ClockWatch clocks;
};

/// Asked now and then; true ends the measurement early.
using Interrupted = std::function<bool()>;

/// One more round of a problem, added to `group`, which is empty before the first: copies the inputs to the device,
/// warms up, times the implementations in turns, and checks what was timed. Before the first round's timing each
/// implementation is checked, and the number of launches per sample is chosen, from the least of several estimates: one
/// number for all implementations and rounds, as a busy host would favour short samples over long ones. An
/// implementation whose output is wrong loses its samples and is not timed further. `group` stays as it was if this
/// throws DeviceError. Returns false if interrupted: the group has then what could be kept.
///
/// All launches of the row, checks of outputs not counted, take about limits.max_seconds for each implementation.
bool measure_round(Device& device, DeviceArena& arena, const Problem& problem,
                   std::span<Implementation* const> implementations, const MeasureOptions& options, const Clock& clock,
                   const Interrupted& interrupted, GroupMeasurement& group);

/// Fills in what follows from all samples: medians, intervals, ratios, repeatability.
void summarize(GroupMeasurement& group);

/// All rounds one after the other, summarized. Throws DeviceError.
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
