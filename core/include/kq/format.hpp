// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The formats of a code: what a float becomes and how it comes back. One type per format, in the list AllFormats, all
/// with the same members:
///
///   Code            the C++ type that holds one code
///   code_bits       bits of a code in memory: 8, or 4 of two codes in a byte, the even column in the low half
///   is_integer      whether codes are int8; all others are a sign above an exponent above a mantissa
///   is_float8       whether it is one of the four formats of FP8, which processors convert to by their mantissa_bits
///   mantissa_bits, bias
///                   of the mantissa, and of the exponent; no integer has these
///   has_negative_zero
///   name            as on the command line and in result files
///   max             largest finite magnitude, the default `qmax`
///   encode(v, x, bound)
///                   `v` rounded to nearest even, limited to +-bound (an integer format: one lower on the low side),
///                   with the sign of `x`; see each format for NaN. `bound` is `max` if it is left out, and never more
///   encode4(v, s)   four codes in the lowest 4 * code_bits bits of a word, the first in the lowest ones, with the
///                   signs `s` of the inputs as signs4 gives them; by the device's own conversion instruction where
///                   it has one for this very format, the same bits where it has not
///   decode(code)    the exact value
///
/// `x` is the input that `v` was scaled from. A positive scale keeps its sign, so this only matters where the scaling
/// itself made a NaN (inf / inf, 0 * inf): processors disagree about the sign of such a NaN, codes must not.
///
/// Sources: OCP 8-bit Floating Point Specification (OFP8) revision 1.0 for E4M3 and E5M2; Noune et al., "8-bit
/// Numerical Formats for Deep Neural Networks" (2022), for the FNUZ variants AMD's gfx94x computes with; OCP
/// Microscaling Formats (MX) Specification 1.0 for E2M1.

#include <bit>
#include <cstdint>
#include <limits>
#include <string_view>
#include <type_traits>

#include "kq/arch/arch.hpp"

namespace kq {

KQ_HOST_DEVICE constexpr std::uint32_t float_bits(float v) {
  return std::bit_cast<std::uint32_t>(v);
}
KQ_HOST_DEVICE constexpr float bits_float(std::uint32_t b) {
  return std::bit_cast<float>(b);
}
KQ_HOST_DEVICE constexpr bool is_nan(float v) {
  return v != v;
}

/// The low bytes of four numbers in one word, the first in the lowest byte.
KQ_HOST_DEVICE constexpr std::uint32_t pack4(std::int32_t a, std::int32_t b, std::int32_t c, std::int32_t d) {
  return (static_cast<std::uint32_t>(a) & 0xffu) | (static_cast<std::uint32_t>(b) & 0xffu) << 8 |
         (static_cast<std::uint32_t>(c) & 0xffu) << 16 | static_cast<std::uint32_t>(d) << 24;
}

/// The signs of four inputs in the top bits of a word's bytes, all other bits 0.
KQ_HOST_DEVICE constexpr std::uint32_t signs4(const float (&x)[4]) {
  return pack4(static_cast<std::int32_t>(float_bits(x[0]) >> 24), static_cast<std::int32_t>(float_bits(x[1]) >> 24),
               static_cast<std::int32_t>(float_bits(x[2]) >> 24), static_cast<std::int32_t>(float_bits(x[3]) >> 24)) &
         0x80808080u;
}

/// `v` limited to [low, high]; NaN stays NaN.
KQ_HOST_DEVICE constexpr float clamp(float v, float low, float high) {
  if (!std::is_constant_evaluated()) return arch::clamp(v, low, high);
  return arch::portable::clamp(v, low, high);
}

namespace detail {

/// A float's magnitude rounded to nearest even with `MantissaBits` of mantissa and exponent bias `Bias`, as the bits of
/// such a number without sign. `magnitude` does not round above the format's range, or is NaN, which gives more than
/// 0xff. Without a branch, and in few enough steps for a host's vector units.
///
/// A power of two 2^(23 - MantissaBits) times the magnitude's own is added, where the sum's unit in the last place is
/// the format's: so the addition rounds, and how far the sum's bits lie above the summand's is the rounded mantissa,
/// its leading one included, which counts on into the exponent. Below the format's normal numbers the power of two
/// stays that of the smallest one, and there is no leading one. (A NaN's sum is NaN, far above the summand's bits,
/// which wrapped around.)
template <int MantissaBits, int Bias>
KQ_HOST_DEVICE constexpr std::uint32_t round_magnitude(float magnitude) {
  constexpr std::int32_t smallest_normal = (127 + 1 - Bias) << 23;
  const std::int32_t power = static_cast<std::int32_t>(float_bits(magnitude)) & 0x7f800000;
  const std::uint32_t exponent = static_cast<std::uint32_t>(power < smallest_normal ? smallest_normal : power);
  const std::uint32_t summand = exponent + (static_cast<std::uint32_t>(23 - MantissaBits) << 23);
  const std::uint32_t mantissa = float_bits(magnitude + bits_float(summand)) - summand;
  return mantissa + ((exponent - smallest_normal) >> (23 - MantissaBits));
}

/// The finite value of a code without sign, exponent field and mantissa as in the format.
template <int MantissaBits, int Bias>
KQ_HOST_DEVICE constexpr float finite_value(std::uint32_t code) {
  constexpr std::uint32_t step = static_cast<std::uint32_t>(127 + 1 - Bias - MantissaBits) << 23;
  const std::uint32_t exponent = code >> MantissaBits;
  const std::uint32_t mantissa = code & ((1u << MantissaBits) - 1u);
  if (exponent == 0) return static_cast<float>(mantissa) * bits_float(step);
  return bits_float(((exponent + 127u - Bias) << 23) | (mantissa << (23 - MantissaBits)));
}

/// OCP's two formats. E4M3 has no infinity and one NaN per sign; E5M2 is laid out as IEEE's formats are. A conversion
/// saturates; NaN becomes the quiet code 0x7F with the sign kept.
template <int MantissaBits, int Bias, std::uint32_t MaxCode>
struct OcpFloat8 {
  using Code = std::uint8_t;
  static constexpr int code_bits = 8;
  static constexpr bool is_integer = false;
  static constexpr bool is_float8 = true;
  static constexpr int mantissa_bits = MantissaBits;
  static constexpr int bias = Bias;
  static constexpr bool has_negative_zero = true;
  static constexpr float max = finite_value<MantissaBits, Bias>(MaxCode);

