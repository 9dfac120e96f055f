// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Arithmetic of halves for the interpreter: each operation rounds once, to the nearest, subnormal numbers kept.

#include <bit>
#include <cmath>
#include <cstdint>

#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {

inline float to_float(Half half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half.bits & 0x8000U) << 16;
  const std::uint32_t exponent = half.bits >> 10 & 31U;
  const std::uint32_t mantissa = half.bits & 0x3ffU;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000U | mantissa << 13);
  const float value = exponent == 0 ? static_cast<float>(mantissa) * 0x1p-24F
                                    : std::bit_cast<float>((exponent + 112) << 23 | mantissa << 13);
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | sign);
}

/// To the nearest half, or, where `toward_zero`, to the one that is not greater in magnitude.
inline Half to_half(double value, bool toward_zero = false) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 48 & 0x8000U);
  const double size = std::fabs(value);
  if (std::isnan(value)) return {static_cast<std::uint16_t>(sign | 0x7e00U | (bits >> 42 & 0x3ffU))};
  if (std::isinf(value)) return {static_cast<std::uint16_t>(sign | 0x7c00U)};
  int exponent = size == 0 ? -24 : std::ilogb(size);
  if (exponent < -14) exponent = -14;
  const double scaled = std::ldexp(size, 10 - exponent);
  auto steps = static_cast<std::int64_t>(toward_zero ? std::trunc(scaled) : std::nearbyint(scaled));
  if (exponent > 15) return {static_cast<std::uint16_t>(sign | (toward_zero ? 0x7bffU : 0x7c00U))};
  steps += static_cast<std::int64_t>(exponent + 14) << 10;  // the carry of rounding goes to the exponent
  if (steps >= 0x7c00) steps = 0x7c00;
  return {static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(steps))};
}

/// One rounding: the sum in double precision is made odd where it was not exact, so that a second rounding cannot be
/// wrong.
inline Half fused_multiply_add(Half a, Half b, Half c) {
  const double product = static_cast<double>(to_float(a)) * to_float(b);  // exact
  const double addend = to_float(c);
  double sum = product + addend;
  if (std::isfinite(sum)) {
    const double other = sum - product;
    const double error = (product - (sum - other)) + (addend - other);
    auto bits = std::bit_cast<std::uint64_t>(sum);
    if (error != 0 && (bits & 1) == 0) {
      bits += ((error > 0) == (sum > 0)) ? 1 : -std::uint64_t{1};
      sum = std::bit_cast<double>(bits);
    }
  }
  return to_half(sum);
}

inline bool is_nan(Half half) {
  return (half.bits & 0x7fffU) > 0x7c00U;
}

}  // namespace kqbench::amd
