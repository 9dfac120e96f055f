// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How many times as long one row took as another, and how sure that is.

#include <cstdint>
#include <optional>
#include <span>

#include "bench/measure/statistics.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// How a row's time stands to another's, when differences within a margin do not matter.
enum class Verdict : std::uint8_t {
  faster,     ///< the interval lies below 1 / (1 + margin)
  slower,     ///< it lies above 1 + margin
  same,       ///< it lies between these two
  ambiguous,  ///< it reaches over one of them, or there is none
};

const char* to_string(Verdict verdict);

struct Ratio {
  double value = 1.0;
  std::optional<Interval> interval;  ///< 95 % confidence; absent where there are too few samples for one
  /// How much of the interval, to either side and on a logarithmic scale, is there because another run might give
  /// another median; 0 for rows that were measured together.
  double between_runs = 0.0;

  /// True if the interval leaves 1 out: were the two equally fast, that would happen once in twenty times.
  bool significant() const { return interval && (interval->low > 1.0 || interval->high < 1.0); }

  /// `margin` is a fraction: with 0.02, rows within 2 % are the same.
  Verdict verdict(double margin) const;
};

/// Median of the ratios of samples that were taken in turns (paired_ratio): what slows both alike cancels. As many of
/// each, at least one.
Ratio ratio_of_pairs(const TimeStatistics& time, const TimeStatistics& baseline);

/// Ratio of the medians of samples that have nothing to do with each other. The interval comes from those of the two
/// medians, on a logarithmic scale: with d = ln m1 - ln m2, the lower end is
/// d - sqrt((ln m1 - ln l1)^2 + (ln u2 - ln m2)^2), the upper end likewise (Zou and Donner, "Construction of confidence
/// limits about effect measures: a general approach", Statistics in Medicine 27, 2008).
Ratio ratio_of_medians(const TimeStatistics& time, const TimeStatistics& baseline);

/// The repeatability of a row that has none in its file, because it was measured by an earlier version or by another
/// program: 5 % on the host, 2 % on a device. Of eight rows measured twice on a shared host a few seconds apart, six
/// differed by more than their samples' intervals say, one of them by 14 %: 5 % for each of two rows is 7 % between
/// them. It is not enough for a host that others load at the same time. A device is not shared: one call took 1.515
/// to 1.520 µs in several processes on two H200s. 2 % is what a canary may be out by (canary_tolerance).
inline constexpr double assumed_on_host = 0.05;
inline constexpr double assumed_on_device = 0.02;
double assumed_repeatability(const Row& row);

/// What another run's median may be off by, as a fraction: of the row's file, or else as assumed.
double repeatability(const Row& row);

/// Ratio of the medians of rows that were measured apart in time, each of which another run might give differently: the
/// interval of ratio_of_medians, put together with both rows' repeatability r, as ln(1 + r), in the same way.
Ratio ratio_between_runs(const Row& row, const Row& baseline);

/// A row's time to a figure that is taken as given, microseconds: the interval is the row's alone, what another run may
/// change included.
Ratio ratio_to(const Row& row, double microseconds);

/// a / b, of two that have nothing to do with each other: intervals and what another run may change put together in the
/// way of ratio_of_medians.
Ratio quotient(const Ratio& a, const Ratio& b);

/// Geometric mean, its interval put together in the same way; absent if one of the ratios has none. What another run
/// may change is put together as if it changed all ratios alike, which it can: the mean of many ratios is no surer of
/// it than one. Not empty.
Ratio geometric_mean(std::span<const Ratio> ratios);

}  // namespace kqbench
