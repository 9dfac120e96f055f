// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes and extremes by AVX2, F16C and FMA, for hosts that are compiled for: 32 elements at a time, the same bits as
/// by the quantizers' own code, in half the instructions that compilers make of that, and without its divisions.

#include "kq/arch/config.hpp"

#if KQ_HOST_F16C
#include <immintrin.h>
#endif

#if KQ_HOST_AVX2

#include <cstdint>
#include <type_traits>

#include "kq/code_pack.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"

namespace kq::host::avx2 {

/// Elements of a step: their codes are a vector, those of four bits half a vector.
inline constexpr std::int64_t step = 32;

/// One float, or its bits, in all 8 places.
inline __m256 all(float x) {
  return _mm256_set1_ps(x);
}
inline __m256 all_bits(std::uint32_t bits) {
  return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<std::int32_t>(bits)));
}

/// The exact values of 16 elements, or their magnitudes, and 16 words with their signs. Low and high, packed to words
/// of 16 bits, are in the order of the signs.
struct Sixteen {
  __m256 low;
  __m256 high;
  __m256i signs;
};

// The exact values of 8 elements.
inline __m256 load8(const float* in) {
  return _mm256_loadu_ps(in);
}
inline __m256 load8(const half* in) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
}

template <bool Magnitudes, class Element>
[[gnu::always_inline]] inline Sixteen load16(const Element* in) {
  Sixteen x{load8(in), load8(in + 8), {}};
  x.signs = _mm256_packs_epi32(_mm256_castps_si256(x.low), _mm256_castps_si256(x.high));
  if constexpr (Magnitudes) {
    x.low = _mm256_and_ps(x.low, all_bits(0x7fffffffu));
    x.high = _mm256_and_ps(x.high, all_bits(0x7fffffffu));
  }
  return x;
}
/// A bfloat16 is the upper half of a float: of 16 in order, words 0 to 3 and 8 to 11 come first.
template <bool Magnitudes>
[[gnu::always_inline]] inline Sixteen load16(const bfloat16* in) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m256i upper = Magnitudes ? _mm256_and_si256(bits, _mm256_set1_epi16(0x7fff)) : bits;
  const __m256i lower = _mm256_setzero_si256();
  return {_mm256_castsi256_ps(_mm256_unpacklo_epi16(lower, upper)),
          _mm256_castsi256_ps(_mm256_unpackhi_epi16(lower, upper)), bits};
}

/// Puts 32 codes, packed from what load16() gives for either half of a step, into the elements' order.
template <class Element>
[[gnu::always_inline]] inline __m256i in_order(__m256i codes) {
  if constexpr (std::is_same_v<Element, bfloat16>) return _mm256_permute4x64_epi64(codes, 0xd8);
  return _mm256_permutevar8x32_epi32(codes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

// --- extremes --------------------------------------------------------------------------------------------------------

/// The bits of the greatest magnitude of `size` elements, NaN above all; 0 of none.
template <class Element>
[[gnu::always_inline]] inline std::uint32_t greatest_magnitude(const Element* x, std::int64_t size) {
  constexpr std::int64_t width = 32 / sizeof(Element);
  const auto load = [x](std::int64_t i) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x + i)); };
  const auto greater = [](__m256i a, __m256i b) {
    return sizeof(Element) == 2 ? _mm256_max_epu16(a, b) : _mm256_max_epi32(a, b);
  };
  const __m256i magnitude = sizeof(Element) == 2 ? _mm256_set1_epi16(0x7fff) : _mm256_set1_epi32(0x7fffffff);
  __m256i max = _mm256_setzero_si256();
  __m256i other = max;
  std::int64_t i = 0;
  for (; i + 2 * width <= size; i += 2 * width) {
    max = greater(max, _mm256_and_si256(load(i), magnitude));
    other = greater(other, _mm256_and_si256(load(i + width), magnitude));
  }
  max = greater(max, other);
  if (i + width <= size) {
    max = greater(max, _mm256_and_si256(load(i), magnitude));
    i += width;
  }
  const __m128i low = _mm256_castsi256_si128(max);
  const __m128i high = _mm256_extracti128_si256(max, 1);
  std::uint32_t found;
  if constexpr (sizeof(Element) == 2) {
    // The processor finds the least of eight words: of the greatest one all bits but the sign are flipped.
    const __m128i flipped = _mm_xor_si128(_mm_max_epu16(low, high), _mm_set1_epi16(0x7fff));
    found = static_cast<std::uint32_t>(_mm_cvtsi128_si32(_mm_minpos_epu16(flipped))) & 0xffffu;
    found ^= 0x7fffu;
  } else {
    __m128i four = _mm_max_epi32(low, high);
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    found = static_cast<std::uint32_t>(_mm_cvtsi128_si32(four));
  }
  for (; i < size; ++i) {
    std::uint32_t bits;
    if constexpr (sizeof(Element) == 2) {
      bits = x[i].bits & 0x7fffu;
    } else {
      bits = float_bits(x[i]) & 0x7fffffffu;
    }
    found = bits > found ? bits : found;
  }
  return found;
}

