// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One block of rows after the other, through a device.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// Device memory for blocks up to the size of the first, and the way there and back.
class BlockQuantizer {
 public:
  /// `largest` is valid, resolved, and served by the implementation. Throws DeviceError if memory is short.
  BlockQuantizer(Device& device, Implementation& implementation, const kq::Request& largest);

  /// Quantizes a block whose input is `input`. `tensors` has what else is read, a static scheme's scales and zero
  /// points, and receives what is written. Sizes are as in `block`, which is no larger than `largest`.
  void run(const kq::Request& block, const void* input, HostTensors& tensors);

  /// Microseconds of device time (host time where the device has no clock) spent on blocks so far. The first block is
  /// run twice and only the second run counted: a first launch also loads code.
  double microseconds() const { return microseconds_; }

 private:
  double timed_launch(const kq::Request& block, const Operands& operands);

  Device& device_;
  Implementation& implementation_;
  std::vector<DeviceMemory> memory_;  ///< of each tensor of the request
  DeviceMemory workspace_;
  bool warm_ = false;
  double microseconds_ = 0.0;
};

}  // namespace kqbench
