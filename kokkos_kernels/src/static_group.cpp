// SPDX-License-Identifier: Apache-2.0

// The scale is given: one for every group_size consecutive elements of a token, or of block_rows tokens.
//
//   fp8   encode(sat(x * (1 / scale)))
//   int8  sat(rne(x / scale))

#include "groups.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// program_id: a group, or a block's part of a token.
template <class Rule, class Groups>
struct StaticGroup {
  Groups groups;
  GivenGroupScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto group = program.id();
    const auto x = program.load(groups.input_group(group));
    const auto scale = rule.scale(scales, groups.scale_place(scales, group));
    program.store(groups.codes_group(group), encode(x, scale));
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void static_group(const ExecutionSpace& space, const Request& r, const Operands& b) {
  if (!on_host<ExecutionSpace> && r.format == Format::fp4_e2m1) return static_block_format<Element>(space, r, b);
  const GivenGroupScales scales = given_group_scales(r, b.scales);
  const auto run = [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    with_groups<Element, typename Rule::Code,
                true>(space, r, b, [&](auto config, const auto& groups, std::int64_t count, std::int64_t size) {
      using Groups = std::decay_t<decltype(groups)>;
      launch<decltype(config)>(space, "kq::static_group", StaticGroup<Rule, Groups>{groups, scales, rule}, count, size);
    });
  };
  if constexpr (on_host<ExecutionSpace>) {
    if (r.format == Format::fp4_e2m1) return with_static_fp4_group_rule<Element>(r, b.global_scale, run);
  }
  with_static_group_rule<Element>(r, run);
}

KQ_INSTANTIATE_KERNEL(static_group)

}  // namespace kq::detail
