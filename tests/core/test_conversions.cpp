// SPDX-License-Identifier: Apache-2.0

// Every conversion between elements, floats and codes, held against what is recorded in tests/golden/convert and
// against rounding by its definition. Floats to anything: a slice of all 2^32 by default, with every point where the
// result changes and its neighbourhood; all of them with KQ_EXHAUSTIVE=1.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/host.hpp"
#include "kq/numerics.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/format_types.hpp"
#include "tests/support/golden.hpp"

namespace kq {
namespace {

using kqbench::test::exhaustive;
using kqbench::test::FormatName;
using kqbench::test::FormatTypes;
using kqbench::test::golden;

constexpr std::uint32_t sign_bit = 0x80000000u;
constexpr std::uint32_t infinity_bits = 0x7f800000u;
constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

// --- constant expressions --------------------------------------------------------------------------------------------

static_assert(to_float(half{0x3c00}) == 1.0f && to_float(half{0x0001}) == 0x1p-24f && to_float(half{0xfbff}) == -65504);
static_assert(to_float(bfloat16{0xc000}) == -2.0f && to_float(1.5f) == 1.5f);
static_assert(to_half(65519.996f).bits == 0x7bff && to_half(65520.0f).bits == 0x7c00 && to_half(-0.0f).bits == 0x8000);
static_assert(to_bfloat16(1.00390625f).bits == 0x3f80 && to_bfloat16(1.01171875f).bits == 0x3f82);
static_assert(Fp8E4M3Fn::encode(448.0f, 1.0f) == 0x7e && Fp8E4M3Fn::decode(0x7e) == 448.0f);
static_assert(Fp8E5M2::encode(-1e9f, -1.0f) == 0xfb && Fp8E5M2::decode(0x7c) == infinity);
static_assert(Fp8E4M3Fnuz::encode(-0.0f, -0.0f) == 0x00 && Fp8E4M3Fnuz::encode(nan, 1.0f) == 0x80);
static_assert(Fp8E5M2Fnuz::encode(0x1p-17f, 1.0f) == 0x01 && Fp8E5M2Fnuz::decode(0x81) == -0x1p-17f);
static_assert(Int8::encode(2.5f, 1.0f) == 2 && Int8::encode(-3.5f, 1.0f) == -4 && Int8::decode(-128) == -128.0f);
static_assert(round_to_int32(-2.5f) == -2 && round_to_int32(nan) == 0 && round_to_int32(1e30f) == INT32_MAX);

// --- against the recorded conversions --------------------------------------------------------------------------------

template <class Format>
class RecordedFormat : public ::testing::Test {
 protected:
  /// "e4m3fn", as the recorded files are named.
  static std::string short_name() { return std::string(Format::name.substr(4)); }

