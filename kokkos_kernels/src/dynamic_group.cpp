// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "groups.hpp"
#include "host_fp4.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "slices.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a group, on a device. (Its rule is a base, since an empty member would take room.)
template <class Rule, class Groups, class Scales>
struct DynamicGroup : Rule {
  Groups groups;
  Scales scales;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto group = program.id();
    const auto x = program.load(groups.input_group(group));
    const auto scale = Rule::scale(program.reduce(Rule::reduction, x));
    program.store(groups.codes_group(group), encode(x, scale));
    program.store(scales.at(groups.scale_place(scales, group)), scale);
  }
};

/// program_id: a slice of a row, or of a contiguous tensor, that is whole groups, on a host: it computes the scales of
/// several together.
template <class Rule, class Scales>
struct GroupsOfHostSlice {
  RowSlices<typename Rule::Element, typename Rule::Code> slices;
  Scales scales;
  std::int64_t group_size;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto row = slices.row(slice);
    const auto first = slices.begin(slice) / group_size;
    program.store_groups(slices.codes_slice(slice), program.load(slices.input_slice(slice)), group_size, rule,
                         [&](std::int64_t i) { return scales.at(scales.place(row, first + i)); });
  }
};

/// Launches GroupsOfHostSlice. Where groups and their scales follow each other in memory, the tensor is one long row.
template <class Rule, class Scales, class ExecutionSpace>
void launch_on_host(const ExecutionSpace& space, const Request& r, const Operands& b, const Scales& scales,
                    const Rule& rule) {
  const bool flat = r.scale_layout == ScaleLayout::row && is_flat(r) && r.hidden_size % r.group_size == 0;
  const std::int64_t rows = flat ? 1 : r.num_tokens;
  const std::int64_t size = flat ? r.num_tokens * r.hidden_size : r.hidden_size;
  const std::int64_t slice = std::max<std::int64_t>(1, host_grain / r.group_size) * r.group_size;
  auto input = input_rows<typename Rule::Element>(r, b);
  auto codes = code_rows<typename Rule::Code>(r, b);
  input.size = codes.size = size;
  const GroupsOfHostSlice<Rule, Scales> kernel{
      {input, codes, rows, (size + slice - 1) / slice, slice}, scales, r.group_size, rule};
  launch<TileConfig<1, 0>>(space, "kq::dynamic_group", kernel, kernel.slices.num_slices(), slice);
}

/// Calls function(rule) for a rule of the request's groups; on a device they are not of a block format.
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
    [[maybe_unused]] constexpr bool may_be_flat = std::is_same_v<Scales, GroupScales>;
    with_rule<Element>(space, r, b, [&]<class Rule>(const Rule& rule) {
      if constexpr (on_host<ExecutionSpace>) {
        launch_on_host(space, r, b, scales, rule);
      } else {
        with_groups<Element, typename Rule::Code, may_be_flat>(
            space, r, b,
            [&]<class Config, class Groups>(Config, const Groups& groups, std::int64_t count, std::int64_t size) {
              // Padding and the places of its scales take more than 64 registers.
              using Launched = std::conditional_t<may_be_flat, Config, LowOccupancy<Config>>;
              const auto run = [&](const auto& kernel) {
                launch<Launched>(space, "kq::dynamic_group", kernel, count, size);
              };
              if constexpr (Config::whole) {
                if (is_usual(r)) {
                  const auto of_usual = usual(rule);
                  const FlatFloatScales floats(FloatScales{static_cast<float*>(b.scales), nullptr});
                  return run(DynamicGroup<std::decay_t<decltype(of_usual)>, Groups, FlatFloatScales>{of_usual, groups,
                                                                                                     floats});
                }
              }
              run(DynamicGroup<Rule, Groups, Scales>{rule, groups, scales});
            });
      }
    });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_group)

}  // namespace kq::detail