  KQ_HOST_DEVICE static constexpr Code encode(float v, float x, float bound = max) {
    const float magnitude = __builtin_fabsf(v);
    const std::uint32_t code = round_magnitude<MantissaBits, Bias>(magnitude > bound ? bound : magnitude);
    const std::uint32_t or_nan = code < 0x7fu ? code : 0x7fu;
    return static_cast<Code>(((or_nan << 24) | (float_bits(x) & 0x80000000u)) >> 24);
  }

  KQ_HOST_DEVICE static constexpr float decode(Code code) {
    const std::uint32_t magnitude = code & 0x7fu;
    const float sign = (code & 0x80u) != 0 ? -1.0f : 1.0f;
    if (magnitude <= MaxCode) return sign * finite_value<MantissaBits, Bias>(magnitude);
    if (MantissaBits == 2 && magnitude == MaxCode + 1) return sign * std::numeric_limits<float>::infinity();
    return bits_float(0x7fc00000u | (static_cast<std::uint32_t>(code & 0x80u) << 24));
  }
};

/// AMD's two: no infinity, no negative zero; 0x80 is the only NaN. A conversion saturates.
template <int MantissaBits, int Bias>
struct FnuzFloat8 {
  using Code = std::uint8_t;
  static constexpr int code_bits = 8;
  static constexpr bool is_integer = false;
  static constexpr bool is_float8 = true;
  static constexpr int mantissa_bits = MantissaBits;
  static constexpr int bias = Bias;
  static constexpr bool has_negative_zero = false;
  static constexpr float max = finite_value<MantissaBits, Bias>(0x7fu);

  KQ_HOST_DEVICE static constexpr Code encode(float v, float x, float bound = max) {
    const float magnitude = __builtin_fabsf(v);
    const std::uint32_t code = round_magnitude<MantissaBits, Bias>(magnitude > bound ? bound : magnitude);
    const std::uint32_t or_nan = code < 0x80u ? code : 0x80u;
    const std::uint32_t unless_zero = or_nan + 0x7fu;  // bit 7 is set
    return static_cast<Code>(or_nan | ((float_bits(x) >> 24) & unless_zero & 0x80u));
  }

