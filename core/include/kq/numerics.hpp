// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scales and quantizers: the formulas of docs/numerics.md as functions that every fast implementation shares, so that
/// they agree by construction. (The reference implementation has its own, written for obviousness.)
///
/// All arithmetic is binary32, to nearest even, one rounding an operation; compile without contraction into FMA
/// (-ffp-contract=off, -fmad=false).

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/request.hpp"
#include "kq/vector.hpp"

namespace kq {

/// The least scale of a dynamic fp8 scheme, as vLLM defines it.
inline constexpr float min_fp8_scale = 1.0f / (448.0f * 512.0f);

/// The least amax of a group.
inline constexpr float min_group_amax = 1e-10f;

/// The least scale of any dynamic scheme whose span is not all zero: the smallest normal number. It and its reciprocal
/// are finite and normal, so they work also where subnormal numbers are flushed to zero. With a smaller scale zeros
/// would become 0 * infinity = NaN, and everything else an extreme; vLLM has that fault.
inline constexpr float min_scale = 0x1p-126f;

/// amax / qmax of a span that is not all zero, at least min_scale: amax counts as at least qmax * 2^-126.
KQ_HOST_DEVICE constexpr float scale_of(float amax, float qmax) {
  const float scale = amax / qmax;
  return scale > min_scale ? scale : min_scale;
}

/// An upper bound of amax: a number, or one that a kernel reads when it has an amax.
struct UpperBound {
  float number;
  const float* given = nullptr;  ///< in place of the number, unless null
  KQ_HOST_DEVICE constexpr float value() const { return given == nullptr ? number : *given; }
};

/// Dynamic token, fp8: max(min(amax, scale_ub) / qmax, 1 / (448 * 512)). Without a bound, `scale_ub` is infinity.
KQ_HOST_DEVICE constexpr float fp8_token_scale(float amax, float qmax, float scale_ub) {
  const float scale = (amax < scale_ub ? amax : scale_ub) / qmax;
  return scale > min_fp8_scale ? scale : min_fp8_scale;
}

/// Dynamic tensor, fp8: max(amax / qmax, 2^-126), and 1 / (448 * 512) for a tensor of zeros.
/// vLLM gives scale 0 there, and its codes are NaN: no engine wants that of an all-zero tensor.
KQ_HOST_DEVICE constexpr float fp8_tensor_scale(float amax, float qmax) {
  return amax == 0.0f ? min_fp8_scale : scale_of(amax, qmax);
}

/// Dynamic token or tensor, symmetric int8: max(amax / qmax, 2^-126), and 0 for a span of zeros.
KQ_HOST_DEVICE constexpr float int8_scale(float amax, float qmax) {
  return amax == 0.0f ? 0.0f : scale_of(amax, qmax);
}

/// What an element is multiplied by under int8_scale: min(qmax / amax, 2^126), and 0 for a span of zeros.
KQ_HOST_DEVICE constexpr float int8_factor(float amax, float qmax) {
  constexpr float most = 1.0f / min_scale;
  const float factor = qmax / amax;
  return amax == 0.0f ? 0.0f : (factor < most ? factor : most);
}

/// What an element is multiplied by under a tensor's or a given fp8 scale: the reciprocal's magnitude, as a code has
/// the sign of its element whatever the scale's. (Processors' conversions would take the product's sign.)
KQ_HOST_DEVICE constexpr float fp8_factor(float scale) {
  return __builtin_fabsf(1.0f / scale);
}

/// Group, any format: max(amax, 1e-10) / qmax.
KQ_HOST_DEVICE constexpr float group_scale(float amax, float qmax) {
  return (amax > min_group_amax ? amax : min_group_amax) / qmax;
}

/// A positive normal scale raised to the next power of two; exact powers stay, infinity stays.
KQ_HOST_DEVICE constexpr float ceil_to_power_of_two(float scale) {
  return bits_float((float_bits(scale) + 0x007fffffu) & 0xff800000u);
}

/// The UE8M0 code (OCP Microscaling specification 1.0, E8M0) of a power of two: its biased exponent; 255, which is NaN,
/// for infinity.
KQ_HOST_DEVICE constexpr std::uint8_t ue8m0_code(float power_of_two) {
  return static_cast<std::uint8_t>(float_bits(power_of_two) >> 23);
}

/// The power of two that a UE8M0 code stands for; 255 is NaN.
KQ_HOST_DEVICE constexpr float ue8m0_value(std::uint8_t code) {
  if (code == 255) return bits_float(0x7fc00000u);
  return code == 0 ? 0x1p-127f : bits_float(static_cast<std::uint32_t>(code) << 23);
}

/// The biased exponent of a block's power of two in OCP's MX formats, from the bits of amax: 255, which is NaN, where
/// amax is NaN or infinite. `Format` is that of the codes; its largest number has exponent `p`.
///
///   rceil  exp(amax) - p, one more where amax's fraction is above that of the largest number
///   floor  exp(amax) - p
///   even   exp(amax + half a unit of the last mantissa bit that the format keeps) - p; the sum may be infinite
///   ceil   exp(amax) - p, one more where amax has a fraction
///
/// At least 0. All but floor add to amax what carries into its exponent. Sources: OCP Microscaling Formats (MX)
/// Specification 1.0, 6.3, for floor; docs/numerics.md.
template <class Format>
class MxExponent {
 public:
  KQ_HOST_DEVICE constexpr explicit MxExponent(ScaleRounding rounding) {
    constexpr std::uint32_t fraction_bits = 0x007fffffu;
    if (rounding == ScaleRounding::rceil) carry_ = fraction_bits - (largest & fraction_bits);
    if (rounding == ScaleRounding::ceil) carry_ = fraction_bits;
    if (rounding == ScaleRounding::even) {
      carry_ = 1u << (22 - Format::mantissa_bits);
      least_nan_ -= carry_;
    }
  }
  /// Whether exponents are not raised: then a block's products may exceed the largest number by the most.
  KQ_HOST_DEVICE constexpr bool is_floor() const { return carry_ == 0; }

