// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Bodies that compile for every processor. generic.hpp takes all of them, hip.hpp those that AMD has no better way
/// for.

#include <bit>
#include <cstdint>
#if defined(__HIPCC__)
#include <hip/hip_runtime.h>
#endif

#include "kq/arch/config.hpp"
#include "kq/arch/vector.hpp"

namespace kq::arch::portable {

KQ_HOST_DEVICE Vector16 load16(const void* address) {
  return *static_cast<const Vector16*>(address);
}

/// Writes `Count` words, 1, 2 or 4, in one access; the address is aligned to their size.
template <int Count>
KQ_HOST_DEVICE void store_words(void* address, const std::uint32_t (&word)[Count]) {
  static_assert(Count == 1 || Count == 2 || Count == 4);
  if constexpr (Count == 4) {
    *static_cast<Vector16*>(address) = Vector16{{word[0], word[1], word[2], word[3]}};
  } else if constexpr (Count == 1) {
    *static_cast<std::uint32_t*>(address) = word[0];
  } else {
    *static_cast<std::uint64_t*>(address) = word[0] | static_cast<std::uint64_t>(word[1]) << 32;
  }
}

KQ_HOST_DEVICE void begin_kernel() {}

KQ_HOST_DEVICE Vector16 unpacked_again(const Vector16& v) {
  return v;
}

KQ_HOST_DEVICE void wait_for_prerequisite_grids() {}
KQ_HOST_DEVICE void wait_for_prerequisite_grids(const void* /*address*/, std::int32_t /*count*/) {}
KQ_HOST_DEVICE void launch_dependent_grids() {}

/// There is no instruction for it: callers do without.
inline constexpr bool rounds_to_16_bits = false;
template <class Element>
KQ_HOST_DEVICE constexpr float round_to_16_bits(float v) {
  return v;
}

template <class Element>
KQ_HOST_DEVICE std::uint32_t round_pair(float, float) {
  return 0;
}

KQ_HOST_DEVICE float square_root(float x) {
  return __builtin_sqrtf(x);
}
KQ_HOST_DEVICE double square_root(double x) {
  return __builtin_sqrt(x);
}

KQ_HOST_DEVICE constexpr float reciprocal(float x) {
  return 1.0f / x;
}

KQ_HOST_DEVICE float approximate_reciprocal(float x) {
  return 1.0f / x;
}

/// binary16 to binary32; exact, NaN payloads kept. Subnormals: the value is mantissa * 2^-24, which an integer
/// conversion gives exactly.
KQ_HOST_DEVICE constexpr float half_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  const bool subnormal = magnitude < 0x0400u;
  const bool special = magnitude >= 0x7c00u;
  const std::uint32_t normal = (magnitude << 13) + (special ? (255u - 31u) << 23 : (127u - 15u) << 23);
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  return std::bit_cast<float>(sign | (subnormal ? small : normal));
}

KQ_HOST_DEVICE constexpr float clamp(float v, float low, float high) {
  v = v > high ? high : v;
  return v < low ? low : v;
}

KQ_HOST_DEVICE constexpr float limit_magnitude(float v, float bound) {
  return __builtin_fabsf(v) <= bound ? v : __builtin_copysignf(bound, v);
}

/// The bytes of two words that hold the signs of `Count` elements in each, 1 or 2, in the low bytes of a word.
template <int Count>
KQ_HOST_DEVICE constexpr std::uint32_t sign_bytes(std::uint32_t first, std::uint32_t second) {
  if constexpr (Count == 2) {
    return (first >> 8 & 0xffu) | (first >> 16 & 0xff00u) | (second << 8 & 0xff0000u) | (second & 0xff000000u);
  } else {
    return first >> 24 | (second >> 16 & 0xff00u);
  }
}

/// Two elements of 16 bits without their signs.
template <class Element>
KQ_HOST_DEVICE constexpr std::uint32_t magnitudes2(std::uint32_t pair) {
  return pair & 0x7fff7fffu;
}

inline constexpr bool encodes_e2m1_in_eights = false;
template <class Element, bool Limited>
KQ_HOST_DEVICE std::uint32_t e2m1_codes8(const std::uint32_t (&)[4], std::uint32_t) {
  return 0;
}
KQ_HOST_DEVICE std::uint32_t e2m1_codes8_of_products(const float (&)[8], const std::uint32_t (&)[4], float) {
  return 0;
}

KQ_HOST_DEVICE constexpr bool round_to_e4m3(float, std::uint8_t&, float&) {
  return false;
}

/// The low bytes of four words in one, the first in the lowest.
KQ_HOST_DEVICE constexpr std::uint32_t low_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return (a & 0xffu) | (b & 0xffu) << 8 | (c & 0xffu) << 16 | d << 24;
}

/// Bytes 0 and 2 of a word in the low half of one.
KQ_HOST_DEVICE constexpr std::uint32_t even_bytes(std::uint32_t word) {
  return (word & 0xffu) | (word >> 8 & 0xff00u);
}

/// The low halves of four bytes, whose high halves are 0, in 16 bits.
KQ_HOST_DEVICE constexpr std::uint32_t pack_nibbles(std::uint32_t bytes) {
  return even_bytes(bytes | bytes >> 4);
}

}  // namespace kq::arch::portable
