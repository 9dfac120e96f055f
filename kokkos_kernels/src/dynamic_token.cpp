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

/// Tokens at any addresses.
template <class Element, class Code>
struct AnyTokens {
  Rows<const Element> input;
  Rows<Code> codes;

  KQ_HOST_DEVICE Span<const Element> input_slice(std::int64_t token) const { return input.row(token); }
  KQ_HOST_DEVICE Span<Code> codes_slice(std::int64_t token) const { return codes.row(token); }
};

/// program_id: a token. (The rule is a base, since an empty member would take room.)
template <class Tokens, class Scales, class Rule>
struct DynamicToken : Rule {
  Tokens tokens;
  Scales scales;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = program.load(tokens.input_slice(token));
    const auto scale = Rule::scale(program.reduce(Rule::reduction, x));
    program.store(tokens.codes_slice(token), encode(x, scale));
    program.store(scales.at(token), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_token(const ExecutionSpace& space, const Request& r, const Operands& b) {
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  const bool may_be_whole = is_flat(r) && is_usual(r);
  with_token_rule<Element>(r, b.scale_ub, [&]<class Rule>(const Rule& rule) {
    using Code = typename Rule::Code;
    with_row_config<Element, Rule::has_zero_point>(
        space, r.hidden_size, r.num_tokens, is_aligned<Element>(r, b), may_be_whole, [&]<class Config>(Config) {
          const auto run = [&](const auto& kernel) {
            launch<Config>(space, "kq::dynamic_token", kernel, r.num_tokens, r.hidden_size);
          };
          if constexpr (Config::whole) {
            const auto of_usual = usual(rule);
            using Usual = std::decay_t<decltype(of_usual)>;
            using Scales = std::conditional_t<Rule::has_zero_point, FloatScales, FlatFloatScales>;
            using Whole = WholeSlices<Element, Code, Config::template capacity<Element>>;
            const Whole tokens{static_cast<const Element*>(b.input), static_cast<Code*>(b.codes)};
            run(DynamicToken<Whole, Scales, Usual>{of_usual, tokens, Scales(scales)});
          } else {
            const AnyTokens<Element, Code> tokens{input_rows<Element>(r, b), code_rows<Code>(r, b)};
            run(DynamicToken<AnyTokens<Element, Code>, FloatScales, Rule>{rule, tokens, scales});
          }
        });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_token)

}  // namespace kq::detail
