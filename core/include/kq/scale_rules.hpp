// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scale rules: from what a reduction found in a span to its scale and to what makes codes under that scale. Every fast
/// implementation, portable or native, on a device or a host, takes its formulas from here; kq/numerics.hpp has them as
/// functions, docs/numerics.md as text. (The reference has its own: it judges.)
///
/// A dynamic rule has
///
///   Element, Format    what it is for
///   reduction          AbsMax, AbsMaxOrNan, AbsMaxUpToNan or MinMax: what it needs to know of a span
///   has_zero_point     whether its scales have a zero point
///   usual()            if some of its members are nearly always the same: the rule without them (kq::usual)
///   scale(value)       the scale of a span that the reduction found `value` in
///   reads_span         whether that reads the span once more, and is scale(value, elements, size); kq::scale_of_span()
///                      calls either
///
/// A static rule has the first two, and scale(given, i): scale i of those given (kq/scale_layout.hpp). A scale has
///
///   value()            the number to be stored
///   code()             how it is stored, if that is a byte by the rule itself
///   zero_point()       if has_zero_point
///   quantizer()        makes codes of elements (kq/numerics.hpp)
///
/// value() is computed when it is called: the codes need not wait for it, so a kernel stores them first.

#include <cstdint>
#include <type_traits>

#include "kq/arch/config.hpp"
#include "kq/dialect_rules.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/reduce.hpp"
#include "kq/request.hpp"
#include "kq/rule.hpp"
#include "kq/scale_layout.hpp"

