// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/settling.hpp"

#include <cmath>

namespace kqbench {

void Settling::observe(std::optional<double> core_mhz, double microseconds) {
  bool quiet = false;
  if (core_mhz) {
    quiet = core_mhz_ && std::abs(*core_mhz - *core_mhz_) <= 0.01 * *core_mhz_;
    if (!quiet) core_mhz_ = core_mhz;
  } else {
    quiet = shortest_ && microseconds >= 0.99 * *shortest_;
    if (!quiet) shortest_ = microseconds;
  }
  quiet_rounds_ = quiet ? quiet_rounds_ + 1 : 0;
}

}  // namespace kqbench
