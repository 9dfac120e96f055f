// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A contiguous tensor of groups a few vectors long, which all programs of one launch hold together: the groups' scales
/// depend on the whole tensor's, so that every element is needed twice (kq/cooperative_partition.hpp).

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/cooperative_partition.hpp"
#include "kq/device_chunk.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// One lane's part of a tensor that is whole chunks of all lanes of a wave, 2^31 - 1 chunks at most: the lane has the
/// first of them that its own number among all programs' lanes names, and every so many that there are lanes behind it.
/// Its first `held_chunks` stay in registers and the next `scratch_chunks` in scratch memory. The second pass reads the
/// others again, from the end, which the last-level cache still has.
template <class Element, class Config>
class ChunkPartition {
 public:
  using Chunk = DeviceChunk<Element, Config>;
  static constexpr int held_chunks = 2;

  /// The part of program `id` of `count`; `scratch` holds `scratch_chunks` for each lane.
  KQ_HOST_DEVICE ChunkPartition(Span<const Element> span, std::int64_t id, std::int64_t count, int lane, void* scratch,
                                int scratch_chunks, const GridReduceWorkspace& workspace)
      : partition_{span, count},
        first_(static_cast<int>(id) * Config::lanes + lane),
        step_(static_cast<int>(count) * Config::lanes),
        lane_(lane),
        scratch_(static_cast<Vector16*>(scratch)),
        rest_(held_chunks + scratch_chunks) {
    if (count > 1) grid_reduce_ = GridReduce(workspace, id);
    const int left = static_cast<int>(span.size / Chunk::size) - first_;
    count_ = left <= 0 ? 0 : static_cast<int>((static_cast<unsigned>(left) - 1) / static_cast<unsigned>(step_)) + 1;
  }

  KQ_HOST_DEVICE const auto& partition() const { return partition_; }
  KQ_HOST_DEVICE const GridReduce& grid_reduce() const { return grid_reduce_; }

  /// The first pass: reads this lane's chunks and keeps what it can.
  template <class Function>
  KQ_HOST_DEVICE void read(const Function& on_vector) {
    const auto hand_over = [&](const Chunk& chunk) {
      on_vector(chunk.vector(0));
      on_vector(chunk.vector(1));
    };
    KQ_UNROLL
    for (int n = 0; n < held_chunks; ++n) {
      if (n < count_) held_[n] = load<true>(n);
    }
    KQ_UNROLL
    for (int n = 0; n < held_chunks; ++n) {
      if (n < count_) hand_over(held_[n]);
    }
    read_in_pairs<true>(held_chunks, kept(), [&](const Chunk& chunk, int n) {
      keep(chunk, n);
      hand_over(chunk);
    });
    read_in_pairs<false>(rest_, count_, [&](const Chunk& chunk, int) { hand_over(chunk); });
  }

  /// The second pass: function(chunk, its number in the tensor).
  template <class Function>
  KQ_HOST_DEVICE void for_each_chunk(const Function& function) const {
    int back = count_ - 1;
    for (; back > rest_; back -= 2) {
      const Chunk first = load<true>(back);
      const Chunk second = load<true>(back - 1);
      function(first, number(back));
      function(second, number(back - 1));
    }
    if (back == rest_) function(load<true>(back), number(back));
    for (int n = held_chunks; n < kept(); ++n) {
      function(take(n), number(n));
    }
    KQ_UNROLL
    for (int n = 0; n < held_chunks; ++n) {
      if (n < count_) function(held_[n], number(n));
    }
  }

 private:
  KQ_HOST_DEVICE int kept() const { return count_ < rest_ ? count_ : rest_; }
  KQ_HOST_DEVICE int number(int n) const { return first_ + n * step_; }

  template <bool EvictFirst>
  KQ_HOST_DEVICE Chunk load(int n) const {
    const Element* const mine = partition_.span.data + std::int64_t{number(n)} * Chunk::size;
    const auto load_vector = [&](int i) {
      const Element* const from = mine + i * Chunk::width;
      return EvictFirst ? arch::load16_evict_first(from) : arch::load16(from);
    };
    return Chunk(load_vector(0), load_vector(1));
  }

  /// function(chunk, n) for chunks `begin` to `end` - 1, two of which are read at once.
  template <bool EvictFirst, class Function>
  KQ_HOST_DEVICE void read_in_pairs(int begin, int end, const Function& function) const {
    for (; begin + 1 < end; begin += 2) {
      const Chunk first = load<EvictFirst>(begin);
      const Chunk second = load<EvictFirst>(begin + 1);
      function(first, begin);
      function(second, begin + 1);
    }
    if (begin < end) function(load<EvictFirst>(begin), begin);
  }

  KQ_HOST_DEVICE Vector16* place(int n) const { return scratch_ + (n - held_chunks) * 2 * Config::lanes + lane_; }
  KQ_HOST_DEVICE void keep(const Chunk& chunk, int n) const {
    place(n)[0] = chunk.vector(0);
    place(n)[Config::lanes] = chunk.vector(1);
  }
  KQ_HOST_DEVICE Chunk take(int n) const { return Chunk(place(n)[0], place(n)[Config::lanes]); }

  BlockCyclicPartition<Element, 2 * Config::lanes> partition_;  ///< of vectors, two of which are a chunk
  GridReduce grid_reduce_;
  int first_;  ///< the number of this lane's first chunk
  int step_;   ///< from one of its chunks to the next
  int count_;  ///< chunks that it has
  int lane_;
  Vector16* scratch_;
  int rest_;  ///< the first chunk that is not kept
  Chunk held_[held_chunks];
};

}  // namespace kq
