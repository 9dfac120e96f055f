// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/choose.hpp"
#include "backends/gpu/dynamic_group.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/rules.hpp"

namespace kqbench::gpu {
namespace {

template <class Rule>
void enqueue(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  const auto rows = rows_of<Element, typename Rule::Code>(r, o);
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const std::int64_t groups = kq::groups_per_row(r);
  const bool row_major = r.scale_layout == kq::ScaleLayout::row;
  const bool exponents = r.scale_format == kq::ScaleFormat::ue8m0;
  with_group_shape(size / vector_width<Element>, [&](auto shape) {
    launch(launcher.stream,
           DynamicGroup<Rule, decltype(shape)>{rows, r.group_size, groups, o.scales, row_major ? groups : 1,
                                               row_major ? 1 : r.num_tokens, exponents, rule},
           shape.blocks(rows.count * groups));
  });
}

}  // namespace

template <class Element>
void dynamic_group(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  const bool power_of_two = r.scale_format != kq::ScaleFormat::float32;
  if (r.format == kq::Format::int8) return enqueue(launcher, r, o, Group<Element, kq::Int8>{r.qmax, power_of_two});
  with_fp8(r.format, [&](auto format) {
    enqueue(launcher, r, o, Group<Element, decltype(format)>{r.qmax, power_of_two});
  });
}

KQ_INSTANTIATE(dynamic_group)

}  // namespace kqbench::gpu