  KQ_HOST_DEVICE constexpr std::uint32_t operator()(float amax) const {
    const std::uint32_t exponent = (float_bits(amax) + carry_) >> 23;
    return float_bits(amax) >= least_nan_ ? 255u : (exponent > p ? exponent - p : 0u);
  }

 private:
  static constexpr std::uint32_t largest = std::bit_cast<std::uint32_t>(Format::max);
  static constexpr std::uint32_t p = (largest >> 23) - 127u;
  std::uint32_t carry_ = 0;
  std::uint32_t least_nan_ = 0x7f800000u;
};

template <class Format>
KQ_HOST_DEVICE constexpr std::uint32_t mx_exponent(float amax, bool has_nan, ScaleRounding rounding) {
  return has_nan ? 255u : MxExponent<Format>(rounding)(amax);
}

/// 2^(127 - e) of a biased exponent, which its block's elements are multiplied by; NaN for 255.
KQ_HOST_DEVICE constexpr float mx_factor(std::uint32_t e) {
  return ue8m0_value(static_cast<std::uint8_t>(e == 255 ? 255u : 254u - e));
}

inline constexpr float largest_float = 0x1.fffffep127f;

/// The lesser of a number and the largest float; NaN stays NaN.
KQ_HOST_DEVICE constexpr float at_most_largest(float v) {
  return v > largest_float ? largest_float : v;
}

/// NVFP4: what the scales of a tensor's blocks are multiplied by before they are rounded to E4M3, from the tensor's
/// amax: min(2688 / amax, FLT_MAX), 2688 = 448 * 6; 1 for a tensor of zeros.
KQ_HOST_DEVICE constexpr float nvfp4_global_scale(float tensor_amax) {
  return tensor_amax == 0.0f ? 1.0f : at_most_largest(2688.0f / tensor_amax);
}

/// An E4M3 code and its number.
struct E4M3Number {
  std::uint8_t code;
  float value;
};

/// The nearest E4M3 number to a positive number or NaN, which has the code 0x7f.
KQ_HOST_DEVICE constexpr E4M3Number nearest_e4m3(float v) {
  E4M3Number number{};
  if (!std::is_constant_evaluated() && arch::round_to_e4m3(v, number.code, number.value)) return number;
  number.code = Fp8E4M3Fn::encode(v, 0.0f);
  number.value = Fp8E4M3Fn::decode(number.code);
  return number;
}

/// NVFP4: a block's scale, e4m3(min(amax * (g * (1/6)), FLT_MAX)); NaN where amax is.
KQ_HOST_DEVICE constexpr E4M3Number nvfp4_scale(float amax, float global_scale) {
  constexpr float sixth = 1.0f / 6.0f;
  return nearest_e4m3(at_most_largest(amax * (global_scale * sixth)));
}

/// NVFP4: what a block's elements are multiplied by, min(1 / (scale * tensor_scale), FLT_MAX): `scale` is the block's
/// as E4M3 has it, `tensor_scale` the tensor's as it is stored, 1 / g.
KQ_HOST_DEVICE constexpr float nvfp4_factor(float scale, float tensor_scale) {
  return at_most_largest(1.0f / (scale * tensor_scale));
}

/// Nearest int32, ties to even; saturating; NaN gives 0.
KQ_HOST_DEVICE constexpr std::int32_t round_to_int32(float v) {
  if (is_nan(v)) return 0;
  if (v >= 0x1p31f) return INT32_MAX;
  if (v <= -0x1p31f) return INT32_MIN;
  const float magnitude = v < 0.0f ? -v : v;
  // From 2^22 on the last bit of a float is worth 1/2 at most, so a sum with 2^23 rounds right up to there.
  if (magnitude >= 0x1p23f) return static_cast<std::int32_t>(v);
  const auto rounded = static_cast<std::int32_t>(magnitude + 0x1p23f - 0x1p23f);
  return v < 0.0f ? -rounded : rounded;
}

/// Scale and zero point of an asymmetric int8 span.
struct Affine {
  float scale;
  std::int32_t zero_point;
};

/// Dynamic, asymmetric int8: scale = max((max - min) / (2 * qmax + 1), 2^-126), zero point = rne(-(qmax + 1) - min /
/// scale).
///
/// A constant span (max == min) has no scale of its own: it is widened to hold 0, and if it is all zero then scale 1,
/// zero point 0. vLLM divides by zero there. A span without a number (all NaN) has min > max; it counts as all zero.
KQ_HOST_DEVICE constexpr Affine affine_scale(float min, float max, float qmax) {
  if (!(min < max)) {
    const bool empty = min > max;
    min = empty || min > 0.0f ? 0.0f : min;
    max = empty || max < 0.0f ? 0.0f : max;
    if (min == max) return {1.0f, 0};
  }
  const float scale = scale_of(max - min, 2.0f * qmax + 1.0f);
  return {scale, round_to_int32(-(qmax + 1.0f) - min / scale)};
}

// ------------------------------------------------------------------------------------------------------------------
// Quantizers: what turns one element into one code once its span's scale is known. Each has
//   code(x)          one code
//   codes4(x, s)     four, packed into a word, the first in the lowest byte; s is signs4(x), or the same from bits that
//                    have not lost the sign of a NaN in a conversion
//   with_fast_path(f)  calls f(q) with a quantizer q that gives this one's codes, in fewer instructions where `qmax` is
//                    the format's own and the span is an ordinary one; one branch a span instead of work an element

/// The range of values a format may use under a bound `qmax`: +-qmax, one step lower for an integer (-128 to 127).
template <class Format>
struct Bounds {
  float low;
  float high;
  KQ_HOST_DEVICE constexpr explicit Bounds(float qmax) : low(Format::is_integer ? -qmax - 1.0f : -qmax), high(qmax) {}
  KQ_HOST_DEVICE constexpr float limit(float v) const { return clamp(v, low, high); }

