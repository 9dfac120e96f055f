// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether the device's clocks held during a row.

#include <optional>

#include "backends/backend.hpp"

namespace kqbench {

/// Fed with readings in the order they were made.
class ClockWatch {
 public:
  void add(const ClockReading& reading);

  const ClockReading& first() const { return first_; }
  const ClockReading& last() const { return last_; }

  /// True if a core or memory clock was ever read more than 5 % below its highest earlier reading. Boost clocks move by
  /// 1 % or 2 % in normal use.
  bool dropped() const { return dropped_; }

 private:
  void track(std::optional<double> mhz, std::optional<double>& highest);

  ClockReading first_;
  ClockReading last_;
  bool any_ = false;
  bool dropped_ = false;
  std::optional<double> highest_core_;
  std::optional<double> highest_memory_;
};

}  // namespace kqbench
