// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A contiguous tensor that all programs of one launch hold together.
///
/// Quantizing with a scale that is found in the same tensor needs every element twice. A launch that fills the device
/// once keeps what it can of the tensor in registers and scratch memory between the two passes. The second pass reads
/// the rest again, backwards, to hit what is still in the last-level cache.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// A tensor cut into rows of `Lanes` vectors, which `count` programs take in turns: program `id` has rows id, id +
/// count, id + 2 count, ...
template <class Element, int Lanes>
struct BlockCyclicPartition {
  static constexpr int width = vector_width<Element>;
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
        on_vector(arch::load16(span.data + i));
      }
    }
  }
};

/// A program's part of a tensor, all of it in registers: the tensor has at most Config::vectors vectors for each lane
/// of all programs. A program that has the tensor to itself exchanges nothing.
template <class Element, class Config>
class RegisterPartition {
 public:
  static constexpr bool reads_again = false;

  KQ_HOST_DEVICE RegisterPartition(Span<const Element> span, std::int64_t id, std::int64_t count, int lane,
                                   const GridReduceWorkspace& workspace)
      : partition_{span, count}, begin_(partition_.begin(id, lane)) {
    if (count > 1) grid_reduce_ = GridReduce(workspace, id);
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      if (has(n)) vectors_[n] = arch::load16(partition_.span.data + begin_ + n * partition_.step());
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
  Vector16 vectors_[Config::vectors];
};

/// A program's part of a tensor of any size: of each lane's vectors the first `scratch_vectors` stay in scratch memory,
/// the next in registers, and the others are read again.
template <class Element, class Config>
class CachedPartition {
 public:
  static constexpr bool reads_again = true;  ///< from the last-level cache, which stores should leave alone

  /// The part of program `id` of `count`; `scratch` holds `scratch_vectors` for each lane.
  KQ_HOST_DEVICE CachedPartition(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, void* scratch,
                                 int scratch_vectors, const GridReduceWorkspace& workspace)
      : partition_{span, count},
        grid_reduce_(workspace, id),
        begin_(partition_.begin(id, lane)),
        step_(partition_.step()),
        scratch_(static_cast<Vector16*>(scratch) + lane),
        scratch_vectors_(scratch_vectors),
        rest_(scratch_vectors + held_vectors) {
    count_ = begin_ < span.size ? static_cast<int>(divide(span.size - begin_ + step_ - 1, step_)) : 0;
  }

  KQ_HOST_DEVICE const BlockCyclicPartition<Element, Config::lanes>& partition() const { return partition_; }
  KQ_HOST_DEVICE std::int64_t begin() const { return begin_; }
  KQ_HOST_DEVICE const GridReduce& grid_reduce() const { return grid_reduce_; }

  /// The first pass: reads this lane's vectors and keeps what it can.
  template <class Function>
  KQ_HOST_DEVICE void read(const Function& on_vector) {
    read_through_ring<true>(0, in_scratch(), [&](int n, const Vector16& vector) {
      scratch_[n * Config::lanes] = vector;
      on_vector(vector);
    });
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (scratch_vectors_ + n < count_) held_[n] = arch::load16_evict_first(at(scratch_vectors_ + n));
    }
    KQ_UNROLL
    for (int n = 0; n < held_vectors; ++n) {
      if (scratch_vectors_ + n < count_) on_vector(held_[n]);
    }
    read_through_ring<false>(rest_, count_, [&](int, const Vector16& vector) { on_vector(vector); });
  }

  /// The second pass: `on_vector(v, i)` for a vector that begins i elements behind this lane's first one. It begins
  /// with what the ring still holds of the first pass.
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
  // Held vectors and ring together take as much of a lane's 128 registers as they can without any kernel spilling.
  static constexpr int held_vectors = 11;
  static constexpr int pipeline_depth = 8;   ///< loads that a lane has in flight
  static constexpr int loads_per_batch = 4;  ///< of which so many are issued, and waited for, together

  KQ_HOST_DEVICE int in_scratch() const { return count_ < scratch_vectors_ ? count_ : scratch_vectors_; }
  KQ_HOST_DEVICE const Element* at(int n) const { return partition_.span.data + begin_ + n * step_; }

  /// Loads vectors `begin + first` and on, of those before `end`, into places `first` and on of the ring.
  template <bool EvictFirst>
  KQ_HOST_DEVICE void fill(int first, int begin, int end) {
    KQ_UNROLL
    for (int n = first; n < first + loads_per_batch; ++n) {
      if (begin + n < end)
        ring_[n] = EvictFirst ? arch::load16_evict_first(at(begin + n)) : arch::load16(at(begin + n));
    }
  }

  /// Hands over vectors `begin` to `end`. Places of the ring are refilled in batches, as soon as a batch is used.
  /// Single refills would need more scoreboard slots than a warp's six: loads that share one are waited for together,
  /// in pairs that the compiler chooses (4096x8192 and 16384x8192, half to fp8 on an H200: 37.5 and 193 µs with batches
  /// of one, 36.2 and 171 of two, 34.9 and 158 of four).
  template <bool EvictFirst, class Function>
  KQ_HOST_DEVICE void read_through_ring(int begin, int end, const Function& on_vector) {
    KQ_UNROLL
    for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
      fill<EvictFirst>(first, begin, end);
    }
    for (; begin < end; begin += pipeline_depth) {
      KQ_UNROLL
      for (int first = 0; first < pipeline_depth; first += loads_per_batch) {
        KQ_UNROLL
        for (int n = first; n < first + loads_per_batch; ++n) {
          if (begin + n < end) on_vector(begin + n, ring_[n]);
        }
        fill<EvictFirst>(first, begin + pipeline_depth, end);
      }
    }
  }

  BlockCyclicPartition<Element, Config::lanes> partition_;
  GridReduce grid_reduce_;
  std::int64_t begin_;  ///< this lane's first element
  std::int64_t step_;   ///< elements from one of its vectors to the next
  int count_;           ///< vectors it has
  Vector16* scratch_;
  int scratch_vectors_;
  int rest_;  ///< the first that is not kept
  Vector16 held_[held_vectors];
  Vector16 ring_[pipeline_depth];  ///< number n in ring_[(n - rest_) % pipeline_depth]
};

}  // namespace kq
