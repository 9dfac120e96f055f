// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Device memory that gives itself back.

#include <cstddef>
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

}  // namespace kqbench
