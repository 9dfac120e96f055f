// SPDX-License-Identifier: Apache-2.0

#include "backends/reference/definitions.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace kqbench::reference_detail {

FloatDefinition definition(kq::Format format) {
  using Special = FloatDefinition::Special;
  switch (format) {
    case kq::Format::fp8_e4m3fn:
      return {4, 3, 7, Special::one_nan};
    case kq::Format::fp8_e5m2:
      return {5, 2, 15, Special::ieee};
    case kq::Format::fp8_e4m3fnuz:
      return {4, 3, 8, Special::nan_is_minus_0};
    case kq::Format::fp8_e5m2fnuz:
      return {5, 2, 16, Special::nan_is_minus_0};
    case kq::Format::fp4_e2m1:
      return {2, 1, 1, Special::numbers_only};
    case kq::Format::int8:
      break;
  }
  return {};
}

double decode(const FloatDefinition& format, std::uint32_t code) {
  using Special = FloatDefinition::Special;
  const std::uint32_t sign_bit = 1u << (format.exponent_bits + format.mantissa_bits);
  const std::uint32_t all_magnitude_bits = sign_bit - 1;
  const std::uint32_t magnitude = code & all_magnitude_bits;
  const std::uint32_t highest_exponent = (1u << format.exponent_bits) - 1;
  const std::uint32_t exponent = magnitude >> format.mantissa_bits;
  const std::uint32_t mantissa = magnitude & ((1u << format.mantissa_bits) - 1);
  const double sign = (code & sign_bit) != 0 ? -1.0 : 1.0;
  constexpr double nan = std::numeric_limits<double>::quiet_NaN();

  if (format.special == Special::ieee && exponent == highest_exponent) {
    return mantissa == 0 ? sign * std::numeric_limits<double>::infinity() : nan;
  }
  if (format.special == Special::one_nan && magnitude == all_magnitude_bits) return nan;
  if (format.special == Special::nan_is_minus_0 && code == sign_bit) return nan;

  const double fraction = std::ldexp(static_cast<double>(mantissa), -format.mantissa_bits);
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - format.bias);
  return sign * std::ldexp(1.0 + fraction, static_cast<int>(exponent) - format.bias);
}

namespace {

/// What every bit pattern of a half stands for; worked out at first use.
const std::vector<float>& half_values() {
  static const std::vector<float> values = [] {
    const FloatDefinition binary16{5, 10, 15, FloatDefinition::Special::ieee};
    std::vector<float> table(1u << 16);
    for (std::uint32_t bits = 0; bits < table.size(); ++bits) {
      const double value = decode(binary16, bits);
      // A NaN's sign is asked for later; the definition above does not give it one.
      table[bits] = std::copysign(static_cast<float>(value), (bits & 0x8000u) != 0 ? -1.0f : 1.0f);
    }
    return table;
  }();
  return values;
}

/// The nearest number with so many mantissa bits and so small a least exponent, ties to even; infinity from `overflow`
/// on.
float rounded(float v, int mantissa_bits, int least_exponent, double overflow) {
  if (v == 0.0f || std::isnan(v) || std::isinf(v)) return v;
  const int exponent = std::max(std::ilogb(v), least_exponent);
  const double unit = std::ldexp(1.0, exponent - mantissa_bits);
  const double nearest = std::nearbyint(static_cast<double>(v) / unit) * unit;
  if (std::fabs(nearest) >= overflow) return std::copysign(std::numeric_limits<float>::infinity(), v);
  return std::copysign(static_cast<float>(nearest), v);
}

}  // namespace

float to_type(kq::Element type, float v) {
  if (type == kq::Element::half) return rounded(v, 10, -14, 0x1p16);
  if (type == kq::Element::bfloat16) return rounded(v, 7, -126, 0x1p128);
  return v;
}

