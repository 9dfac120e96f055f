// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Device memory that gives itself back, and a place to keep some.

#include <cstddef>
#include <cstdint>
#include <utility>

#include "backends/backend.hpp"

namespace kqbench {

class DeviceMemory {
 public:
  DeviceMemory() = default;
  /// Throws DeviceError if there is not as much.
  DeviceMemory(Device& device, std::size_t bytes) : device_(&device), data_(device.allocate(bytes)), size_(bytes) {}
  ~DeviceMemory() { reset(); }

  DeviceMemory(DeviceMemory&& other) noexcept
      : device_(other.device_), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  DeviceMemory& operator=(DeviceMemory&& other) noexcept {
    if (this != &other) {
      reset();
      device_ = other.device_;
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }

  void reset() noexcept {
    if (data_ != nullptr) device_->release(data_);
    data_ = nullptr;
    size_ = 0;
  }

  std::byte* data() const { return static_cast<std::byte*>(data_); }
  std::size_t size() const { return size_; }

 private:
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Device memory that is kept from one problem to the next, so that a sweep does not pay for it row by row.
class DeviceArena {
 public:
  explicit DeviceArena(Device& device) : device_(device) {}

  /// At least so many bytes, with whatever they hold; what was handed out before is gone.
  std::byte* take(std::size_t bytes) {
    if (memory_.size() < bytes) {
      memory_.reset();
      memory_ = DeviceMemory(device_, bytes);
    }
    return memory_.data();
  }

  /// Gives back what there is, so that the next take() gets other pages.
  void release() { memory_.reset(); }

  /// What take() could give: the device's free memory and what the arena holds already.
  std::uint64_t room() const { return device_.free_memory_bytes() + memory_.size(); }

 private:
  Device& device_;
  DeviceMemory memory_;
};

}  // namespace kqbench
