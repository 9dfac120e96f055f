// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A tensor that all programs of one launch hold together, and how they agree on its extremes.
///
/// Quantizing with a scale that is found in the same tensor needs every element twice. A launch that fills the device
/// once can keep a good part of the tensor in scratch memory between the two. What it cannot keep it reads again, most
/// recent first, so that the cache still has much of it.
///
/// In between, each program publishes its part's extremes in a slot of the meeting and reads everybody else's. A
/// program whose fellow does not show up in time finds that one's extremes itself: no program depends on another being
/// run, so a device that is busy with other work is slower but never stuck.

#include <cstdint>

#include "kq/config.hpp"
#include "kq/device.hpp"
#include "kq/device_tile.hpp"
#include "kq/format.hpp"
#include "kq/span.hpp"

namespace kq {

/// Where programs meet: [max_keys, capacity] slots, of which the upper half counts launches and the lower holds a
/// float. Zero before the first launch; every launch counts every slot up by one, also of programs that it does not
/// have. Launches that share a meeting must not overlap in time.
struct Meeting {
  std::uint64_t* slots;
  std::int64_t capacity;  ///< programs of a launch at most

  static constexpr int max_keys = 2;
  static constexpr std::int64_t bytes(std::int64_t capacity) {
    return capacity * max_keys * static_cast<std::int64_t>(sizeof(std::uint64_t));
  }
};

/// A meeting in a launch.
class Attendance {
 public:
  /// As program `id`, which has not published yet.
  KQ_FUNCTION Attendance(const Meeting& meeting, std::int64_t id)
      : meeting_(meeting), launch_(static_cast<std::uint32_t>(device::read_slot(meeting.slots + id) >> 32) + 1) {}

  /// Leaves program `id`'s values for the others. All lanes of the program call this.
  template <int Keys>
  KQ_FUNCTION void publish(std::int64_t id, std::int64_t count, int lane, int lanes, const float (&value)[Keys]) const {
    static_assert(Keys <= Meeting::max_keys);
    if (lane == 0) {
      for (int k = 0; k < Keys; ++k) {
        device::write_slot(slot(k, id), stamp() | float_bits(value[k]));
      }
    }
    if (id != 0) return;
    for (int k = 0; k < Meeting::max_keys; ++k) {
      for (std::int64_t i = (k < Keys ? count : 0) + lane; i < meeting_.capacity; i += lanes) {
        device::write_slot(slot(k, i), stamp());
      }
    }
  }

  /// Another program's values; false if they have not come after `patience` looks at each.
  template <int Keys>
  KQ_FUNCTION bool await(std::int64_t id, int patience, float (&value)[Keys]) const {
    for (int k = 0; k < Keys; ++k) {
      std::uint64_t content = device::read_slot(slot(k, id));
      for (int look = 0; static_cast<std::uint32_t>(content >> 32) != launch_; ++look) {
        if (look == patience) return false;
        content = device::read_slot(slot(k, id));
      }
      value[k] = bits_float(static_cast<std::uint32_t>(content));
    }
    return true;
  }

 private:
  KQ_FUNCTION std::uint64_t* slot(int key, std::int64_t id) const {
    return meeting_.slots + key * meeting_.capacity + id;
  }
  KQ_FUNCTION std::uint64_t stamp() const { return static_cast<std::uint64_t>(launch_) << 32; }

  Meeting meeting_;
  std::uint32_t launch_;
};

/// A device program's share of a tensor. Vectors are dealt to the programs in turns, a row of lanes at a time. The
/// first `scratch_vectors` of each lane's stay in scratch memory.
template <class Element, class Shape>
class DeviceShare {
 public:
  /// Of `count` programs' shares the one of program `id`; `scratch` holds `scratch_vectors` for each lane.
  KQ_FUNCTION DeviceShare(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, void* scratch,
                          int scratch_vectors, const Meeting& meeting)
      : meeting_(meeting, id),
        span_(span),
        step_(count * Shape::lanes * width),
        scratch_(static_cast<device::Vector16*>(scratch) + lane),
        scratch_vectors_(scratch_vectors) {
    const std::int64_t vectors = static_cast<std::int64_t>(static_cast<std::uint64_t>(span.size) / unsigned{width});
    const std::int64_t first = id * Shape::lanes + lane;
    begin_ = first * width;
    if (first >= vectors) {
      count_ = 0;
    } else {
      const auto rows = static_cast<std::uint64_t>(vectors - first + Shape::lanes - 1) / unsigned{Shape::lanes};
      count_ = static_cast<int>(device::divide(static_cast<std::int64_t>(rows) + count - 1, count));
    }
  }

  KQ_FUNCTION const Attendance& meeting() const { return meeting_; }

  /// The first pass: reads this lane's vectors and keeps what it can.
  template <class Function>
  KQ_FUNCTION void read(const Function& on_vector) {
    read_batches(0, in_scratch(), [&](int n, const device::Vector16& v) {
      scratch_[n * Shape::lanes] = v;
      on_vector(v);
    });
    read_batches(scratch_vectors_, count_, [&](int, const device::Vector16& v) { on_vector(v); });
  }

  /// The second: `vector(v, i)` for a vector that begins at element i.
  template <class VectorFunction, class EdgeFunction>
  KQ_FUNCTION void for_each(const VectorFunction& on_vector, const EdgeFunction&) const {
    for (int last = count_ - 1; last >= scratch_vectors_; last -= batch) {
      device::Vector16 vectors[batch];
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (last - n >= scratch_vectors_) vectors[n] = load(last - n);
      }
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (last - n >= scratch_vectors_) on_vector(vectors[n], begin(last - n));
      }
    }
    for (int n = 0; n < in_scratch(); ++n) {
      on_vector(scratch_[n * Shape::lanes], begin(n));
    }
  }

  /// All that program `id` of `count` holds, from memory and by one lane.
  template <class Function>
  KQ_FUNCTION void read_all_of(std::int64_t id, std::int64_t count, const Function& on_vector) const {
    constexpr std::int64_t row_size = std::int64_t{Shape::lanes} * width;
    for (std::int64_t row = id * row_size; row < span_.size; row += count * row_size) {
      for (std::int64_t i = row; i < row + row_size && i < span_.size; i += width) {
        on_vector(device::load16(span_.data + i));
      }
    }
  }

 private:
  static constexpr int width = device::width<Element>;
  static constexpr int batch = 4;  ///< vectors that a lane has in flight

  KQ_FUNCTION int in_scratch() const { return count_ < scratch_vectors_ ? count_ : scratch_vectors_; }
  KQ_FUNCTION std::int64_t begin(int n) const { return begin_ + n * step_; }
  KQ_FUNCTION device::Vector16 load(int n) const { return device::load16(span_.data + begin(n)); }

  /// function(n, vector) for this lane's vectors [from, to), a batch of them in flight.
  template <class Function>
  KQ_FUNCTION void read_batches(int from, int to, const Function& function) const {
    for (int base = from; base < to; base += batch) {
      device::Vector16 vectors[batch];
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < to) vectors[n] = load(base + n);
      }
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < to) function(base + n, vectors[n]);
      }
    }
  }

  Attendance meeting_;
  Span<const Element> span_;
  std::int64_t begin_;  ///< this lane's first element
  std::int64_t step_;   ///< elements from one of its vectors to the next
  int count_;           ///< vectors it has
  device::Vector16* scratch_;
  int scratch_vectors_;
};

}  // namespace kq