  /// Whether FormatBounds serve as well, and better. On a host they would be slower: knowing the bounds, compilers make
  /// a case of each, where two instructions of minimum and maximum do.
  KQ_HOST_DEVICE constexpr bool can_be_dropped() const { return arch::is_device && high >= Format::max; }
};

/// No bounds but the format's own, to which encode saturates by itself.
template <class Format>
struct FormatBounds {
  static constexpr float high = Format::max;
  KQ_HOST_DEVICE constexpr explicit FormatBounds(float /*qmax*/) {}
  KQ_HOST_DEVICE constexpr float limit(float v) const { return v; }
};

/// encode(sat(x * factor)). `factor` is the reciprocal of a scale, already rounded to float.
template <class Format_, class Bounds_ = Bounds<Format_>>
class MultiplyQuantizer {
 public:
  using Format = Format_;
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr MultiplyQuantizer(float factor, float qmax) : factor_(factor), bounds_(qmax) {}

  KQ_HOST_DEVICE constexpr float bound() const { return bounds_.high; }
  KQ_HOST_DEVICE constexpr float factor() const { return factor_; }

  /// What is encoded: scaled and limited.
  KQ_HOST_DEVICE constexpr float value(float x) const { return bounds_.limit(x * factor_); }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return Format::encode(x * factor_, x, bounds_.high); }

  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    const float v[4] = {value(x[0]), value(x[1]), value(x[2]), value(x[3])};
    return Format::encode4(v, signs);
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if (bounds_.can_be_dropped()) {
      function(MultiplyQuantizer<Format, FormatBounds<Format>>(factor_, Format::max));
    } else {
      function(*this);
    }
  }

 private:
  float factor_;
  Bounds_ bounds_;
};

