// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A tensor that all programs of one launch hold together, and how they agree on its extremes.
///
/// Quantizing with a scale that is found in the same tensor needs every element twice. A launch that fills the device
/// once can keep a good part of the tensor in scratch memory between the two. What it cannot keep it reads again, most
/// recent first, so that the cache still has much of it.
///
/// In between, each program publishes its part's extremes in a slot of the workspace and reads everybody else's. A
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
/// have. Launches that share a workspace must not overlap in time.
struct GridReduceWorkspace {
  std::uint64_t* slots;
  std::int64_t capacity;  ///< programs of a launch at most

  static constexpr int max_keys = 2;
  static constexpr std::int64_t bytes(std::int64_t capacity) {
    return capacity * max_keys * static_cast<std::int64_t>(sizeof(std::uint64_t));
  }
};

/// A reduction over all programs of one launch.
class GridReduce {
 public:
  GridReduce() = default;
  /// As program `id`, which has not published yet.
  KQ_HOST_DEVICE GridReduce(const GridReduceWorkspace& grid_reduce, std::int64_t id)
      : grid_reduce_(grid_reduce),
        launch_(static_cast<std::uint32_t>(device::read_slot(grid_reduce.slots + id) >> 32) + 1) {}

  /// Leaves program `id`'s values for the others. All lanes of the program call this.
  template <int Keys>
  KQ_HOST_DEVICE void publish(std::int64_t id, std::int64_t count, int lane, int lanes,
                              const float (&value)[Keys]) const {
    static_assert(Keys <= GridReduceWorkspace::max_keys);
    if (lane == 0) {
      for (int k = 0; k < Keys; ++k) {
        device::write_slot(slot(k, id), epoch() | float_bits(value[k]));
      }
    }
    if (id != 0) return;
    for (int k = 0; k < GridReduceWorkspace::max_keys; ++k) {
      for (std::int64_t i = (k < Keys ? count : 0) + lane; i < grid_reduce_.capacity; i += lanes) {
        device::write_slot(slot(k, i), epoch());
      }
    }
  }

  /// Another program's values; false if they have not come after `max_polls` looks at each.
  template <int Keys>
  KQ_HOST_DEVICE bool await(std::int64_t id, int max_polls, float (&value)[Keys]) const {
    for (int k = 0; k < Keys; ++k) {
      std::uint64_t content = device::read_slot(slot(k, id));
      for (int look = 0; static_cast<std::uint32_t>(content >> 32) != launch_; ++look) {
        if (look == max_polls) return false;
        content = device::read_slot(slot(k, id));
      }
      value[k] = bits_float(static_cast<std::uint32_t>(content));
    }
    return true;
  }

 private:
  KQ_HOST_DEVICE std::uint64_t* slot(int key, std::int64_t id) const {
    return grid_reduce_.slots + key * grid_reduce_.capacity + id;
  }
  KQ_HOST_DEVICE std::uint64_t epoch() const { return static_cast<std::uint64_t>(launch_) << 32; }

  GridReduceWorkspace grid_reduce_;
  std::uint32_t launch_;
};

/// Of a tensor that is dealt to `count` programs in turns, a row of `Lanes` vectors at a time, what program `id` has.
template <class Element, int Lanes>
struct BlockCyclicPartition {
  static constexpr int width = device::width<Element>;
  static constexpr std::int64_t row_size = std::int64_t{Lanes} * width;

  Span<const Element> span;
  std::int64_t count;

  /// The first element of a lane's first vector, and elements from one of its vectors to the next.
  KQ_HOST_DEVICE std::int64_t begin(std::int64_t id, int lane) const { return id * row_size + lane * width; }
  KQ_HOST_DEVICE std::int64_t step() const { return count * row_size; }

  /// All that a program has, read by one lane.
  template <class Function>
  KQ_HOST_DEVICE void read_all_of(std::int64_t id, const Function& on_vector) const {
    for (std::int64_t row = begin(id, 0); row < span.size; row += step()) {
      for (std::int64_t i = row; i < row + row_size && i < span.size; i += width) {
        on_vector(device::load16(span.data + i));
      }
    }
  }
};

/// A device program's part of a tensor, all of it in registers: the tensor has at most Config::vectors vectors for each
/// lane of all programs. A program that has the tensor to itself meets nobody.
template <class Element, class Config>
class RegisterPartition {
 public:
  static constexpr bool reads_again = false;

  KQ_HOST_DEVICE RegisterPartition(Span<const Element> span, std::int64_t id, std::int64_t count, int lane,
                                   const GridReduceWorkspace& grid_reduce)
      : partition_{span, count}, begin_(partition_.begin(id, lane)) {
    if (count > 1) grid_reduce_ = GridReduce(grid_reduce, id);
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (has(n)) vectors_[n] = device::load16(partition_.span.data + begin_ + n * partition_.step());
    }
  }

  KQ_HOST_DEVICE const BlockCyclicPartition<Element, Config::lanes>& partition() const { return partition_; }
  KQ_HOST_DEVICE std::int64_t begin() const { return begin_; }
  KQ_HOST_DEVICE const GridReduce& grid_reduce() const { return grid_reduce_; }

  template <class Function>
  KQ_HOST_DEVICE void read(const Function& on_vector) const {
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (has(n)) on_vector(vectors_[n]);
    }
  }

  template <class VectorFunction, class EdgeFunction>
  KQ_HOST_DEVICE void for_each(const VectorFunction& on_vector, const EdgeFunction&) const {
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (has(n)) on_vector(vectors_[n], n * partition_.step());
    }
  }

 private:
  KQ_HOST_DEVICE bool has(int n) const { return begin_ + n * partition_.step() < partition_.span.size; }

  BlockCyclicPartition<Element, Config::lanes> partition_;
  std::int64_t begin_;
  GridReduce grid_reduce_;
  device::Vector16 vectors_[Config::vectors];
};

