// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The scales of dialects (docs/dialects.md) as functions that every fast implementation shares. What differs from one
/// engine to the next is decided at run time, once per span, by parameters: kernels are not compiled for each engine.
/// kq/dialect_quantizers.hpp makes the codes. (The reference has its own of both: it judges.)

#include <cstdint>
#include <type_traits>

#include "kq/arch/config.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kq {

/// How a dialect finds a span's scale from its amax, and what makes the codes.
enum class ScaleFormula : std::uint8_t {
  quotient,         ///< amax / qmax; codes by that scale or by its reciprocal
  ratio,            ///< amax / qmax; codes by qmax / amax
  inverse,          ///< 1 / m, m = qmax / amax; codes by m
  flushed,          ///< amax * (1 / qmax); codes by its reciprocal; subnormal numbers are 0
  amax_reciprocal,  ///< amax * (1 / qmax); codes by (1 / amax) * qmax
  exponent,         ///< a power of two from its biased exponent
  in_type,          ///< every step rounded to the element's type
  in_type_mx,       ///< a power of two, the same way
  // E4M3 of amax / 6, multiplied by g or divided by the tensor's scale:
  nvfp4,           ///< amax * (g * (1/6)); codes by min(1 / (scale * (1/g)), FLT_MAX)
  nvfp4_product,   ///< g * (amax * (1/6)), NaN above 464; codes by 1 / (scale * (1/g)), 0 where that is infinite
  nvfp4_quotient,  ///< (amax / 6) / s, at least 2^-6; codes by (1 / s) / scale
  nvfp4_in_type,   ///< g * T(amax / 6), 0.125 where that is 0; codes divided by scale / g
};

/// Which formulas there are for spans of a granularity, so that no kernel has those of others.
template <class Format, Granularity granularity>
KQ_HOST_DEVICE constexpr bool has_formula(ScaleFormula formula) {
  constexpr bool is_group = granularity == Granularity::group;
  constexpr bool is_e4m3 = Format::max == 448.0f;
  constexpr bool is_fp4 = Format::code_bits == 4;
  switch (formula) {
    case ScaleFormula::quotient:
      return is_e4m3 || is_fp4 || (Format::is_integer && granularity != Granularity::tensor);
    case ScaleFormula::ratio:
      return granularity == Granularity::token;
    case ScaleFormula::inverse:
      return !Format::is_integer && !is_fp4 && granularity != Granularity::token;
    case ScaleFormula::flushed:
      return is_e4m3 && granularity == Granularity::token;
    case ScaleFormula::amax_reciprocal:
      return is_group && (is_e4m3 || Format::is_integer);
    case ScaleFormula::exponent:
      return is_group && !Format::is_integer;
    case ScaleFormula::in_type:
      return is_e4m3 || Format::is_integer;
    case ScaleFormula::in_type_mx:
      return is_group && (is_e4m3 || is_fp4);
    case ScaleFormula::nvfp4:
    case ScaleFormula::nvfp4_product:
    case ScaleFormula::nvfp4_quotient:
    case ScaleFormula::nvfp4_in_type:
      return is_fp4;
  }
  return false;
}

/// How a number becomes a power of two.
enum class PowerOfTwo : std::uint8_t {
  none,
  up,             ///< the next one; exact powers stay
  up_finite,      ///< the next one, but 2^127 for infinity and NaN
  up_float_log2,  ///< 2^ceil(log2), the logarithm rounded to float
  down,           ///< the fraction is cleared; 0.5 for NaN
  up_any_bit,     ///< exponents: any fraction bit counts, also of a subnormal number; infinity is NaN
  up_half,        ///< exponents: a subnormal number goes up only from above 2^-127; infinity is NaN
};

/// To which type a scaled element is rounded before it is encoded.
enum class Rounding : std::uint8_t { none, element, bfloat16 };