// --- codes -----------------------------------------------------------------------------------------------------------

// How elements become the numbers whose codes are wanted. All but a bracket give those numbers, or others of the same
// codes, or NaN; of a bracket, the quotient lies between the two products that it stands for.

struct Product {
  __m256 factor;
  __m256 operator()(__m256 x) const { return _mm256_mul_ps(x, factor); }
};

struct Quotient {
  __m256 divisor;
  __m256 operator()(__m256 x) const { return _mm256_div_ps(x, divisor); }
};

/// The quotient of a half or bfloat16 by the reciprocal in two parts, as kq::ShortDivisor has it on devices, which says
/// why codes of it are right. Infinity may give NaN.
class QuotientInParts {
 public:
  /// Whether it serves dividends of at most `largest` in magnitude, and infinity: no second part loses bits that
  /// matter, and no product with it overflows.
  static bool serves(float divisor, float largest) {
    return divisor >= 0x1p-85f && divisor <= 0x1p64f && largest * 0x1p-100f <= divisor * 0x1p50f;
  }

  explicit QuotientInParts(float divisor) : QuotientInParts(divisor, 1.0f / divisor) {}
  QuotientInParts(float divisor, float reciprocal)
      : first_(all(reciprocal)), second_(all(kq::detail::second_part(divisor, reciprocal))) {}
  __m256 operator()(__m256 x) const { return _mm256_fmadd_ps(x, first_, _mm256_mul_ps(x, second_)); }

 private:
  __m256 first_;
  __m256 second_;
};

/// The reciprocal of a divisor as two neighbouring floats, one of them not above it, the other not below it; both are
/// the reciprocal where that is a float. Rounding is monotone, and so are codes: what has the same code times either
/// has it divided by the divisor too. Where the two codes differ, only the quotient tells. Those are few, a fraction of
/// 2^-20 or so of elements like others, as the two products are neighbours or nearly so.
class Bracket {
 public:
  /// Divisors whose reciprocal is finite, and normal.
  static bool serves(float divisor, float /*largest*/) {
    const float magnitude = __builtin_fabsf(divisor);
    return magnitude > 0x1p-128f && magnitude <= 0x1p126f;
  }

  explicit Bracket(float divisor) : Bracket(divisor, 1.0f / divisor) {}
  Bracket(float divisor, float nearest) {
    const float remainder = __builtin_fmaf(-nearest, divisor, 1.0f);
    const std::uint32_t is_too_small = remainder > 0.0f ? 1u : 0u;  // the magnitude of the nearest one
    const std::uint32_t is_too_large = remainder < 0.0f ? 1u : 0u;
    nearest_ = all(nearest);
    other_ = all_bits(float_bits(nearest) + is_too_small - is_too_large);
  }
  __m256 operator()(__m256 x) const { return _mm256_mul_ps(x, nearest_); }
  __m256 other(__m256 x) const { return _mm256_mul_ps(x, other_); }

