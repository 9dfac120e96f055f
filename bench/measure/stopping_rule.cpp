// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/stopping_rule.hpp"

#include <algorithm>

#include "bench/measure/statistics.hpp"

namespace kqbench {

std::string_view to_string(StopReason reason) {
  switch (reason) {
    case StopReason::interval:
      return "interval";
    case StopReason::max_time:
      return "max_time";
    case StopReason::interrupted:
      return "interrupted";
  }
  return "";
}

StoppingLimits limits_of_round(const StoppingLimits& limits, int round, int rounds) {
  const auto part = [rounds](std::int64_t all) { return (all + rounds - 1) / rounds; };
  StoppingLimits share = limits;
  share.min_launches = part(limits.min_launches);
  share.min_samples = part(limits.min_samples);
  share.least_samples = part(limits.least_samples);
  share.max_seconds = limits.max_seconds * (round + 1) / rounds;
  return share;
}

std::optional<StopReason> StoppingRule::after_pass(std::span<const std::vector<double>> samples, std::int64_t launches,
                                                   double seconds) {
  const auto count = static_cast<std::int64_t>(samples.front().size());
  const std::int64_t taken = count - samples_before_;
  if (launches >= limits_.min_launches && count >= next_look_) {
    next_look_ = count + std::max<std::int64_t>(1, count / 4);
    const bool narrow = std::all_of(samples.begin(), samples.end(), [this](const std::vector<double>& times) {
      return relative_half_width(median_interval(times), median(times)) <= limits_.relative_interval;
    });
    if (narrow) return StopReason::interval;
  }
  const bool time_is_up = seconds >= limits_.max_seconds * static_cast<double>(samples.size());
  if (time_is_up && taken >= std::min(limits_.min_samples, limits_.least_samples)) return StopReason::max_time;
  return std::nullopt;
}

}  // namespace kqbench
