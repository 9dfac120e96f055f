// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes by AVX2, F16C and FMA, for hosts that are compiled for: 32 at a time, the same bits as by the quantizers' own
/// code, in half the instructions that compilers make of that.

#include "kq/arch/config.hpp"

#if KQ_HOST_F16C
#include <immintrin.h>
#endif

#if KQ_HOST_AVX2

#include <cstdint>
#include <type_traits>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"

namespace kq::host::avx2 {

/// Elements of a step: their codes are a vector.
inline constexpr std::int64_t step = 32;

// The exact values of 8 elements.
inline __m256 load8(const float* in) {
  return _mm256_loadu_ps(in);
}
inline __m256 load8(const half* in) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
}
inline __m256 load8(const bfloat16* in) {
  const __m128i bits = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

/// One float, or its bits, in all 8 places.
inline __m256 all(float x) {
  return _mm256_set1_ps(x);
}
inline __m256 all_bits(std::uint32_t bits) {
  return _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<std::int32_t>(bits)));
}

// What makes codes of scaled numbers, none of them NaN:
//   words(a, b)     16 numbers as words
//   codes(w, x)     32 codes of two such, with the signs of x, packed inputs
// Packing interleaves as it finds its operands, 4 numbers each: the codes' order is that of the packed inputs' bytes.

/// A format's magnitudes are rounded as in detail::round_magnitude, by adding a power of two of which the sum's unit is
/// the format's. Here a multiple of that unit comes with it, in the one addition that FMA is. It makes the code of the
/// sum's lower 16 bits as a signed number, the mantissa less what the exponents of all codes have in common, and its
/// upper 16, the exponent: one multiply-add of integers.
template <class Format>
class Fp8Codes {
 public:
  explicit Fp8Codes(float bound) : most_(_mm256_set1_epi8(static_cast<char>(Format::encode(bound, bound)))) {}

  static __m256i words(__m256 a, __m256 b) {
    return _mm256_srli_epi16(_mm256_packs_epi32(shifted_code(a), shifted_code(b)), shift);
  }

  __m256i codes(const __m256i (&w)[2], const __m256i (&x)[2]) const {
    const __m256i magnitude = _mm256_min_epu8(_mm256_packus_epi16(w[0], w[1]), most_);
    __m256i sign = _mm256_and_si256(_mm256_packs_epi16(x[0], x[1]), _mm256_set1_epi8(static_cast<char>(0x80)));
    if constexpr (!Format::has_negative_zero) {
      sign = _mm256_andnot_si256(_mm256_cmpeq_epi8(magnitude, _mm256_setzero_si256()), sign);
    }
    return _mm256_or_si256(magnitude, sign);
  }

 private:
  static constexpr int mantissa_bits = Format::mantissa_bits;
  static constexpr int shift = 7 - mantissa_bits;  ///< of an exponent in a float's upper 16 bits to where a code has it

  static __m256i shifted_code(__m256 v) {
    constexpr std::int32_t smallest_exponent = 127 + 1 - Format::bias;
    constexpr std::int32_t in_common = (smallest_exponent + 23 - mantissa_bits) << mantissa_bits;
    constexpr float power = static_cast<float>(1 << (23 - mantissa_bits));
    constexpr float units = static_cast<float>(65536 - in_common) / static_cast<float>(1 << mantissa_bits);
    const __m256 exponent = _mm256_and_ps(v, all_bits(0x7f800000u));
    const __m256 unit = _mm256_max_ps(exponent, all_bits(static_cast<std::uint32_t>(smallest_exponent) << 23));
    const __m256 magnitude = _mm256_and_ps(v, all_bits(0x7fffffffu));
    const __m256 sum = _mm256_fmadd_ps(unit, all(power + units), magnitude);
    return _mm256_madd_epi16(_mm256_castps_si256(sum), _mm256_set1_epi32(1 << 16 | 1 << shift));
  }

  __m256i most_;
};

/// sat(rne(v)): the upper bound first, where a conversion could not hold the number; packing saturates too.
class Int8Codes {
 public:
  explicit Int8Codes(float bound)
      : least_(_mm256_set1_epi8(static_cast<char>(Int8::round_small(-bound - 1.0f)))), high_(all(bound)) {}

