// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A block of a device's threads on a host, in waves of any size: what kqbench::gpu::DeviceBlock is on a device, with
/// lanes that really are apart, so that exchanges, barriers and shared memory do what they do there.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kq/arch/arch.hpp"
#include "tests/support/lanes.hpp"

namespace kqbench::test {

/// Values that the lanes of a wave exchange. Two buffers take turns: a lane may be one exchange ahead of another.
class EmulatedWave {
 public:
  explicit EmulatedWave(int lanes)
      : barrier_(lanes), rounds_(static_cast<std::size_t>(lanes)), values_{rounds_, rounds_} {}

  /// Leaves `value` and returns what all lanes left; every lane calls this.
  const std::vector<std::uint32_t>& gather(Lanes& lanes, int lane, std::uint32_t value) {
    auto& buffer = values_[rounds_[static_cast<std::size_t>(lane)]++ % 2];
    buffer[static_cast<std::size_t>(lane)] = value;
    barrier_.wait(lanes);
    return buffer;
  }

 private:
  LaneBarrier barrier_;
  std::vector<std::uint32_t> rounds_;  ///< exchanges so far, of each lane
  std::array<std::vector<std::uint32_t>, 2> values_;
};

/// What the threads of one block share.
struct EmulatedBlockState {
  EmulatedBlockState(int threads, int wave_size, std::size_t tile_bytes)
      : barrier(threads), tile(tile_bytes / sizeof(kq::Vector16)) {
    for (int left = threads; left > 0; left -= wave_size) {
      waves.emplace_back(std::min(left, wave_size));
    }
    std::memset(shared.data(), 0xcd, sizeof shared);
  }

  LaneBarrier barrier;
  std::vector<EmulatedWave> waves;
  std::vector<kq::Vector16> tile;
  alignas(16) std::array<std::byte, 36864> shared;
};

/// One thread's view of it. `HasWaveMax`: the device finds a wave's greatest key in one instruction.
template <int WaveSize, bool HasWaveMax>
class EmulatedBlock {
 public:
  static constexpr int wave_size = WaveSize;
  static constexpr bool has_wave_max = HasWaveMax;

  EmulatedBlock(Lanes& lanes, EmulatedBlockState& state, int thread, std::int64_t index, int count)
      : lanes_(lanes), state_(state), thread_(thread), index_(index), count_(count) {}

  int thread() const { return thread_; }
  std::int64_t index() const { return index_; }
  int count() const { return count_; }

  template <class T>
  T& shared() const {
    static_assert(sizeof(T) <= sizeof state_.shared);
    return *reinterpret_cast<T*>(state_.shared.data());
  }
  void* tile_memory() const { return state_.tile.data(); }
  void barrier() const { state_.barrier.wait(lanes_); }

  std::uint32_t exchange(std::uint32_t value, int mask) const {
    return gather(value)[static_cast<std::size_t>((thread_ % WaveSize) ^ mask)];
  }
  std::uint32_t wave_max(std::uint32_t key) const { return *std::ranges::max_element(gather(key)); }

  std::uint64_t read_slot(const std::uint64_t* slot) const { return kq::arch::read_slot(slot); }
  void write_slot(std::uint64_t* slot, std::uint64_t value) const {
    kq::arch::write_slot(slot, value);
    lanes_.note_progress();
  }
  void pause() const { lanes_.yield(); }

  void wait_for_prerequisites() const { waited_ = true; }
  void wait_for_prerequisites(const void* /*address*/, int /*count*/) const { waited_ = true; }
  void launch_dependents() const {}
  bool waited() const { return waited_; }  ///< for the launch before

 private:
  const std::vector<std::uint32_t>& gather(std::uint32_t value) const {
    return state_.waves[static_cast<std::size_t>(thread_ / WaveSize)].gather(lanes_, thread_ % WaveSize, value);
  }

  Lanes& lanes_;
  EmulatedBlockState& state_;
  int thread_;
  std::int64_t index_;
  int count_;
  mutable bool waited_ = false;
};

}  // namespace kqbench::test
