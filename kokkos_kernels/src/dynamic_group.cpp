// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include <type_traits>

#include "groups.hpp"
#include "host_fp4.hpp"
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
    const auto input = groups.input_group(group);
    const auto scale = scale_of_span(rule, program.reduce(rule.reduction, x), input.data, input.size);
    program.store(groups.codes_group(group), encode(x, scale));
    program.store(scales.at(groups.scale_place(scales, group)), scale);
  }
};

/// Calls function(rule) for a rule of the request's groups, of those that DynamicGroup serves.
template <class Element, class ExecutionSpace, class Function>
void with_rule([[maybe_unused]] const ExecutionSpace& space, const Request& r, [[maybe_unused]] const Operands& b,
               const Function& function) {
  if constexpr (!on_host<ExecutionSpace>) {
    with_block_rule<Element>(r, function);
  } else if (r.format != Format::fp4_e2m1) {
    with_group_rule<Element>(r, function);
  } else {
    with_host_fp4_rule<Element>(space, r, b, function);
  }
}

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& r, const Operands& b) {
  if (!on_host<ExecutionSpace> && is_block_format(r)) return dynamic_block_format<Element>(space, r, b);
  with_group_scales(r, b.scales, [&]<class Scales>(const Scales& scales) {
    constexpr bool may_be_flat = std::is_same_v<Scales, GroupScales>;
    with_rule<Element>(space, r, b, [&]<class Rule>(const Rule& rule) {
      with_groups<Element, typename Rule::Code, may_be_flat>(
          space, r, b,
          [&]<class Config, class Groups>(Config, const Groups& groups, std::int64_t count, std::int64_t size) {
            // Padding and the places of its scales take more than 64 registers.
            launch<std::conditional_t<may_be_flat, Config, LowOccupancy<Config>>>(
                space, "kq::dynamic_group", DynamicGroup<Rule, Groups, Scales>{groups, scales, rule}, count, size);
          });
    });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_group)

}  // namespace kq::detail
