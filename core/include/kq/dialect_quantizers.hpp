// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The codes of dialects: quantizers, in the form that kq/numerics.hpp describes, for spans whose scale
/// kq/dialect_numerics.hpp has found. Most spans hold nothing special, and go the way that kqbench's own spans go.

#include <cstdint>
#include <type_traits>

#include "kq/arch/config.hpp"
#include "kq/dialect_numerics.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kq {

/// Division by a number, or multiplication by one, as a device has them in one: with q = RN(x * y), the quotient of
/// x and s follows from y = RN(1 / s) and q + RN(x - q * s) * y (kq/numerics.hpp, Divisor), and the product of x and y
/// from s = 0 and q + RN(x - q * 0) * 0, which changes nothing of q.
template <class Element>
class OperandSteps {
 public:
  KQ_HOST_DEVICE constexpr OperandSteps(float operand, bool divides)
      : divisor_(divides ? operand : 0.0f),
        reciprocal_(divides ? 1.0f / operand : operand),
        correction_(divides ? reciprocal_ : 0.0f) {}

  /// For what ShortDivisor serves, and finite products.
  KQ_HOST_DEVICE constexpr float operator()(float x) const {
    const float quotient = correct(x, x * reciprocal_);
    return std::is_same_v<Element, float> ? correct(x, quotient) : quotient;
  }

 private:
  KQ_HOST_DEVICE constexpr float correct(float x, float quotient) const {
    return detail::division_step(x, quotient, divisor_, correction_);
  }

  float divisor_;
  float reciprocal_;
  float correction_;
};

/// Division by any number, or multiplication by one, by the steps of OperandSteps. As in Divisor, small and large
/// divisors are brought near 1, and where steps could overflow there are none.
template <class Element>
class AnyOperandSteps {
 public:
  KQ_HOST_DEVICE constexpr AnyOperandSteps(float operand, bool divides)
      : prescale_(!divides                              ? 1.0f
                  : __builtin_fabsf(operand) < 0x1p-85f ? 0x1p64f
                                                        : (__builtin_fabsf(operand) > 0x1p126f ? 0x1p-64f : 1.0f)),
        divisor_(divides ? operand * prescale_ : 0.0f),
        reciprocal_(divides ? 1.0f / divisor_ : operand),
        correction_(divides ? reciprocal_ : 0.0f) {
    if (reciprocal_ == 0.0f) divisor_ = 0.0f;
  }

  KQ_HOST_DEVICE constexpr float operator()(float x) const {
    const float dividend = x * prescale_;
    const float estimate = dividend * reciprocal_;
    float quotient = correct(dividend, estimate);
    if constexpr (std::is_same_v<Element, float>) quotient = correct(dividend, quotient);
    // A step makes +0 of -0.
    return __builtin_copysignf(__builtin_fabsf(estimate) > 0x1p20f ? estimate : quotient, estimate);
  }

 private:
  KQ_HOST_DEVICE constexpr float correct(float x, float quotient) const {
    return detail::division_step(x, quotient, divisor_, correction_);
  }

  float prescale_;
  float divisor_;
  float reciprocal_;
  float correction_;
};

/// A host's own multiplication and division, with the interface of AnyOperandSteps.
class PlainOperand {
 public:
  KQ_HOST_DEVICE constexpr PlainOperand(float operand, bool divides) : operand_(operand), divides_(divides) {}
  KQ_HOST_DEVICE constexpr float operator()(float x) const { return divides_ ? x / operand_ : x * operand_; }

 private:
  float operand_;
  bool divides_;
};

/// Codes of a span in which nothing special can happen: there is no NaN, nothing is beyond the format's range, and the
/// dialect rounds nothing on the way to a code.
template <class Format_, class Element>
class OrdinaryQuantizer {
 public:
  using Format = Format_;
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr OrdinaryQuantizer(float operand, bool divides) : scaled_(operand, divides) {}