  template <class Element>
  static void expect_recorded_codes(const std::string& element_name) {
    const auto recorded = golden<std::uint8_t>("convert/" + element_name + "_to_" + short_name() + ".npy");
    ASSERT_EQ(recorded.size(), 65536u);
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      const float x = to_float(Element{static_cast<std::uint16_t>(bits)});
      const float v = clamp(x, -Format::max, Format::max);
      ASSERT_EQ(Format::encode(v, x), recorded[bits]) << element_name << " bits " << bits << ", value " << x;
      // The conversion saturates by itself, too.
      ASSERT_EQ(Format::encode(x, x), recorded[bits]) << element_name << " bits " << bits << ", value " << x;
      const float values[4] = {v, 1.0f, -v, v};
      const float inputs[4] = {x, 1.0f, -x, x};
      const std::uint32_t expected = recorded[bits] * 0x01000001u |
                                     static_cast<std::uint32_t>(Format::encode(1.0f, 1.0f)) << 8 |
                                     static_cast<std::uint32_t>(recorded[bits ^ 0x8000u]) << 16;
      ASSERT_EQ(Format::encode4(values, signs4(inputs)), expected) << element_name << " bits " << bits;
    }
  }
};

using Float8Formats = ::testing::Types<Fp8E4M3Fn, Fp8E5M2, Fp8E4M3Fnuz, Fp8E5M2Fnuz>;
TYPED_TEST_SUITE(RecordedFormat, Float8Formats, FormatName);

TYPED_TEST(RecordedFormat, EveryHalfBecomesItsCode) {
  this->template expect_recorded_codes<half>("half");
}

TYPED_TEST(RecordedFormat, EveryBfloat16BecomesItsCode) {
  this->template expect_recorded_codes<bfloat16>("bfloat16");
}

TYPED_TEST(RecordedFormat, EveryCodeHasItsValue) {
  const auto recorded = golden<float>("convert/" + this->short_name() + "_to_float.npy");
  ASSERT_EQ(recorded.size(), 256u);
  for (unsigned code = 0; code < 256; ++code) {
    const float value = TypeParam::decode(static_cast<std::uint8_t>(code));
    if (std::isnan(recorded[code])) {
      EXPECT_TRUE(std::isnan(value)) << code;
    } else {
      EXPECT_EQ(float_bits(value), float_bits(recorded[code])) << code;
    }
  }
}

// --- rounding by its definition --------------------------------------------------------------------------------------

/// What every float magnitude from bits `first` to bits `last` must become.
struct Interval {
  std::uint32_t first;
  std::uint32_t last;
  std::uint32_t code;
};

/// Round to nearest, ties to even, as intervals. `values` are those that the codes 0, 1, 2, ... stand for, ascending
/// from 0; a number nearest to the last of them or above becomes the last code. Midpoints must be floats, as they are
/// for formats of fewer digits.
std::vector<Interval> rounding_intervals(const std::vector<double>& values) {
  std::vector<Interval> intervals;
  std::uint32_t first = 0;
  for (std::uint32_t code = 0; code + 1 < values.size(); ++code) {
    const double middle = (values[code] + values[code + 1]) / 2;
    const auto middle_bits = float_bits(static_cast<float>(middle));
    EXPECT_EQ(static_cast<double>(bits_float(middle_bits)), middle);
    const std::uint32_t last = code % 2 == 0 ? middle_bits : middle_bits - 1;
    intervals.push_back({first, last, code});
    first = last + 1;
  }
  intervals.push_back({first, infinity_bits, static_cast<std::uint32_t>(values.size() - 1)});
  return intervals;
}

/// Expects convert(bits) == interval.code for the magnitudes of an interval with `sign` set or not: all of them, or
/// both ends and a few in between.
template <class Convert>
void expect_interval(const Interval& interval, std::uint32_t sign, std::uint32_t code, std::uint32_t end_size,
                     std::uint32_t step, const Convert& convert) {
  std::uint32_t wrong = 0;
  std::uint32_t example = 0;
  const auto walk = [&](std::uint32_t first, std::uint32_t last, std::uint32_t stride) {
    const std::uint32_t steps = (last - first) / stride + 1;
    std::uint32_t wrong_here = 0;
    for (std::uint32_t i = 0; i < steps; ++i) {
      wrong_here += convert((first + i * stride) | sign) == code ? 0u : 1u;
    }
    for (std::uint32_t i = 0; wrong_here != 0 && i < steps; ++i) {
      const std::uint32_t bits = (first + i * stride) | sign;
      if (convert(bits) != code) example = bits;
    }
    wrong += wrong_here;
  };
  if (exhaustive() || interval.last - interval.first < 2 * end_size) {
    walk(interval.first, interval.last, 1);
  } else {
    walk(interval.first, interval.first + end_size, 1);
    walk(interval.last - end_size, interval.last, 1);
    walk(interval.first + end_size, interval.last, step);
  }
  EXPECT_EQ(wrong, 0u) << "one of them: float bits 0x" << std::hex << example << " (" << bits_float(example)
                       << ") became 0x" << convert(example) << " and must become 0x" << code;
}

template <class Format>
class Rounding : public ::testing::Test {
 protected:
  static constexpr std::uint32_t sign = sign_of_code<Format>;

  /// What the codes without sign stand for, up to the format's largest number.
  static std::vector<double> values() {
    std::vector<double> all;
    for (std::uint32_t code = 0; code < sign; ++code) {
      const std::uint32_t exponent = code >> Format::mantissa_bits;
      const std::uint32_t leading_one = exponent == 0 ? 0u : 1u << Format::mantissa_bits;
      const std::uint32_t mantissa = (code & ((1u << Format::mantissa_bits) - 1u)) | leading_one;
      const int power = static_cast<int>(std::max(exponent, 1u)) - Format::bias - Format::mantissa_bits;
      all.push_back(std::ldexp(mantissa, power));
      if (all.back() == double{Format::max}) break;
    }
    return all;
  }

