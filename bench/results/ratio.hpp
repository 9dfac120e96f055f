// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How many times as long one row took as another, and how sure that is.

#include <optional>
#include <span>

#include "bench/measure/statistics.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

struct Ratio {
  double value = 1.0;
  std::optional<Interval> interval;  ///< 95 % confidence; absent where there are too few samples for one

  /// True if the interval leaves 1 out: were the two equally fast, that would happen once in twenty times.
  bool significant() const { return interval && (interval->low > 1.0 || interval->high < 1.0); }
};

/// Median of the ratios of samples that were taken in turns (paired_ratio): what slows both alike cancels. As many of
/// each, at least one.
Ratio ratio_of_pairs(const TimeStatistics& time, const TimeStatistics& baseline);

/// Ratio of the medians of samples that have nothing to do with each other. The interval comes from those of the two
/// medians, on a logarithmic scale: with d = ln m1 - ln m2, the lower end is
/// d - sqrt((ln m1 - ln l1)^2 + (ln u2 - ln m2)^2), the upper end likewise (Zou and Donner, "Construction of confidence
/// limits about effect measures: a general approach", Statistics in Medicine 27, 2008).
Ratio ratio_of_medians(const TimeStatistics& time, const TimeStatistics& baseline);

/// Geometric mean, its interval put together in the same way; absent if one of the ratios has none. Not empty.
Ratio geometric_mean(std::span<const Ratio> ratios);

}  // namespace kqbench
