// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scale rules of dialects other than kqbench's own, in the form that kq/scale_rules.hpp describes, which hands
/// requests on to them.

#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/dialect_numerics.hpp"
#include "kq/dialect_quantizers.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/reduce.hpp"
#include "kq/request.hpp"
#include "kq/rule.hpp"
#include "kq/scale_layout.hpp"

namespace kq {

namespace detail {

template <class Format, class Element, Granularity granularity>
struct DialectScale {
  DialectParameters parameters;
  DialectSpan span;
  AbsMaxOrNan::Value found;
  KQ_HOST_DEVICE float value() const { return span.scale; }
  KQ_HOST_DEVICE auto quantizer() const {
    return DialectQuantizer<Format, Element, granularity>(parameters, span.operand, found.amax, found.has_nan);
  }
};

template <class Format>
struct LimitedScale {
  float scale;
  KQ_HOST_DEVICE float value() const { return scale; }
  KQ_HOST_DEVICE auto quantizer() const { return LimitedQuantizer<Format>(1.0f / scale); }
};

template <class Element>
struct AffineInTypeScale {
  Affine affine;
  KQ_HOST_DEVICE float value() const { return affine.scale; }
  KQ_HOST_DEVICE std::int32_t zero_point() const { return affine.zero_point; }
  KQ_HOST_DEVICE auto quantizer() const { return AffineInTypeQuantizer<Element>(affine.scale, affine.zero_point); }
};

/// The scale of a group, chosen of two.
struct ChosenScale {
  FourOverSixScale chosen;
  KQ_HOST_DEVICE float value() const { return chosen.scale.value; }
  KQ_HOST_DEVICE std::uint8_t code() const { return chosen.scale.code; }
  KQ_HOST_DEVICE auto quantizer() const { return FourOverSixQuantizer(chosen.factor); }
};

}  // namespace detail

/// Any span, from its amax. Granularity::group stands for blocks too.
template <class Element, class Format, Granularity granularity>
struct DialectRule : detail::Rule<Element, Format, AbsMaxOrNan, false> {
  DialectParameters parameters;
  KQ_HOST_DEVICE explicit DialectRule(const DialectParameters& p) : parameters(p) {}
  KQ_HOST_DEVICE auto scale(AbsMaxOrNan::Value found) const {
    const DialectSpan span = dialect_span<Element, Format, granularity>(parameters, found.amax, found.has_nan);
    return detail::DialectScale<Format, Element, granularity>{parameters, span, found};
  }
};

/// Groups of 4-bit codes, which may be under a scale of the tensor: tensor_scale() is stored as that.
template <class Element>
struct Fp4DialectRule : DialectRule<Element, Fp4E2M1, Granularity::group> {
  using DialectRule<Element, Fp4E2M1, Granularity::group>::DialectRule;
  KQ_HOST_DEVICE float tensor_scale() const { return nvfp4_tensor_scale(this->parameters); }
};

/// Groups of 4-bit codes by "4 over 6": scale() reads them once more.
template <class Element>
struct FourOverSixRule : detail::Rule<Element, Fp4E2M1, AbsMaxUpToNan, false> {
  static constexpr bool reads_span = true;
  ScaleRounding rounding;
  float given_amax;          ///< of the tensor
  const float* tensor_amax;  ///< in its place, unless null
  KQ_HOST_DEVICE FourOverSixRule(ScaleRounding how, float given, const float* found)
      : rounding(how), given_amax(given), tensor_amax(found) {}
  KQ_HOST_DEVICE FourOverSix choice() const {
    return FourOverSix(rounding, tensor_amax == nullptr ? given_amax : *tensor_amax);
  }
  KQ_HOST_DEVICE float tensor_scale() const { return choice().tensor_scale(); }
  KQ_HOST_DEVICE auto scale(AbsMaxUpToNan::Value found, const Element* x, std::int64_t size) const {
    return detail::ChosenScale{choice().scale(found.amax, x, size)};
  }
};

/// Any span, asymmetric int8.
template <class Element>
struct AffineInTypeRule : detail::Rule<Element, Int8, MinMax, true> {
  KQ_HOST_DEVICE auto scale(Range range) const {
    return detail::AffineInTypeScale<Element>{affine_scale_in_type<Element>(range.min, range.max)};
  }
};

/// Given scales, fp8.
template <class Element, class Format>
struct LimitedStaticRule : detail::Rule<Element, Format, AbsMax, false> {
  template <class Given>
  KQ_HOST_DEVICE auto scale(const Given& given, std::int64_t i) const {
    return detail::LimitedScale<Format>{given.value(i)};
  }
};

/// The parameters of a request's scheme: symmetric, dynamic, of a dialect other than kqbench.
DialectParameters dialect_parameters(const Request& request);

// --- from a request to its rule: each calls function(rule) -----------------------------------------------------------

template <class Element, class Function>
void with_dialect_static_rule(const Function& function) {
  function(LimitedStaticRule<Element, Fp8E4M3Fn>());
}

/// Of a token or a tensor. `scale_ub` is the operand of that name: null for a tensor.
template <class Element, Granularity granularity, class Function>
void with_dialect_rule(const Request& r, const float* scale_ub, const Function& function) {
  if (r.asymmetric) return function(AffineInTypeRule<Element>());
  DialectParameters parameters = dialect_parameters(r);
  parameters.given_most_amax = scale_ub;
  if (r.format == Format::int8) return function(DialectRule<Element, Int8, granularity>(parameters));
  function(DialectRule<Element, Fp8E4M3Fn, granularity>(parameters));
}

/// Of a group or a block.
template <class Element, class Function>
void with_dialect_group_rule(const Request& r, const Function& function) {
  constexpr Granularity group = Granularity::group;
  const DialectParameters parameters = dialect_parameters(r);
  if (r.format == Format::int8) return function(DialectRule<Element, Int8, group>(parameters));
  if (r.format == Format::fp8_e5m2) return function(DialectRule<Element, Fp8E5M2, group>(parameters));
  function(DialectRule<Element, Fp8E4M3Fn, group>(parameters));
}

/// Of a group or block of 4-bit codes.
template <class Element, class Function>
void with_dialect_fp4_group_rule(const Request& r, const float* tensor_amax, const Function& function) {
  if (is_four_over_six(r)) {
    const bool is_given = r.global_scale != 0.0f;
    return function(FourOverSixRule<Element>(r.scale_rounding, r.global_scale, is_given ? nullptr : tensor_amax));
  }
  DialectParameters parameters = dialect_parameters(r);
  if (r.global_scale == 0.0f) parameters.tensor_amax = tensor_amax;
  function(Fp4DialectRule<Element>(parameters));
}

}  // namespace kq
