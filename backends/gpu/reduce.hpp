// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The greatest of a value over the lanes that share a span: exchanges within a wave, then shared memory between waves.
/// And the sum of doubles within a wave.
///
/// What is reduced to the greatest are keys: unsigned integers in the order of the floats they stand for. They compare
/// in one instruction everywhere, and a whole wave of them in one where the hardware can.

#include <bit>
#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/reduce.hpp"

namespace kqbench::gpu {

/// The keys of what a lane has folded.
template <class Reduction, class Fold>
KQ_HOST_DEVICE void to_keys(const Fold& fold, std::uint32_t (&key)[Reduction::count]) {
  float maxima[Reduction::count];
  fold.to_maxima(maxima);
  KQ_UNROLL
  for (int k = 0; k < Reduction::count; ++k) {
    key[k] = Reduction::Key::of(maxima[k]);
  }
}

/// What keys stand for: max |x|, or min and max.
template <class Reduction>
KQ_HOST_DEVICE auto value_of_keys(const std::uint32_t (&key)[Reduction::count]) {
  float maxima[Reduction::count];
  KQ_UNROLL
  for (int k = 0; k < Reduction::count; ++k) {
    maxima[k] = Reduction::Key::value(key[k]);
  }
  return Reduction::value(maxima);
}

/// What the waves of a block tell each other: a slot per wave for each of `Keys` keys.
template <int Keys>
struct WaveSlots {
  std::uint32_t key[Keys][32];
};

/// The greatest key among `Lanes` consecutive lanes of a wave (a power of two), in every one of them. Every lane of the
/// wave calls this.
template <int Lanes, class Block>
KQ_HOST_DEVICE std::uint32_t max_in_wave(const Block& block, std::uint32_t key) {
  static_assert(Lanes <= Block::wave_size && (Lanes & (Lanes - 1)) == 0);
  if constexpr (Block::has_wave_max && Lanes == Block::wave_size) {
    return block.wave_max(key);
  } else {
    KQ_UNROLL
    for (int mask = Lanes / 2; mask > 0; mask /= 2) {
      const std::uint32_t other = block.exchange(key, mask);
      key = other > key ? other : key;
    }
    return key;
  }
}

/// The sum over `Lanes` consecutive lanes of a wave (a power of two), from the highest bit of their number down, in
/// every one of them. Every lane of the wave calls this.
template <int Lanes, class Block>
KQ_HOST_DEVICE double sum_in_wave(const Block& block, double value) {
  static_assert(Lanes <= Block::wave_size && (Lanes & (Lanes - 1)) == 0);
  KQ_UNROLL
  for (int mask = Lanes / 2; mask > 0; mask /= 2) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const std::uint32_t low = block.exchange(static_cast<std::uint32_t>(bits), mask);
    const std::uint32_t high = block.exchange(static_cast<std::uint32_t>(bits >> 32), mask);
    value += std::bit_cast<double>(std::uint64_t{high} << 32 | low);
  }
  return value;
}

/// The greatest of each key over `Lanes` consecutive threads of a block of `Threads`, in every one of them. Every
/// thread of the block calls this. `slots` are used if Lanes == Threads and that is more than a wave; they may be used
/// again after the block's next barrier.
template <int Threads, int Lanes, int Keys, class Block>
KQ_HOST_DEVICE void max_over_lanes(const Block& block, WaveSlots<Keys>& slots, std::uint32_t (&key)[Keys]) {
  constexpr int wave_size = Block::wave_size;
  if constexpr (Lanes <= wave_size) {
    KQ_UNROLL
    for (int k = 0; k < Keys; ++k) {
      key[k] = max_in_wave<Lanes>(block, key[k]);
    }
  } else {
    static_assert(Lanes == Threads && Threads % wave_size == 0);
    constexpr int waves = Threads / wave_size;
    constexpr int lanes_that_compare = Block::has_wave_max ? wave_size : waves;
    const auto thread = static_cast<unsigned>(block.thread());
    const unsigned lane = thread % unsigned{wave_size};
    KQ_UNROLL
    for (int k = 0; k < Keys; ++k) {
      const std::uint32_t of_wave = max_in_wave<wave_size>(block, key[k]);
      if (lane == 0) slots.key[k][thread / unsigned{wave_size}] = of_wave;
    }
    block.barrier();
    KQ_UNROLL
    for (int k = 0; k < Keys; ++k) {
      key[k] = max_in_wave<lanes_that_compare>(block, slots.key[k][lane % unsigned{waves}]);
    }
  }
}

}  // namespace kqbench::gpu
