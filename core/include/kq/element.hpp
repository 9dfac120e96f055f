// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The element types of an input tensor. `half` (IEEE binary16) and `bfloat16` are carried as their bit patterns, so
/// that a host without native support for them and every device compiler see the same two bytes.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"

namespace kq {

/// IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits.
struct half {
  std::uint16_t bits;
};

/// The upper 16 bits of an IEEE 754 binary32.
struct bfloat16 {
  std::uint16_t bits;
};

/// The exact value of an element as float.
KQ_HOST_DEVICE constexpr float to_float(float x) {
  return x;
}

KQ_HOST_DEVICE constexpr float to_float(bfloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

KQ_HOST_DEVICE constexpr float to_float(half x) {
  if (!std::is_constant_evaluated()) return arch::half_to_float(x.bits);
  return arch::portable::half_to_float(x.bits);
}

/// The nearest half, ties to even; overflow gives infinity, NaN stays NaN. Host-side data preparation.
KQ_HOST_DEVICE constexpr half to_half(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const std::uint16_t sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // 65520 and above
  if (magnitude < 0x38800000u) {  // below 2^-14: add a number whose ulp is 2^-24, the spacing of half's subnormals
    const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
    return {static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u))};
  }
  const std::uint32_t rounded = magnitude + 0x0fffu + ((magnitude >> 13) & 1u);
  return {static_cast<std::uint16_t>(sign | ((rounded - ((127u - 15u) << 23)) >> 13))};
}

/// The nearest bfloat16, ties to even; NaN stays NaN. Host-side data preparation.
KQ_HOST_DEVICE constexpr bfloat16 to_bfloat16(float value) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x0040u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace kq
