// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The element types of an input tensor. `half` (IEEE binary16) and `bfloat16` are carried as their bit patterns, so
/// that a host without native support for them and every device compiler see the same two bytes.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kq/config.hpp"

namespace kq {

/// IEEE 754 binary16: 1 sign, 5 exponent, 10 mantissa bits.
struct half {
  std::uint16_t bits;
};

/// The upper 16 bits of an IEEE 754 binary32.
struct bfloat16 {
  std::uint16_t bits;
};

/// binary16 to binary32 without the hardware instruction; exact, NaN payloads kept.
/// Subnormals: the value is (mantissa * 2^-24), which an integer conversion gives exactly.
KQ_HOST_DEVICE constexpr float half_bits_to_float(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000u) << 16;
  const std::uint32_t magnitude = bits & 0x7fffu;
  const bool subnormal = magnitude < 0x0400u;
  const bool special = magnitude >= 0x7c00u;
  const std::uint32_t normal = (magnitude << 13) + (special ? (255u - 31u) << 23 : (127u - 15u) << 23);
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24f);
  return std::bit_cast<float>(sign | (subnormal ? small : normal));
}

#if KQ_DEVICE_CUDA
/// A half's value by the hardware instruction, which makes every NaN a positive one.
KQ_HOST_DEVICE float convert(half x) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(x.bits));
  return value;
}
#endif

/// The exact value of an element as float.
KQ_HOST_DEVICE constexpr float to_float(float x) {
  return x;
}

KQ_HOST_DEVICE constexpr float to_float(bfloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

KQ_HOST_DEVICE constexpr float to_float(half x) {
#if KQ_DEVICE_CUDA
  if (!std::is_constant_evaluated()) {
    const auto bits = std::bit_cast<std::uint32_t>(convert(x));
    return std::bit_cast<float>((bits & 0x7fffffffu) | static_cast<std::uint32_t>(x.bits & 0x8000u) << 16);
  }
#elif KQ_DEVICE_HIP
  if (!std::is_constant_evaluated()) return static_cast<float>(__builtin_bit_cast(_Float16, x.bits));
#endif
  return half_bits_to_float(x.bits);
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
