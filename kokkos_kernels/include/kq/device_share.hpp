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
  Attendance() = default;
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

/// Of a tensor that is dealt to `count` programs in turns, a row of `Lanes` vectors at a time, what program `id` has.
template <class Element, int Lanes>
struct Deal {
  static constexpr int width = device::width<Element>;
  static constexpr std::int64_t row_size = std::int64_t{Lanes} * width;

  Span<const Element> span;
  std::int64_t count;

  /// The first element of a lane's first vector, and elements from one of its vectors to the next.
  KQ_FUNCTION std::int64_t begin(std::int64_t id, int lane) const { return id * row_size + lane * width; }
  KQ_FUNCTION std::int64_t step() const { return count * row_size; }

  /// All that a program has, read by one lane.
  template <class Function>
  KQ_FUNCTION void read_all_of(std::int64_t id, const Function& on_vector) const {
    for (std::int64_t row = begin(id, 0); row < span.size; row += step()) {
      for (std::int64_t i = row; i < row + row_size && i < span.size; i += width) {
        on_vector(device::load16(span.data + i));
      }
    }
  }
};

/// A device program's share of a tensor, all of it in registers: the tensor has at most Shape::vectors vectors for each
/// lane of all programs. A program that has the tensor to itself meets nobody.
template <class Element, class Shape>
class HeldShare {
 public:
  static constexpr bool reads_again = false;

  KQ_FUNCTION HeldShare(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, const Meeting& meeting)
      : deal_{span, count}, begin_(deal_.begin(id, lane)) {
    if (count > 1) meeting_ = Attendance(meeting, id);
    KQ_UNROLL
    for (int n = 0; n < Shape::vectors; ++n) {
      if (has(n)) vectors_[n] = device::load16(deal_.span.data + begin_ + n * deal_.step());
    }
  }

  KQ_FUNCTION const Deal<Element, Shape::lanes>& deal() const { return deal_; }
  KQ_FUNCTION std::int64_t begin() const { return begin_; }
  KQ_FUNCTION const Attendance& meeting() const { return meeting_; }

  template <class Function>
  KQ_FUNCTION void read(const Function& on_vector) const {
    KQ_UNROLL
    for (int n = 0; n < Shape::vectors; ++n) {
      if (has(n)) on_vector(vectors_[n]);
    }
  }

  template <class VectorFunction, class EdgeFunction>
  KQ_FUNCTION void for_each(const VectorFunction& on_vector, const EdgeFunction&) const {
    KQ_UNROLL
    for (int n = 0; n < Shape::vectors; ++n) {
      if (has(n)) on_vector(vectors_[n], n * deal_.step());
    }
  }

 private:
  KQ_FUNCTION bool has(int n) const { return begin_ + n * deal_.step() < deal_.span.size; }

  Deal<Element, Shape::lanes> deal_;
  std::int64_t begin_;
  Attendance meeting_;
  device::Vector16 vectors_[Shape::vectors];
};

/// The same for a tensor of any size: the first `scratch_vectors` of each lane's vectors stay in scratch memory, the
/// others are read again.
template <class Element, class Shape>
class DeviceShare {
 public:
  static constexpr bool reads_again = true;  ///< from a cache that had better not be filled with anything else

  /// Of `count` programs' shares the one of program `id`; `scratch` holds `scratch_vectors` for each lane.
  KQ_FUNCTION DeviceShare(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, void* scratch,
                          int scratch_vectors, const Meeting& meeting)
      : deal_{span, count},
        meeting_(meeting, id),
        begin_(deal_.begin(id, lane)),
        step_(deal_.step()),
        scratch_(static_cast<device::Vector16*>(scratch) + lane),
        scratch_vectors_(scratch_vectors) {
    count_ = begin_ < span.size ? static_cast<int>(device::divide(span.size - begin_ + step_ - 1, step_)) : 0;
  }

  KQ_FUNCTION const Deal<Element, Shape::lanes>& deal() const { return deal_; }
  KQ_FUNCTION std::int64_t begin() const { return begin_; }
  KQ_FUNCTION const Attendance& meeting() const { return meeting_; }

  /// The first pass: reads this lane's vectors and keeps what it can.
  template <class Function>
  KQ_FUNCTION void read(const Function& on_vector) {
    for (int base = 0; base < in_scratch(); base += batch) {
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < in_scratch()) held_[n] = device::load16_once(at(base + n));
      }
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < in_scratch()) {
          scratch_[(base + n) * Shape::lanes] = held_[n];
          on_vector(held_[n]);
        }
      }
    }
    for (int base = scratch_vectors_; base < count_; base += batch) {
      load_batch<false>(base, held_);
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < count_) on_vector(held_[n]);
      }
    }
  }

  /// The second: `vector(v, i)` for a vector that begins i elements behind this lane's first one.
  template <class VectorFunction, class EdgeFunction>
  KQ_FUNCTION void for_each(const VectorFunction& on_vector, const EdgeFunction&) const {
    device::Vector16 vectors[batch];
    KQ_UNROLL
    for (int n = 0; n < batch; ++n) {
      vectors[n] = held_[n];
    }
    const int rest = count_ - scratch_vectors_;
    for (int base = scratch_vectors_ + (rest - 1) / batch * batch; base >= scratch_vectors_; base -= batch) {
      KQ_UNROLL
      for (int n = 0; n < batch; ++n) {
        if (base + n < count_) on_vector(vectors[n], (base + n) * step_);
      }
      load_batch<true>(base - batch, vectors);
    }
    for (int n = 0; n < in_scratch(); ++n) {
      on_vector(scratch_[n * Shape::lanes], n * step_);
    }
  }

 private:
  static constexpr int batch = 4;  ///< vectors that a lane has in flight

  KQ_FUNCTION int in_scratch() const { return count_ < scratch_vectors_ ? count_ : scratch_vectors_; }
  KQ_FUNCTION const Element* at(int n) const { return deal_.span.data + begin_ + n * step_; }

  template <bool Last>
  KQ_FUNCTION void load_batch(int base, device::Vector16 (&vectors)[batch]) const {
    KQ_UNROLL
    for (int n = 0; n < batch; ++n) {
      if (base + n >= scratch_vectors_ && base + n < count_) {
        vectors[n] = Last ? device::load16_once(at(base + n)) : device::load16(at(base + n));
      }
    }
  }
  Deal<Element, Shape::lanes> deal_;
  Attendance meeting_;
  std::int64_t begin_;  ///< this lane's first element
  std::int64_t step_;   ///< elements from one of its vectors to the next
  int count_;           ///< vectors it has
  device::Vector16* scratch_;
  int scratch_vectors_;
  device::Vector16 held_[batch];  ///< the last ones read
};

}  // namespace kq
