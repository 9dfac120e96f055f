// SPDX-License-Identifier: Apache-2.0

// Dynamic token scales in two halves: a tensor's parts have some columns each, find the extremes of their tokens, and
// quantize by those of whole tokens. Formulas are those of dynamic_token.cpp; dynamic_tensor.cpp has halves of its own.

#include "extremes.hpp"

#include "kernels.hpp"
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

/// Calls function(Config{}) for programs that take a token each and read it once: a part of a wave, or a team that goes
/// through it.
template <class Element, class ExecutionSpace, class Function>
void with_token_config([[maybe_unused]] std::int64_t size, const Function& function) {
  if constexpr (on_host<ExecutionSpace>) {
    function(TileConfig<1, 0>{});
  } else {
    if (size <= 128 * vector_width<Element>) return function(TileConfig<32, 4>{});
    function(TileConfig<256, 0>{});
  }
}

}  // namespace

template <class Element>
int extremes_per_scale(const Request& r) {
  int count = 0;
  const auto see = [&]<class Rule>(const Rule&) { count = Rule::Reduction::count; };
  if (r.granularity == Granularity::tensor) {
    with_tensor_rule<Element>(r, see);
  } else {
    with_token_rule<Element>(r, nullptr, see);
  }
  return count;
}

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

template int extremes_per_scale<KQ_ELEMENT>(const Request&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_HALVES, token)

}  // namespace kq::detail
