// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the lanes of a device program tell each other: the greatest of their values, and the sum.

#include <bit>
#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/lanes.hpp"
#include "kq/producers.hpp"

namespace kq {

template <class Team, class Config, class Wave>
class DeviceLanes {
 public:
  /// Team scratch memory that a program needs.
  static constexpr int scratch_bytes = !Config::is_team ? 0 : 4 * Config::lanes / 32 * int{sizeof(float)};

  /// Team scratch memory that a sum over the lanes needs besides, for each sum() in a kernel.
  static constexpr int sum_scratch_bytes = Config::is_team ? Config::lanes * int{sizeof(double)} : 0;

 protected:
  KQ_HOST_DEVICE DeviceLanes(const Team& team, const Wave& wave)
      : team_(team), wave_(wave), lane_(static_cast<int>(static_cast<unsigned>(team.team_rank()) % Config::lanes)) {
    if constexpr (scratch_bytes > 0) slots_ = static_cast<float*>(team.team_scratch(0).get_shmem(int{scratch_bytes}));
  }

  /// The greatest of each value over the whole program.
  template <class Key, int Count>
  KQ_HOST_DEVICE void max_over_program(float (&value)[Count]) const {
    constexpr int in_wave = Config::is_team ? Wave::size : Config::lanes;
    for (int k = 0; k < Count; ++k) {
      value[k] = max_over_lanes<in_wave, Key>(wave_, value[k]);
    }
    if constexpr (Config::is_team) {
      // Two sets of slots alternate, so that one barrier is enough. Lanes beyond the waves read slots again.
      static_assert(Count <= max_values);
      constexpr int waves = Config::lanes / Wave::size;
      constexpr int lanes_that_compare = Wave::has_max ? Wave::size : waves;
      float* const slots = slots_ + (reductions_++ % 2) * max_values * slots_per_value;
      for (int k = 0; k < Count; ++k) {
        if (lane_ % Wave::size == 0) slots[k * slots_per_value + lane_ / Wave::size] = value[k];
      }
      team_.team_barrier();
      for (int k = 0; k < Count; ++k) {
        value[k] = max_over_lanes<lanes_that_compare, Key>(wave_, slots[k * slots_per_value + lane_ % waves]);
      }
    }
  }

  /// The sum over the lanes, from the highest bit of their number down. A team has room for a double of each lane in
  /// scratch memory (sum_scratch_bytes). Where there are few waves, each adds them all up, which saves a barrier; where
  /// there are many, the first adds them up and the others read its sum.
  KQ_HOST_DEVICE double sum(double value) const {
    if constexpr (Config::is_team) {
      constexpr int waves = Config::lanes / Wave::size;
      constexpr bool is_shared = waves > 8;
      auto* const slots = static_cast<double*>(team_.team_scratch(0).get_shmem_aligned(int{sum_scratch_bytes}, 8));
      slots[lane_] = value;
      team_.team_barrier();
      if (!is_shared || lane_ < Wave::size) {
        double held[waves];
        KQ_UNROLL
        for (int wave = 0; wave < waves; ++wave) {
          held[wave] = slots[wave * Wave::size + lane_ % Wave::size];
        }
        value = sum_over_wave<Wave::size>(sum_over_halves(held));
        if (is_shared && lane_ == 0) slots[0] = value;
      }
      if constexpr (is_shared) {
        team_.team_barrier();
        value = slots[0];
      }
      return value;
    } else {
      return sum_over_wave<Config::lanes>(value);
    }
  }

  template <int Lanes>
  KQ_HOST_DEVICE double sum_over_wave(double value) const {
    KQ_UNROLL
    for (int mask = Lanes / 2; mask > 0; mask /= 2) {
      value += exchange(value, mask);
    }
    return value;
  }

  KQ_HOST_DEVICE double exchange(double value, int mask) const {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const float low = wave_.exchange(bits_float(static_cast<std::uint32_t>(bits)), mask);
    const float high = wave_.exchange(bits_float(static_cast<std::uint32_t>(bits >> 32)), mask);
    return std::bit_cast<double>(std::uint64_t{float_bits(high)} << 32 | float_bits(low));
  }

  const Team& team_;
  [[no_unique_address]] Wave wave_;
  int lane_;

 private:
  static constexpr int max_values = 2;  ///< that are reduced at once
  static constexpr int slots_per_value =
      Config::lanes / 32;  ///< one for each wave of 32 lanes; waves of 64 need half of them

  float* slots_ = nullptr;
  mutable int reductions_ = 0;
};

}  // namespace kq