  __m256i words(__m256 a, __m256 b) const {
    return _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_min_ps(a, high_)), _mm256_cvtps_epi32(_mm256_min_ps(b, high_)));
  }
  __m256i codes(const __m256i (&w)[2], const __m256i (&)[2]) const {
    return _mm256_max_epi8(_mm256_packs_epi16(w[0], w[1]), least_);
  }

 private:
  __m256i least_;
  __m256 high_;
};

/// SmallAffineQuantizer's.
class AffineCodes {
 public:
  explicit AffineCodes(const SmallAffineQuantizer& q)
      : low_(all(q.low())), high_(all(q.high())), zero_point_(_mm256_set1_epi32(q.zero_point())) {}

  __m256i words(__m256 a, __m256 b) const { return _mm256_packs_epi32(value(a), value(b)); }
  static __m256i codes(const __m256i (&w)[2], const __m256i (&)[2]) { return _mm256_packs_epi16(w[0], w[1]); }

 private:
  __m256i value(__m256 v) const {
    return _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_max_ps(_mm256_min_ps(v, high_), low_)), zero_point_);
  }

  __m256 low_;
  __m256 high_;
  __m256i zero_point_;
};

/// Which of them a quantizer needs. Those that do not scale vectors have none: what they are for is too rare.
template <class Quantizer>
auto codes_of(const Quantizer& quantizer) {
  if constexpr (std::is_same_v<Quantizer, SmallAffineQuantizer>) {
    return AffineCodes(quantizer);
  } else if constexpr (Quantizer::Format::is_integer) {
    return Int8Codes(quantizer.bound());
  } else {
    return Fp8Codes<typename Quantizer::Format>(quantizer.bound());
  }
}
template <class Quantizer>
inline constexpr bool has_codes = requires(const Quantizer& quantizer, __m256 x) {
  quantizer.scaled(x);
};

/// A step by the quantizer's own code.
template <class Element, class Quantizer>
[[gnu::cold, gnu::noinline]] void quantize_step_with_nan(const Element* in, typename Quantizer::Code* out,
                                                         const Quantizer& quantizer) {
  for (int i = 0; i < step; ++i) {
    out[i] = quantizer.code(to_float(in[i]));
  }
}

/// out[i] = quantizer.code(in[i]) for a step or more, the last of which goes back to be a whole one. While a step is
/// worked on, what lies `ahead` bytes after it is fetched.
template <class Element, class Quantizer>
void quantize(const Element* in, typename Quantizer::Code* __restrict out, std::int64_t size, const Quantizer quantizer,
              std::int64_t ahead) {
  const auto encoder = codes_of(quantizer);
  for (std::int64_t i = 0; i < size; i += step) {
    const std::int64_t begin = i < size - step ? i : size - step;
    const Element* const x = in + begin;
    for (std::size_t line = 0; line < step * sizeof(Element); line += 64) {
      // The address may lie behind the tensor, where there is no pointer to count up to.
      const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(x) + line + ahead;
      _mm_prefetch(reinterpret_cast<const char*>(address), _MM_HINT_T0);  // NOLINT(performance-no-int-to-ptr)
    }
    __m256i words[2];
    __m256i inputs[2];
    __m256 unordered[2];
    for (int k = 0; k < 2; ++k) {
      const __m256 low = load8(x + 16 * k);
      const __m256 high = load8(x + 16 * k + 8);
      const __m256 v = quantizer.scaled(low);
      const __m256 w = quantizer.scaled(high);
      unordered[k] = _mm256_cmp_ps(v, w, _CMP_UNORD_Q);
      words[k] = encoder.words(v, w);
      inputs[k] = _mm256_packs_epi32(_mm256_castps_si256(low), _mm256_castps_si256(high));
    }
    if (_mm256_movemask_ps(_mm256_or_ps(unordered[0], unordered[1])) != 0) [[unlikely]] {
      quantize_step_with_nan(x, out + begin, quantizer);
      continue;
    }
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + begin),
                        _mm256_permutevar8x32_epi32(encoder.codes(words, inputs), in_order));
  }
}

}  // namespace kq::host::avx2

#endif
