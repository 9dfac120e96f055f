// SPDX-License-Identifier: Apache-2.0

// Dynamic token scales in two halves: a tensor's parts have some columns each, find the extremes of their tokens, and
// quantize by those of whole tokens. Formulas are those of dynamic_token.cpp; dynamic_tensor.cpp has halves of its own.

#include "extremes.hpp"

#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a token.
template <class Element, class Reduction>
struct TokenExtremes {
  Rows<const Element> input;
  float* extremes;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto maxima = program.reduce(program.partial(Reduction{}, program.load(input.row(token))));
    for (int k = 0; k < Reduction::count; ++k) {
      program.store(extremes + token * int{Reduction::count} + k, maxima.value[k]);
    }
  }
};

/// program_id: a token.
template <class Rule>
struct TokenByExtremes {
  Rows<const typename Rule::Element> input;
  Rows<typename Rule::Code> codes;
  const float* extremes;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = program.load(input.row(token));
    const auto scale =
        rule.scale(program.reduce_stored(rule.reduction, extremes + token * int{Rule::Reduction::count}, 1));
    program.store(codes.row(token), encode(x, scale));
    program.store(scales.at(token), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void token_extremes(const ExecutionSpace& space, const Request& r, const Operands& b, float* extremes) {
  with_token_rule<Element>(r, b.scale_ub, [&]<class Rule>(const Rule&) {
    with_token_config<Element, ExecutionSpace>(r.hidden_size, [&](auto config) {
      const TokenExtremes<Element, typename Rule::Reduction> kernel{input_rows<Element>(r, b), extremes};
      launch<decltype(config)>(space, "kq::token_extremes", kernel, r.num_tokens, r.hidden_size);
    });
  });
}

template <class Element, class ExecutionSpace>
void token_by_extremes(const ExecutionSpace& space, const Request& r, const Operands& b, const float* extremes) {
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  with_token_rule<Element>(r, b.scale_ub, [&]<class Rule>(const Rule& rule) {
    with_token_config<Element, ExecutionSpace>(r.hidden_size, [&](auto config) {
      const TokenByExtremes<Rule> kernel{input_rows<Element>(r, b), code_rows<typename Rule::Code>(r, b), extremes,
                                         scales, rule};
      launch<decltype(config)>(space, "kq::token_by_extremes", kernel, r.num_tokens, r.hidden_size);
    });
  });
}

KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_HALVES, token)

}  // namespace kq::detail
