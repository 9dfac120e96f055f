// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A block of threads, as a kernel's body sees it.
///
/// Bodies are templates over this class, so that tests/backends/gpu can run the very same code on a host, in emulated
/// waves of 32 and of 64 lanes. What a body may use is what is here:
///
///   thread(), index()           which thread of the block, which block of the grid
///   count()                     blocks in the grid, for bodies whose blocks know of each other
///   wave_size                   lanes that exchange values with each other directly
///   shared<T>()                 the block's shared memory: one object a kernel, contents undefined at first
///   tile_memory()               more of it, as much as the launch asked for, aligned to 16 bytes
///   barrier()                   waits for the block's threads, orders shared memory
///   exchange(value, mask)       the value of the lane whose number differs in the bits of `mask`; all lanes call it
///   has_wave_max, wave_max(k)   the greatest key of a whole wave in one instruction, where there is one
///   read_slot, write_slot       64 bits that other blocks write or read meanwhile, whole; unordered with all else
///   pause()                     while waiting for such a write
///   wait_for_prerequisites      what every thread does before it first reads or writes global memory: this launch may
///                               have started before the one in front of it has ended (kq/programmatic_launch.hpp)
///   launch_dependents           after its loads: the next launch may start

#include <cstdint>

#include "kq/arch/arch.hpp"

namespace kqbench::gpu {

#if KQ_DEVICE_ANY

class DeviceBlock {
 public:
  static constexpr int wave_size = kq::arch::wave_size;
  static constexpr bool has_wave_max = kq::arch::has_wave_max;

  /// A launch of more blocks than a grid may have comes in several grids, this one starting at `first_block`.
  KQ_HOST_DEVICE explicit DeviceBlock(std::int64_t first_block) : first_block_(first_block) {}

  KQ_HOST_DEVICE int thread() const { return static_cast<int>(threadIdx.x); }
  KQ_HOST_DEVICE std::int64_t index() const { return first_block_ + blockIdx.x; }
  KQ_HOST_DEVICE int count() const { return static_cast<int>(gridDim.x); }

  template <class T>
  KQ_HOST_DEVICE T& shared() const {
    __shared__ T storage;
    return storage;
  }
  KQ_HOST_DEVICE void* tile_memory() const {
    extern __shared__ kq::arch::Vector16 dynamic_memory[];
    return dynamic_memory;
  }
  KQ_HOST_DEVICE void barrier() const { __syncthreads(); }

  KQ_HOST_DEVICE std::uint32_t exchange(std::uint32_t value, int mask) const { return kq::arch::exchange(value, mask); }
  KQ_HOST_DEVICE std::uint32_t wave_max(std::uint32_t key) const { return kq::arch::wave_max(key); }

  KQ_HOST_DEVICE std::uint64_t read_slot(const std::uint64_t* slot) const { return kq::arch::read_slot(slot); }
  KQ_HOST_DEVICE void write_slot(std::uint64_t* slot, std::uint64_t value) const { kq::arch::write_slot(slot, value); }
  KQ_HOST_DEVICE void pause() const {}

  KQ_HOST_DEVICE void wait_for_prerequisites() const { kq::arch::wait_for_prerequisite_grids(); }
  /// Computes the address and the count of what is loaded next while it waits.
  KQ_HOST_DEVICE void wait_for_prerequisites(const void* address, int count) const {
    kq::arch::wait_for_prerequisite_grids(address, count);
  }
  KQ_HOST_DEVICE void launch_dependents() const { kq::arch::launch_dependent_grids(); }

 private:
  std::int64_t first_block_;
};

#else

/// The host's pass over device code only needs the name.
class DeviceBlock;

#endif

}  // namespace kqbench::gpu
