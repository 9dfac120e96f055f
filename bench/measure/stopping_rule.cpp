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

std::optional<StopReason> StoppingRule::after_round(std::span<const std::vector<double>> samples, std::int64_t launches,
                                                    double seconds) {
  const auto count = static_cast<std::int64_t>(samples.front().size());
  if (count < limits_.min_samples || launches < limits_.min_launches) return std::nullopt;
  if (count >= next_look_) {
    next_look_ = count + std::max<std::int64_t>(1, count / 4);
    const bool narrow = std::all_of(samples.begin(), samples.end(), [this](const std::vector<double>& times) {
      return relative_half_width(median_interval(times), median(times)) <= limits_.relative_interval;
    });
    if (narrow) return StopReason::interval;
  }
  if (seconds >= limits_.max_seconds * static_cast<double>(samples.size())) return StopReason::max_time;
  return std::nullopt;
}

}  // namespace kqbench
