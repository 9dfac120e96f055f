// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Family: a dynamic scale of the whole tensor.

#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/dynamic_tensor.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/rules.hpp"

namespace kqbench::gpu {

template <class Rule, class Launcher>
void enqueue_in_one_launch(const Launcher& launcher, const TensorTask<Rule>& task) {
  const std::int64_t vectors = task.tensor.vectors;
  const int blocks = tensor_blocks(vectors, std::max(1, launcher.grid_reduce.capacity));
  const std::int64_t per_block = (vectors + blocks - 1) / blocks;
  const auto held = [&](auto config) {
    launcher.launch_together(TensorHeld<Rule, decltype(config)>{task, static_cast<int>(per_block)}, blocks, 0);
  };
  if (per_block <= TensorSmallConfig::capacity) return held(TensorSmallConfig{});
  if (per_block <= TensorMiddleConfig::capacity) return held(TensorMiddleConfig{});
  if (per_block <= TensorBigConfig::capacity) return held(TensorBigConfig{});

  using Kernel = TensorLarge<Rule, TensorLargeConfig>;
  const std::int64_t too_many =
      (per_block - TensorLargeConfig::capacity + Kernel::Config::lanes - 1) / Kernel::Config::lanes;
  const std::size_t room = launcher.shared_bytes - sizeof(typename TensorTask<Rule>::Shared);
  const auto shared_vectors = static_cast<int>(
      std::clamp<std::int64_t>(too_many, 0, static_cast<std::int64_t>(room / Kernel::bytes_per_shared_vector)));
  launcher.launch_together(Kernel{task, shared_vectors}, blocks,
                           static_cast<std::size_t>(shared_vectors) * Kernel::bytes_per_shared_vector);
}

template <class Rule, class Launcher>
void enqueue_in_two_launches(const Launcher& launcher, const kq::Request& r, const Operands& o, const TensorScale& out,
                             const Rule& rule) {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  auto rows = rows_of<Element, Code>(r, o);
  if (is_contiguous(r)) {
    rows.size *= rows.count;
    rows.count = 1;
  }
  using Config = TensorSliceConfig;
  const std::int64_t per_row =
      std::max<std::int64_t>(1, (rows.size / vector_width<Element> + Config::capacity - 1) / Config::capacity);
  const TensorSlices<Element, Code, Config> slices{rows, per_row};
  const std::int64_t blocks = std::min(slices.count(), max_slice_blocks(launcher.multiprocessors));
  auto* const partials = static_cast<std::uint32_t*>(o.workspace);
  // What the first launch does depends on the extremes only, so that all fp8 formats and int8 share its code.
  using Finder = std::conditional_t<Rule::has_zero_point, Rule, DynamicInt8<Element>>;
  const TensorSlices<Element, typename Finder::Code, Config> inputs{
      {rows.input, nullptr, rows.count, rows.size, rows.input_stride, 0}, per_row};
  launcher.launch(TensorExtremes<Finder, Config>{inputs, partials}, blocks);
  launcher.launch(TensorCodes<Rule, Config>{slices, partials, static_cast<int>(blocks), out, rule}, blocks);
}

template <class Rule, class Launcher>
void enqueue_dynamic_tensor(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  const TensorScale out{static_cast<float*>(o.scales), Rule::has_zero_point ? o.zero_points : nullptr};
  const std::int64_t vectors = r.num_tokens * r.hidden_size / vector_width<Element>;
  if (fits_one_launch(is_contiguous(r), vectors, launcher.grid_reduce.capacity)) {
    enqueue_in_one_launch(launcher, TensorTask<Rule>{tensor_of<Element, Code>(r, o), launcher.grid_reduce, out, rule});
  } else {
    enqueue_in_two_launches(launcher, r, o, out, rule);
  }
}

template <class Element, class Launcher>
void dynamic_tensor(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.asymmetric) return enqueue_dynamic_tensor(launcher, r, o, DynamicAffine<Element>{r.qmax});
  if (r.format == kq::Format::int8) return enqueue_dynamic_tensor(launcher, r, o, DynamicInt8<Element>{r.qmax});
  with_fp8(r.format,
           [&](auto format) { enqueue_dynamic_tensor(launcher, r, o, TensorFp8<Element, decltype(format)>{r.qmax}); });
}

}  // namespace kqbench::gpu