  /// NaN's code: the one behind the largest number's where there is a NaN, which is -0's in a format that has no -0.
  static std::uint32_t code_of_nan(bool negative) {
    if (!Format::has_negative_zero) return sign;
    return (sign - 1) | (negative ? sign : 0u);
  }
};
TYPED_TEST_SUITE(Rounding, FormatTypes<kqbench::test::IsFloat>, FormatName);

TYPED_TEST(Rounding, CodesStandForTheirNumbers) {
  const std::vector<double> values = this->values();
  ASSERT_EQ(values.back(), double{TypeParam::max});
  for (std::uint32_t code = 0; code < values.size(); ++code) {
    EXPECT_EQ(TypeParam::decode(static_cast<std::uint8_t>(code)), values[code]) << code;
    if (code == 0 && !TypeParam::has_negative_zero) continue;
    EXPECT_EQ(TypeParam::decode(static_cast<std::uint8_t>(code | this->sign)), -values[code]) << code;
  }
}

TYPED_TEST(Rounding, EveryFloatBecomesTheNearestCode) {
  const auto encode = [](std::uint32_t bits) -> std::uint32_t {
    return TypeParam::encode(bits_float(bits), bits_float(bits));
  };
  for (const Interval& interval : rounding_intervals(this->values())) {
    const bool is_zero = interval.code == 0 && !TypeParam::has_negative_zero;
    expect_interval(interval, 0, interval.code, 4096, 997, encode);
    expect_interval(interval, sign_bit, is_zero ? 0u : interval.code | this->sign, 4096, 997, encode);
  }
  const Interval nans{infinity_bits + 1, sign_bit - 1, this->code_of_nan(false)};
  expect_interval(nans, 0, nans.code, 4096, 997, encode);
  expect_interval(nans, sign_bit, this->code_of_nan(true), 4096, 997, encode);
}

TYPED_TEST(Rounding, TheSignIsTheInputs) {
  // Whatever sign a processor gives the NaN of inf / inf, the code's is that of the input.
  const float nans[] = {nan, -nan, bits_float(0x7f800001), bits_float(0xffffffff)};
  for (const float v : nans) {
    EXPECT_EQ(TypeParam::encode(v, infinity), this->code_of_nan(false));
    EXPECT_EQ(TypeParam::encode(v, -infinity), this->code_of_nan(true));
    EXPECT_EQ(TypeParam::encode(v, -0.0f), this->code_of_nan(true));
  }
  EXPECT_EQ(TypeParam::encode(-0.0f, -1e-30f), TypeParam::has_negative_zero ? this->sign : 0u);
}

TYPED_TEST(Rounding, FourAtOnceBecomeTheCodesOfEach) {
  for (std::uint32_t high = 0; high < 65536; ++high) {
    const float v = bits_float(high << 16 | 0x5555u);
    const float x[4] = {v, -v, 1.0f, bits_float(high << 16)};
    std::uint32_t expected = 0;
    for (int i = 0; i < 4; ++i) {
      expected |= std::uint32_t{TypeParam::encode(x[i], x[i])} << TypeParam::code_bits * i;
    }
    ASSERT_EQ(TypeParam::encode4(x, signs4(x)), expected) << v;
  }
}

TEST(Int8, EveryFloatBecomesTheNearestInteger) {
  const auto encode = [](std::uint32_t bits) -> std::uint32_t {
    return static_cast<std::uint32_t>(static_cast<std::int32_t>(Int8::encode(bits_float(bits), bits_float(bits))));
  };
  std::vector<double> values(128);
  for (unsigned i = 0; i < values.size(); ++i) {
    values[i] = i;
  }
  for (const Interval& interval : rounding_intervals(values)) {
    expect_interval(interval, 0, interval.code, 4096, 997, encode);
  }
  values.push_back(128.0);
  for (const Interval& interval : rounding_intervals(values)) {
    expect_interval(interval, sign_bit, 0u - interval.code, 4096, 997, encode);
  }
  const Interval nans{infinity_bits + 1, sign_bit - 1, 0};
  expect_interval(nans, 0, 0, 4096, 997, encode);
  expect_interval(nans, sign_bit, 0, 4096, 997, encode);
}

TEST(Int8, EveryCodeHasItsValueAndComesBack) {
  for (int code = -128; code < 128; ++code) {
    EXPECT_EQ(Int8::decode(static_cast<std::int8_t>(code)), static_cast<float>(code));
    EXPECT_EQ(Int8::encode(static_cast<float>(code), 0.0f), code);
  }
  const float four[4] = {-128.0f, 127.0f, -1.0f, nan};
  EXPECT_EQ(Int8::encode4(four, signs4(four)), 0x00ff7f80u);
}

TEST(Int8, RoundSmallIsRightUpToItsLimit) {
  const std::uint32_t limit = float_bits(0x1p22f);
  const std::uint32_t step = exhaustive() ? 1 : 509;
  std::uint64_t wrong = 0;
  for (std::uint32_t bits = 0; bits <= limit; bits += step) {
    const float v = bits_float(bits);
    const auto expected = static_cast<std::int32_t>(std::nearbyint(v));
    wrong += Int8::round_small(v) != expected || Int8::round_small(-v) != -expected ? 1u : 0u;
  }
  EXPECT_EQ(wrong, 0u);
  for (const float v :
       {0x1p22f, 0x1p22f - 0.5f, 0x1p22f - 1.5f, 0x1p21f + 0.5f, 0.5f, 1.5f, 0x1.fffffep-2f, 0x1p-149f}) {
    EXPECT_EQ(Int8::round_small(v), std::nearbyint(v)) << v;
    EXPECT_EQ(Int8::round_small(-v), std::nearbyint(-v)) << -v;
  }
}

TEST(RoundToInt32, IsRightEverywhere) {
  const auto expected = [](float v) {
    const double limited = std::clamp(static_cast<double>(v), -0x1p31, 0x1p31 - 1.0);
    return static_cast<std::int32_t>(std::nearbyint(limited));
  };
  const std::uint32_t step = exhaustive() ? 1 : 509;
  std::uint64_t wrong = 0;
  for (std::uint32_t bits = 0; bits <= infinity_bits; bits += step) {
    const float v = bits_float(bits);
    wrong += round_to_int32(v) != expected(v) || round_to_int32(-v) != expected(-v) ? 1u : 0u;
  }
  EXPECT_EQ(wrong, 0u);
  // Each of these is tried with both signs, and so are its neighbours.
  for (const float landmark : {0x1p31f, 0x1p30f, 0x1p24f, 0x1p23f, 0x1p22f, 0x1p22f + 0.5f, 0x1p22f + 1.5f, 0x1p21f,
                               2.5f, 1.5f, 0.5f, infinity}) {
    for (const float v : {std::nextafter(landmark, 0.0f), landmark, std::nextafter(landmark, infinity)}) {
      EXPECT_EQ(round_to_int32(v), expected(v)) << v;
      EXPECT_EQ(round_to_int32(-v), expected(-v)) << -v;
    }
  }
  EXPECT_EQ(round_to_int32(0x1.fffffep30f), 2147483520);
  EXPECT_EQ(round_to_int32(nan), 0);
  EXPECT_EQ(round_to_int32(-nan), 0);
}

TEST(Clamp, LimitsAndKeepsNan) {
  EXPECT_EQ(clamp(infinity, -3.0f, 2.0f), 2.0f);
  EXPECT_EQ(clamp(-infinity, -3.0f, 2.0f), -3.0f);
  EXPECT_EQ(clamp(1.5f, -3.0f, 2.0f), 1.5f);
  EXPECT_EQ(float_bits(clamp(-0.0f, -3.0f, 2.0f)), sign_bit);
  EXPECT_TRUE(std::isnan(clamp(nan, -3.0f, 2.0f)));
}

// --- elements --------------------------------------------------------------------------------------------------------

/// The value of an IEEE pattern with 1 sign bit, by its definition.
double defined_value(std::uint16_t bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = bits & ((1 << mantissa_bits) - 1);
  const double magnitude = exponent == 0 ? std::ldexp(mantissa, 1 - bias - mantissa_bits)
                                         : std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  return (bits & 0x8000u) != 0 ? -magnitude : magnitude;
}

TEST(Half, EveryPatternHasItsValueAndComesBack) {
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const auto bits = static_cast<std::uint16_t>(pattern);
    const float value = arch::portable::half_to_float(bits);
    if ((bits & 0x7fffu) > 0x7c00u) {
      ASSERT_EQ(float_bits(value), (bits & 0x8000u) << 16 | infinity_bits | (bits & 0x03ffu) << 13) << pattern;
      ASSERT_TRUE(std::isnan(arch::portable::half_to_float(to_half(value).bits))) << pattern;
      ASSERT_EQ(to_half(value).bits & 0x8000u, bits & 0x8000u) << pattern;
      continue;
    }
    const double expected = (bits & 0x7fffu) == 0x7c00u ? std::copysign(infinity, value) : defined_value(bits, 5, 10);
    ASSERT_EQ(value, expected) << pattern;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000u) != 0) << pattern;
    ASSERT_EQ(float_bits(to_float(half{bits})), float_bits(value)) << pattern;
    ASSERT_EQ(to_half(value).bits, bits) << pattern;
  }
}

