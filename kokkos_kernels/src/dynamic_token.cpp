// SPDX-License-Identifier: Apache-2.0

// One scale per token, from the token itself.
//
//   fp8               scale = max(min(amax, scale_ub) / qmax, 1 / (448 * 512)), encode(sat(x / scale))
//   int8              scale = max(amax / qmax, 2^-126), sat(rne(x * min(qmax / amax, 2^126)))
//   int8, asymmetric  scale = max((max - min) / (2 qmax + 1), 2^-126), zero_point = rne(-(qmax + 1) - min / scale),
//                     sat(rne(x * (1 / scale)) + zero_point)

#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a token.
template <class Rule>
struct DynamicToken {
  Rows<const typename Rule::Element> input;
  Rows<typename Rule::Code> codes;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = program.load(input.row(token));
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(codes.row(token), encode(x, scale));
    program.store(scales.at(token), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_token(const ExecutionSpace& space, const Request& r, const Operands& b) {
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  with_token_rule<Element>(r, b.scale_ub, [&]<class Rule>(const Rule& rule) {
    with_row_config<
        Element, Rule::has_zero_point>(space, r.hidden_size, r.num_tokens, is_aligned<Element>(r, b), [&](auto config) {
      const DynamicToken<Rule> kernel{input_rows<Element>(r, b), code_rows<typename Rule::Code>(r, b), scales, rule};
      launch<decltype(config)>(space, "kq::dynamic_token", kernel, r.num_tokens, r.hidden_size);
    });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_token)

}  // namespace kq::detail