 private:
  __m256 nearest_;
  __m256 other_;
};

/// What divides by one divisor faster than the processor does, where it serves.
template <class Element>
using FastQuotient = std::conditional_t<sizeof(Element) == 2, QuotientInParts, Bracket>;

template <class Scaled>
inline constexpr bool is_bracket = std::is_same_v<Scaled, Bracket>;

/// What tells that a code may not be the right one: some bits of `bits`, or the extreme of the packed words.
struct Unsure {
  __m256i bits = _mm256_setzero_si256();
  __m256i words = _mm256_setzero_si256();
};

inline bool none(__m256i bits) {
  return _mm256_testz_si256(bits, bits) != 0;
}

/// Notes which of 16 numbers are NaN.
[[gnu::always_inline]] inline void find_nan(__m256 v, __m256 w, Unsure& unsure) {
  unsure.bits = _mm256_or_si256(unsure.bits, _mm256_castps_si256(_mm256_cmp_ps(v, w, _CMP_UNORD_Q)));
}

// What makes codes of scaled elements, none of them NaN:
//   of_magnitudes     whether it takes magnitudes
//   word(x, scaled, unsure, v)
//                     8 elements as 32-bit words; v becomes what they are scaled to, and `unsure` gets bits of those
//                     whose code a bracket leaves open
//   find<Element>(words, v, w, unsure)
//                     notes whether there is a NaN among 16 elements, by their words as packed to 16 bits, or by what
//                     they were scaled to
//   is_sure(unsure)   whether all codes are right
//   codes(words, signs)
//                     32 codes of two such, with the signs of their elements

/// A format's magnitudes are rounded as in detail::round_magnitude, by adding a power of two of which the sum's unit is
/// the format's. Here a multiple of that unit comes with it, in the one addition that FMA is. It makes the code of the
/// sum's lower 16 bits as a signed number, the mantissa less what the exponents of all codes have in common, and its
/// upper 16, the exponent: one multiply-add of integers.
template <class Format>
class FloatCodes {
 public:
  static constexpr bool of_magnitudes = true;

  explicit FloatCodes(float bound) : most_(_mm256_set1_epi8(static_cast<char>(code_of(bound)))) {}

  template <class Scaled>
  static __m256i word(__m256 x, const Scaled& scaled, Unsure& unsure, __m256& v) {
    constexpr std::int32_t smallest_exponent = 127 + 1 - Format::bias;
    constexpr std::int32_t in_common = (smallest_exponent + 23 - mantissa_bits) << mantissa_bits;
    constexpr float power = static_cast<float>(1 << (23 - mantissa_bits));
    constexpr float units = static_cast<float>(65536 - in_common) / static_cast<float>(1 << mantissa_bits);
    v = scaled(x);
    const __m256 exponent = _mm256_and_ps(v, all_bits(0x7f800000u));
    const __m256 unit = _mm256_max_ps(exponent, all_bits(static_cast<std::uint32_t>(smallest_exponent) << 23));
    const __m256 sum = _mm256_fmadd_ps(unit, all(power + units), v);
    if constexpr (is_bracket<Scaled>) {
      // If the other product's exponent is another one, then a power of two lies at or between the products, and both
      // are rounded to that by either's unit.
      const __m256 other = _mm256_fmadd_ps(unit, all(power + units), scaled.other(x));
      unsure.bits = _mm256_or_si256(unsure.bits, _mm256_castps_si256(_mm256_xor_ps(sum, other)));
    }
    return _mm256_madd_epi16(_mm256_castps_si256(sum), _mm256_set1_epi32(1 << 16 | 1 << shift));
  }