namespace kq {

namespace detail {

/// encode(sat(x * factor)), factor = |1 / scale|.
template <class Format>
struct ReciprocalScale {
  float scale;
  float qmax;
  KQ_HOST_DEVICE float value() const { return scale; }
  KQ_HOST_DEVICE auto quantizer() const { return MultiplyQuantizer<Format>(fp8_factor(scale), qmax); }
};

/// encode(sat(x / scale)), of a span whose amax is known.
template <class Format, class Element>
struct DividingScale {
  float scale;
  float qmax;
  float amax;
  KQ_HOST_DEVICE float value() const { return scale; }
  KQ_HOST_DEVICE auto quantizer() const { return SpanDivideQuantizer<Format, Element>(scale, qmax, amax); }
};

/// encode(sat(x / scale)), of any span.
template <class Format, class Element>
struct GivenDividingScale {
  float scale;
  float qmax;
  KQ_HOST_DEVICE float value() const { return scale; }
  KQ_HOST_DEVICE auto quantizer() const { return DivideQuantizer<Format, Element>(scale, qmax); }
};

/// sat(rne(x * min(qmax / amax, 2^126))), scale max(amax / qmax, 2^-126); 0 and scale 0 where amax is 0.
struct SymmetricInt8Scale {
  float amax;
  float qmax;
  KQ_HOST_DEVICE float value() const { return int8_scale(amax, qmax); }
  KQ_HOST_DEVICE auto quantizer() const { return MultiplyQuantizer<Int8>(int8_factor(amax, qmax), qmax); }
};

/// sat(rne(x * (1 / scale)) + zero_point).
struct AffineInt8Scale {
  Affine affine;
  float qmax;
  KQ_HOST_DEVICE float value() const { return affine.scale; }
  KQ_HOST_DEVICE std::int32_t zero_point() const { return affine.zero_point; }
  KQ_HOST_DEVICE auto quantizer() const { return AffineQuantizer(1.0f / affine.scale, affine.zero_point, qmax); }
};

}  // namespace detail

// --- dynamic ---------------------------------------------------------------------------------------------------------

/// A token or a channel, fp8. (A channel has no upper bound.)
template <class Element, class Format, class Qmax = detail::GivenQmax>
struct TokenFp8Rule : detail::Rule<Element, Format, AbsMax, false>, Qmax {
  using Qmax::qmax;
  UpperBound scale_ub;
  KQ_HOST_DEVICE TokenFp8Rule(Qmax bound, UpperBound upper_bound) : Qmax(bound), scale_ub(upper_bound) {}
  auto usual() const { return TokenFp8Rule<Element, Format, detail::FormatQmax<Format>>({}, scale_ub); }
  KQ_HOST_DEVICE auto scale(float amax) const {
    return detail::DividingScale<Format, Element>{fp8_token_scale(amax, qmax, scale_ub.value()), qmax, amax};
  }
};

/// A tensor, fp8.
template <class Element, class Format>
struct TensorFp8Rule : detail::Rule<Element, Format, AbsMax, false> {
  float qmax;
  KQ_HOST_DEVICE explicit TensorFp8Rule(float bound) : qmax(bound) {}
  KQ_HOST_DEVICE auto scale(float amax) const {
    return detail::ReciprocalScale<Format>{fp8_tensor_scale(amax, qmax), qmax};
  }
};

/// A token, a channel or a tensor, symmetric int8.
template <class Element, class Qmax = detail::GivenQmax>
struct SymmetricInt8Rule : detail::Rule<Element, Int8, AbsMax, false>, Qmax {
  using Qmax::qmax;
  KQ_HOST_DEVICE explicit SymmetricInt8Rule(Qmax bound) : Qmax(bound) {}
  static auto usual() { return SymmetricInt8Rule<Element, detail::FormatQmax<Int8>>({}); }
  KQ_HOST_DEVICE auto scale(float amax) const { return detail::SymmetricInt8Scale{amax, qmax}; }
};

/// A token, a channel or a tensor, asymmetric int8.
template <class Element, class Qmax = detail::GivenQmax>
struct AffineInt8Rule : detail::Rule<Element, Int8, MinMax, true>, Qmax {
  using Qmax::qmax;
  KQ_HOST_DEVICE explicit AffineInt8Rule(Qmax bound) : Qmax(bound) {}
  static auto usual() { return AffineInt8Rule<Element, detail::FormatQmax<Int8>>({}); }
  KQ_HOST_DEVICE auto scale(Range range) const {
    return detail::AffineInt8Scale{affine_scale(range.min, range.max, qmax), qmax};
  }
};

namespace detail {

/// What a request says of a group's scale.
struct GroupOptions {
  float qmax;
  bool power_of_two;  ///< the scale is raised to the next one
};

/// What most requests say: qmax is the format's own, and the scale is not raised. It has no members.
template <class Format>
struct UsualGroupOptions {
  static constexpr float qmax = Format::max;
  static constexpr bool power_of_two = false;
};

}  // namespace detail

/// A group or block, any format.
template <class Element, class Format, class Options = detail::GroupOptions>
struct GroupRule : detail::Rule<Element, Format, AbsMax, false>, Options {
  using Options::power_of_two;
  using Options::qmax;
  KQ_HOST_DEVICE GroupRule() requires std::is_empty_v<Options> {}
  KQ_HOST_DEVICE GroupRule(float bound, bool raised) : Options{bound, raised} {}
  static auto usual() { return GroupRule<Element, Format, detail::UsualGroupOptions<Format>>(); }
  KQ_HOST_DEVICE auto scale(float amax) const { return with_scale(amax, scale_of_amax(amax)); }

  // In two steps, for lanes that share the first one's result.
  KQ_HOST_DEVICE float scale_of_amax(float amax) const {
    const float exact = group_scale(amax, qmax);
    return power_of_two ? ceil_to_power_of_two(exact) : exact;
  }
  KQ_HOST_DEVICE auto with_scale(float amax, float scale) const {
    return detail::DividingScale<Format, Element>{scale, qmax, amax};
  }