  KQ_HOST_DEVICE static constexpr float decode(Code code) {
    if (code == 0x80u) return std::numeric_limits<float>::quiet_NaN();
    const float value = finite_value<MantissaBits, Bias>(code & 0x7fu);
    return (code & 0x80u) != 0 ? -value : value;
  }
};

/// Four codes by four portable conversions.
template <class Format>
KQ_HOST_DEVICE constexpr std::uint32_t encode4_portable(const float (&v)[4], std::uint32_t signs) {
  std::uint32_t word = 0;
  for (int i = 0; i < 4; ++i) {
    const float of_that_sign = bits_float((signs << (24 - 8 * i)) & 0x80000000u);
    const auto code = static_cast<std::uint8_t>(Format::encode(v[i], of_that_sign));
    word |= static_cast<std::uint32_t>(code) << (Format::code_bits * i);
  }
  return word;
}

/// Four codes by the processor's own conversion where it has one for the format, by portable ones elsewhere.
template <class Format>
KQ_HOST_DEVICE std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
  std::uint32_t word;
  return arch::encode4<Format>(v, signs, word) ? word : encode4_portable<Format>(v, signs);
}

}  // namespace detail

/// OCP E4M3: bias 7, largest 448.
struct Fp8E4M3Fn : detail::OcpFloat8<3, 7, 0x7eu> {
  static constexpr std::string_view name = "fp8_e4m3fn";
  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    return detail::encode4<Fp8E4M3Fn>(v, signs);
  }
};

/// OCP E5M2: bias 15, largest 57344.
struct Fp8E5M2 : detail::OcpFloat8<2, 15, 0x7bu> {
  static constexpr std::string_view name = "fp8_e5m2";
  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    return detail::encode4<Fp8E5M2>(v, signs);
  }
};

/// AMD E4M3 FNUZ: bias 8, largest 240.
struct Fp8E4M3Fnuz : detail::FnuzFloat8<3, 8> {
  static constexpr std::string_view name = "fp8_e4m3fnuz";
  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    return detail::encode4<Fp8E4M3Fnuz>(v, signs);
  }
};

/// AMD E5M2 FNUZ: bias 16, largest 57344.
struct Fp8E5M2Fnuz : detail::FnuzFloat8<2, 16> {
  static constexpr std::string_view name = "fp8_e5m2fnuz";
  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    return detail::encode4<Fp8E5M2Fnuz>(v, signs);
  }
};

/// OCP E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and a sign. It has no infinity and no NaN: a conversion saturates, and NaN
/// becomes the largest number. A code is the low four bits of its byte.
struct Fp4E2M1 {
  using Code = std::uint8_t;
  static constexpr int code_bits = 4;
  static constexpr bool is_integer = false;
  static constexpr bool is_float8 = false;
  static constexpr int mantissa_bits = 1;
  static constexpr int bias = 1;
  static constexpr bool has_negative_zero = true;
  static constexpr std::string_view name = "fp4_e2m1";
  static constexpr float max = 6.0f;

  KQ_HOST_DEVICE static constexpr Code encode(float v, float x, float bound = max) {
    const float magnitude = __builtin_fabsf(v);
    const std::uint32_t code = detail::round_magnitude<1, 1>(magnitude > bound ? bound : magnitude);
    const std::uint32_t or_nan = code < 7u ? code : 7u;
    return static_cast<Code>(or_nan | float_bits(x) >> 31 << 3);
  }

  /// detail::round_magnitude's way, for four at once: what the sum's low byte lacks to be the code is twice the
  /// exponent, which comes from the power of two's bits; its bias and the fraction of 2 that is added with the power
  /// make 256.
  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    std::uint32_t word;
    if (arch::encode4<Fp4E2M1>(v, signs, word)) return word;
    std::uint32_t code[4];
    for (int i = 0; i < 4; ++i) {
      const float magnitude = arch::min_number(__builtin_fabsf(v[i]), 6.0f);
      const std::uint32_t power = float_bits(magnitude) & 0x7f800000u;
      const std::uint32_t unit = power > 0x3f800000u ? power : 0x3f800000u;
      code[i] = float_bits(__builtin_fmaf(bits_float(unit), 0x1p22f + 1.0f, magnitude)) + (unit >> 22);
    }
    const std::uint32_t bytes = arch::low_bytes(code[0], code[1], code[2], code[3]) | (signs >> 4 & 0x08080808u);
    return arch::even_bytes(bytes | bytes >> 4);
  }

  KQ_HOST_DEVICE static constexpr float decode(Code code) {
    const float value = detail::finite_value<1, 1>(code & 7u);
    return (code & 8u) != 0 ? -value : value;
  }
};