  /// A sum's upper 16 bits are greater than infinity's where it is NaN. So is the word then, taken as a number without
  /// a sign: of its lower 16 bits an element's NaN has only the upper three, whose multiple goes beyond any word, and
  /// an operand's has none.
  template <class Element>
  static void find(__m256i words, __m256 v, __m256 w, Unsure& unsure) {
    if constexpr (sizeof(Element) == 2) {
      unsure.words = _mm256_max_epu16(unsure.words, words);
    } else {
      find_nan(v, w, unsure);
    }
  }
  static bool is_sure(const Unsure& unsure) {
    const __m256i beyond_infinity = _mm256_subs_epu16(unsure.words, _mm256_set1_epi16(0x7f80));
    return none(_mm256_or_si256(unsure.bits, beyond_infinity));
  }

  __m256i codes(const __m256i (&words)[2], const __m256i (&signs)[2]) const {
    const __m256i wide = _mm256_packus_epi16(_mm256_srli_epi16(words[0], shift), _mm256_srli_epi16(words[1], shift));
    const __m256i magnitude = _mm256_min_epu8(wide, most_);
    __m256i sign = _mm256_packs_epi16(signs[0], signs[1]);
    constexpr int below_top = std::countl_zero(sign_of_code<Format>);
    if constexpr (below_top != 0) sign = _mm256_srli_epi16(sign, below_top);
    sign = _mm256_and_si256(sign, _mm256_set1_epi8(static_cast<char>(sign_of_code<Format>)));
    if constexpr (!Format::has_negative_zero) {
      sign = _mm256_andnot_si256(_mm256_cmpeq_epi8(magnitude, _mm256_setzero_si256()), sign);
    }
    return _mm256_or_si256(magnitude, sign);
  }

 private:
  static constexpr int mantissa_bits = Format::mantissa_bits;
  static constexpr int shift = 7 - mantissa_bits;  ///< of an exponent in a float's upper 16 bits to where a code has it

  /// A bound's code: a constant for the format's largest number, which most bounds are.
  static constexpr typename Format::Code code_of(float bound) {
    constexpr auto of_max = Format::encode(Format::max, Format::max);
    return bound == Format::max ? of_max : Format::encode(bound, bound);
  }

  __m256i most_;
};

/// sat(rne(v)): the upper bound first, where a conversion could not hold the number; packing saturates too.
class Int8Codes {
 public:
  static constexpr bool of_magnitudes = false;

  explicit Int8Codes(float bound)
      : least_(_mm256_set1_epi8(static_cast<char>(Int8::round_small(-bound - 1.0f)))), high_(all(bound)) {}

  template <class Scaled>
  __m256i word(__m256 x, const Scaled& scaled, Unsure& unsure, __m256& v) const {
    v = scaled(x);
    const __m256i rounded = at_most_high(v);
    if constexpr (is_bracket<Scaled>) {
      unsure.bits = _mm256_or_si256(unsure.bits, _mm256_xor_si256(rounded, at_most_high(scaled.other(x))));
    }
    return rounded;
  }

  /// A NaN becomes the least word. So does what is -2^15 or less, whose code is thought over for nothing.
  template <class Element>
  static void find(__m256i words, __m256 /*v*/, __m256 /*w*/, Unsure& unsure) {
    unsure.words = _mm256_min_epi16(unsure.words, words);
  }
  static bool is_sure(const Unsure& unsure) {
    const __m256i is_least = _mm256_cmpeq_epi16(unsure.words, _mm256_set1_epi16(INT16_MIN));
    return none(_mm256_or_si256(unsure.bits, is_least));
  }

  __m256i codes(const __m256i (&words)[2], const __m256i (&)[2]) const {
    return _mm256_max_epi8(_mm256_packs_epi16(words[0], words[1]), least_);
  }

 private:
  /// The minimum is its second operand where that is NaN, of which the conversion makes the least integer.
  __m256i at_most_high(__m256 v) const { return _mm256_cvtps_epi32(_mm256_min_ps(high_, v)); }

  __m256i least_;
  __m256 high_;
};

/// SmallAffineQuantizer's.
class AffineCodes {
 public:
  static constexpr bool of_magnitudes = false;

  explicit AffineCodes(const SmallAffineQuantizer& q)
      : low_(all(q.low())), high_(all(q.high())), zero_point_(_mm256_set1_epi32(q.zero_point())) {}

