// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include <algorithm>
#include <limits>

#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// Groups that follow each other in memory, as do their scales.
template <class Element, class Code>
struct FlatGroups {
  const Element* input;
  Code* codes;
  int size;

  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const { return {input + id * size, size}; }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const { return {codes + id * size, size}; }
  KQ_HOST_DEVICE static std::int64_t scale_index(std::int64_t id) { return id; }
};

/// Groups of separate tokens, those of a token one after the other.
template <class Element, class Code>
struct TokenGroups {
  Rows<const Element> input;
  Rows<Code> codes;
  std::int64_t size;
  std::int64_t per_token;
  ScaleOffset scale_offset;

  KQ_HOST_DEVICE std::int64_t token(std::int64_t id) const { return divide(id, per_token); }
  KQ_HOST_DEVICE std::int64_t group(std::int64_t id) const { return id - token(id) * per_token; }
  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const {
    return input.slice(token(id), group(id) * size, size);
  }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const {
    return codes.slice(token(id), group(id) * size, size);
  }
  KQ_HOST_DEVICE std::int64_t scale_index(std::int64_t id) const { return scale_offset(token(id), group(id)); }
};

/// program_id: a group.
template <class Rule, template <class, class> class Groups>
struct DynamicGroup {
  Groups<typename Rule::Element, typename Rule::Code> groups;
  GroupScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto group = program.id();
    const auto x = program.load(groups.input_group(group));
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(groups.codes_group(group), encode(x, scale));
    program.store(scales.at(groups.scale_index(group)), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  const std::int64_t per_token = groups_per_row(r);
  const std::int64_t count = r.num_tokens * per_token;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const bool flat = r.scale_layout == ScaleLayout::row && is_flat(r) && r.hidden_size % size == 0 &&
                    size <= std::numeric_limits<int>::max();
  const bool aligned = is_aligned<Element>(r, b) && size % vector_width<Element> == 0;
  const GroupScales scales{b.scales, r.scale_format == ScaleFormat::ue8m0};
  with_group_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    const auto run = [&]<class Config>(Config, const auto& kernel) {
      launch<Config>(space, "kq::dynamic_group", kernel, count, size);
    };
    const auto input = input_rows<Element>(r, b);
    const auto codes = code_rows<typename Rule::Code>(r, b);
    if (flat && with_flat_group_config<Element>(space, size, count, aligned, [&](auto config) {
          run(config, DynamicGroup<Rule, FlatGroups>{{input.data, codes.data, static_cast<int>(size)}, scales, rule});
        })) {
      return;
    }
    with_group_config<Element, ExecutionSpace>(size, aligned, [&](auto config) {
      run(config, DynamicGroup<Rule, TokenGroups>{{input, codes, size, per_token, scale_offset(r)}, scales, rule});
    });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_group)

}  // namespace kq::detail