namespace detail {

/// One step towards the quotient of a dividend and a divisor, by the divisor's reciprocal: Divisor has the source.
KQ_HOST_DEVICE float division_step(float dividend, float quotient, float divisor, float reciprocal) {
  return __builtin_fmaf(__builtin_fmaf(-quotient, divisor, dividend), reciprocal, quotient);
}

/// What a divisor's rounded reciprocal lacks, made smaller by 2^-24 of itself: ShortDivisor says why.
KQ_HOST_DEVICE float second_part(float divisor, float reciprocal) {
  return __builtin_fmaf(-divisor, reciprocal, 1.0f) * reciprocal * 0x1.fffffep-1f;
}

}  // namespace detail

/// Division by one divisor, many times, correctly rounded wherever the quotient is not so small that every format
/// rounds it to zero, nor so large that every format saturates.
///
/// On a device an IEEE division per element costs more than the memory traffic leaves room for. With y = RN(1 / s) the
/// quotient follows from q = RN(x * y), q' = RN(q + RN(x - q * s) * y) (Markstein, "Computation of elementary functions
/// on the IBM RISC System/6000 processor", 1990). One such step gives RN(x / s) for every half and bfloat16 dividend
/// and every float divisor: tests/core/test_divisor.cpp goes through all of their significands. For float
/// dividends a second step is taken. A divisor whose magnitude is outside [2^-85, 2^126], where a step could under- or
/// overflow, is first brought there by an exact power of two, and the dividend with it. Zero, negative, infinite and
/// NaN divisors give what `/` gives.
template <class Element>
class ShortDivisor;

template <class Element>
class Divisor {
 public:
  using Short = ShortDivisor<Element>;

  KQ_HOST_DEVICE constexpr explicit Divisor(float divisor)
      : prescale_(__builtin_fabsf(divisor) < 0x1p-85f ? 0x1p64f
                                                      : (__builtin_fabsf(divisor) > 0x1p126f ? 0x1p-64f : 1.0f)),
        divisor_(divisor * prescale_),
        reciprocal_(1.0f / divisor_) {
    // x / inf is x * 0: with a divisor of 0 the step below adds just that to an estimate of x * 0.
    if (reciprocal_ == 0.0f) divisor_ = 0.0f;
  }

  /// Whether LimitedDivisor serves.
  KQ_HOST_DEVICE constexpr bool is_ordinary() const {
    return prescale_ == 1.0f && divisor_ > 0.0f && divisor_ <= 0x1p100f;
  }