TEST(Bfloat16, EveryPatternHasItsValueAndComesBack) {
  for (std::uint32_t pattern = 0; pattern < 65536; ++pattern) {
    const auto bits = static_cast<std::uint16_t>(pattern);
    const float value = to_float(bfloat16{bits});
    if ((bits & 0x7fffu) > 0x7f80u) {
      ASSERT_TRUE(std::isnan(value)) << pattern;
      ASSERT_TRUE(std::isnan(to_float(to_bfloat16(value)))) << pattern;
      ASSERT_EQ(to_bfloat16(value).bits & 0x8000u, bits & 0x8000u) << pattern;
      continue;
    }
    const double expected = (bits & 0x7fffu) == 0x7f80u ? std::copysign(infinity, value) : defined_value(bits, 8, 7);
    ASSERT_EQ(value, expected) << pattern;
    ASSERT_EQ(std::signbit(value), (bits & 0x8000u) != 0) << pattern;
    ASSERT_EQ(to_bfloat16(value).bits, bits) << pattern;
  }
}

/// Every float to a 16-bit element of which the finite values and, after them, the limit of infinity are given.
template <class Convert>
void expect_every_float_rounds(int exponent_bits, int mantissa_bits, const Convert& convert) {
  const auto infinity_code = static_cast<std::uint16_t>(((1 << exponent_bits) - 1) << mantissa_bits);
  std::vector<double> values;
  for (std::uint32_t code = 0; code < infinity_code; ++code) {
    values.push_back(defined_value(static_cast<std::uint16_t>(code), exponent_bits, mantissa_bits));
  }
  values.push_back(std::ldexp(1.0, 1 << (exponent_bits - 1)));  // what overflows is nearer to this
  for (const Interval& interval : rounding_intervals(values)) {
    expect_interval(interval, 0, interval.code, 16, 997, convert);
    expect_interval(interval, sign_bit, interval.code | 0x8000u, 16, 997, convert);
  }
  for (std::uint64_t bits = infinity_bits + 1; bits < sign_bit; bits += exhaustive() ? 1 : 997) {
    const std::uint32_t code = convert(static_cast<std::uint32_t>(bits));
    ASSERT_GT(code, infinity_code) << bits;
    ASSERT_LT(code, 0x8000u) << bits;
    ASSERT_EQ(convert(static_cast<std::uint32_t>(bits) | sign_bit), code | 0x8000u) << bits;
  }
}