void store_element(kq::Element type, float v, void* data, std::int64_t index) {
  std::uint32_t bits = 0x7fffffffu;
  if (!std::isnan(v)) std::memcpy(&bits, &v, sizeof bits);
  if (type == kq::Element::float32) {
    std::memcpy(static_cast<float*>(data) + index, &bits, sizeof bits);
    return;
  }
  auto upper = static_cast<std::uint16_t>(bits >> 16);
  if (std::isnan(v)) {
    upper = 0x7fff;
  } else if (type == kq::Element::half) {
    // A half is its magnitude counted in units of its last bit, from its exponent's first number on.
    const std::uint16_t sign = std::signbit(v) ? 0x8000 : 0;
    const double magnitude = std::fabs(static_cast<double>(v));
    const int exponent = magnitude == 0.0 ? -14 : std::max(std::ilogb(magnitude), -14);
    const double units = std::isinf(v) ? 0.0 : std::ldexp(magnitude, 10 - exponent);
    const int first = (exponent + 14) * 1024;
    upper = static_cast<std::uint16_t>(sign | (std::isinf(v) ? 0x7c00 : first + static_cast<int>(units)));
  }
  std::memcpy(static_cast<std::uint16_t*>(data) + index, &upper, sizeof upper);
}

ElementReader::ElementReader(kq::Element element)
    : element_(element), half_values_(element == kq::Element::half ? half_values().data() : nullptr) {}

float ElementReader::operator()(const void* data, std::int64_t index) const {
  float value = 0.0f;
  if (element_ == kq::Element::float32) {
    std::memcpy(&value, static_cast<const float*>(data) + index, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, static_cast<const std::uint16_t*>(data) + index, sizeof bits);
  if (element_ == kq::Element::half) return half_values_[bits];
  const std::uint32_t upper_half_of_a_float = static_cast<std::uint32_t>(bits) << 16;
  std::memcpy(&value, &upper_half_of_a_float, sizeof value);
  return value;
}

Fp8Encoder::Fp8Encoder(kq::Format format) : definition_(definition(format)) {
  const std::uint32_t sign_bit = 1u << (definition_.exponent_bits + definition_.mantissa_bits);
  last_.resize(sign_bit - 1);
  for (std::uint32_t code = 0; code < last_.size(); ++code) {
    const double above = decode(definition_, code + 1);
    if (std::isfinite(above)) {
      const auto middle = static_cast<float>((decode(definition_, code) + above) / 2);  // exact: both have few bits
      last_[code] = code % 2 == 0 ? middle : std::nextafter(middle, 0.0f);
    } else {
      last_[code] = std::numeric_limits<float>::infinity();
    }
  }
}

std::uint8_t Fp8Encoder::operator()(float value, bool negative) const {
  using Special = FloatDefinition::Special;
  const bool has_minus_zero = definition_.special != Special::nan_is_minus_0;
  const auto all_magnitude_bits = static_cast<std::uint32_t>(last_.size());
  const std::uint32_t sign_bit = all_magnitude_bits + 1;
  if (std::isnan(value)) {
    if (!has_minus_zero) return static_cast<std::uint8_t>(sign_bit);
    return static_cast<std::uint8_t>(negative ? sign_bit | all_magnitude_bits : all_magnitude_bits);
  }
  // How many codes are too low, by halving.
  const float magnitude = std::fabs(value);
  std::uint32_t code = 0;
  for (std::uint32_t step = sign_bit / 2; step > 0; step /= 2) {
    code += step * static_cast<std::uint32_t>(magnitude > last_[code + step - 1]);
  }
  if (code == 0 && !has_minus_zero) return 0;
  return static_cast<std::uint8_t>(negative ? code | sign_bit : code);
}

float e4m3(float v) {
  static const Fp8Encoder encoder(kq::Format::fp8_e4m3fn);
  const float limited = std::isnan(v) ? v : std::clamp(v, -448.0f, 448.0f);
  return static_cast<float>(decode(definition(kq::Format::fp8_e4m3fn), encoder(limited, std::signbit(limited))));
}

float at_most_largest(float v) {
  return v > std::numeric_limits<float>::max() ? std::numeric_limits<float>::max() : v;
}

}  // namespace kqbench::reference_detail
