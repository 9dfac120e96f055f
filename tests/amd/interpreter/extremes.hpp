// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The greater and the less of two numbers, of which some may be NaN. What comes of NaN depends on the instruction: up
/// to RDNA3 on a mode, which HIP's kernels begin with (code_object.cpp sees that they do) and may leave.

#include <bit>
#include <cmath>
#include <cstdint>

#include "tests/amd/interpreter/half.hpp"

namespace kqbench::amd {

inline bool is_nan(float value) {
  return std::isnan(value);
}
inline float to_float(float value) {
  return value;
}

inline float quiet(float value) {
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(value) | 0x00400000U);
}
inline double quiet(double value) {
  return std::bit_cast<double>(std::bit_cast<std::uint64_t>(value) | std::uint64_t{1} << 51);
}
inline Half quiet(Half value) {
  return {static_cast<std::uint16_t>(value.bits | 0x200U)};
}

inline bool is_signalling(float value) {
  return is_nan(value) && (std::bit_cast<std::uint32_t>(value) & 0x00400000U) == 0;
}
inline bool is_signalling(Half value) {
  return is_nan(value) && (value.bits & 0x200U) == 0;
}

/// RDNA4's `_num_`: the number where one of two is NaN; +0 is greater than -0.
struct NumberExtremes {
  template <class T>
  static T greater(T a, T b) {
    if (is_nan(a)) return is_nan(b) ? quiet(b) : b;
    if (is_nan(b)) return a;
    if (to_float(a) == to_float(b)) return std::signbit(to_float(a)) ? b : a;
    return to_float(a) > to_float(b) ? a : b;
  }
  template <class T>
  static T less(T a, T b) {
    if (is_nan(a)) return is_nan(b) ? quiet(b) : b;
    if (is_nan(b)) return a;
    if (to_float(a) == to_float(b)) return std::signbit(to_float(a)) ? a : b;
    return to_float(a) < to_float(b) ? a : b;
  }
};

/// The others', in the mode named IEEE: NaN that signals comes out, quiet, even beside a number. Without that mode they
/// are as RDNA4's, but that of two NaN the second comes out as it is.
struct IeeeExtremes {
  template <class T>
  static T greater(T a, T b) {
    if (is_signalling(a)) return quiet(a);
    return is_signalling(b) ? quiet(b) : NumberExtremes::greater(a, b);
  }
  template <class T>
  static T less(T a, T b) {
    if (is_signalling(a)) return quiet(a);
    return is_signalling(b) ? quiet(b) : NumberExtremes::less(a, b);
  }
};

struct OtherExtremes {
  template <class T>
  static T greater(T a, T b) {
    return is_nan(a) ? b : NumberExtremes::greater(a, b);
  }
  template <class T>
  static T less(T a, T b) {
    return is_nan(a) ? b : NumberExtremes::less(a, b);
  }
};

/// The median of three; the least of the numbers where one is NaN.
template <class Extremes, class T>
T median(T a, T b, T c) {
  if (is_nan(a) || is_nan(b) || is_nan(c)) return Extremes::less(Extremes::less(a, b), c);
  const T most = Extremes::greater(Extremes::greater(a, b), c);
  if (to_float(most) == to_float(a)) return Extremes::greater(b, c);
  if (to_float(most) == to_float(b)) return Extremes::greater(a, c);
  return Extremes::greater(a, b);
}

}  // namespace kqbench::amd
