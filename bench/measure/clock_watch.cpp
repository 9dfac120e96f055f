// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/clock_watch.hpp"

namespace kqbench {

void ClockWatch::track(std::optional<double> mhz, std::optional<double>& highest) {
  if (!mhz) return;
  if (highest && *mhz < 0.95 * *highest) dropped_ = true;
  if (!highest || *mhz > *highest) highest = mhz;
}

void ClockWatch::add(const ClockReading& reading) {
  if (!any_) first_ = reading;
  any_ = true;
  last_ = reading;
  track(reading.core_mhz, highest_core_);
  track(reading.memory_mhz, highest_memory_);
}

}  // namespace kqbench