  __m256i word(__m256 x, const Product& scaled, Unsure& /*unsure*/, __m256& v) const {
    v = scaled(x);
    return _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(v, high_), low_)), zero_point_);
  }
  template <class Element>
  static void find(__m256i /*words*/, __m256 v, __m256 w, Unsure& unsure) {
    find_nan(v, w, unsure);
  }
  static bool is_sure(const Unsure& unsure) { return none(unsure.bits); }
  static __m256i codes(const __m256i (&words)[2], const __m256i (&)[2]) {
    return _mm256_packs_epi16(words[0], words[1]);
  }

 private:
  __m256 low_;
  __m256 high_;
  __m256i zero_point_;
};

/// Which of them a quantizer needs.
template <class Quantizer>
auto codes_of(const Quantizer& quantizer) {
  if constexpr (std::is_same_v<Quantizer, SmallAffineQuantizer>) {
    return AffineCodes(quantizer);
  } else if constexpr (Quantizer::Format::is_integer) {
    return Int8Codes(quantizer.bound());
  } else {
    return FloatCodes<typename Quantizer::Format>(quantizer.bound());
  }
}

/// What a quantizer multiplies or divides by. Codes of floats have the signs of their elements: magnitudes suffice. A
/// NaN becomes the one without other bits: FloatCodes::find() counts on it.
template <class Quantizer>
float operand_of(const Quantizer& quantizer) {
  const float operand = [&] {
    if constexpr (requires { quantizer.divisor(); }) {
      return quantizer.divisor();
    } else {
      return quantizer.factor();
    }
  }();
  if (is_nan(operand)) return bits_float(0x7fc00000u);
  return std::is_same_v<typename Quantizer::Code, Int8::Code> ? operand : __builtin_fabsf(operand);
}

/// The greatest magnitude that a quantizer's finite elements may have.
template <class Element, class Quantizer>
float largest_of(const Quantizer& quantizer) {
  if constexpr (requires { quantizer.amax(); }) {
    return quantizer.amax();
  } else {
    return std::is_same_v<Element, half> ? 65504.0f : largest_float;
  }
}

/// Whether a quantizer divides, and whether it divides or multiplies: what others are for is too rare.
template <class Quantizer>
inline constexpr bool divides = requires(const Quantizer& quantizer) {
  quantizer.divisor();
};
template <class Quantizer>
inline constexpr bool has_codes = divides<Quantizer> || requires(const Quantizer& quantizer) {
  quantizer.factor();
};

/// The codes of `Size` elements, 16 or a step, in order in the lower bytes of a vector, the second 16 of them scaled by
/// `second`.
template <int Size, class Element, class Encoder, class Scaled>
[[gnu::always_inline]] inline __m256i encode(const Element* in, const Encoder& encoder, const Scaled& first,
                                             const Scaled& second, Unsure& unsure) {
  __m256i words[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  __m256i signs[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  for (int k = 0; k < Size / 16; ++k) {
    const Scaled& scaled = k == 0 ? first : second;
    const Sixteen x = load16<Encoder::of_magnitudes>(in + 16 * k);
    __m256 v;
    __m256 w;
    const __m256i low = encoder.word(x.low, scaled, unsure, v);
    const __m256i high = encoder.word(x.high, scaled, unsure, w);
    words[k] = _mm256_packs_epi32(low, high);
    signs[k] = x.signs;
    encoder.template find<Element>(words[k], v, w, unsure);
  }
  return in_order<Element>(encoder.codes(words, signs));
}

template <int Size, class Element, class Encoder, class Scaled>
[[gnu::always_inline]] inline __m256i encode(const Element* in, const Encoder& encoder, const Scaled& scaled,
                                             Unsure& unsure) {
  return encode<Size>(in, encoder, scaled, scaled, unsure);
}

/// Writes `Size` codes of encode().
template <int Size, class Code>
[[gnu::always_inline]] inline void store(Code* out, __m256i codes) {
  if constexpr (std::is_same_v<Code, Code4>) {
    const __m256i pairs = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(16 << 8 | 1));
    const __m128i half_bytes =
        _mm256_castsi256_si128(_mm256_permute4x64_epi64(_mm256_packus_epi16(pairs, pairs), 0xd8));
    auto* const to = reinterpret_cast<__m128i*>(out);
    if constexpr (Size == 16) {
      _mm_storel_epi64(to, half_bytes);
    } else {
      _mm_storeu_si128(to, half_bytes);
    }
  } else if constexpr (Size == 16) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(codes));
  } else {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), codes);
  }
}

