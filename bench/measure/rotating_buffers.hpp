// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The device memory of one problem: copies of its inputs that all implementations read, and for each implementation
/// copies of the outputs that it alone writes, so that none can pass for another's work.

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/device_memory.hpp"
#include "bench/measure/output_check.hpp"
#include "bench/measure/problem.hpp"

namespace kqbench {

/// How many elements past an aligned address sources begin, and matrices that are written; only tests and `verify` ask
/// for other than 0.
struct Misalignment {
  std::size_t sources = 0;
  std::size_t outputs = 0;
};

/// Bytes that the buffers of a request take; more than any machine has where they do not fit in 64 bits.
struct BufferSizes {
  std::uint64_t per_copy = 0;  ///< inputs, and outputs of every implementation
  std::uint64_t fixed = 0;     ///< workspaces
};
BufferSizes buffer_sizes(const kq::Request& request, std::span<Implementation* const> implementations,
                         const Misalignment& misalignment = {});

class RotatingBuffers {
 public:
  /// Uploads the inputs. The problem must outlive the buffers.
  RotatingBuffers(Device& device, DeviceArena& arena, const Problem& problem,
                  std::span<Implementation* const> implementations, std::int64_t copies,
                  const Misalignment& misalignment = {});

  Operands operands(std::size_t implementation, std::int64_t copy) const;

  /// Fills every byte of an implementation's outputs and guards with `value`; from then on no copy of them counts as
  /// launched.
  void poison(std::size_t implementation, std::byte value);

  /// Notes that an implementation has worked on a copy since the last poison().
  void launched(std::size_t implementation, std::int64_t copy) {
    launched_[implementation][static_cast<std::size_t>(copy)] = true;
  }

  /// Waits, then compares every copy of an implementation's outputs: launched ones with what they must be, the others
  /// with the poison. The first difference, if any.
  std::optional<Mismatch> check(std::size_t implementation) const;

  /// Waits, then returns every byte of one copy of an implementation's outputs, and of the guards.
  std::vector<std::byte> fetch(std::size_t implementation, std::int64_t copy) const;

  /// Says so in the mismatches, one for each implementation, where all are there and all left the same bytes in place
  /// of the right ones: a failing reference is not a failing kernel. All were poisoned alike.
  void note_agreement(std::span<std::optional<Mismatch>* const> mismatches) const;

 private:
  std::byte* outputs(std::size_t implementation, std::int64_t copy) const;

  Device& device_;
  const Problem& problem_;
  std::int64_t copies_;
  OutputLayout layout_;
  TensorLayout input_layout_;
  std::byte* inputs_ = nullptr;
  std::byte* outputs_ = nullptr;
  std::vector<std::byte*> workspaces_;
  std::vector<std::byte> poisons_;  ///< of each implementation
  std::vector<std::vector<bool>> launched_;
};

}  // namespace kqbench