/// The same for a tensor of any size: of each lane's vectors the first `scratch_vectors` stay in scratch memory, the
/// next in registers, and the others are read again.
template <class Element, class Config>
class CachedPartition {
 public:
  static constexpr bool reads_again = true;  ///< from a cache that had better not be filled with anything else

  /// Of `count` programs' shares the one of program `id`; `scratch` holds `scratch_vectors` for each lane.
  KQ_HOST_DEVICE CachedPartition(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, void* scratch,
                                 int scratch_vectors, const GridReduceWorkspace& grid_reduce)
      : partition_{span, count},
        grid_reduce_(grid_reduce, id),
        begin_(partition_.begin(id, lane)),
        step_(partition_.step()),
        scratch_(static_cast<device::Vector16*>(scratch) + lane),
        scratch_vectors_(scratch_vectors),
        rest_(scratch_vectors + held_vectors) {
    count_ = begin_ < span.size ? static_cast<int>(device::divide(span.size - begin_ + step_ - 1, step_)) : 0;
  }

  KQ_HOST_DEVICE const BlockCyclicPartition<Element, Config::lanes>& partition() const { return partition_; }
  KQ_HOST_DEVICE std::int64_t begin() const { return begin_; }
  KQ_HOST_DEVICE const GridReduce& grid_reduce() const { return grid_reduce_; }

  /// The first pass: reads this lane's vectors and keeps what it can.
  template <class Function>
  KQ_HOST_DEVICE void read(const Function& on_vector) {
    read_through_ring<true>(0, in_scratch(), [&](int n, const device::Vector16& vector) {
      scratch_[n * Config::lanes] = vector;
      on_vector(vector);
    });
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (scratch_vectors_ + n < count_) held_[n] = device::load16_evict_first(at(scratch_vectors_ + n));
    }
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (scratch_vectors_ + n < count_) on_vector(held_[n]);
    }
    read_through_ring<false>(rest_, count_, [&](int, const device::Vector16& vector) { on_vector(vector); });
  }

  /// The second: `vector(v, i)` for a vector that begins i elements behind this lane's first one. It begins with what
  /// the ring still has of the first.
  template <class VectorFunction, class EdgeFunction>
  KQ_HOST_DEVICE void for_each(const VectorFunction& on_vector, const EdgeFunction&) {
    for (int base = rest_ + (count_ - 1 - rest_) / pipeline_depth * pipeline_depth; base >= rest_;
         base -= pipeline_depth) {
      KQ_UNROLL
      for (int first = pipeline_depth - loads_per_batch; first >= 0; first -= loads_per_batch) {
        KQ_UNROLL
        for (int n = first + loads_per_batch - 1; n >= first; --n) {
          if (base + n < count_) on_vector(ring_[n], (base + n) * step_);
        }
        if (base > rest_) fill<true>(first, base - pipeline_depth, count_);
      }
    }
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (scratch_vectors_ + n < count_) on_vector(held_[n], (scratch_vectors_ + n) * step_);
    }
    for (int n = 0; n < in_scratch(); ++n) {
      on_vector(scratch_[n * Config::lanes], n * step_);
    }
  }

 private:
  // Together as much of the 128 registers that a lane has as no kernel spills with.
  static constexpr int held_vectors = 11;
  static constexpr int pipeline_depth = 8;   ///< vectors that a lane has on their way
  static constexpr int loads_per_batch = 4;  ///< of which so many are asked for, and waited for, together

  KQ_HOST_DEVICE int in_scratch() const { return count_ < scratch_vectors_ ? count_ : scratch_vectors_; }
  KQ_HOST_DEVICE const Element* at(int n) const { return partition_.span.data + begin_ + n * step_; }

  /// Asks for vectors `begin + first` and on, of those before `end`, for the places `first` and on.
  template <bool Once>
  KQ_HOST_DEVICE void fill(int first, int begin, int end) {
    KQ_UNROLL
    for (int n = first; n < first + loads_per_batch; ++n) {
      if (begin + n < end) ring_[n] = Once ? device::load16_evict_first(at(begin + n)) : device::load16(at(begin + n));
    }
  }

  /// Hands over vectors `begin` to `end`. Some places of the ring are asked for anew as soon as they are done with. One
  /// by one would be too many at a time: a warp can tell apart some six loads that it waits for, and which of more
  /// share a counter is the compiler's luck (4096x8192 and 16384x8192, half to fp8 on an H200: 37.5 and 193 µs one by
  /// one, 36.2 and 171 by two, 34.9 and 158 by four).
  template <bool Once, class Function>
  KQ_HOST_DEVICE void read_through_ring(int begin, int end, const Function& on_vector) {
    KQ_UNROLL
    for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
      fill<Once>(first, begin, end);
    }
    for (; begin < end; begin += pipeline_depth) {
      KQ_UNROLL
      for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
        KQ_UNROLL
        for (int n = first; n < first + loads_per_batch; ++n) {
          if (begin + n < end) on_vector(begin + n, ring_[n]);
        }
        fill<Once>(first, begin + pipeline_depth, end);
      }
    }
  }

  BlockCyclicPartition<Element, Config::lanes> partition_;
  GridReduce grid_reduce_;
  std::int64_t begin_;  ///< this lane's first element
  std::int64_t step_;   ///< elements from one of its vectors to the next
  int count_;           ///< vectors it has
  device::Vector16* scratch_;
  int scratch_vectors_;
  int rest_;  ///< the first that is not kept
  device::Vector16 held_[held_vectors];
  device::Vector16 ring_[pipeline_depth];  ///< number n in ring_[(n - rest_) % pipeline_depth]
};

}  // namespace kq
