// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// When a row has enough samples: once there are the least launches and samples, and the interval is narrow; or when
/// the time is up.

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace kqbench {

/// Why sampling ended; the names are those of the result file's `stop`.
enum class StopReason : std::uint8_t {
  interval,     ///< every implementation's interval is within the limit
  max_time,     ///< the time of the row is spent
  interrupted,  ///< SIGINT or SIGTERM
};
std::string_view to_string(StopReason reason);

struct StoppingLimits {
  std::int64_t min_launches = 100;  ///< of each implementation
  std::int64_t min_samples = 20;    ///< of each implementation
  std::int64_t least_samples = 6;   ///< taken even if the time is up before: fewer give no interval of 95 %
  double relative_interval = 0.01;  ///< of the median, to either side
  double max_seconds = 1.0;         ///< per implementation; wins over min_launches and min_samples
};

/// Limits of round `round`, from 0, of `rounds`: an equal part of the launches and samples, and the time that may be
/// spent by the end of that round.
StoppingLimits limits_of_round(const StoppingLimits& limits, int round, int rounds);

/// Asked after every pass (one sample of each implementation) of a round.
///
/// The interval is not looked at after every pass: each look is another chance to stop at a lucky moment, and an
/// interval chosen for being narrow is too narrow. Looks are spaced by a quarter of the samples so far.
class StoppingRule {
 public:
  /// `samples_before` were taken of each implementation in earlier rounds.
  explicit StoppingRule(const StoppingLimits& limits, std::int64_t samples_before = 0)
      : limits_(limits), samples_before_(samples_before), next_look_(samples_before + limits.min_samples) {}

  /// `samples` has one vector per implementation, all of the same length, those of earlier rounds first, microseconds
  /// per launch; `launches` were made of each in this round; `seconds` were spent on the row, earlier rounds, warm-up
  /// and all implementations together.
  std::optional<StopReason> after_pass(std::span<const std::vector<double>> samples, std::int64_t launches,
                                       double seconds);

 private:
  StoppingLimits limits_;
  std::int64_t samples_before_;
  std::int64_t next_look_;
};

}  // namespace kqbench