/// One dialect's scheme, as kernels take it.
struct DialectParameters {
  ScaleFormula formula = ScaleFormula::quotient;
  PowerOfTwo power = PowerOfTwo::none;
  Rounding rounding = Rounding::none;
  bool nan_counts = false;          ///< amax is NaN where any element is
  bool divides = false;             ///< elements are divided by the scale, not multiplied
  bool truncates = false;           ///< int8: toward 0, not to nearest
  bool ties_to_zero = false;        ///< fp4: to nearest, ties toward 0, and no -0
  bool infinity_is_number = false;  ///< exponents: of an infinite amax there is one, 255 - p
  /// Exponents: other than quotient, kq::mx_exponent's, from amax's bits.
  ScaleRounding scale_rounding = ScaleRounding::quotient;
  float global_scale = 0.0f;           ///< nvfp4: g, or the tensor's scale s for nvfp4_quotient
  const float* tensor_amax = nullptr;  ///< what these are made of, in place of global_scale, unless null
  float least_amax = 0.0f;
  float most_amax = __builtin_huge_valf();
  float most_scale = __builtin_huge_valf();
  const float* given_most_amax = nullptr;  ///< of tokens: read by the kernel in place of most_amax, unless null
  float least_scale = 0.0f;
  float scale_of_zero = 0.0f;  ///< in place of a scale that is 0
  float most_factor = __builtin_huge_valf();
  float infinite_factor = __builtin_huge_valf();  ///< in place of a factor that is infinite
  float factor_of_least = 0x1p127f;               ///< under the scale 2^-127
  float factor_of_nan = bits_float(0x7fc00000u);  ///< under an exponent that is NaN
  float scale_of_nan = bits_float(0x7fc00000u);   ///< what is stored for a block's exponent that is NaN
  float limit = __builtin_huge_valf();            ///< scaled elements above it become `otherwise`, as NaN does
  std::uint32_t otherwise = 0x7fc00000u;          ///< a float's bits; NaN gets the element's sign
  float addend = -0.0f;  ///< to a scaled and rounded element: +0 makes -0 a +0, -0 changes nothing
};

namespace detail {

inline constexpr float huge = __builtin_huge_valf();
using kq::largest_float;

KQ_HOST_DEVICE constexpr float nan_float() {
  return bits_float(0x7fc00000u);
}

/// T(v), the nearest number of an element type.
template <class T>
KQ_HOST_DEVICE constexpr float nearest(float v) {
  if constexpr (arch::rounds_to_16_bits && sizeof(T) == 2) {
    return arch::round_to_16_bits<T>(v);
  } else if constexpr (std::is_same_v<T, half>) {
    return to_float(to_half(v));
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    return to_float(to_bfloat16(v));
  } else {
    return v;
  }
}

template <class T>
inline constexpr float largest_of = 0x1.fffffep127f;
template <>
inline constexpr float largest_of<half> = 65504.0f;
template <>
inline constexpr float largest_of<bfloat16> = 0x1.fep127f;

template <class T>
inline constexpr float epsilon_of = 0x1p-23f;
template <>
inline constexpr float epsilon_of<half> = 0x1p-10f;
template <>
inline constexpr float epsilon_of<bfloat16> = 0x1p-7f;

/// A subnormal number as 0 of its sign.
KQ_HOST_DEVICE constexpr float flushed(float v) {
  return __builtin_fabsf(v) < min_scale ? v * 0.0f : v;
}

/// 2^(e - 127) of a biased exponent; infinity for 255.
KQ_HOST_DEVICE constexpr float power_of_two(std::uint32_t e) {
  return bits_float(e == 0 ? 0x00400000u : e << 23);
}

/// ceil(log2 v) + 127, the logarithm correctly rounded to float, of v >= 0; not less than 0.
///
/// v = 2^k (1 + f) has the logarithm k + f / ln 2 and a little less. It is rounded to k where f / ln 2 is not more than
/// half a unit of the floats beside k: those next above a positive k, next below a negative one in magnitude.
KQ_HOST_DEVICE constexpr std::uint32_t biased_ceil_log2(float v) {
  const std::uint32_t bits = float_bits(v);
  const std::uint32_t fraction = bits & 0x007fffffu;
  const std::uint32_t e = bits >> 23;
  // Subnormal numbers: the result is less than 1 up to 2^-127 and half a unit, 11 steps of 2^-149 above.
  if (e == 0) return fraction > 0x00400000u + 11u ? 1 : 0;
  const std::int32_t k = static_cast<std::int32_t>(e) - 127;
  const std::int32_t beside = k < 0 ? -k - 1 : k;
  const std::int32_t j = static_cast<std::int32_t>(float_bits(static_cast<float>(beside)) >> 23) - 127;
  const std::uint32_t half_unit = j < 0 ? 0 : (1u << j) >> 1;  // in units of f, 2^-23
  return e + (fraction > (half_unit * 45426u >> 16) ? 1 : 0);  // ln 2 * 2^16
}

/// The fraction of a number that is not negative cleared; 0.5 for NaN.
KQ_HOST_DEVICE constexpr float floor_to_power_of_two(float v) {
  return is_nan(v) ? 0.5f : bits_float(float_bits(v) & 0xff800000u);
}

/// A number that is not negative, as PowerOfTwo::up_finite and up_float_log2 have it.
KQ_HOST_DEVICE constexpr float to_power_of_two(float v, PowerOfTwo power) {
  switch (power) {
    case PowerOfTwo::up_finite:
      return v <= 0x1p127f ? ceil_to_power_of_two(v) : 0x1p127f;
    case PowerOfTwo::up_float_log2:
      return power_of_two(biased_ceil_log2(v));
    default:
      return v;
  }
}

/// A block's biased exponent from a quotient, of PowerOfTwo::up_float_log2, up_any_bit and up_half; 255 is NaN.
KQ_HOST_DEVICE constexpr std::uint32_t biased_exponent(float v, PowerOfTwo power) {
  const std::uint32_t bits = float_bits(v) & 0x7fffffffu;
  const std::uint32_t e = bits >> 23;
  if (power == PowerOfTwo::up_float_log2) {
    if (is_nan(v)) return 255;
    const std::uint32_t ceiled = biased_ceil_log2(v);
    return ceiled < 254 ? ceiled : 254;
  }
  if (e == 255) return 255;
  const std::uint32_t exact = power == PowerOfTwo::up_half && e == 0 ? 0x00400000u : 0;
  return e + ((bits & 0x007fffffu) > exact ? 1 : 0);
}

/// The scale of an MX block in the element's type T: a power of two from amax, whose bits in T are rounded to one bit
/// of mantissa, and the exponent of a format's largest number.
template <class T>
KQ_HOST_DEVICE constexpr float mx_scale_in_type(float amax, std::uint32_t exponent_of_largest) {
  float rounded = bits_float((float_bits(amax) + (1u << 21)) & 0xff800000u);
  if constexpr (std::is_same_v<T, half>) {
    // The bits of a half's subnormal number count from its least normal one's.
    if (amax < 0x1p-14f) rounded = amax < 0x1.8p-15f ? 0.0f : 0x1p-14f;
  }
  if (is_nan(amax) || rounded > largest_of<T>) return huge;
  const std::uint32_t e = float_bits(rounded) >> 23;
  // As a half 2^-127 is 0, for which 1 is taken.
  if (std::is_same_v<T, half> && e == 0) return 1.0f;
  return power_of_two(e > exponent_of_largest ? e - exponent_of_largest : 0);
}

}  // namespace detail