  /// The quotient, as a device computes it. Usable on the host too, where tests hold it against `/`.
  KQ_HOST_DEVICE constexpr float operator()(float x) const {
    const float dividend = x * prescale_;
    const float estimate = dividend * reciprocal_;
    float quotient = correct(dividend, estimate);
    if constexpr (std::is_same_v<Element, float>) quotient = correct(dividend, quotient);
    // Beyond any format's range a step may overflow; there the estimate saturates as the quotient would.
    return __builtin_fabsf(estimate) > 0x1p20f ? estimate : quotient;
  }

 private:
  friend class LimitedDivisor;
  KQ_HOST_DEVICE constexpr float correct(float dividend, float quotient) const {
    return detail::division_step(dividend, quotient, divisor_, reciprocal_);
  }

  float prescale_;
  float divisor_;
  float reciprocal_;
};

/// Division without the exceptional cases of Divisor: for ordinary divisors, and quotients within +-2^20.
///
/// Of half and bfloat16 it is a product with the reciprocal in two parts, which takes two operations: y = RN(1 / s),
/// and RN(RN(1 - s * y) * y) times 1 - 2^-24, so that 1 / (2 - 2^-23), which lies just above a tie, is not rounded as
/// if it were one. Of all 2^33 pairs of significands 69 give a quotient that is
/// off by the last bit, none of which any format rounds to another code: tests/core/test_divisor.cpp goes through them.
/// Floats take two steps of Divisor.
template <class Element>
class ShortDivisor {
  static constexpr bool in_parts = sizeof(Element) == 2;

 public:
  /// Whether it serves dividends of at most `largest` in magnitude (and NaN). Of the two, `largest` is the one to
  /// scale: it may be infinite, and the divisor must not become so.
  KQ_HOST_DEVICE static constexpr bool serves(float divisor, float largest) {
    return divisor >= 0x1p-85f && divisor <= most && largest * 0x1p-20f <= divisor;
  }
  static constexpr float most = in_parts ? 0x1p64f : 0x1p126f;  ///< so that no second part is subnormal

  KQ_HOST_DEVICE constexpr explicit ShortDivisor(float divisor)
      : divisor_(divisor), reciprocal_(arch::reciprocal(divisor)) {
    if constexpr (in_parts) divisor_ = detail::second_part(divisor, reciprocal_);
  }

  KQ_HOST_DEVICE constexpr float operator()(float x) const {
    if constexpr (in_parts) {
      return __builtin_fmaf(x, reciprocal_, x * divisor_);
    } else {
      return correct(x, correct(x, x * reciprocal_));
    }
  }

 private:
  KQ_HOST_DEVICE constexpr float correct(float dividend, float quotient) const {
    return detail::division_step(dividend, quotient, divisor_, reciprocal_);
  }

  float divisor_;  ///< or the second part of the reciprocal
  float reciprocal_;
};

/// Division of half or bfloat16 by a divisor within [2^-85, 2^100], which any dividend may have: of estimates beyond
/// 2^20 the magnitude is limited to that, and their quotients, which every format saturates, come out at 2^20 or more.
class LimitedDivisor {
 public:
  template <class Element>
  KQ_HOST_DEVICE constexpr explicit LimitedDivisor(const Divisor<Element>& divisor)
      : divisor_(divisor.divisor_), reciprocal_(divisor.reciprocal_) {
    static_assert(sizeof(Element) == 2);
  }

  KQ_HOST_DEVICE float operator()(float x) const {
    return detail::division_step(x, arch::limit_magnitude(x * reciprocal_, 0x1p20f), divisor_, reciprocal_);
  }

 private:
  float divisor_;
  float reciprocal_;
};

/// A host's own division, with the same interface. Where a host has vector instructions for codes, they divide by the
/// reciprocal too (arch/avx2.hpp).
class PlainDivisor {
 public:
  using Short = PlainDivisor;
  KQ_HOST_DEVICE static constexpr bool serves(float /*divisor*/, float /*largest*/) { return true; }

  KQ_HOST_DEVICE constexpr explicit PlainDivisor(float divisor) : divisor_(divisor) {}
  KQ_HOST_DEVICE constexpr float divisor() const { return divisor_; }
  KQ_HOST_DEVICE constexpr float operator()(float x) const { return x / divisor_; }

