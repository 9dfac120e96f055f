// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The statistics of a row: the median, and an interval that holds the true median with 95 % confidence. Both are order
/// statistics: they assume nothing about how times are distributed, and a few outliers do not move them.

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace kqbench {

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

/// The middle value, or the mean of the two in the middle. `samples` must not be empty.
double median(std::span<const double> samples);

/// Positions (from 0, in ascending order) of the two order statistics that bound a confidence interval.
struct OrderRanks {
  std::size_t low = 0;
  std::size_t high = 0;
};

/// The narrowest symmetric pair of order statistics of n samples whose interval holds the median of the distribution
/// with at least this confidence. The number of samples below the median is binomial(n, 1/2), so the interval from the
/// (l+1)-th smallest to the (l+1)-th largest misses it with probability 2 P(B <= l) (David and Nagaraja, Order
/// Statistics, 3rd edition, section 7.1). Fewer than six samples cannot give 95 %; then the ranks are those of the
/// smallest and the largest.
OrderRanks median_ranks(std::size_t n, double confidence = 0.95);

/// The confidence that the interval of so many samples has: 0.95 or a little more, as ranks are whole numbers, but of
/// fewer than `least_samples` no more than 1 - 2^(1-n), which is that of the smallest and the largest.
double interval_confidence(std::size_t n);

/// Fewer samples give no interval of 95 %.
inline constexpr std::size_t least_samples = 6;

/// Confidence interval of the median, see median_ranks. `samples` must not be empty.
Interval median_interval(std::span<const double> samples, double confidence = 0.95);

/// Median of the ratios a[i] / b[i] of samples taken in turns, and its interval: what slows both of a pair alike
/// cancels. Both spans have the same length and are not empty.
struct PairedRatio {
  double median = 0.0;
  Interval interval;
};
PairedRatio paired_ratio(std::span<const double> a, std::span<const double> b, double confidence = 0.95);

/// Half the width of the 95 % interval in which the median of another run is expected, as a fraction of this run's:
/// from the medians of rounds that lie apart in time, as Student's prediction interval of one more round on a
/// logarithmic scale, exp(t(n - 1) * s * sqrt(1 + 1 / n)) - 1, but not below `at_least`, which is what the interval of
/// the median gives, and not above `most_repeatability`. Nothing for fewer than two rounds.
std::optional<double> repeatability(std::span<const double> round_medians, double at_least);
inline constexpr double most_repeatability = 1e6;

/// The 97.5 % point of Student's t distribution.
double student_t(std::size_t degrees_of_freedom);

/// True if something changed while the samples were taken: the medians of their first and second half differ by more
/// than `tolerance` of the first, and the halves' intervals do not overlap.
bool halves_differ(std::span<const double> samples, double tolerance = 0.05);

/// The larger distance of an interval's ends from `centre`, as a fraction of it.
double relative_half_width(const Interval& interval, double centre);

}  // namespace kqbench
