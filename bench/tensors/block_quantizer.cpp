// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/block_quantizer.hpp"

#include <chrono>
#include <memory>

namespace kqbench {
namespace {

/// No memory at all where none is needed.
DeviceMemory memory(Device& device, std::size_t bytes) {
  return bytes == 0 ? DeviceMemory() : DeviceMemory(device, bytes);
}

}  // namespace

BlockQuantizer::BlockQuantizer(Device& device, Implementation& implementation, const kq::Request& largest)
    : device_(device),
      implementation_(implementation),
      input_(device, kq::input_bytes(largest)),
      codes_(device, kq::codes_bytes(largest)),
      scales_(device, kq::scales_bytes(largest)),
      zero_points_(memory(device, kq::zero_points_bytes(largest))),
      workspace_(memory(device, implementation.workspace_bytes(largest))) {
  if (workspace_.size() > 0) device.fill(workspace_.data(), 0, workspace_.size());
}

void BlockQuantizer::run(const kq::Request& block, const void* input, Outputs& outputs) {
  outputs.codes.resize(kq::codes_bytes(block));
  outputs.scales.resize(kq::scales_bytes(block));
  outputs.zero_points.resize(kq::zero_points_bytes(block) / sizeof(std::int32_t));
  const std::size_t zero_point_bytes = outputs.zero_points.size() * sizeof(std::int32_t);

  device_.copy_to_device(input_.data(), input, kq::input_bytes(block));
  if (block.static_scale) {
    device_.copy_to_device(scales_.data(), outputs.scales.data(), outputs.scales.size());
    if (block.asymmetric) {
      device_.copy_to_device(zero_points_.data(), outputs.zero_points.data(), zero_point_bytes);
    }
  }
  const Operands operands{input_.data(), codes_.data(), scales_.data(),
                          reinterpret_cast<std::int32_t*>(zero_points_.data()), workspace_.data()};
  if (!warm_) timed_launch(block, operands);
  warm_ = true;
  microseconds_ += timed_launch(block, operands);

  device_.copy_to_host(outputs.codes.data(), codes_.data(), outputs.codes.size());
  if (!block.static_scale) {
    device_.copy_to_host(outputs.scales.data(), scales_.data(), outputs.scales.size());
    if (block.asymmetric) {
      device_.copy_to_host(outputs.zero_points.data(), zero_points_.data(), zero_point_bytes);
    }
  }
}

double BlockQuantizer::timed_launch(const kq::Request& block, const Operands& operands) {
  if (device_.has_events()) {
    const std::unique_ptr<Event> begin = device_.make_event();
    const std::unique_ptr<Event> end = device_.make_event();
    begin->record();
    implementation_.enqueue(block, operands);
    end->record();
    const double microseconds = end->microseconds_since(*begin);
    device_.synchronize();
    return microseconds;
  }
  device_.synchronize();
  const auto begin = std::chrono::steady_clock::now();
  implementation_.enqueue(block, operands);
  device_.synchronize();
  return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace kqbench