 private:
  float divisor_;
};

/// Host and device passes see different types here, so a DivideQuantizer is made where it is used, inside a kernel, and
/// never handed from host to device.
template <class Element>
using QuotientBy = std::conditional_t<arch::is_device, Divisor<Element>, PlainDivisor>;

/// encode(sat(x / scale)).
template <class Format_, class Element, class Divide = QuotientBy<Element>, class Bounds_ = Bounds<Format_>>
class DivideQuantizer {
 public:
  using Format = Format_;
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr DivideQuantizer(float scale, float qmax) : divide_(scale), bounds_(qmax) {}

  KQ_HOST_DEVICE constexpr float bound() const { return bounds_.high; }
  KQ_HOST_DEVICE constexpr float divisor() const requires std::is_same_v<Divide, PlainDivisor> {
    return divide_.divisor();
  }

  /// What is encoded: scaled and limited.
  KQ_HOST_DEVICE constexpr float value(float x) const { return bounds_.limit(divide_(x)); }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return Format::encode(divide_(x), x, bounds_.high); }

  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    const float v[4] = {value(x[0]), value(x[1]), value(x[2]), value(x[3])};
    return Format::encode4(v, signs);
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if constexpr (std::is_same_v<Divide, Divisor<Element>> && sizeof(Element) == 2) {
      if (bounds_.can_be_dropped() && divide_.is_ordinary()) {
        function(DivideQuantizer<Format, Element, LimitedDivisor, FormatBounds<Format>>(LimitedDivisor(divide_)));
      } else {
        function(*this);
      }
    } else if (bounds_.can_be_dropped()) {
      function(DivideQuantizer<Format, Element, Divide, FormatBounds<Format>>(divide_));
    } else {
      function(*this);
    }
  }

 private:
  template <class, class, class, class>
  friend class DivideQuantizer;
  KQ_HOST_DEVICE constexpr explicit DivideQuantizer(Divide divide) : divide_(divide), bounds_(Format::max) {}

  Divide divide_;
  Bounds_ bounds_;
};

/// encode(sat(x / scale)) in a span whose largest magnitude `amax` is known, as it is where the scale was made of it.
/// What division in general takes is prepared only where it is needed.
template <class Format_, class Element>
class SpanDivideQuantizer {
  using Short = typename QuotientBy<Element>::Short;

 public:
  using Format = Format_;
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr SpanDivideQuantizer(float scale, float qmax, float amax)
      : scale_(scale), qmax_(qmax), amax_(amax) {}

  KQ_HOST_DEVICE constexpr float bound() const { return qmax_; }
  KQ_HOST_DEVICE constexpr float divisor() const { return scale_; }
  KQ_HOST_DEVICE constexpr float amax() const { return amax_; }
  KQ_HOST_DEVICE constexpr float value(float x) const { return general().value(x); }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return general().code(x); }
  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    return general().codes4(x, signs);
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if (Bounds<Format>(qmax_).can_be_dropped() && Short::serves(scale_, amax_)) {
      function(fast(scale_));
    } else {
      function(general());
    }
  }

  /// Where no bounds but the format's are needed, and the divisor is an ordinary one (Short::serves).
  KQ_HOST_DEVICE static constexpr auto fast(float scale) {
    return DivideQuantizer<Format, Element, Short, FormatBounds<Format>>(scale, Format::max);
  }

 private:
  KQ_HOST_DEVICE constexpr DivideQuantizer<Format, Element> general() const { return {scale_, qmax_}; }

  float scale_;
  float qmax_;
  float amax_;
};

/// encode(sat(x * 2^(127 - e))) of E2M1 codes, e a biased exponent, where the processor makes eight at once in the
/// elements' own type. With `Limited`, products may reach 7, not 9.
template <class Element, bool Limited>
class E2M1PairQuantizer {
 public:
  using Format = Fp4E2M1;
  using Code = typename Format::Code;

