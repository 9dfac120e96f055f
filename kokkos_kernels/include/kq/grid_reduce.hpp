// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A reduction over all programs of one launch.
///
/// Each program publishes its maxima in slots of a workspace and reads everybody else's. A program that waits too long
/// for another recomputes that one's maxima itself: no program depends on another being run, so a device that is busy
/// with other work is slower but never stuck.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/format.hpp"

namespace kq {

/// [max_keys, capacity] slots: the upper half of each counts launches (its epoch), the lower half holds a float. Zero
/// before the first launch; every launch of more than one program advances the epoch of every slot by one, also of
/// programs that it does not have. Launches that share a workspace must not overlap in time.
struct GridReduceWorkspace {
  std::uint64_t* slots;
  std::int64_t capacity;  ///< programs of a launch at most

  static constexpr int max_keys = 2;
  static constexpr std::int64_t bytes(std::int64_t capacity) {
    return capacity * max_keys * static_cast<std::int64_t>(sizeof(std::uint64_t));
  }
};

/// One launch's use of a workspace.
class GridReduce {
 public:
  GridReduce() = default;
  /// As program `id`, which has not published yet.
  KQ_HOST_DEVICE GridReduce(const GridReduceWorkspace& workspace, std::int64_t id)
      : workspace_(workspace), epoch_(static_cast<std::uint32_t>(arch::read_slot(workspace.slots + id) >> 32) + 1) {}

  /// Leaves program `id`'s values for the others. All lanes of the program call this.
  template <int Keys>
  KQ_HOST_DEVICE void publish(std::int64_t id, std::int64_t count, int lane, int lanes,
                              const float (&value)[Keys]) const {
    static_assert(Keys <= GridReduceWorkspace::max_keys);
    if (lane == 0) {
      for (int k = 0; k < Keys; ++k) {
        arch::write_slot(slot(k, id), epoch_bits() | float_bits(value[k]));
      }
    }
    if (id != 0) return;
    for (int k = 0; k < GridReduceWorkspace::max_keys; ++k) {
      for (std::int64_t i = (k < Keys ? count : 0) + lane; i < workspace_.capacity; i += lanes) {
        arch::write_slot(slot(k, i), epoch_bits());
      }
    }
  }

  /// Another program's values; false if they have not come after `max_polls` reads of a slot.
  template <int Keys>
  KQ_HOST_DEVICE bool await(std::int64_t id, int max_polls, float (&value)[Keys]) const {
    for (int k = 0; k < Keys; ++k) {
      std::uint64_t content = arch::read_slot(slot(k, id));
      for (int poll = 0; static_cast<std::uint32_t>(content >> 32) != epoch_; ++poll) {
        if (poll == max_polls) return false;
        content = arch::read_slot(slot(k, id));
      }
      value[k] = bits_float(static_cast<std::uint32_t>(content));
    }
    return true;
  }

 private:
  KQ_HOST_DEVICE std::uint64_t* slot(int key, std::int64_t id) const {
    return workspace_.slots + key * workspace_.capacity + id;
  }
  KQ_HOST_DEVICE std::uint64_t epoch_bits() const { return static_cast<std::uint64_t>(epoch_) << 32; }

  GridReduceWorkspace workspace_;
  std::uint32_t epoch_;
};

}  // namespace kq