/// g of a tensor, or its scale s, given or from its amax.
KQ_HOST_DEVICE constexpr float nvfp4_global(const DialectParameters& p) {
  if (p.tensor_amax == nullptr) return p.global_scale;
  const float amax = *p.tensor_amax;
  if (p.formula == ScaleFormula::nvfp4_quotient) return amax == 0.0f ? 1.0f : amax / 2688.0f;
  if (p.formula == ScaleFormula::nvfp4_in_type) return 2688.0f / (amax < min_scale ? min_scale : amax);
  return nvfp4_global_scale(amax);
}

/// What is stored as the tensor's scale.
KQ_HOST_DEVICE constexpr float nvfp4_tensor_scale(const DialectParameters& p) {
  const float global = nvfp4_global(p);
  return p.formula == ScaleFormula::nvfp4_quotient ? global : 1.0f / global;
}

/// "4 over 6": the largest number that scales are made for, E.
KQ_HOST_DEVICE constexpr float four_over_six_largest(ScaleRounding rounding) {
  return rounding == ScaleRounding::four_over_six_mse_256 ? 256.0f : 448.0f;
}

/// "4 over 6": one of the two scales of a group, and what its elements are multiplied by.
struct FourOverSixScale {
  E4M3Number scale;
  float factor;
};

/// Transformer Engine's choice of "4 over 6".
class FourOverSix {
 public:
  KQ_HOST_DEVICE constexpr FourOverSix(ScaleRounding rounding, float tensor_amax)
      : largest_(6.0f * four_over_six_largest(rounding)),
        squares_(rounding == ScaleRounding::four_over_six_mse_256),
        tensor_amax_(tensor_amax),
        global_(tensor_amax == 0.0f ? 1.0f : at_most_largest(largest_ / tensor_amax)) {}

  /// What is stored as the tensor's scale, 1 / g.
  KQ_HOST_DEVICE constexpr float tensor_scale() const { return 1.0f / global_; }