  /// Whether the element's type has the factor, its double and its half as normal numbers.
  KQ_HOST_DEVICE static constexpr bool serves(std::uint32_t e) {
    return e - least_e <= most_e - least_e;  // a smaller e wraps around
  }
  KQ_HOST_DEVICE constexpr explicit E2M1PairQuantizer(std::uint32_t e)
      : twice_factor_((biased_128 - e) * (is_half ? 0x04000400u : 0x00800080u)) {}
  template <class Vector>
  KQ_HOST_DEVICE std::uint32_t codes8(const Vector& v) const {
    return arch::e2m1_codes8<Element, Limited>(v.word, twice_factor_);
  }
  /// 2^(128 - e) in both halves.
  KQ_HOST_DEVICE constexpr std::uint32_t twice_factor() const { return twice_factor_; }

 private:
  static constexpr bool is_half = std::is_same_v<Element, half>;
  static constexpr std::uint32_t least_e = is_half ? 113 : 1;       ///< 2^(128 - e) is the largest power of two
  static constexpr std::uint32_t most_e = is_half ? 140 : 252;      ///< 2^(126 - e) is the least normal number
  static constexpr std::uint32_t biased_128 = is_half ? 143 : 255;  ///< the exponent 128 with the element's bias

  std::uint32_t twice_factor_;
};

/// encode(sat(x * 2^(127 - e))), e a biased exponent; NaN for 255. Of E2M1, `reaches_7` is whether there may be
/// products of 7 and more; none reaches 8 in magnitude.
template <class Format_, class Element>
class PowerOfTwoQuantizer {
 public:
  using Format = Format_;
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr explicit PowerOfTwoQuantizer(std::uint32_t e, bool reaches_7 = true)
      : e_(e), reaches_7_(reaches_7) {}

  KQ_HOST_DEVICE constexpr float bound() const { return Format::max; }
  KQ_HOST_DEVICE constexpr float factor() const { return mx_factor(e_); }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return general().code(x); }
  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    return general().codes4(x, signs);
  }
  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if constexpr (arch::encodes_e2m1_in_eights && Format::code_bits == 4 && sizeof(Element) == 2) {
      using Whole = E2M1PairQuantizer<Element, false>;
      using Limited = E2M1PairQuantizer<Element, true>;
      if (Whole::serves(e_)) return reaches_7_ ? function(Limited(e_)) : function(Whole(e_));
    }
    general().with_fast_path(function);
  }

 private:
  KQ_HOST_DEVICE constexpr MultiplyQuantizer<Format> general() const { return {mx_factor(e_), Format::max}; }

  std::uint32_t e_;
  bool reaches_7_;
};

/// encode(x * factor) of E2M1 codes where the processor makes eight at once, of elements of 16 bits.
template <class Element>
class E2M1ProductQuantizer {
 public:
  using Format = Fp4E2M1;
  using Code = typename Format::Code;

  /// Whether it serves elements of at most `amax` in magnitude, one of them NaN if that is.
  KQ_HOST_DEVICE static constexpr bool serves(float factor, float amax) { return amax * factor < 7.0f; }

  KQ_HOST_DEVICE constexpr explicit E2M1ProductQuantizer(float factor) : factor_(factor) {}
  template <class Vector>
  KQ_HOST_DEVICE std::uint32_t codes8(const Vector& v) const {
    float x[vector_width<Element>];
    unpack_vector<Element>(v, x);
    return arch::e2m1_codes8_of_products(x, v.word, factor_);
  }

 private:
  float factor_;
};

/// encode(sat(x * factor)) of E2M1 codes in a span whose largest magnitude is known, NaN where there is one.
template <class Element>
class E2M1SpanQuantizer : public MultiplyQuantizer<Fp4E2M1> {
 public:
  KQ_HOST_DEVICE constexpr E2M1SpanQuantizer(float factor, float amax)
      : MultiplyQuantizer<Fp4E2M1>(factor, Fp4E2M1::max), amax_(amax) {}

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if constexpr (arch::encodes_e2m1_in_eights && sizeof(Element) == 2) {
      using Products = E2M1ProductQuantizer<Element>;
      if (Products::serves(this->factor(), amax_)) return function(Products(this->factor()));
    }
    MultiplyQuantizer<Fp4E2M1>::with_fast_path(function);
  }

 private:
  float amax_;
};

