// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The device memory of one problem: copies of its inputs that all implementations read, and for each implementation
/// copies of the outputs that it alone writes, so that none can pass for another's work.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "apps/kqbench/measure/device_memory.hpp"
#include "apps/kqbench/measure/output_check.hpp"
#include "apps/kqbench/measure/problem.hpp"
#include "backends/backend.hpp"

namespace kqbench {

/// Device memory that is kept from one problem to the next, so that a sweep does not pay for it row by row.
class DeviceArena {
 public:
  explicit DeviceArena(Device& device) : device_(device) {}

  /// At least so many bytes; what was handed out before is gone.
  std::byte* take(std::size_t bytes);

  /// What take() could give: the device's free memory and what the arena holds already.
  std::uint64_t room() const { return device_.free_memory_bytes() + memory_.size(); }

 private:
  Device& device_;
  DeviceMemory memory_;
};

/// Bytes that the buffers of a request take.
struct BufferSizes {
  std::uint64_t per_copy = 0;  ///< inputs, and outputs of every implementation
  std::uint64_t fixed = 0;     ///< workspaces
};
BufferSizes buffer_sizes(const kq::Request& request, std::span<Implementation* const> implementations);

class RotatingBuffers {
 public:
  /// Uploads the inputs. The problem must outlive the buffers.
  RotatingBuffers(Device& device, DeviceArena& arena, const Problem& problem,
                  std::span<Implementation* const> implementations, std::int64_t copies);

  Operands operands(std::size_t implementation, std::int64_t copy) const;

  /// Fills every byte of every output, scale and guard with `value`, in ascending order of copies; from then on no copy
  /// counts as launched.
  void poison(std::byte value);

  /// Notes that an implementation has worked on a copy since the last poison().
  void launched(std::size_t implementation, std::int64_t copy) {
    launched_[implementation][static_cast<std::size_t>(copy)] = true;
  }

  /// Waits, then compares every copy of an implementation's outputs: launched ones with what they must be, the others
  /// with the poison. The first difference, if any.
  std::optional<Mismatch> check(std::size_t implementation) const;

 private:
  std::byte* outputs(std::size_t implementation, std::int64_t copy) const;

  Device& device_;
  const Problem& problem_;
  std::int64_t copies_;
  OutputLayout layout_;
  std::size_t scales_offset_ = 0;       ///< of a static scheme's scales in a block of inputs
  std::size_t zero_points_offset_ = 0;  ///< and of its zero points
  std::size_t input_block_ = 0;         ///< bytes of one copy of the inputs
  std::byte* inputs_ = nullptr;
  std::byte* outputs_ = nullptr;
  std::vector<std::byte*> workspaces_;
  std::byte poison_{};
  std::vector<std::vector<bool>> launched_;
};

}  // namespace kqbench
