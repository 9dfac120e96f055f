// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// When a warm-up has gone on long enough: a device that was idle raises its clock in steps, over milliseconds.

#include <optional>

namespace kqbench {

/// Fed with one observation a warm-up round. Settled when three rounds in a row have brought nothing new: no core clock
/// that differs by more than 1 % from the one before them, or, on a device that does not tell its clock, no time that
/// is shorter by more than 1 % than the shortest before.
class Settling {
 public:
  void observe(std::optional<double> core_mhz, double microseconds);
  bool settled() const { return quiet_rounds_ >= 3; }

 private:
  std::optional<double> core_mhz_;
  std::optional<double> shortest_;
  int quiet_rounds_ = 0;
};

}  // namespace kqbench
