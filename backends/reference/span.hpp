// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the reference knows of the elements that share a scale.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace kqbench::reference_detail {

/// What is known of the elements that share a scale.
struct Span {
  bool has_nan = false;
  // Of the elements, NaN left out.
  float amax = 0.0f;
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
  // From these, or given.
  float scale = 0.0f;
  std::int32_t zero_point = 0;
  // Of a dialect: what its codes are multiplied or divided by.
  float operand = 0.0f;
  // Under a scale of the tensor: g, which this span's scale was multiplied by, and what is stored of it, 1 / g or
  // given.
  float global_scale = 0.0f;
  float tensor_scale = 0.0f;

  void add(float x) {
    if (std::isnan(x)) {
      has_nan = true;
      return;
    }
    amax = std::max(amax, std::fabs(x));
    min = std::min(min, x);
    max = std::max(max, x);
  }
  void add(const Span& other) {
    has_nan = has_nan || other.has_nan;
    amax = std::max(amax, other.amax);
    min = std::min(min, other.min);
    max = std::max(max, other.max);
  }
};

/// The nearest integer, ties to even (the rounding mode a program starts with), as an int32: saturating, NaN to 0.
inline std::int32_t rne(float v) {
  if (std::isnan(v)) return 0;
  const double limited = std::clamp(static_cast<double>(v), -0x1p31, 0x1p31 - 1);
  return static_cast<std::int32_t>(std::nearbyint(limited));
}

}  // namespace kqbench::reference_detail
