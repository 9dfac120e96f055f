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

/// Whether every group of `size` elements begins and ends at whole vectors, and its codes where one store can put them.
template <class Element, class Code>
bool groups_are_aligned(const Rows<Element, Code>& rows, std::int64_t size) {
  constexpr int width = vector_width<Element>;
  return reinterpret_cast<std::uintptr_t>(rows.input) % sizeof(Vector16) == 0 &&
         reinterpret_cast<std::uintptr_t>(rows.codes) % width == 0 && size % width == 0 && rows.size % width == 0 &&
         (rows.count == 1 || (rows.input_stride % width == 0 && rows.codes_stride % width == 0));
}

template <class Rule, class Launcher>
void enqueue_dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  auto rows = rows_of<Element, typename Rule::Code>(r, o);
  std::int64_t groups = kq::groups_per_row(r);
  const bool row_major = r.scale_layout == kq::ScaleLayout::row;
  if (row_major && is_contiguous(r) && r.hidden_size % r.group_size == 0) {
    // The groups of all rows follow each other as those of one do.
    groups *= rows.count;
    rows.size *= rows.count;
    rows.count = 1;
  }
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const bool exponents = r.scale_format == kq::ScaleFormat::ue8m0;
  with_group_shape(size / vector_width<Element>, groups_are_aligned(rows, size), [&](auto shape, auto aligned) {
    launcher.launch(
        DynamicGroup<Rule, decltype(shape), aligned.value>{rows, r.group_size, groups, o.scales, row_major ? groups : 1,
                                                           row_major ? 1 : r.num_tokens, exponents, rule},
        shape.blocks(rows.count * groups));
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
