// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How lanes of a wave find the greatest of their values, and how much of a tensor of FP4 a lane takes.

#include <cstdint>

#include "kq/arch/arch.hpp"

namespace kq {

/// This pass's wave, as programs exchange values through it. Tests have others.
struct Wave {
  static constexpr int size = arch::wave_size;
  static constexpr bool has_max = arch::has_wave_max;
  KQ_HOST_DEVICE float exchange(float value, int mask) const { return arch::exchange(value, mask); }
  KQ_HOST_DEVICE float from_lane(float value, int lane, int width) const { return arch::from_lane(value, lane, width); }
  KQ_HOST_DEVICE std::uint32_t max(std::uint32_t key) const { return arch::wave_max(key); }
};

/// The greatest value by keys, or of numbers where keys have no NaN, among `Lanes` consecutive lanes (a power of two),
/// in every one of them. Every lane of the wave calls this.
template <int Lanes, class Key, class Wave>
KQ_HOST_DEVICE float max_over_lanes(const Wave& wave, float value) {
  static_assert(Lanes <= Wave::size && (Lanes & (Lanes - 1)) == 0);
  if constexpr (Wave::has_max && Lanes == Wave::size) {
    return Key::value(wave.max(Key::of(value)));
  } else {
    for (int mask = Lanes / 2; mask > 0; mask /= 2) {
      const float other = wave.exchange(value, mask);
      if constexpr (requires { Key::has_nan; }) {
        value = Key::of(other) > Key::of(value) ? other : value;
      } else {
        value = arch::max_number(value, other);
      }
    }
    return value;
  }
}

/// Whether a lane takes two of a tensor's chunks of FP4, two vectors each: where there are more than four times the
/// lanes that run at once, 1280 on each multiprocessor. µs of NVFP4 with a given scale of the tensor, from bfloat16 on
/// an H200 at commit 759374a:
///
///                     4096x8192   4096x4096   2048x4096, which has too few
///   native, one       22.7        12.6        7.32
///   native, two       21.9        12.4        7.38
///   Kokkos, one       24.3        13.6        8.18
///   Kokkos, two       22.9        13.2        8.20
constexpr bool takes_two_chunks(std::int64_t chunks, std::int64_t multiprocessors) {
  return chunks > 4 * 1280 * multiprocessors;
}

}  // namespace kq
