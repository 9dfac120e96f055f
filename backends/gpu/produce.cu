// SPDX-License-Identifier: Apache-2.0

// The values of a producer, row by row, for a quantizer that follows in a launch of its own: RMSNorm, with a residual
// added before it or not, and SiLU times up. Rows may lie anywhere and have any length.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
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
  value = kq::sum_over_halves(held);
  KQ_UNROLL
  for (int mask = wave_size / 2; mask > 0; mask /= 2) {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const std::uint32_t low = block.exchange(static_cast<std::uint32_t>(bits), mask);
    const std::uint32_t high = block.exchange(static_cast<std::uint32_t>(bits >> 32), mask);
    value += std::bit_cast<double>(std::uint64_t{high} << 32 | low);
  }
  return value;
}

/// Where the rows of a matrix begin.
template <class T>
struct Matrix {
  T* data;
  std::int64_t columns;
  std::int64_t stride;
  KQ_HOST_DEVICE kq::Span<T> row(std::int64_t index) const { return {data + index * stride, columns}; }
};

/// A block has a row.
template <class Element, class Config_, bool HasResidual>
struct ProduceNorm {
  using Config = Config_;
  static constexpr int width = kq::vector_width<Element>;

  Matrix<const Element> input;
  Matrix<const Element> residual;
  Matrix<Element> residual_out;
  Matrix<Element> values;
  const Element* weight;
  float eps;
  kq::ProducerForm form;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t row = block.index();
    const kq::RowVectors<Element> x(input.row(row));
    const kq::RowVectors<Element> w({weight, input.columns});
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Sum the squares of this thread's vectors, and of all threads'.
    double sums[1];
    kq::sum_by_halves(
        kq::next_power_of_two((x.count() + Config::threads - 1) / Config::threads),
        [&](std::int64_t n, double(&sum)[1]) {
          const std::int64_t i = block.thread() + n * Config::threads;
          sum[0] = 0.0;
          if (i >= x.count()) return;
          float z[width];
          load(row, i, z);
          sum[0] = kq::sum_of_squares(z);
        },
        sums);
    const double sum = sum_over_block<Config::threads>(block, sums[0]);
    const float reciprocal = kq::reciprocal_rms(sum, x.size, eps, form);
    // 3. Read the row again, from the caches, and store what it is normed to.
    for (std::int64_t i = block.thread(); i < x.count(); i += Config::threads) {
      float z[width];
      load(row, i, z);
      if constexpr (HasResidual) kq::store_vector(residual_out.row(row).data, i, x.elements(i), z);
      float y[width];
      w.load(i, y);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        y[k] = kq::normed<Element>(z[k], reciprocal, y[k], form);
      }
      kq::store_vector(values.row(row).data, i, x.elements(i), y);
    }
  }

 private:
  /// Vector i of a row, with the residual's.
  KQ_HOST_DEVICE void load(std::int64_t row, std::int64_t i, float (&z)[width]) const {
    kq::RowVectors<Element>(input.row(row)).load(i, z);
    if constexpr (HasResidual) {
      float other[width];
      kq::RowVectors<Element>(residual.row(row)).load(i, other);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        const float sum = z[k] + other[k];
        z[k] = form == kq::ProducerForm::twice ? sum : kq::rounded_to<Element>(sum);
      }
    }
  }
};

/// A block has a row.
template <class Element, class Value, class Config_>
struct ProduceSiluMul {
  using Config = Config_;
  static constexpr int width = kq::vector_width<Element>;

  Matrix<const Element> input;  ///< gate, then up
  Matrix<Value> values;
  kq::ProducerForm form;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    const std::int64_t row = block.index();
    const kq::RowVectors<Element> gate({input.row(row).data, values.columns});
    const kq::RowVectors<Element> up({input.row(row).data + values.columns, values.columns});
    // 1. Wait for the launch before this one.
    block.wait_for_prerequisites();
    // 2. Load, compute and store vector by vector.
    for (std::int64_t i = block.thread(); i < gate.count(); i += Config::threads) {
      float g[width];
      float y[width];
      gate.load(i, g);
      up.load(i, y);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        y[k] = kq::silu_times<Element>(g[k], y[k], form);
      }
      kq::store_vector(values.row(row).data, i, gate.elements(i), y);
    }
  }
};

template <class Element, class Launcher>
void produce(const Launcher& launcher, const kq::Request& r, const Operands& o, void* values) {
  const kq::ProducerForm form = kq::producer_form(r);
  const Matrix<const Element> input{static_cast<const Element*>(o.input), r.hidden_size, r.input_stride};
  const auto with_config = [&](const auto& run) {
    r.hidden_size <= 16384 ? run(TileConfig<256, 256, 0>{}) : run(TileConfig<1024, 1024, 0>{});
  };
  if (r.producer == kq::Producer::silu_mul) {
    with_config([&]<class Config>(Config) {
      if (form == kq::ProducerForm::in_float) {
        const Matrix<float> to{static_cast<float*>(values), r.hidden_size, r.hidden_size};
        return launcher.launch(ProduceSiluMul<Element, float, Config>{input, to, form}, r.num_tokens);
      }
      const Matrix<Element> to{static_cast<Element*>(values), r.hidden_size, r.hidden_size};
      launcher.launch(ProduceSiluMul<Element, Element, Config>{input, to, form}, r.num_tokens);
    });
    return;
  }
  const Matrix<const Element> residual{static_cast<const Element*>(o.residual), r.hidden_size, r.residual_stride};
  const Matrix<Element> residual_out{static_cast<Element*>(o.residual_out), r.hidden_size, r.residual_stride};
  const Matrix<Element> to{static_cast<Element*>(values), r.hidden_size, r.hidden_size};
  const auto* const weight = static_cast<const Element*>(o.weight);
  with_config([&]<class Config>(Config) {
    if (kq::has_residual(r.producer)) {
      launcher.launch(ProduceNorm<Element, Config, true>{input, residual, residual_out, to, weight, r.eps, form},
                      r.num_tokens);
    } else {
      launcher.launch(ProduceNorm<Element, Config, false>{input, residual, residual_out, to, weight, r.eps, form},
                      r.num_tokens);
    }
  });
}

#if defined(__CUDACC__) || defined(__HIPCC__)
#if defined(KQ_ELEMENT)
template void produce<KQ_ELEMENT>(const DeviceLauncher&, const kq::Request&, const Operands&, void*);
#else
template void produce<kq::half>(const DeviceLauncher&, const kq::Request&, const Operands&, void*);
template void produce<kq::bfloat16>(const DeviceLauncher&, const kq::Request&, const Operands&, void*);
template void produce<float>(const DeviceLauncher&, const kq::Request&, const Operands&, void*);
#endif
#endif

}  // namespace kqbench::gpu