/// `Size` codes, some of which may need a division, or be of NaN, which only the quantizer's own code knows.
template <int Size, class Element, class Code, class Quantizer>
[[gnu::cold, gnu::noinline]] void quantize_unsure(const Element* in, Code* out, const Quantizer quantizer) {
  if constexpr (divides<Quantizer>) {
    Unsure unsure;
    const auto encoder = codes_of(quantizer);
    const __m256i codes = encode<Size>(in, encoder, Quotient{all(operand_of(quantizer))}, unsure);
    if (encoder.is_sure(unsure)) return store<Size>(out, codes);
  }
  for (int i = 0; i < Size; ++i) {
    const auto code = quantizer.code(to_float(in[i]));
    if constexpr (!std::is_same_v<Code, Code4>) {
      out[i] = code;
    } else if (i % 2 == 0) {
      out[i / 2].bits = code;
    } else {
      out[i / 2].bits |= static_cast<std::uint8_t>(code << 4);
    }
  }
}

/// Asks for what lies `ahead` bytes after `Size` elements. (A call that is not inlined at once seems to do nothing, and
/// is left out by gcc.)
template <int Size, class Element>
[[gnu::always_inline]] inline void prefetch(const Element* x, std::int64_t ahead) {
  for (std::size_t line = 0; line < Size * sizeof(Element); line += 64) {
    // The address may lie behind the tensor, where there is no pointer to count up to.
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(x) + line + static_cast<std::uintptr_t>(ahead);
    _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);  // NOLINT(performance-no-int-to-ptr)
  }
}

/// quantize() by one way to scale. Codes are written first and looked at by blocks: of one that holds something unsure
/// they are made once more.
template <class Element, class Code, class Quantizer, class Encoder, class Scaled>
[[gnu::always_inline]] inline std::int64_t quantize_by(const Scaled scaled, const Element* in, Code* __restrict out,
                                                       std::int64_t size, const Quantizer& quantizer,
                                                       const Encoder& encoder, std::int64_t ahead) {
  constexpr std::int64_t block = 8 * step;
  const std::int64_t steps = size / step * step;
  for (std::int64_t begin = 0; begin < steps; begin += block) {
    const std::int64_t end = begin + block < steps ? begin + block : steps;
    Unsure unsure;
    for (std::int64_t i = begin; i < end; i += step) {
      prefetch<step>(in + i, ahead);
      store<step>(element_address(out, i), encode<step>(in + i, encoder, scaled, unsure));
    }
    if (!encoder.is_sure(unsure)) [[unlikely]] {
      for (std::int64_t i = begin; i < end; i += step) {
        quantize_unsure<step>(in + i, element_address(out, i), quantizer);
      }
    }
  }
  const auto quantize_last = [&]<int Size>(std::integral_constant<int, Size>, std::int64_t begin) {
    Unsure unsure;
    const __m256i codes = encode<Size>(in + begin, encoder, scaled, unsure);
    if (encoder.is_sure(unsure)) [[likely]]
      return store<Size>(element_address(out, begin), codes);
    quantize_unsure<Size>(in + begin, element_address(out, begin), quantizer);
  };
  if constexpr (std::is_same_v<Code, Code4>) {
    if (steps + 16 > size) return steps;
    quantize_last(std::integral_constant<int, 16>(), steps);
    return steps + 16;
  } else {
    if (steps == 0) return 0;
    if (steps < size) quantize_last(std::integral_constant<int, int{step}>(), size - step);
    return size;
  }
}