  KQ_HOST_DEVICE constexpr Code code(float x) const { return Format::encode(scaled_(x), x); }
  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    const float v[4] = {scaled_(x[0]), scaled_(x[1]), scaled_(x[2]), scaled_(x[3])};
    return Format::encode4(v, signs);
  }

 private:
  OperandSteps<Element> scaled_;
};

/// Codes of any span of a dynamic scheme. `Operand` is the device's or the host's, as a pass needs it.
template <class Format, class Element, Granularity granularity,
          class Operand = std::conditional_t<arch::is_device, AnyOperandSteps<Element>, PlainOperand>>
class DialectQuantizer {
 public:
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr DialectQuantizer(const DialectParameters& parameters, float operand, float amax,
                                            bool has_nan)
      : parameters_(parameters),
        operand_(operand),
        amax_(amax),
        has_nan_(has_nan),
        scaled_(operand, parameters.divides) {}

  /// The code of x, whose sign is the highest bit of `sign`: where x is NaN, it may have lost it.
  KQ_HOST_DEVICE constexpr Code code(float x, std::uint32_t sign) const {
    const float v = value(x, sign);
    return Format::encode(v, v);
  }
  KQ_HOST_DEVICE constexpr Code code(float x) const { return code(x, float_bits(x)); }

  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    const float v[4] = {value(x[0], signs << 24), value(x[1], signs << 16), value(x[2], signs << 8),
                        value(x[3], signs)};
    return Format::encode4(v, signs4(v));
  }

  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    if (!is_ordinary()) return function(*this);
    if constexpr (arch::is_device) {
      function(OrdinaryQuantizer<Format, Element>(operand_, parameters_.divides));
    } else if (parameters_.divides) {
      DivideQuantizer<Format, Element>(operand_, Format::max).with_fast_path(function);
    } else {
      MultiplyQuantizer<Format>(operand_, Format::max).with_fast_path(function);
    }
  }

  /// Whether OrdinaryQuantizer serves.
  KQ_HOST_DEVICE constexpr bool is_ordinary() const {
    const DialectParameters& p = parameters_;
    if (has_nan_ || p.rounding != Rounding::none || p.truncates) return false;
    if (p.ties_to_zero || float_bits(p.addend) == 0) return false;
    // From 2^116 on the subnormal numbers that `flushed` leaves out would have codes.
    if (p.formula == ScaleFormula::flushed && operand_ >= 0x1p116f) return false;
    if (!(operand_ > 0.0f && operand_ <= detail::largest_float && amax_ <= detail::largest_float)) return false;
    const float most = p.limit < detail::huge ? p.limit * 0.99f : detail::largest_float;
    if (!p.divides) return amax_ * operand_ <= most;
    return ShortDivisor<Element>::serves(operand_, amax_) && amax_ <= most * operand_;
  }

 private:
  /// What is rounded to nearest even as `v` is to nearest with ties toward 0, of E2M1; no -0.
  KQ_HOST_DEVICE static constexpr float with_ties_to_zero(float v) {
    const float magnitude = __builtin_fabsf(v);
    if (magnitude <= 0.25f) return 0.0f;
    const bool goes_up = magnitude == 0.75f || magnitude == 1.75f || magnitude == 3.5f;
    return goes_up ? bits_float(float_bits(v) - 1u) : v;
  }

  /// What is encoded, NaN with the sign of x.
  KQ_HOST_DEVICE constexpr float value(float x, std::uint32_t sign) const {
    constexpr auto has = has_formula<Format, granularity>;
    const DialectParameters& p = parameters_;
    if constexpr (has(ScaleFormula::flushed)) {
      if (p.formula == ScaleFormula::flushed) x = detail::flushed(x);
    }
    float v = scaled_(x);
    if constexpr (has(ScaleFormula::in_type) || has(ScaleFormula::in_type_mx)) {
      if (p.rounding == Rounding::element) v = detail::nearest<Element>(v) + p.addend;
    }
    if constexpr (!Format::is_integer && granularity == Granularity::token && sizeof(Element) == 2) {
      if (p.rounding == Rounding::bfloat16) v = detail::nearest<bfloat16>(v);
    }
    if constexpr (Format::code_bits == 4) {
      v += p.addend;
      if (p.ties_to_zero) v = with_ties_to_zero(v);
    }
    if constexpr (Format::is_integer) {
      v = is_nan(v) ? bits_float(p.otherwise) : clamp(v, -Format::max - 1.0f, Format::max);
      return p.truncates ? static_cast<float>(static_cast<std::int32_t>(v)) : v;
    } else {
      if (__builtin_fabsf(v) <= p.limit) return v;
      const bool nan = p.otherwise == 0x7fc00000u;
      return bits_float(p.otherwise | (nan ? sign & 0x80000000u : 0u));
    }
  }

  DialectParameters parameters_;
  float operand_;
  float amax_;
  bool has_nan_;
  Operand scaled_;
};

