// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Family: schemes with given scales.

#include "backends/gpu/choose.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/rules.hpp"
#include "backends/gpu/static_scale.hpp"

namespace kqbench::gpu {

template <class Rule, class Launcher>
void enqueue_static_scale(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  const auto* const scales = static_cast<const float*>(o.scales);
  const auto rows = rows_of<Element, Code>(r, o);
  const std::int64_t vectors_per_row = r.hidden_size / vector_width<Element>;
  const auto pieces = [](std::int64_t vectors, int capacity) {
    return std::max<std::int64_t>(1, (vectors + capacity - 1) / capacity);
  };

  if (r.granularity == kq::Granularity::channel) {
    using Kernel = StaticColumns<Rule, TileConfig<128, 128, 8, 512>>;
    const std::int64_t tiles = pieces(vectors_per_row, Kernel::Config::lanes);
    launcher.launch(Kernel{rows, tiles, scales, o.zero_points, rule}, Kernel::blocks(r.num_tokens, tiles));
  } else if (r.granularity == kq::Granularity::tensor && is_contiguous(r)) {
    const std::int64_t vectors = r.num_tokens * vectors_per_row;
    with_static_tensor_shape(vectors, is_aligned(rows), launcher.multiprocessors, [&](auto config, auto aligned) {
      using Kernel = StaticTensor<Rule, decltype(config), aligned.value>;
      const auto tensor = tensor_of<Element, Code, aligned.value>(r, o);
      launcher.launch(Kernel{tensor, scales, o.zero_points, rule}, pieces(tensor.vectors, config.capacity));
    });
  } else {
    const std::int64_t scale_step = r.granularity == kq::Granularity::tensor ? 0 : 1;
    with_static_rows_shape(vectors_per_row, [&](auto config) {
      using Kernel = StaticRows<Rule, decltype(config)>;
      const std::int64_t slices = pieces(vectors_per_row, config.capacity);
      launcher.launch(Kernel{rows, slices, scales, o.zero_points, scale_step, rule},
                      config.blocks(rows.count * slices));
    });
  }
}

template <class Element, class Launcher>
void static_scale(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.asymmetric) return enqueue_static_scale(launcher, r, o, StaticAffine<Element>{r.qmax});
  if (r.format == kq::Format::int8) return enqueue_static_scale(launcher, r, o, StaticInt8<Element>{r.qmax});
  with_fp8(r.format,
           [&](auto format) { enqueue_static_scale(launcher, r, o, StaticFp8<Element, decltype(format)>{r.qmax}); });
}

}  // namespace kqbench::gpu
