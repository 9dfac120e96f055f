// SPDX-License-Identifier: Apache-2.0
#include "bench/results/ratio.hpp"

#include <algorithm>
#include <cmath>

namespace kqbench {

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

Ratio geometric_mean(std::span<const Ratio> ratios) {
  double sum = 0.0;  // of logarithms
  double below = 0.0;
  double above = 0.0;
  bool sure = true;
  for (const Ratio& ratio : ratios) {
    sum += std::log(ratio.value);
    sure = sure && ratio.interval;
    if (!ratio.interval) continue;
    below = std::hypot(below, std::log(ratio.value / ratio.interval->low));
    above = std::hypot(above, std::log(ratio.interval->high / ratio.value));
  }
  const auto count = static_cast<double>(ratios.size());
  Ratio mean{std::exp(sum / count), std::nullopt};
  if (sure) mean.interval = {mean.value * std::exp(-below / count), mean.value * std::exp(above / count)};
  return mean;
}

}  // namespace kqbench
