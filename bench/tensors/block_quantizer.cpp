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
      workspace_(memory(device, implementation.workspace_bytes(largest))) {
  for (const kq::TensorSpec& tensor : kq::tensors(largest))
    memory_.push_back(memory(device, tensor.bytes()));
  if (workspace_.size() > 0) device.fill(workspace_.data(), 0, workspace_.size());
}

void BlockQuantizer::run(const kq::Request& block, const void* input, HostTensors& tensors) {
  const kq::TensorList list = kq::tensors(block);
  Operands on_host = kq::addresses(tensors);
  on_host.input = input;
  Operands operands;
  operands.workspace = workspace_.data();
  for (std::size_t i = 0; i < list.size(); ++i) {
    list[i].set(operands, memory_[i].data());
    if (!list[i].is_written) device_.copy_to_device(memory_[i].data(), list[i].get(on_host), list[i].bytes());
  }
  if (!warm_) timed_launch(block, operands);
  warm_ = true;
  microseconds_ += timed_launch(block, operands);

  for (std::size_t i = 0; i < list.size(); ++i) {
    if (!list[i].is_written) continue;
    std::vector<std::byte>& bytes = tensors.*list[i].on_host;
    bytes.resize(list[i].bytes());
    device_.copy_to_host(bytes.data(), memory_[i].data(), bytes.size());
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
