// SPDX-License-Identifier: Apache-2.0
#include "bench/results/ratio.hpp"

#include <algorithm>
#include <cmath>

namespace kqbench {
namespace {

/// The part of a half-width that comes of the samples alone.
double of_samples(double half_width, double between_runs) {
  return std::sqrt(std::max(0.0, half_width * half_width - between_runs * between_runs));
}

}  // namespace

Ratio ratio_of_pairs(const TimeStatistics& time, const TimeStatistics& baseline) {
  const PairedRatio paired = paired_ratio(time.samples, baseline.samples);
  Ratio ratio{paired.median, std::nullopt};
  if (time.samples.size() >= least_samples) ratio.interval = paired.interval;
  return ratio;
}

Ratio ratio_of_medians(const TimeStatistics& time, const TimeStatistics& baseline) {
  Ratio ratio{time.median / baseline.median, std::nullopt};
  if (std::min(time.samples.size(), baseline.samples.size()) < least_samples) return ratio;
  const double below =
      std::hypot(std::log(time.median / time.ci95_low), std::log(baseline.ci95_high / baseline.median));
  const double above =
      std::hypot(std::log(time.ci95_high / time.median), std::log(baseline.median / baseline.ci95_low));
  ratio.interval = {ratio.value * std::exp(-below), ratio.value * std::exp(above)};
  return ratio;
}

const char* to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::faster:
      return "faster";
    case Verdict::slower:
      return "slower";
    case Verdict::same:
      return "same";
    case Verdict::ambiguous:
      break;
  }
  return "ambiguous";
}

Verdict Ratio::verdict(double margin) const {
  const double most = 1.0 + margin;
  const double least = 1.0 / most;
  if (!interval) return Verdict::ambiguous;
  if (interval->high < least) return Verdict::faster;
  if (interval->low > most) return Verdict::slower;
  return interval->low >= least && interval->high <= most ? Verdict::same : Verdict::ambiguous;
}

double assumed_repeatability(const Row& row) {
  return row.backend == "host" ? assumed_on_host : assumed_on_device;
}

double repeatability(const Row& row) {
  return row.time_us->repeatability.value_or(assumed_repeatability(row));
}

Ratio ratio_between_runs(const Row& row, const Row& baseline) {
  Ratio ratio = ratio_of_medians(*row.time_us, *baseline.time_us);
  ratio.between_runs = std::hypot(std::log1p(repeatability(row)), std::log1p(repeatability(baseline)));
  if (!ratio.interval) return ratio;
  const double below = std::hypot(std::log(ratio.value / ratio.interval->low), ratio.between_runs);
  const double above = std::hypot(std::log(ratio.interval->high / ratio.value), ratio.between_runs);
  ratio.interval = {ratio.value * std::exp(-below), ratio.value * std::exp(above)};
  return ratio;
}

Ratio ratio_to(const Row& row, double microseconds) {
  const TimeStatistics& time = *row.time_us;
  const double value = time.median / microseconds;
  Ratio ratio{value, std::nullopt, std::log1p(repeatability(row))};
  if (time.samples.size() < least_samples) return ratio;
  ratio.interval = {value * std::exp(-std::hypot(std::log(time.median / time.ci95_low), ratio.between_runs)),
                    value * std::exp(std::hypot(std::log(time.ci95_high / time.median), ratio.between_runs))};
  return ratio;
}

Ratio quotient(const Ratio& a, const Ratio& b) {
  Ratio ratio{a.value / b.value, std::nullopt, std::hypot(a.between_runs, b.between_runs)};
  if (!a.interval || !b.interval) return ratio;
  const double below = std::hypot(std::log(a.value / a.interval->low), std::log(b.interval->high / b.value));
  const double above = std::hypot(std::log(a.interval->high / a.value), std::log(b.value / b.interval->low));
  ratio.interval = {ratio.value * std::exp(-below), ratio.value * std::exp(above)};
  return ratio;
}

Ratio geometric_mean(std::span<const Ratio> ratios) {
  double sum = 0.0;  // of logarithms
  double below = 0.0;
  double above = 0.0;
  double between_runs = 0.0;
  bool sure = true;
  for (const Ratio& ratio : ratios) {
    sum += std::log(ratio.value);
    sure = sure && ratio.interval;
    if (!ratio.interval) continue;
    below = std::hypot(below, of_samples(std::log(ratio.value / ratio.interval->low), ratio.between_runs));
    above = std::hypot(above, of_samples(std::log(ratio.interval->high / ratio.value), ratio.between_runs));
    between_runs += ratio.between_runs;
  }
  const auto count = static_cast<double>(ratios.size());
  Ratio mean{std::exp(sum / count), std::nullopt, between_runs / count};
  if (!sure) return mean;
  mean.interval = {mean.value * std::exp(-std::hypot(below / count, mean.between_runs)),
                   mean.value * std::exp(std::hypot(above / count, mean.between_runs))};
  return mean;
}

}  // namespace kqbench