  /// Whether fast_quantizer(scale) makes the codes of every group of at most `amax`. Such a group's scale is at least
  /// 1e-10 / qmax and at most the greater of amax and 1e-10, and no element is more than `qmax` times as large.
  KQ_HOST_DEVICE bool has_fast_quantizer(float amax) const {
    return Bounds<Format>(qmax).can_be_dropped() && amax <= ShortDivisor<Element>::most;
  }
  KQ_HOST_DEVICE auto fast_quantizer(float scale) const { return SpanDivideQuantizer<Format, Element>::fast(scale); }
};

namespace detail {

/// encode(sat(x * factor)), of a scale that is stored as it is given here.
template <class Format>
struct FactorScale {
  float scale;
  float factor;
  KQ_HOST_DEVICE float value() const { return scale; }
  KQ_HOST_DEVICE auto quantizer() const { return MultiplyQuantizer<Format>(factor, Format::max); }
};

/// encode(sat(x * 2^(127 - e))), of a biased exponent.
template <class Format, class Element>
struct MxScale {
  std::uint32_t e;
  bool is_floor;  ///< how it was rounded
  KQ_HOST_DEVICE float value() const { return ue8m0_value(code()); }
  KQ_HOST_DEVICE std::uint8_t code() const { return static_cast<std::uint8_t>(e); }
  KQ_HOST_DEVICE auto quantizer() const { return PowerOfTwoQuantizer<Format, Element>(e, is_floor); }
};

/// encode(sat(x * factor)), of a block of NVFP4.
template <class Element>
struct Nvfp4Scale {
  E4M3Number scale;
  float factor;
  float amax;  ///< the block's, NaN where it has one
  KQ_HOST_DEVICE float value() const { return scale.value; }
  KQ_HOST_DEVICE std::uint8_t code() const { return scale.code; }
  KQ_HOST_DEVICE auto quantizer() const { return E2M1SpanQuantizer<Element>(factor, amax); }
};

}  // namespace detail

/// A group as OCP's MX formats have it: a power of two by a rounding of amax's bits (kq::MxExponent).
template <class Element, class Format>
struct MxRule : detail::Rule<Element, Format, AbsMaxUpToNan, false> {
  MxExponent<Format> exponent;
  KQ_HOST_DEVICE explicit MxRule(ScaleRounding rounding) : exponent(rounding) {}
  KQ_HOST_DEVICE auto scale(AbsMaxUpToNan::Value found) const {
    return detail::MxScale<Format, Element>{exponent(found.amax), exponent.is_floor()};
  }
};

/// g of NVFP4: a number, or that of a tensor whose amax a kernel reads when it needs it.
struct Nvfp4Global {
  float number;
  const float* tensor_amax = nullptr;  ///< in place of the number, unless null
  KQ_HOST_DEVICE float value() const { return tensor_amax == nullptr ? number : nvfp4_global_scale(*tensor_amax); }
};

/// A group of NVFP4: its scale is E4M3, and a scale of the tensor, 1 / g, multiplies it. Whoever launches the kernel
/// stores that one: tensor_scale().
template <class Element>
struct Nvfp4Rule : detail::Rule<Element, Fp4E2M1, AbsMaxUpToNan, false> {
  Nvfp4Global global;
  float reciprocal;  ///< of global.number
  KQ_HOST_DEVICE explicit Nvfp4Rule(Nvfp4Global g) : global(g), reciprocal(1.0f / g.number) {}
  KQ_HOST_DEVICE float tensor_scale() const { return tensor().scale; }
  KQ_HOST_DEVICE auto scale(AbsMaxUpToNan::Value found) const {
    const Tensor of_tensor = tensor();
    const E4M3Number scale = nvfp4_scale(found.amax, of_tensor.g);
    return detail::Nvfp4Scale<Element>{scale, nvfp4_factor(scale.value, of_tensor.scale), found.amax};
  }