/// fp8(sat(x * factor)), NaN becoming the format's largest number, as engines have it under given scales. A code has
/// the sign of the product.
template <class Format>
class LimitedQuantizer {
 public:
  using Code = typename Format::Code;
  KQ_HOST_DEVICE constexpr explicit LimitedQuantizer(float factor) : factor_(factor) {}

  KQ_HOST_DEVICE constexpr Code code(float x) const {
    const float v = limited(x);
    return Format::encode(v, v);
  }
  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t /*signs*/) const {
    const float v[4] = {limited(x[0]), limited(x[1]), limited(x[2]), limited(x[3])};
    return Format::encode4(v, signs4(v));
  }
  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    function(*this);
  }

 private:
  /// The lesser of the product and the largest number, which is also what there is where the product is NaN.
  KQ_HOST_DEVICE constexpr float limited(float x) const {
    const float v = x * factor_;
    return v < Format::max ? v : Format::max;
  }

  float factor_;
};

/// e2m1(x * factor), where -0 becomes 0, and NaN becomes the largest number with the sign of x.
class FourOverSixQuantizer {
 public:
  using Code = Fp4E2M1::Code;
  KQ_HOST_DEVICE constexpr explicit FourOverSixQuantizer(float factor) : factor_(factor) {}

  KQ_HOST_DEVICE Code code(float x) const {
    const float v = scaled(x, float_bits(x));
    return Fp4E2M1::encode(v, v);
  }
  KQ_HOST_DEVICE std::uint32_t codes4(const float (&x)[4], std::uint32_t signs) const {
    const float v[4] = {scaled(x[0], signs << 24), scaled(x[1], signs << 16), scaled(x[2], signs << 8),
                        scaled(x[3], signs)};
    return Fp4E2M1::encode4(v, signs4(v));
  }
  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    function(*this);
  }

 private:
  /// `sign`: its highest bit is that of x, which a NaN may have lost in a conversion.
  KQ_HOST_DEVICE constexpr float scaled(float x, std::uint32_t sign) const {
    const float v = x * factor_ + 0.0f;
    return is_nan(v) ? bits_float(0x7fc00000u | (sign & 0x80000000u)) : v;
  }

  float factor_;
};

/// sat(rne(T(T(x / scale) + zero point))), NaN counting as 0.
template <class T>
class AffineInTypeQuantizer {
 public:
  using Code = Int8::Code;
  KQ_HOST_DEVICE constexpr AffineInTypeQuantizer(float scale, std::int32_t zero_point)
      : divide_(scale), zero_point_(static_cast<float>(zero_point)) {}

  KQ_HOST_DEVICE constexpr Code code(float x) const {
    const float sum = detail::nearest<T>(detail::nearest<T>(divide_(x)) + zero_point_);
    return Int8::encode(sum, sum);
  }
  KQ_HOST_DEVICE constexpr std::uint32_t codes4(const float (&x)[4], std::uint32_t /*signs*/) const {
    return pack4(code(x[0]), code(x[1]), code(x[2]), code(x[3]));
  }
  template <class Function>
  KQ_HOST_DEVICE constexpr void with_fast_path(const Function& function) const {
    function(*this);
  }

 private:
  QuotientBy<T> divide_;
  float zero_point_;
};

}  // namespace kq
