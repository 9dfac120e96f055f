// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace kqbench {
namespace {

std::vector<double> sorted(std::span<const double> samples) {
  std::vector<double> values(samples.begin(), samples.end());
  std::sort(values.begin(), values.end());
  return values;
}

double median_of_sorted(std::span<const double> values) {
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : 0.5 * (values[middle - 1] + values[middle]);
}

/// P(B = k) for B binomial(n, 1/2).
double binomial_half(std::size_t n, std::size_t k) {
  const auto log_factorial = [](std::size_t m) { return std::lgamma(static_cast<double>(m) + 1.0); };
  return std::exp(log_factorial(n) - log_factorial(k) - log_factorial(n - k) -
                  static_cast<double>(n) * std::numbers::ln2);
}

}  // namespace

double median(std::span<const double> samples) {
  return median_of_sorted(sorted(samples));
}

OrderRanks median_ranks(std::size_t n, double confidence) {
  const double allowed = (1.0 - confidence) / 2.0;
  std::size_t low = 0;
  double below = binomial_half(n, 0);  // P(B <= low)
  while (2 * (low + 2) <= n + 1) {
    below += binomial_half(n, low + 1);
    if (below > allowed) break;
    ++low;
  }
  return {low, n - 1 - low};
}

double interval_confidence(std::size_t n) {
  double below = 0.0;
  for (std::size_t k = 0; k <= median_ranks(n).low; ++k) {
    below += binomial_half(n, k);
  }
  return std::max(0.0, 1.0 - 2.0 * below);
}

Interval median_interval(std::span<const double> samples, double confidence) {
  const std::vector<double> values = sorted(samples);
  const OrderRanks ranks = median_ranks(values.size(), confidence);
  return {values[ranks.low], values[ranks.high]};
}

PairedRatio paired_ratio(std::span<const double> a, std::span<const double> b, double confidence) {
  std::vector<double> ratios(a.size());
  std::transform(a.begin(), a.end(), b.begin(), ratios.begin(), [](double x, double y) { return x / y; });
  return {median(ratios), median_interval(ratios, confidence)};
}

double student_t(std::size_t degrees_of_freedom) {
  constexpr std::array table{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
                             2.201,  2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
                             2.080,  2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042};
  if (degrees_of_freedom <= table.size()) return table[degrees_of_freedom - 1];
  return 1.95996 + 2.5 / static_cast<double>(degrees_of_freedom);  // at most 0.1 % more than it is
}

std::optional<double> repeatability(std::span<const double> round_medians, double at_least) {
  if (round_medians.size() < 2) return std::nullopt;
  const auto n = static_cast<double>(round_medians.size());
  double mean = 0.0;
  for (const double round : round_medians) {
    mean += std::log(round) / n;
  }
  double variance = 0.0;
  for (const double round : round_medians) {
    variance += (std::log(round) - mean) * (std::log(round) - mean) / (n - 1.0);
  }
  const double half_width = std::expm1(student_t(round_medians.size() - 1) * std::sqrt(variance * (1.0 + 1.0 / n)));
  return std::min(std::max(half_width, at_least), most_repeatability);
}

bool halves_differ(std::span<const double> samples, double tolerance) {
  const std::span<const double> first = samples.first(samples.size() / 2);
  const std::span<const double> second = samples.last(samples.size() / 2);
  if (first.empty()) return false;
  const double before = median(first);
  if (std::abs(median(second) - before) <= tolerance * before) return false;
  const Interval a = median_interval(first);
  const Interval b = median_interval(second);
  return a.high < b.low || b.high < a.low;
}

double relative_half_width(const Interval& interval, double centre) {
  return std::max(centre - interval.low, interval.high - centre) / centre;
}

}  // namespace kqbench
