// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How the blocks of one grid, all running at once, tell each other their keys.
///
/// For each key there is a slot a block, of which the upper half counts the meetings and the lower is the key. A block
/// writes both at once, and waits until the count of every other block has come as far as its own. So one write and one
/// read through the second-level cache are all that lies between a block's result and the grid's. Nothing is reset
/// between launches: every launch counts all slots up by one, zero at first, also those of blocks it does not have.

#include <cstdint>

#include "backends/gpu/reduce.hpp"
#include "kq/config.hpp"

namespace kqbench::gpu {

struct GridReduceWorkspace {
  std::uint64_t* slots;  ///< [keys, capacity]
  int capacity;          ///< blocks of a grid at most
};

/// Keys that a workspace has slots for.
inline constexpr int max_keys = 2;

/// This launch's number, by the slot of this block, which must not have written it yet.
template <class Block>
KQ_HOST_DEVICE std::uint32_t next_epoch(const Block& block, const GridReduceWorkspace& grid_reduce) {
  return static_cast<std::uint32_t>(block.read_slot(grid_reduce.slots + block.index()) >> 32) + 1;
}

/// The greatest of each key over all blocks, in every thread of them. `key` is the same in all threads of a block.
template <int Threads, int Keys, class Block>
KQ_HOST_DEVICE void max_over_grid(const Block& block, const GridReduceWorkspace& grid_reduce, std::uint32_t number,
                                  WaveSlots<Keys>& wave_slots, std::uint32_t (&key)[Keys]) {
  static_assert(Keys <= max_keys);
  const int thread = block.thread();
  const std::uint64_t count = static_cast<std::uint64_t>(number) << 32;
  KQ_UNROLL
  for (int k = 0; k < Keys; ++k) {
    std::uint64_t* const slots = grid_reduce.slots + k * grid_reduce.capacity;
    if (thread == 0) block.write_slot(slots + block.index(), count | key[k]);
  }
  if (block.index() == 0) {
    for (int k = 0; k < max_keys; ++k) {
      for (int i = (k < Keys ? block.count() : 0) + thread; i < grid_reduce.capacity; i += Threads) {
        block.write_slot(grid_reduce.slots + k * grid_reduce.capacity + i, count);
      }
    }
  }
  KQ_UNROLL
  for (int k = 0; k < Keys; ++k) {
    const std::uint64_t* const slots = grid_reduce.slots + k * grid_reduce.capacity;
    for (int i = thread; i < block.count(); i += Threads) {
      std::uint64_t slot = block.read_slot(slots + i);
      while (static_cast<std::uint32_t>(slot >> 32) != number) {
        block.pause();
        slot = block.read_slot(slots + i);
      }
      const auto other = static_cast<std::uint32_t>(slot);
      key[k] = other > key[k] ? other : key[k];
    }
  }
  max_over_lanes<Threads, Threads>(block, wave_slots, key);
}

}  // namespace kqbench::gpu