  /// The scale of a group of `size` elements at `x`, from its amax, in which NaN counts.
  template <class Element>
  KQ_HOST_DEVICE FourOverSixScale scale(float amax, const Element* x, std::int64_t size) const {
    const float b = amax / 6.0f * global_;
    const FourOverSixScale four = scale_of(b * 1.5f);
    const FourOverSixScale six = scale_of(b);
    return error(four, x, size) < error(six, x, size) ? four : six;
  }

 private:
  KQ_HOST_DEVICE constexpr FourOverSixScale scale_of(float v) const {
    const E4M3Number scale = nearest_e4m3(at_most_largest(v));
    return {scale, nvfp4_factor(scale.value, tensor_scale())};
  }

  /// The sum of the elements' errors, absolute or squared, in their order.
  template <class Element>
  KQ_HOST_DEVICE float error(const FourOverSixScale& scale, const Element* x, std::int64_t size) const {
    float sum = 0.0f;
    for (std::int64_t i = 0; i < size; ++i) {
      const float value = to_float(x[i]);
      const float scaled = value * scale.factor;
      const float code = Fp4E2M1::decode(Fp4E2M1::encode(scaled, scaled));
      const float difference = code * scale.scale.value * tensor_amax_ / largest_ - value;
      sum += squares_ ? difference * difference : __builtin_fabsf(difference);
    }
    return sum;
  }

  float largest_;  ///< 6 E
  bool squares_;
  float tensor_amax_;
  float global_;  ///< g
};

/// A span's scale in a dialect: what is stored, and what its elements are multiplied or divided by.
struct DialectSpan {
  float scale;
  float operand;
};

