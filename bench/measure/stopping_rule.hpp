// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// When a row has enough samples: the least launches and samples first, then until the interval is narrow or the time
/// is up.

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
  double relative_interval = 0.01;  ///< of the median, to either side
  double max_seconds = 1.0;         ///< an implementation
};

/// Asked after every round (one sample of each implementation).
///
/// The interval is not looked at after every round: each look is another chance to stop at a lucky moment, and an
/// interval chosen for being narrow is too narrow. Looks are spaced by a quarter of the samples so far.
class StoppingRule {
 public:
  explicit StoppingRule(const StoppingLimits& limits) : limits_(limits), next_look_(limits.min_samples) {}

  /// `samples` has one vector an implementation, all of the same length, microseconds a launch; `launches` were made
  /// of each; `seconds` have gone since sampling began, all implementations together.
  std::optional<StopReason> after_round(std::span<const std::vector<double>> samples, std::int64_t launches,
                                        double seconds);

 private:
  StoppingLimits limits_;
  std::int64_t next_look_;
};

}  // namespace kqbench
