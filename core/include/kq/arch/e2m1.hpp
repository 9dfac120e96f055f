// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// E2M1 codes (OCP Microscaling Formats (MX) Specification 1.0) of eight elements at once, for processors that do not
/// convert to the format but multiply and add twice as often as they compare, shift and mask.
///
/// The numbers 0, 0.5, 1, 1.5, 2, 3, 4, 6 of codes 0 to 7 lie on three lines, and so do the midpoints between them:
/// code 2v up to v = 2, v + 2 up to 4, v / 2 + 4 above. The lowest of the lines at v is the one that counts. As
/// rounding keeps order, the code of a magnitude below 7 is
///
///   min(rne(2v), rne(v + 2), rne(v / 2 + 4))
///
/// with ties to the even code, since they go to the even integer. (From 7 on it would be 8.) An addition rounds to an
/// integer by itself where the sum's last bit is worth 1: a fused multiply-add of v, a line's slope, and its height
/// added to 2^23; 2^10 in half, 2^7 in bfloat16. The sum's lowest bits are the code then.
///
/// `Target` is a processor's way to do what these functions need:
///
///   fma2<E>(a, b, c)    a * b + c of two elements of 16 bits each, rounded once, ties to even
///   magnitudes2<E>(w)   two elements of 16 bits without their signs
///   min3(a, b, c)       the least of three unsigned numbers
///   min3x2(a, b, c)     the same in each half of a word
///   min2x2(a, b)        the lesser in each half of a word
///   permute<s>(a, b)    the bytes of a word that the four hexadecimal digits of `s` name, from the right: 0 to 3 are
///                       those of a, 4 to 7 those of b; with 8 added, a byte's highest bit in all its bits

#include <bit>
#include <cstdint>

#include "kq/arch/config.hpp"

namespace kq::arch::e2m1 {

/// Bits of 16-bit elements, the same element in both halves of a word.
template <bool IsHalf>
struct Pair {
  static constexpr std::uint32_t shift = IsHalf ? 0x64006400u : 0x43004300u;         ///< 2^10, 2^7: their last bit is 1
  static constexpr std::uint32_t one_exponent = IsHalf ? 0x04000400u : 0x00800080u;  ///< what doubles a normal number
  static constexpr std::uint32_t height(std::uint32_t of_line) { return shift + of_line * 0x00010001u; }
};

/// The signs of eight elements, two in each word, where codes of four bits have them: element i's in bit 4 i + 3.
template <class Target>
KQ_HOST_DEVICE std::uint32_t signs8(const std::uint32_t (&word)[4]) {
  const std::uint32_t low = Target::template permute<0x7531>(word[0], word[1]);
  const std::uint32_t high = Target::template permute<0x7531>(word[2], word[3]);
  const std::uint32_t even = Target::template permute<0xeca8>(low, high);
  const std::uint32_t odd = Target::template permute<0xfdb9>(low, high);
  return ((even & 0x0f0f0f0fu) | (odd & 0xf0f0f0f0u)) & 0x88888888u;
}

/// The codes of eight half or bfloat16 elements, finite, times a power of two. `twice_factor` has its double in both
/// halves; that, the factor and its half are normal numbers of the element's type, so that products are exact or too
/// small to count. With `Limited`, products are below 9, and from 7 on count as 6; without, they are below 7.
template <class Target, class Element, bool IsHalf, bool Limited>
KQ_HOST_DEVICE std::uint32_t codes8(const std::uint32_t (&word)[4], std::uint32_t twice_factor) {
  using Pair = e2m1::Pair<IsHalf>;
  const std::uint32_t factor = twice_factor - Pair::one_exponent;
  const std::uint32_t half_factor = factor - Pair::one_exponent;
  std::uint32_t code[4];  // two each, in the low bytes of its halves
  KQ_UNROLL
  for (int i = 0; i < 4; ++i) {
    const std::uint32_t magnitude = Target::template magnitudes2<Element>(word[i]);
    code[i] = Target::min3x2(Target::template fma2<Element>(magnitude, twice_factor, Pair::height(0)),
                             Target::template fma2<Element>(magnitude, factor, Pair::height(2)),
                             Target::template fma2<Element>(magnitude, half_factor, Pair::height(4)));
    if constexpr (Limited) code[i] = Target::min2x2(code[i], Pair::height(7));
  }
  const std::uint32_t low = Target::template permute<0x6420>(code[0], code[1]);
  const std::uint32_t high = Target::template permute<0x6420>(code[2], code[3]);
  const std::uint32_t even = Target::template permute<0x6420>(low, high);
  const std::uint32_t odd = Target::template permute<0x7531>(low, high);
  return (even + odd * 16u) | signs8<Target>(word);
}

/// The codes of eight floats times a factor, each product rounded to float and below 7 in magnitude. `word` has the
/// elements that the floats came from, two in each.
template <class Target>
KQ_HOST_DEVICE std::uint32_t codes8_of_products(const float (&x)[8], const std::uint32_t (&word)[4], float factor) {
  // Codes are added up with the bits of their sums, 16^i times those of element i. Of all eight shifts, which are 2^23
  // but for element 1's, these add up to 0 modulo 2^32.
  std::uint32_t codes = 0;
  KQ_UNROLL
  for (int i = 7; i >= 0; --i) {
    const float shift = i == 1 ? 0x1p23f + 0x5p20f : 0x1p23f;
    const float v = __builtin_fabsf(x[i] * factor);
    const std::uint32_t code = Target::min3(std::bit_cast<std::uint32_t>(__builtin_fmaf(v, 2.0f, shift)),
                                            std::bit_cast<std::uint32_t>(v + (shift + 2.0f)),
                                            std::bit_cast<std::uint32_t>(__builtin_fmaf(v, 0.5f, shift + 4.0f)));
    codes = codes * 16u + code;
  }
  return codes | signs8<Target>(word);
}

}  // namespace kq::arch::e2m1
