// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One block of rows after the other, through a device.

#include <cstddef>
#include <cstdint>
#include <span>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Device memory for blocks up to the size of the first, and the way there and back.
class BlockQuantizer {
 public:
  /// `largest` is valid, resolved, and served by the implementation. Throws DeviceError if memory is short.
  BlockQuantizer(Device& device, Implementation& implementation, const kq::Request& largest);

  /// Quantizes a block. For a static scheme `outputs` holds its scales and zero points, else it receives them; it
  /// receives the codes either way. Sizes are as in `block`, which is no larger than `largest`.
  void run(const kq::Request& block, const void* input, Outputs& outputs);

  /// Microseconds of device time (host time where the device has no clock) spent on blocks so far. The first block is
  /// run twice and only the second run counted: a first launch also loads code.
  double microseconds() const { return microseconds_; }

 private:
  double timed_launch(const kq::Request& block, const Operands& operands);

  Device& device_;
  Implementation& implementation_;
  DeviceMemory input_;
  DeviceMemory codes_;
  DeviceMemory scales_;
  DeviceMemory zero_points_;
  DeviceMemory workspace_;
  bool warm_ = false;
  double microseconds_ = 0.0;
};

}  // namespace kqbench
