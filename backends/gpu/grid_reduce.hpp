// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A reduction over the blocks of one grid, all of which run at once.
///
/// For each key there is a slot a block, of which the upper half counts launches (its epoch) and the lower is the key.
/// A block writes both at once, and waits until the epoch of every other block is its own. So one write and one read
/// through the second-level cache are all that lies between a block's result and the grid's. Nothing is reset between
/// launches: every launch counts all slots up by one, zero at first, also those of blocks it does not have.

#include <cstdint>

#include "backends/gpu/reduce.hpp"
#include "kq/arch/config.hpp"

namespace kqbench::gpu {

struct GridReduceWorkspace {
  std::uint64_t* slots;  ///< [keys, capacity]
  int capacity;          ///< blocks of a grid at most
};

/// Keys that a workspace has slots for.
inline constexpr int max_keys = 2;

/// This launch's epoch, by the slot of this block, which must not have written it yet.
template <class Block>
KQ_HOST_DEVICE std::uint32_t next_epoch(const Block& block, const GridReduceWorkspace& workspace) {
  return static_cast<std::uint32_t>(block.read_slot(workspace.slots + block.index()) >> 32) + 1;
}

/// The greatest of each key over all blocks, in every thread of them. `key` is the same in all threads of a block.
template <int Threads, int Keys, class Block>
KQ_HOST_DEVICE void max_over_grid(const Block& block, const GridReduceWorkspace& workspace, std::uint32_t epoch,
                                  WaveSlots<Keys>& wave_slots, std::uint32_t (&key)[Keys]) {
  static_assert(Keys <= max_keys);
  const int thread = block.thread();
  const std::uint64_t count = static_cast<std::uint64_t>(epoch) << 32;
  KQ_UNROLL
  for (int k = 0; k < Keys; ++k) {
    std::uint64_t* const slots = workspace.slots + k * workspace.capacity;
    if (thread == 0) block.write_slot(slots + block.index(), count | key[k]);
  }
  if (block.index() == 0) {
    for (int k = 0; k < max_keys; ++k) {
      for (int i = (k < Keys ? block.count() : 0) + thread; i < workspace.capacity; i += Threads) {
        block.write_slot(workspace.slots + k * workspace.capacity + i, count);
      }
    }
  }
  KQ_UNROLL
  for (int k = 0; k < Keys; ++k) {
    const std::uint64_t* const slots = workspace.slots + k * workspace.capacity;
    for (int i = thread; i < block.count(); i += Threads) {
      std::uint64_t slot = block.read_slot(slots + i);
      while (static_cast<std::uint32_t>(slot >> 32) != epoch) {
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