TEST(Half, EveryFloatBecomesTheNearestHalf) {
  expect_every_float_rounds(5, 10, [](std::uint32_t bits) -> std::uint32_t { return to_half(bits_float(bits)).bits; });
}

TEST(Bfloat16, EveryFloatBecomesTheNearestBfloat16) {
  expect_every_float_rounds(8, 7,
                            [](std::uint32_t bits) -> std::uint32_t { return to_bfloat16(bits_float(bits)).bits; });
}

/// The loops that hosts convert with, which may use the processor's own instruction.
TEST(Half, ABlockOfThemConvertsAsOneDoes) {
  constexpr std::int64_t count = 65536 - 1;  // the last block is not full
  std::vector<half> in(count);
  for (std::int64_t i = 0; i < count; ++i) {
    in[static_cast<std::size_t>(i)].bits = static_cast<std::uint16_t>(i);
  }
  std::vector<float> out(count);
  host::to_floats(in.data(), out.data(), count);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float expected = arch::portable::half_to_float(in[i].bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(out[i])) << i;
      ASSERT_EQ(std::signbit(out[i]), std::signbit(expected)) << i;
    } else {
      ASSERT_EQ(float_bits(out[i]), float_bits(expected)) << i;
    }
  }
}

}  // namespace
}  // namespace kq
