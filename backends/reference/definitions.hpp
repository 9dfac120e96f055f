// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Number formats by their definition, for the reference alone: a code's value is computed in double from sign,
/// exponent and mantissa, and a value's code is found by looking for the nearest one among all of them.

#include <array>
#include <cstdint>
#include <vector>

#include "kq/request.hpp"

namespace kqbench::reference_detail {

/// A binary floating-point format with one sign bit.
struct FloatDefinition {
  enum class Special : std::uint8_t {
    ieee,            ///< the highest exponent is infinity (mantissa 0) and NaN
    one_nan,         ///< no infinity; all bits but the sign set is NaN
    nan_is_minus_0,  ///< no infinity, no -0; the code of -0 is NaN
    numbers_only,    ///< no infinity, no NaN
  };
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Special special;
};

FloatDefinition definition(kq::Format format);  ///< an fp8 or fp4 format

/// The value of a code, infinities and NaN included.
double decode(const FloatDefinition& format, std::uint32_t code);

/// Elements as floats, straight from their definitions.
class ElementReader {
 public:
  explicit ElementReader(kq::Element element);
  /// Element `index` of the tensor at `data`.
  float operator()(const void* data, std::int64_t index) const;

 private:
  kq::Element element_;
  const float* half_values_;  ///< by bit pattern, element half only
};

/// T(v): the nearest number of an element type, ties to even.
float to_type(kq::Element type, float v);

/// Writes a number of an element type as element `index` of the tensor at `data`. NaN has all bits set but the sign.
void store_element(kq::Element type, float v, void* data, std::int64_t index);

/// Float to an fp8 or fp4 code: the nearest finite value, of two equally near ones that with the even code; NaN to NaN,
/// or to the largest number where the format has no NaN.
class Fp8Encoder {
 public:
  explicit Fp8Encoder(kq::Format format);
  /// `value` lies within the format's finite range or is NaN; the code's sign is `negative`.
  std::uint8_t operator()(float value, bool negative) const;

 private:
  FloatDefinition definition_;
  std::vector<float> last_;  ///< by code without sign: the largest float that is not rounded to a higher one
};

/// The nearest number of E4M3, saturating; NaN stays NaN.
float e4m3(float v);

/// The lesser of a number and the largest float; NaN stays NaN.
float at_most_largest(float v);

}  // namespace kqbench::reference_detail