/// out[i] = quantizer.code(in[i]) of the first elements, and how many those are: with codes of eight bits all if there
/// is a step of them, the last of which goes back to be a whole one; with codes of four bits, multiples of 16. While a
/// step is worked on, what lies `ahead` bytes after it is fetched.
template <class Element, class Code, class Quantizer>
[[gnu::always_inline]] inline std::int64_t quantize(const Element* in, Code* __restrict out, std::int64_t size,
                                                    const Quantizer& quantizer, std::int64_t ahead) {
  const auto encoder = codes_of(quantizer);
  if constexpr (!divides<Quantizer>) {
    return quantize_by(Product{all(operand_of(quantizer))}, in, out, size, quantizer, encoder, ahead);
  } else {
    using Fast = FastQuotient<Element>;
    const float divisor = operand_of(quantizer);
    if (Fast::serves(divisor, largest_of<Element>(quantizer))) [[likely]] {
      return quantize_by(Fast(divisor), in, out, size, quantizer, encoder, ahead);
    }
    return quantize_by(Quotient{all(divisor)}, in, out, size, quantizer, encoder, ahead);
  }
}

/// The codes of up to MostGroups groups of 16 elements or whole steps that follow each other, group i's by
/// scales[i].quantizer(); false, and nothing done, if that is not possible. As quantize() otherwise.
template <int MostGroups, class Element, class Code, class Scale>
[[gnu::always_inline]] inline bool quantize_groups(const Element* in, Code* __restrict out, std::int64_t groups,
                                                   std::int64_t size, const Scale* scales, std::int64_t ahead) {
  using Quantizer = decltype(scales->quantizer());
  if (size % step != 0 && (size != 16 || groups % 2 != 0)) return false;
  const auto encoder = codes_of(scales->quantizer());
  float factors[MostGroups];
  float divisors[MostGroups];
  for (std::int64_t i = 0; i < groups; ++i) {
    factors[i] = operand_of(scales[i].quantizer());
    if constexpr (divides<Quantizer>) {
      divisors[i] = factors[i];
      factors[i] = 1.0f / divisors[i];
    }
  }
  const auto scaled = [&](std::int64_t i) {
    if constexpr (divides<Quantizer>) {
      return FastQuotient<Element>(divisors[i], factors[i]);
    } else {
      return Product{all(factors[i])};
    }
  };
  if constexpr (divides<Quantizer>) {
    for (std::int64_t i = 0; i < groups; ++i) {
      if (!FastQuotient<Element>::serves(divisors[i], largest_of<Element>(scales[i].quantizer()))) return false;
    }
  }
  if (size == 16) {
    for (std::int64_t i = 0; i < groups; i += 2) {
      const Element* const x = in + i * 16;
      Code* const codes = element_address(out, i * 16);
      Unsure unsure;
      prefetch<step>(x, ahead);
      store<step>(codes, encode<step>(x, encoder, scaled(i), scaled(i + 1), unsure));
      if (!encoder.is_sure(unsure)) [[unlikely]] {
        quantize_unsure<16>(x, codes, scales[i].quantizer());
        quantize_unsure<16>(x + 16, element_address(codes, 16), scales[i + 1].quantizer());
      }
    }
    return true;
  }
  for (std::int64_t i = 0; i < groups; ++i) {
    const auto by = scaled(i);
    const Element* const x = in + i * size;
    Code* const codes = element_address(out, i * size);
    Unsure unsure;
    for (std::int64_t k = 0; k < size; k += step) {
      prefetch<step>(x + k, ahead);
      store<step>(element_address(codes, k), encode<step>(x + k, encoder, by, unsure));
    }
    if (!encoder.is_sure(unsure)) [[unlikely]] {
      for (std::int64_t k = 0; k < size; k += step) {
        quantize_unsure<step>(x + k, element_address(codes, k), scales[i].quantizer());
      }
    }
  }
  return true;
}

}  // namespace kq::host::avx2

#endif