/// Asymmetric int8 while the zero point is small: sat(rne(x * factor) + zero_point), NaN counting as 0.
///
/// The sum is limited before it is made: rne(v) within [low - zp, high - zp] is the same as the sum within [low, high].
/// Those bounds are integers that a float holds exactly and Int8::round_small can round to.
class SmallAffineQuantizer {
 public:
  using Code = Int8::Code;

  KQ_HOST_DEVICE static constexpr bool serves(std::int32_t zero_point) {
    return zero_point > -(1 << 21) && zero_point < (1 << 21);
  }

  KQ_HOST_DEVICE constexpr SmallAffineQuantizer(float factor, std::int32_t zero_point, float qmax)
      : factor_(factor),
        zero_point_(zero_point),
        low_(static_cast<float>(static_cast<std::int32_t>(-qmax - 1.0f) - zero_point)),
        high_(static_cast<float>(static_cast<std::int32_t>(qmax) - zero_point)) {}

  KQ_HOST_DEVICE constexpr float low() const { return low_; }
  KQ_HOST_DEVICE constexpr float high() const { return high_; }
  KQ_HOST_DEVICE constexpr std::int32_t zero_point() const { return zero_point_; }
  KQ_HOST_DEVICE constexpr float factor() const { return factor_; }

  KQ_HOST_DEVICE constexpr std::int32_t value(float x) const {
    const float product = x * factor_;
    return Int8::round_small(clamp(is_nan(product) ? 0.0f : product, low_, high_)) + zero_point_;
  }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return static_cast<Code>(value(x)); }

  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t /*signs*/) const {
    return pack4(value(x[0]), value(x[1]), value(x[2]), value(x[3]));
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    function(*this);
  }

 private:
  float factor_;
  std::int32_t zero_point_;
  float low_;
  float high_;
};

/// Asymmetric int8 with any zero point: the sum is exact, it cannot wrap.
class AffineQuantizer {
 public:
  using Code = Int8::Code;
  KQ_HOST_DEVICE constexpr AffineQuantizer(float factor, std::int32_t zero_point, float qmax)
      : factor_(factor), zero_point_(zero_point), qmax_(qmax) {}

  KQ_HOST_DEVICE constexpr Code code(float x) const {
    if (SmallAffineQuantizer::serves(zero_point_)) return small().code(x);
    const auto low = static_cast<std::int32_t>(-qmax_ - 1.0f);
    const auto high = static_cast<std::int32_t>(qmax_);
    const std::int64_t sum = std::int64_t{round_to_int32(x * factor_)} + zero_point_;
    return static_cast<Code>(sum < low ? low : (sum > high ? high : static_cast<std::int32_t>(sum)));
  }

  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t /*signs*/) const {
    return pack4(code(x[0]), code(x[1]), code(x[2]), code(x[3]));
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if (SmallAffineQuantizer::serves(zero_point_)) {
      function(small());
    } else {
      function(*this);
    }
  }

 private:
  KQ_HOST_DEVICE constexpr SmallAffineQuantizer small() const { return {factor_, zero_point_, qmax_}; }

  float factor_;
  std::int32_t zero_point_;
  float qmax_;
};

/// Four codes, each by its own quantizer, packed as codes4 does.
template <class Quantizer>
KQ_HOST_DEVICE constexpr std::uint32_t codes4_each(const Quantizer (&q)[4], const float (&x)[4],
                                                   [[maybe_unused]] std::uint32_t signs) {
  if constexpr (!requires { q[0].value(x[0]); }) {
    return pack4(q[0].code(x[0]), q[1].code(x[1]), q[2].code(x[2]), q[3].code(x[3]));
  } else {
    const float v[4] = {q[0].value(x[0]), q[1].value(x[1]), q[2].value(x[2]), q[3].value(x[3])};
    return Quantizer::Format::encode4(v, signs);
  }
}

}  // namespace kq
