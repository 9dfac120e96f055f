// SPDX-License-Identifier: Apache-2.0

// The values of a producer, row by row, for a quantizer that follows in a launch of its own: RMSNorm, with a residual
// added before it or not, and SiLU times up. Rows may lie anywhere and have any length.

#include <cstdint>

#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/producers.hpp"

namespace kqbench::gpu {

/// A double of each thread of a block, for its sum.
template <int Threads>
struct SumSlots {
  double value[Threads];
};

/// The sum over a block's threads, in each of them: waves first, by halves, then the lanes of a wave, from the highest
/// bit of their number down (kq/producers.hpp).
template <int Threads, class Block>
KQ_HOST_DEVICE double sum_over_block(const Block& block, double value) {
  constexpr int wave_size = Block::wave_size;
  auto& slots = block.template shared<SumSlots<Threads>>();
  const int thread = block.thread();
  slots.value[thread] = value;
  block.barrier();
  double held[Threads / wave_size];
  KQ_UNROLL
  for (int wave = 0; wave < Threads / wave_size; ++wave) {
    held[wave] = slots.value[wave * wave_size + thread % wave_size];
  }
  return sum_in_wave<wave_size>(block, kq::sum_over_halves(held));
}

/// A block has a row.
template <class ProducerRows, class Config_>
struct Produce {
  using Config = Config_;

  ProducerRows rows;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t row = block.index();
    const std::int64_t vectors = rows.vectors();
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    if constexpr (ProducerRows::is_norm) {
      // 2. Sum the squares of this thread's vectors, and of all threads'.
      double sums[1];
      kq::sum_by_halves(
          kq::next_power_of_two((vectors + Config::threads - 1) / Config::threads),
          [&](std::int64_t n, double(&sum)[1]) {
            const std::int64_t i = block.thread() + n * Config::threads;
            sum[0] = i < vectors ? rows.squares(row, i) : 0.0;
          },
          sums);
      const float reciprocal = rows.reciprocal(sum_over_block<Config::threads>(block, sums[0]));
      // 3. Read the row again, from the caches, and store what it is normed to.
      for (std::int64_t i = block.thread(); i < vectors; i += Config::threads) {
        rows.store(row, i, reciprocal);
      }
    } else {
      // 2. Load, compute and store vector by vector.
      for (std::int64_t i = block.thread(); i < vectors; i += Config::threads) {
        rows.store(row, i);
      }
    }
  }
};

template <class Element, class Launcher>
void produce(const Launcher& launcher, const kq::Request& r, const Operands& o, void* values) {
  kq::with_producer_rows<Element>(r, o, values, [&]<class ProducerRows>(const ProducerRows& rows) {
    if (r.hidden_size <= 16384) {
      launcher.launch(Produce<ProducerRows, TileConfig<256, 256, 0>>{rows}, r.num_tokens);
    } else {
      launcher.launch(Produce<ProducerRows, TileConfig<1024, 1024, 0>>{rows}, r.num_tokens);
    }
  });
}

#define KQ_INSTANTIATE_PRODUCE(Element, unused) \
  template void produce<Element>(const DeviceLauncher&, const kq::Request&, const Operands&, void*);
KQ_FOR_EACH_ELEMENT(KQ_INSTANTIATE_PRODUCE, )

}  // namespace kqbench::gpu
