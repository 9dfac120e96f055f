// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Family: dynamic scales of groups.

#include "backends/gpu/choose.hpp"
#include "backends/gpu/dynamic_group.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/rules.hpp"

namespace kqbench::gpu {

template <class Rule, class Launcher>
void enqueue_dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  using Code = typename Rule::Code;
  const auto rows = rows_of<Element, Code>(r, o);
  const std::int64_t per_row = kq::groups_per_row(r);
  const std::int64_t count = rows.count * per_row;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const std::int64_t vectors = size / vector_width<Element>;
  const bool row_major = r.scale_layout == kq::ScaleLayout::row;
  const bool exponents = r.scale_format == kq::ScaleFormat::ue8m0;
  const bool aligned = is_aligned(rows) && size % vector_width<Element> == 0;

  const auto flat = [&](auto config) {
    using Kernel = DynamicGroup<Rule, decltype(config), true, FlatGroups>;
    launcher.launch(Kernel{{rows.input, rows.codes, count, static_cast<int>(size)}, o.scales, exponents, rule},
                    config.blocks(count));
  };
  if (aligned && row_major && is_contiguous(r) && r.hidden_size % size == 0 &&
      with_flat_group_config(vectors, count, launcher.multiprocessors, flat)) {
    return;
  }
  with_group_config(vectors, aligned, [&](auto config, auto is_known_aligned) {
    using Kernel = DynamicGroup<Rule, decltype(config), is_known_aligned.value, RowGroups>;
    launcher.launch(Kernel{{rows, count, size, per_row, row_major ? per_row : 1, row_major ? 1 : r.num_tokens},
                           o.scales,
                           exponents,
                           rule},
                    config.blocks(count));
  });
}

template <class Element, class Launcher>
void dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const bool power_of_two = r.scale_format != kq::ScaleFormat::float32;
  if (r.format == kq::Format::int8)
    return enqueue_dynamic_group(launcher, r, o, Group<Element, kq::Int8>{r.qmax, power_of_two});
  with_fp8(r.format, [&](auto format) {
    enqueue_dynamic_group(launcher, r, o, Group<Element, decltype(format)>{r.qmax, power_of_two});
  });
}

}  // namespace kqbench::gpu