 private:
  struct Tensor {
    float g;
    float scale;  ///< 1 / g
  };
  KQ_HOST_DEVICE Tensor tensor() const {
    if (global.tensor_amax == nullptr) return {global.number, reciprocal};
    const float g = global.value();
    return {g, 1.0f / g};
  }
};

// --- static ----------------------------------------------------------------------------------------------------------

template <class Element, class Format>
struct StaticFp8Rule : detail::Rule<Element, Format, AbsMax, false> {
  float qmax;
  KQ_HOST_DEVICE explicit StaticFp8Rule(float bound) : qmax(bound) {}
  template <class Given>
  KQ_HOST_DEVICE auto scale(const Given& given, std::int64_t i) const {
    return detail::ReciprocalScale<Format>{given.value(i), qmax};
  }
};

template <class Element>
struct StaticInt8Rule : detail::Rule<Element, Int8, AbsMax, false> {
  float qmax;
  KQ_HOST_DEVICE explicit StaticInt8Rule(float bound) : qmax(bound) {}
  template <class Given>
  KQ_HOST_DEVICE auto scale(const Given& given, std::int64_t i) const {
    return detail::GivenDividingScale<Int8, Element>{given.value(i), qmax};
  }
};

template <class Element>
struct StaticAffineInt8Rule : detail::Rule<Element, Int8, MinMax, true> {
  float qmax;
  KQ_HOST_DEVICE explicit StaticAffineInt8Rule(float bound) : qmax(bound) {}
  KQ_HOST_DEVICE auto scale(const GivenScales& given, std::int64_t i) const {
    return detail::AffineInt8Scale{{given.value(i), given.zero_points[i]}, qmax};
  }
};

/// Given scales of NVFP4, and that of the tensor, which a kernel reads.
template <class Element>
struct StaticNvfp4Rule : detail::Rule<Element, Fp4E2M1, AbsMax, false> {
  const float* tensor_scale;
  KQ_HOST_DEVICE explicit StaticNvfp4Rule(const float* given) : tensor_scale(given) {}
  template <class Given>
  KQ_HOST_DEVICE auto scale(const Given& given, std::int64_t i) const {
    const float value = given.value(i);
    return detail::FactorScale<Fp4E2M1>{value, nvfp4_factor(value, *tensor_scale)};
  }
};

/// The scale of a span of `size` elements at `x` by a dynamic rule, whose reduction found `value` in it.
template <class Rule, class Value>
KQ_HOST_DEVICE auto scale_of_span(const Rule& rule, const Value& value, const typename Rule::Element* x,
                                  std::int64_t size) {
  if constexpr (Rule::reads_span) {
    return rule.scale(value, x, size);
  } else {
    return rule.scale(value);
  }
}

// --- from a request to its rule: each calls function(rule) -----------------------------------------------------------

/// function(Format{}) with the type of a format of eight bits: those of all schemes.
template <class Function>
void with_format(Format format, const Function& function) {
  switch (format) {
    case Format::int8:
      return function(Int8{});
    case Format::fp8_e4m3fn:
      return function(Fp8E4M3Fn{});
    case Format::fp8_e5m2:
      return function(Fp8E5M2{});
    case Format::fp8_e4m3fnuz:
      return function(Fp8E4M3Fnuz{});
    case Format::fp8_e5m2fnuz:
      return function(Fp8E5M2Fnuz{});
    case Format::fp4_e2m1:
      return;
  }
}

/// function(Format{}) with the type of any format.
template <class Function>
void with_any_format(Format format, const Function& function) {
  if (format == Format::fp4_e2m1) return function(Fp4E2M1{});
  with_format(format, function);
}

/// function(T{}) with the type of an element.
template <class Function>
void with_element(Element element, const Function& function) {
  switch (element) {
    case Element::half:
      return function(half{});
    case Element::bfloat16:
      return function(bfloat16{});
    case Element::float32:
      return function(float{});
  }
}

/// Whether usual(rule) serves a resolved request.
inline bool is_usual(const Request& r) {
  return r.qmax == format_max(r.format) && r.scale_format == ScaleFormat::float32;
}

/// The rule of a usual request, which has fewer members, or none: they are arguments of a kernel, which it waits for.
template <class Rule>
auto usual(const Rule& rule) {
  if constexpr (requires { rule.usual(); }) {
    return rule.usual();
  } else {
    return rule;
  }
}

/// Given scales without a zero point, as groups and blocks have them.
template <class Element, class Function>
void with_static_group_rule(const Request& r, const Function& function) {
  if (r.dialect != Dialect::kqbench) return with_dialect_static_rule<Element>(function);
  with_format(r.format, [&](auto format) {
    using Codes = decltype(format);
    if constexpr (Codes::is_integer) {
      function(StaticInt8Rule<Element>(r.qmax));
    } else {
      function(StaticFp8Rule<Element, Codes>(r.qmax));
    }
  });
}

template <class Element, class Function>
void with_static_rule(const Request& r, const Function& function) {
  if (r.asymmetric) return function(StaticAffineInt8Rule<Element>(r.qmax));
  with_static_group_rule<Element>(r, function);
}

namespace detail {

/// Of a token or a channel of kqbench's own dialect.
template <class Element, class Function>
void with_token_or_channel_rule(const Request& r, UpperBound scale_ub, const Function& function) {
  if (r.asymmetric) return function(AffineInt8Rule<Element>(r.qmax));
  with_format(r.format, [&](auto format) {
    using Codes = decltype(format);
    if constexpr (Codes::is_integer) {
      function(SymmetricInt8Rule<Element>(r.qmax));
    } else {
      function(TokenFp8Rule<Element, Codes>(r.qmax, scale_ub));
    }
  });
}

}  // namespace detail

/// Of a channel. No other dialect than kqbench has them.
template <class Element, class Function>
void with_channel_rule(const Request& r, const Function& function) {
  detail::with_token_or_channel_rule<Element>(r, UpperBound{r.scale_ub}, function);
}

/// `scale_ub` is the operand of that name.
template <class Element, class Function>
void with_token_rule(const Request& r, const float* scale_ub, const Function& function) {
  if (r.dialect != Dialect::kqbench) return with_dialect_rule<Element, Granularity::token>(r, scale_ub, function);
  detail::with_token_or_channel_rule<Element>(r, UpperBound{r.scale_ub, scale_ub}, function);
}

template <class Element, class Function>
void with_tensor_rule(const Request& r, const Function& function) {
  if (r.dialect != Dialect::kqbench) return with_dialect_rule<Element, Granularity::tensor>(r, nullptr, function);
  if (r.asymmetric) return function(AffineInt8Rule<Element>(r.qmax));
  with_format(r.format, [&](auto format) {
    using Codes = decltype(format);
    if constexpr (Codes::is_integer) {
      function(SymmetricInt8Rule<Element>(r.qmax));
    } else {
      function(TensorFp8Rule<Element, Codes>(r.qmax));
    }
  });
}

/// Of blocks and groups of 8-bit codes whose scales are no MX exponents.
template <class Element, class Function>
void with_block_rule(const Request& r, const Function& function) {
  if (r.dialect != Dialect::kqbench) return with_dialect_group_rule<Element>(r, function);
  const bool power_of_two = r.scale_format != ScaleFormat::float32;
  with_format(r.format, [&](auto format) { function(GroupRule<Element, decltype(format)>(r.qmax, power_of_two)); });
}

/// Whether a request's groups are those of a block format: exponents rounded on amax's bits, or codes of four bits.
inline bool is_block_format(const Request& r) {
  return r.format == Format::fp4_e2m1 || (is_mx(r) && r.dialect == Dialect::kqbench);
}

/// Of groups of 8-bit codes whose scales are MX exponents.
template <class Element, class Function>
void with_mx_group_rule(const Request& r, const Function& function) {
  if (r.format == Format::fp8_e5m2) return function(MxRule<Element, Fp8E5M2>(r.scale_rounding));
  function(MxRule<Element, Fp8E4M3Fn>(r.scale_rounding));
}

/// Of groups of 8-bit codes.
template <class Element, class Function>
void with_group_rule(const Request& r, const Function& function) {
  if (r.dialect == Dialect::kqbench && is_mx(r)) return with_mx_group_rule<Element>(r, function);
  with_block_rule<Element>(r, function);
}

/// Of groups and blocks of 4-bit codes. `tensor_amax` is where a kernel finds the tensor's amax, for scales of format
/// e4m3 whose request gives no global_scale; otherwise it is not looked at.
template <class Element, class Function>
void with_fp4_group_rule(const Request& r, const float* tensor_amax, const Function& function) {
  if (r.dialect != Dialect::kqbench) return with_dialect_fp4_group_rule<Element>(r, tensor_amax, function);
  if (!has_global_scale(r)) return function(MxRule<Element, Fp4E2M1>(r.scale_rounding));
  const bool is_given = r.global_scale != 0.0f;
  function(Nvfp4Rule<Element>(Nvfp4Global{r.global_scale, is_given ? nullptr : tensor_amax}));
}

/// Of given scales of groups of 4-bit codes. `tensor_scale` is the operand global_scale.
template <class Element, class Function>
void with_static_fp4_group_rule(const Request& r, const float* tensor_scale, const Function& function) {
  if (has_global_scale(r)) return function(StaticNvfp4Rule<Element>(tensor_scale));
  function(StaticFp8Rule<Element, Fp4E2M1>(r.qmax));
}

}  // namespace kq