/// Two's-complement 8-bit integer: -128 to 127, NaN gives 0. A symmetric scale uses 127 only.
struct Int8 {
  using Code = std::int8_t;
  static constexpr int code_bits = 8;
  static constexpr bool is_integer = true;
  static constexpr bool is_float8 = false;
  static constexpr bool has_negative_zero = false;
  static constexpr std::string_view name = "int8";
  static constexpr float max = 127.0f;

  /// The nearest integer, ties to even, of a float within +-2^22, without a conversion instruction: added to 1.5 * 2^23
  /// the sum's unit is 1, so the addition itself rounds.
  KQ_HOST_DEVICE static constexpr std::int32_t round_small(float v) {
    constexpr float shift = 0x1.8p23f;
    return static_cast<std::int32_t>(float_bits(v + shift) - float_bits(shift));
  }

  KQ_HOST_DEVICE static constexpr Code encode(float v, float /*x*/, float bound = max) {
    const float number = is_nan(v) ? 0.0f : v;
    return static_cast<Code>(round_small(clamp(number, -bound - 1.0f, bound)));
  }

  KQ_HOST_DEVICE static std::uint32_t encode4(const float (&v)[4], std::uint32_t signs) {
    return detail::encode4<Int8>(v, signs);
  }

  KQ_HOST_DEVICE static constexpr float decode(Code code) { return static_cast<float>(code); }
};

namespace detail {

/// Whether a type has all of the members; the compiler names the one that it lacks.
template <class Format>
constexpr bool is_whole() {
  static_assert(std::is_same_v<decltype(Format::encode(1.0f, 1.0f, 1.0f)), typename Format::Code>);
  static_assert(std::is_same_v<decltype(&Format::encode4), std::uint32_t (*)(const float(&)[4], std::uint32_t)>);
  static_assert(Format::code_bits == 8 || Format::code_bits == 4);
  static_assert(!Format::is_float8 || (Format::code_bits == 8 && !Format::is_integer));
  if constexpr (!Format::is_integer) static_assert(Format::mantissa_bits > 0 && Format::bias > 0);
  static_assert(Format::has_negative_zero == (Format::encode(0.0f, -1.0f) != 0));
  static_assert(Format::decode(Format::encode(Format::max, 1.0f)) == Format::max);
  return !Format::name.empty();
}

}  // namespace detail

template <class... Formats>
struct FormatList {
  static_assert((detail::is_whole<Formats>() && ...));
};

/// All formats, in the order of kq::Format.
using AllFormats = FormatList<Int8, Fp8E4M3Fn, Fp8E5M2, Fp8E4M3Fnuz, Fp8E5M2Fnuz, Fp4E2M1>;

/// The bit of a code that is its sign, of a format that is no integer.
template <class Format>
inline constexpr std::uint8_t sign_of_code = Format::encode(1.0f, 1.0f) ^ Format::encode(1.0f, -1.0f);

static_assert(Fp8E4M3Fn::max == 448.0f && Fp8E5M2::max == 57344.0f);
static_assert(Fp4E2M1::decode(7) == Fp4E2M1::max);
static_assert(Fp8E4M3Fnuz::max == 240.0f && Fp8E5M2Fnuz::max == 57344.0f);

/// Code `i` of those at an address whose first code is the low half of its byte, if it is one of four bits.
template <class Format>
KQ_HOST_DEVICE constexpr typename Format::Code code_at(const typename Format::Code* codes, std::int64_t i) {
  if constexpr (Format::code_bits == 8) {
    return codes[i];
  } else {
    return static_cast<typename Format::Code>(i % 2 == 0 ? codes[i / 2] & 15u : codes[i / 2] >> 4);
  }
}

}  // namespace kq