/// Of a span's amax, NaN left out, and whether there was any. Granularity::group stands for blocks too.
template <class Element, class Format, Granularity granularity>
KQ_HOST_DEVICE constexpr DialectSpan dialect_span(const DialectParameters& p, float numbers_amax, bool has_nan) {
  constexpr auto has = has_formula<Format, granularity>;
  constexpr float qmax = Format::max;
  constexpr float inverse_qmax = 1.0f / qmax;
  float amax = has_nan && p.nan_counts ? detail::nan_float() : numbers_amax;
  amax = amax < p.least_amax ? p.least_amax : amax;
  const bool is_given = granularity == Granularity::token && p.given_most_amax != nullptr;
  const float most_amax = is_given ? *p.given_most_amax : p.most_amax;
  amax = amax > most_amax ? most_amax : amax;
  float scale = 0.0f;
  float operand = 0.0f;
  switch (p.formula) {
    case ScaleFormula::quotient:
      if constexpr (has(ScaleFormula::quotient)) {
        scale = amax / qmax;
        scale = scale > p.most_scale ? p.most_scale : scale;
        scale = scale < p.least_scale ? p.least_scale : scale;
        scale = scale == 0.0f ? p.scale_of_zero : scale;
        if (granularity == Granularity::group) scale = detail::to_power_of_two(scale, p.power);
        operand = p.divides ? scale : 1.0f / scale;
      }
      break;
    case ScaleFormula::ratio:
      if constexpr (has(ScaleFormula::ratio)) {
        scale = amax / qmax;
        scale = scale < p.least_scale ? p.least_scale : scale;
        operand = amax == 0.0f ? 0.0f : qmax / amax;
        operand = operand > p.most_factor ? p.most_factor : operand;
      }
      break;
    case ScaleFormula::inverse:
      if constexpr (has(ScaleFormula::inverse)) {
        operand = amax == 0.0f ? 1.0f : qmax / amax;
        operand = operand == detail::huge ? p.infinite_factor : operand;
        if (p.power == PowerOfTwo::down) operand = detail::floor_to_power_of_two(operand);
        scale = 1.0f / operand;
      }
      break;
    case ScaleFormula::flushed:
      if constexpr (has(ScaleFormula::flushed)) {
        scale = detail::flushed(detail::flushed(amax) * inverse_qmax);
        operand = detail::flushed(1.0f / scale);
      }
      break;
    case ScaleFormula::amax_reciprocal:
      if constexpr (has(ScaleFormula::amax_reciprocal)) {
        scale = amax * inverse_qmax;
        operand = detail::flushed(1.0f / amax) * qmax;
        if (p.power != PowerOfTwo::none) {
          scale = ceil_to_power_of_two(scale);
          // The multiplier's exponent is made by subtraction, and wraps around into the sign for an infinite scale.
          operand = scale == detail::huge ? -detail::huge : detail::nearest<Element>(1.0f / scale);
        }
      }
      break;
    case ScaleFormula::exponent:
      if constexpr (has(ScaleFormula::exponent)) {
        std::uint32_t e = 0;
        if (p.scale_rounding == ScaleRounding::quotient) {
          e = detail::biased_exponent(p.power == PowerOfTwo::up_half ? amax * inverse_qmax : amax / qmax, p.power);
        } else if (p.scale_rounding == ScaleRounding::ceil && p.power == PowerOfTwo::up_any_bit) {
          e = detail::biased_exponent(amax / detail::floor_to_power_of_two(qmax), p.power);
        } else if (p.infinity_is_number && !is_nan(amax)) {
          constexpr std::uint32_t exponent_of_largest = (float_bits(qmax) >> 23) - 127u;
          e = mx_exponent<Format>(amax, false, p.scale_rounding);
          e = e == 255 ? 255 - exponent_of_largest : e;
        } else {
          e = mx_exponent<Format>(amax, false, p.scale_rounding);
        }
        scale = e == 255 ? p.scale_of_nan : detail::power_of_two(e);
        operand = e == 255 ? p.factor_of_nan : (e == 0 ? p.factor_of_least : detail::power_of_two(254 - e));
      }
      break;
    case ScaleFormula::in_type:
      if constexpr (has(ScaleFormula::in_type)) {
        scale = detail::nearest<Element>(amax / (Format::is_integer ? 127.5f : qmax));
        scale = scale == 0.0f ? detail::epsilon_of<Element> : scale;
        operand = scale;
      }
      break;
    case ScaleFormula::in_type_mx:
      if constexpr (has(ScaleFormula::in_type_mx)) {
        scale = detail::mx_scale_in_type<Element>(amax, (float_bits(qmax) >> 23) - 127u);
        operand = scale;
      }
      break;
    case ScaleFormula::nvfp4:
      if constexpr (has(ScaleFormula::nvfp4)) {
        const float g = nvfp4_global(p);
        scale = nvfp4_scale(amax, g).value;
        operand = nvfp4_factor(scale, 1.0f / g);
      }
      break;
    case ScaleFormula::nvfp4_product:
      if constexpr (has(ScaleFormula::nvfp4_product)) {
        const float g = nvfp4_global(p);
        const float v = g * (amax * inverse_qmax);
        scale = v <= 464.0f ? Fp8E4M3Fn::decode(Fp8E4M3Fn::encode(v, v)) : detail::nan_float();
        const float product = scale * (1.0f / g);
        operand = product == 0.0f ? 0.0f : 1.0f / product;
      }
      break;
    case ScaleFormula::nvfp4_quotient:
      if constexpr (has(ScaleFormula::nvfp4_quotient)) {
        const float s = nvfp4_global(p);
        const float v = (amax / qmax) / s;
        scale = Fp8E4M3Fn::decode(Fp8E4M3Fn::encode(v < 0x1p-6f ? 0x1p-6f : v, 0.0f));
        operand = (1.0f / s) / scale;
      }
      break;
    case ScaleFormula::nvfp4_in_type:
      if constexpr (has(ScaleFormula::nvfp4_in_type)) {
        const float g = nvfp4_global(p);
        scale = Fp8E4M3Fn::decode(Fp8E4M3Fn::encode(g * detail::nearest<Element>(amax / qmax), 0.0f));
        scale = scale == 0.0f ? 0.125f : scale;
        operand = scale / g;
      }
      break;
  }
  return {is_nan(scale) ? detail::nan_float() : scale, operand};
}

/// Scale and zero point of an asymmetric int8 span, every step rounded to the element's type T: the range is widened to
/// hold 0, and the zero point saturates.
template <class T>
KQ_HOST_DEVICE constexpr Affine affine_scale_in_type(float min, float max) {
  const float low = min < 0.0f ? min : 0.0f;
  const float high = max > 0.0f ? max : 0.0f;
  const float scale = detail::nearest<T>(detail::nearest<T>(high - low) / 255.0f);
  const float zero_point = detail::nearest<T>(-128.0f - detail::nearest<T>(low / scale));
  const float limited = is_nan(zero_point) ? 0.0f : clamp(zero_point, -128.0f, 127.0f);
  return {scale == 0.0f ? detail::epsilon_of<T> : scale, round_to_int32(limited)};
}

}  // namespace kq
