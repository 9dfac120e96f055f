// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include <type_traits>

#include "groups.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// program_id: a group.
template <class Rule, class Groups, class Scales>
struct DynamicGroup {
  Groups groups;
  Scales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto group = program.id();
    const auto x = program.load(groups.input_group(group));
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(groups.codes_group(group), encode(x, scale));
    program.store(scales.at(groups.scale_place(scales, group)), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& r, const Operands& b) {
  with_group_scales(r, b.scales, [&]<class Scales>(const Scales& scales) {
    constexpr bool may_be_flat = std::is_same_v<Scales, GroupScales>;
    with_group_rule<Element>(r, [&]<class Rule>(const Rule& rule) {
      with_groups<Element, typename Rule::Code, may_be_flat>(
          space, r, b,
          [&]<class Config, class Groups>(Config, const Groups& groups, std::int64_t count, std::int64_t size) {
            // Padding takes registers: 64 of them suffice.
            using WithPadding = TileConfig<Config::lanes, Config::vectors, Config::aligned, 1024, Config::whole>;
            launch<std::conditional_t<may_be_flat, Config, WithPadding>>(
                space, "kq::dynamic_group", DynamicGroup<Rule, Groups, Scales>{groups, scales, rule}, count, size);
          });
    });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_group)

}  // namespace kq::detail
