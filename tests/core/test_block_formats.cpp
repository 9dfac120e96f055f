// SPDX-License-Identifier: Apache-2.0

// Block formats: codes of four bits, the exponents of MX blocks by every rounding, NVFP4's scales, where scales of one
// byte lie, and which requests are served.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "kq/arch/e2m1.hpp"
#include "kq/dequantize.hpp"
#include "kq/dialect.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"
#include "kq/scale_layout.hpp"
#include "kq/tensors.hpp"

namespace kq::block_formats {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr double numbers[] = {0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0};

static_assert(Fp4E2M1::encode(2.5f, 1.0f) == 4 && Fp4E2M1::encode(-5.0f, -1.0f) == 14 && Fp4E2M1::decode(15) == -6.0f);
static_assert(mx_exponent<Fp8E4M3Fn>(448.0f, false, ScaleRounding::rceil) == 127);
static_assert(nvfp4_global_scale(2688.0f) == 1.0f && nvfp4_global_scale(0.0f) == 1.0f);

/// The nearest of the numbers, of two equally near ones that with the even code.
unsigned nearest_code(float number) {
  const float magnitude = std::min(number, 6.0f);
  unsigned best = 0;
  for (unsigned code = 1; code < 8; ++code) {
    const double here = std::fabs(numbers[code] - static_cast<double>(magnitude));
    const double there = std::fabs(numbers[best] - static_cast<double>(magnitude));
    if (here < there || (here == there && code % 2 == 0)) best = code;
  }
  return best;
}

TEST(Fp4E2M1, EveryFloatNearABoundaryBecomesTheNearestCode) {
  for (unsigned code = 0; code < 7; ++code) {
    const auto middle = static_cast<float>((numbers[code] + numbers[code + 1]) / 2);
    for (std::uint32_t bits = float_bits(middle) - 5000; bits != float_bits(middle) + 5000; ++bits) {
      const float v = bits_float(bits);
      ASSERT_EQ(Fp4E2M1::encode(v, v), nearest_code(v)) << v;
      ASSERT_EQ(Fp4E2M1::encode(-v, -v), nearest_code(v) + 8) << -v;
    }
  }
  for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += 9973) {
    const float v = bits_float(bits);
    ASSERT_EQ(Fp4E2M1::encode(v, v), nearest_code(v)) << v;
  }
}

TEST(Fp4E2M1, SaturatesAndHasTheInputsSign) {
  EXPECT_EQ(Fp4E2M1::encode(infinity, 1.0f), 7);
  EXPECT_EQ(Fp4E2M1::encode(-infinity, -1.0f), 15);
  EXPECT_EQ(Fp4E2M1::encode(nan, 1.0f), 7);
  EXPECT_EQ(Fp4E2M1::encode(nan, -infinity), 15) << "NaN of inf * 0 has whatever sign";
  EXPECT_EQ(Fp4E2M1::encode(-0.0f, -0.0f), 8);
  EXPECT_EQ(Fp4E2M1::encode(5.0f, 5.0f, 2.0f), 4) << "a smaller bound";
}

TEST(Fp4E2M1, EveryCodeComesBack) {
  for (unsigned code = 0; code < 16; ++code) {
    const float value = Fp4E2M1::decode(static_cast<std::uint8_t>(code));
    EXPECT_EQ(value, code < 8 ? numbers[code] : -numbers[code - 8]);
    EXPECT_EQ(std::signbit(value), code >= 8);
    EXPECT_EQ(Fp4E2M1::encode(value, value), code);
  }
  const std::uint8_t bytes[] = {0x21, 0x43};
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(code_at<Fp4E2M1>(bytes, i), i + 1) << "the even column is in the low half";
  }
}

TEST(Fp4E2M1, FourOfThemAreTwoBytes) {
  const float x[] = {0.5f, -1.0f, nan, -6.0f};
  EXPECT_EQ(Fp4E2M1::encode4(x, signs4(x)), 0xf7a1u);
}

/// The operations of kq/arch/e2m1.hpp by their definitions. A sum is in the binade of the addend, whose last bit is 1.
struct DefinedTarget {
  template <class Element>
  static std::uint32_t fma2(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    std::uint32_t pair = 0;
    for (int place = 0; place < 32; place += 16) {
      const auto part = [&](std::uint32_t word) {
        return static_cast<double>(to_float(Element{static_cast<std::uint16_t>(word >> place)}));
      };
      const double sum = part(a) * part(b) + part(c);
      const double shift = std::is_same_v<Element, half> ? 1024.0 : 128.0;
      if (!(sum >= shift && sum < 2.0 * shift)) throw std::logic_error("a sum is not where it rounds to an integer");
      const auto integer = static_cast<float>(std::nearbyint(sum));
      std::uint32_t bits = 0;
      if constexpr (std::is_same_v<Element, half>) {
        bits = to_half(integer).bits;
      } else {
        bits = to_bfloat16(integer).bits;
      }
      pair |= bits << place;
    }
    return pair;
  }
  template <class Element>
  static std::uint32_t magnitudes2(std::uint32_t pair) {
    return pair & 0x7fff7fffu;
  }
  static std::uint32_t min3(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return std::min({a, b, c}); }
  static std::uint32_t min2x2(std::uint32_t a, std::uint32_t b) {
    return std::min(a & 0xffffu, b & 0xffffu) | std::min(a >> 16, b >> 16) << 16;
  }
  static std::uint32_t min3x2(std::uint32_t a, std::uint32_t b, std::uint32_t c) { return min2x2(min2x2(a, b), c); }
  template <std::uint32_t selector>
  static std::uint32_t permute(std::uint32_t a, std::uint32_t b) {
    const std::uint64_t both = a | static_cast<std::uint64_t>(b) << 32;
    std::uint32_t result = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned digit = selector >> (4 * i) & 15u;
      const auto byte = static_cast<std::uint32_t>(both >> (8 * (digit & 7u))) & 0xffu;
      result |= (digit < 8 ? byte : (byte & 0x80u) != 0 ? 0xffu : 0u) << (8 * i);
    }
    return result;
  }
};

/// Eight elements at a time, of which `use` says whether they are to become codes; the others are 0.
template <class Element, class Use, class Check>
void for_each_eight(const Use& use, const Check& check) {
  for (std::uint32_t first = 0; first < 0x10000u; first += 8) {
    // Neighbours differ in sign, so that no sign can stand for another.
    Element x[8];
    std::uint32_t word[4] = {};
    for (std::uint32_t i = 0; i < 8; ++i) {
      const std::uint32_t bits = (first + i) >> 1 | ((first + i + (first >> 3)) & 1u) << 15;
      x[i] = Element{static_cast<std::uint16_t>(bits)};
      if (!use(to_float(x[i]))) x[i] = Element{static_cast<std::uint16_t>(bits & 0x8000u)};
      word[i / 2] |= static_cast<std::uint32_t>(x[i].bits) << (i % 2 * 16);
    }
    check(x, word);
  }
}

template <class Element>
std::uint32_t codes_of(const Element (&x)[8], float factor) {
  std::uint32_t codes = 0;
  for (unsigned i = 0; i < 8; ++i) {
    const float number = to_float(x[i]);
    codes |= static_cast<std::uint32_t>(Fp4E2M1::encode(number * factor, number)) << (4 * i);
  }
  return codes;
}

template <class Element>
class E2M1InEights : public ::testing::Test {};
using Elements16 = ::testing::Types<half, bfloat16>;
struct ElementName {
  template <class Element>
  static std::string GetName(int) {
    return std::is_same_v<Element, half> ? "half" : "bfloat16";
  }
};
TYPED_TEST_SUITE(E2M1InEights, Elements16, ElementName);

/// With every power of two.
TYPED_TEST(E2M1InEights, OfPairsAreThoseOfEach) {
  constexpr bool is_half = std::is_same_v<TypeParam, half>;
  int exponents = 0;
  for (std::uint32_t e = 0; e < 256; ++e) {
    if (!E2M1PairQuantizer<TypeParam, false>::serves(e)) continue;
    ++exponents;
    const float factor = mx_factor(e);
    const E2M1PairQuantizer<TypeParam, false> quantizer(e);
    for_each_eight<TypeParam>([&](float x) { return std::fabs(x * factor) < 7.0f; },
                              [&](const TypeParam(&x)[8], const std::uint32_t(&word)[4]) {
                                const std::uint32_t codes =
                                    arch::e2m1::codes8<DefinedTarget, TypeParam, is_half, false>(
                                        word, quantizer.twice_factor());
                                ASSERT_EQ(codes, codes_of(x, factor)) << e << ", from " << x[0].bits;
                              });
    for_each_eight<TypeParam>([&](float x) { return std::fabs(x * factor) < 9.0f; },
                              [&](const TypeParam(&x)[8], const std::uint32_t(&word)[4]) {
                                const std::uint32_t codes = arch::e2m1::codes8<DefinedTarget, TypeParam, is_half, true>(
                                    word, quantizer.twice_factor());
                                ASSERT_EQ(codes, codes_of(x, factor)) << e << ", from " << x[0].bits;
                              });
  }
  EXPECT_EQ(exponents, is_half ? 28 : 252);
}

TYPED_TEST(E2M1InEights, OfProductsAreThoseOfEach) {
  std::uint32_t bits = 12345;
  for (int n = 0; n < 300; ++n) {
    // Reciprocals of small numbers, whose products are boundaries or next to one; then any significand, and exponent
    // about 0.
    bits = bits * 1664525u + 1013904223u;
    const float factor = n < 100 ? 1.0f / static_cast<float>(n + 1)
                                 : bits_float((112u + (bits >> 8) % 30u) << 23 | (bits >> 9 & 0x7fffffu));
    const auto serves = [&](float x) { return E2M1ProductQuantizer<TypeParam>::serves(factor, std::fabs(x)); };
    for_each_eight<TypeParam>(serves, [&](const TypeParam(&x)[8], const std::uint32_t(&word)[4]) {
      float floats[8];
      for (int i = 0; i < 8; ++i) {
        floats[i] = to_float(x[i]);
      }
      const std::uint32_t codes = arch::e2m1::codes8_of_products<DefinedTarget>(floats, word, factor);
      ASSERT_EQ(codes, codes_of(x, factor)) << factor << ", from " << x[0].bits;
    });
  }
}

TEST(Fp4E2M1, ProductsNearABoundaryBecomeTheNearestCode) {
  for (unsigned code = 0; code < 7; ++code) {
    const auto middle = static_cast<float>((numbers[code] + numbers[code + 1]) / 2);
    for (std::uint32_t bits = float_bits(middle) - 4000; bits < float_bits(middle) + 4000; bits += 8) {
      float v[8];
      std::uint32_t expected = 0;
      for (std::uint32_t i = 0; i < 8; ++i) {
        v[i] = bits_float(bits + i);
        expected |= nearest_code(v[i]) << (4 * i);
      }
      const std::uint32_t no_signs[4] = {};
      ASSERT_EQ(arch::e2m1::codes8_of_products<DefinedTarget>(v, no_signs, 1.0f), expected) << v[0];
    }
  }
}

/// Not of what is 7 or more, or NaN.
TEST(Fp4E2M1, ProductsServeBelowSeven) {
  using Products = E2M1ProductQuantizer<half>;
  EXPECT_TRUE(Products::serves(1.0f, std::nextafter(7.0f, 0.0f)));
  EXPECT_TRUE(Products::serves(0x1.fffffep127f, 0.0f)) << "a block of zeros";
  EXPECT_FALSE(Products::serves(1.0f, 7.0f));
  EXPECT_FALSE(Products::serves(2.0f, infinity));
  EXPECT_FALSE(Products::serves(0.0f, infinity));
  EXPECT_FALSE(Products::serves(1.0f, nan));
  EXPECT_FALSE(Products::serves(nan, 1.0f));
}

/// Products reach 7 only with exponents by floor, and 8 with none.
TEST(Fp4E2M1, OnlyFloorsProductsReachSeven) {
  for (const ScaleRounding rounding :
       {ScaleRounding::rceil, ScaleRounding::floor, ScaleRounding::even, ScaleRounding::ceil}) {
    const bool is_floor = rounding == ScaleRounding::floor;
    EXPECT_EQ(kq::MxExponent<Fp4E2M1>(rounding).is_floor(), is_floor);
    float greatest = 0.0f;
    for (std::uint32_t bits = 0; bits < 0x7f800000u; bits += bits < 0x00800000u ? 0x1000u : 0x10000u) {
      const std::uint32_t e = mx_exponent<Fp4E2M1>(bits_float(bits), false, rounding);
      if (e < 255) greatest = std::max(greatest, bits_float(bits) * mx_factor(e));
    }
    EXPECT_GE(greatest, is_floor ? 7.0f : 4.0f) << to_string(rounding);
    EXPECT_LT(greatest, is_floor ? 8.0f : 7.0f) << to_string(rounding);
  }
}

/// The exponent by its definition, from the number itself: 2^E (1 + fraction / 2^23), less the p of the format's
/// largest number `largest`, which has `mantissa_bits` bits of mantissa.
int defined_exponent(int E, std::uint32_t fraction, double largest, int mantissa_bits, ScaleRounding rounding) {
  const int p = std::ilogb(largest);
  const double significand = 1.0 + std::ldexp(static_cast<double>(fraction), -23);
  bool up = false;
  if (rounding == ScaleRounding::rceil) up = std::ldexp(significand, p) > largest;
  if (rounding == ScaleRounding::even)
    up = std::floor(std::ldexp(significand, mantissa_bits) + 0.5) >= 2 << mantissa_bits;
  if (rounding == ScaleRounding::ceil) up = significand > 1.0;
  return E - p + (up ? 1 : 0);
}

template <class Format>
class MxExponent : public ::testing::Test {};
using MxFormats = ::testing::Types<Fp8E4M3Fn, Fp8E5M2, Fp4E2M1>;
struct FormatName {
  template <class Format>
  static std::string GetName(int) {
    return std::string(Format::name);
  }
};
TYPED_TEST_SUITE(MxExponent, MxFormats, FormatName);

TYPED_TEST(MxExponent, IsAsDefinedForAllSignificands) {
  for (const ScaleRounding rounding :
       {ScaleRounding::rceil, ScaleRounding::floor, ScaleRounding::even, ScaleRounding::ceil}) {
    int wrong = 0;
    for (std::uint32_t fraction = 0; fraction < 1u << 23; ++fraction) {
      const float amax = bits_float(130u << 23 | fraction);
      const int expected = defined_exponent(3, fraction, TypeParam::max, TypeParam::mantissa_bits, rounding) + 127;
      wrong += mx_exponent<TypeParam>(amax, false, rounding) == static_cast<std::uint32_t>(expected) ? 0 : 1;
    }
    EXPECT_EQ(wrong, 0) << to_string(rounding);
  }
}

TYPED_TEST(MxExponent, StaysWithinItsRange) {
  const std::uint32_t fractions[] = {0,        1,        0x200000, 0x3fffff, 0x400000,
                                     0x400001, 0x600000, 0x600001, 0x700000, 0x7fffff};
  for (const ScaleRounding rounding :
       {ScaleRounding::rceil, ScaleRounding::floor, ScaleRounding::even, ScaleRounding::ceil}) {
    for (std::uint32_t field = 1; field < 255; ++field) {
      for (const std::uint32_t fraction : fractions) {
        const int E = static_cast<int>(field) - 127;
        int expected = defined_exponent(E, fraction, TypeParam::max, TypeParam::mantissa_bits, rounding) + 127;
        // Rounded to the format's mantissa bits, the largest floats are infinite.
        const int p = std::ilogb(TypeParam::max);
        if (rounding == ScaleRounding::even && expected + p == 255) expected = 255;
        const float amax = bits_float(field << 23 | fraction);
        ASSERT_EQ(static_cast<int>(mx_exponent<TypeParam>(amax, false, rounding)), std::max(expected, 0))
            << amax << ' ' << to_string(rounding);
        ASSERT_EQ(mx_exponent<TypeParam>(amax, true, rounding), 255u) << "a block with NaN";
      }
    }
    EXPECT_EQ(mx_exponent<TypeParam>(0.0f, false, rounding), 0u);
    EXPECT_EQ(mx_exponent<TypeParam>(0x1.fffffcp-127f, false, rounding), 0u) << "subnormal";
    EXPECT_EQ(mx_exponent<TypeParam>(infinity, false, rounding), 255u);
  }
}

TYPED_TEST(MxExponent, OfRceilLetsNothingSaturate) {
  for (std::uint32_t bits = 0x00800000u; bits < 0x7f800000u; bits += 65521) {
    const float amax = bits_float(bits);
    const std::uint32_t e = mx_exponent<TypeParam>(amax, false, ScaleRounding::rceil);
    ASSERT_LE(amax * mx_factor(e), TypeParam::max) << amax;
    ASSERT_TRUE(e == 0 || amax * mx_factor(e) * 2 > TypeParam::max) << amax << ": a smaller exponent would do";
  }
}

TEST(MxScale, AndItsFactorArePowersOfTwo) {
  for (std::uint32_t e = 0; e < 255; ++e) {
    EXPECT_EQ(ue8m0_value(static_cast<std::uint8_t>(e)), std::ldexp(1.0, static_cast<int>(e) - 127));
    EXPECT_EQ(mx_factor(e), std::ldexp(1.0, 127 - static_cast<int>(e)));
    EXPECT_EQ(ue8m0_code(ue8m0_value(static_cast<std::uint8_t>(e))), e);
  }
  EXPECT_TRUE(std::isnan(ue8m0_value(255)) && std::isnan(mx_factor(255)));
  EXPECT_EQ(ue8m0_code(ue8m0_value(255)), 255);
}

TEST(Nvfp4, HasTheScalesOfItsFormulas) {
  EXPECT_EQ(nvfp4_global_scale(448.0f), 6.0f);
  EXPECT_EQ(nvfp4_global_scale(0x1p-149f), largest_float) << "2688 / amax is infinite";
  // 448 at the tensor's amax, whatever that is.
  for (const float amax : {1.0f, 3.7f, 1e-20f, 1e30f}) {
    EXPECT_EQ(nvfp4_scale(amax, nvfp4_global_scale(amax)).code, 0x7e) << amax;
  }
  EXPECT_EQ(nvfp4_scale(0.0f, 1.0f).code, 0);
  EXPECT_EQ(nvfp4_scale(nan, 1.0f).code, 0x7f);
  EXPECT_EQ(nvfp4_scale(infinity, 1.0f).code, 0x7e);
  EXPECT_EQ(nvfp4_factor(0.0f, 1.0f), largest_float);
  EXPECT_EQ(nvfp4_factor(2.0f, 0.25f), 2.0f);
  EXPECT_TRUE(std::isnan(nvfp4_factor(nan, 1.0f)));
}

// --- requests --------------------------------------------------------------------------------------------------------

Request named(std::string_view name, std::int64_t num_tokens, std::int64_t hidden_size) {
  Request r;
  r.num_tokens = num_tokens;
  r.hidden_size = hidden_size;
  for (const NamedScheme& scheme : named_schemes()) {
    if (scheme.name == name) return with_scheme(r, scheme);
  }
  ADD_FAILURE() << "no scheme " << name;
  return r;
}

TEST(NamedSchemes, AreServedAndSayWhatTheyAre) {
  std::set<std::string_view> names;
  for (const NamedScheme& scheme : named_schemes()) {
    EXPECT_TRUE(names.insert(scheme.name).second) << scheme.name;
    EXPECT_FALSE(validate(named(scheme.name, 3, 100))) << scheme.name;
    EXPECT_FALSE(scheme.description.empty());
  }
  EXPECT_EQ(names, (std::set<std::string_view>{"mxfp8", "mxfp4", "nvfp4", "deepgemm"}));
  EXPECT_EQ(operation_name(named("mxfp8", 1, 32)), "dynamic group:32 ue8m0 rceil");
  EXPECT_EQ(operation_name(named("nvfp4", 1, 32)), "dynamic group:16 e4m3");
  EXPECT_EQ(operation_name(named("deepgemm", 1, 32)), "dynamic group:128 ue8m0 packed");
  Request r = named("nvfp4", 1, 32);
  r.global_scale = 2.5f;
  EXPECT_EQ(operation_name(r), "dynamic group:16 e4m3:2.5");
}

TEST(NamedSchemes, HaveTwoCodesAByte) {
  const Request r = resolved(named("nvfp4", 3, 33));
  EXPECT_EQ(r.codes_stride, 34);
  EXPECT_EQ(codes_bytes(r), 3u * 17);
  EXPECT_EQ(num_scales(r), 9);
  EXPECT_EQ(scales_bytes(r), 9u);
  EXPECT_EQ(minimal_traffic(r).read, 3u * 33 * 2);
  EXPECT_EQ(minimal_traffic(r).written, 3u * 17 + 9 + 4);
  const TensorList all = tensors(r);
  EXPECT_EQ(all.size(), 4u);
  EXPECT_EQ(all[1].row_bytes, 17u);
  EXPECT_EQ(all[1].describe(17 + 2), "codes[token 1, channels 4 and 5]");
  EXPECT_EQ(all[3].name, "global_scale");
  EXPECT_TRUE(all[3].is_written);
  Request given = r;
  given.static_scale = true;
  EXPECT_FALSE(tensors(given)[3].is_written);
  EXPECT_EQ(minimal_traffic(given).read, 3u * 33 * 2 + 9 + 4);
}

TEST(NamedSchemes, AreRefusedWhereTheyCannotBe) {
  const auto refused = [](std::string_view name, auto change, const char* field) {
    Request r = named(name, 3, 64);
    change(r);
    const auto invalid = validate(r);
    EXPECT_EQ(invalid ? invalid->field : "", field) << name << ' ' << (invalid ? invalid->reason : "is served");
  };
  refused(
      "mxfp4", [](Request& r) { r.scale_rounding = ScaleRounding::quotient; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.static_scale = true; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.scale_format = ScaleFormat::float32; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.format = Format::int8; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.format = Format::fp8_e4m3fnuz; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.qmax = 100.0f; }, "qmax");
  refused(
      "mxfp8", [](Request& r) { r.global_scale = 1.0f; }, "global_scale");
  refused(
      "mxfp8", [](Request& r) { r.scale_rounding = ScaleRounding(99); }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.dialect = Dialect::vllm_0_33_0_torch; }, "scale_rounding");
  refused(
      "mxfp8", [](Request& r) { r.scale_format = ScaleFormat::e4m3, r.scale_rounding = ScaleRounding::quotient; },
      "scale_format");
  refused(
      "mxfp4", [](Request& r) { r.granularity = Granularity::token, r.group_size = 0; }, "quant_dtype");
  refused(
      "mxfp4", [](Request& r) { r.group_size = 40; }, "group_size");
  refused(
      "mxfp4", [](Request& r) { r.codes_stride = 65; }, "codes_stride");
  refused(
      "mxfp4", [](Request& r) { r.scale_format = ScaleFormat::float32, r.scale_rounding = ScaleRounding::quotient; },
      "scale_format");
  refused(
      "nvfp4", [](Request& r) { r.global_scale = -1.0f; }, "global_scale");
  refused(
      "nvfp4", [](Request& r) { r.global_scale = infinity; }, "global_scale");
  refused(
      "nvfp4", [](Request& r) { r.global_scale = 1.0f, r.static_scale = true; }, "global_scale");
  refused(
      "nvfp4", [](Request& r) { r.scale_layout = ScaleLayout::packed; }, "scale_layout");
  for (const ScaleRounding rounding : {ScaleRounding::four_over_six_mae_448, ScaleRounding::four_over_six_mse_256}) {
    const auto with = [&](auto change) {
      return [change, rounding](Request& r) {
        r.dialect = Dialect::te_d0067d0;
        r.scale_rounding = rounding;
        change(r);
      };
    };
    refused("nvfp4", with([](Request&) {}), "");
    refused("nvfp4", with([](Request& r) { r.dialect = Dialect::kqbench; }), "scale_rounding");
    refused("nvfp4", with([](Request& r) { r.group_size = 32; }), "scale_rounding");
    refused("nvfp4", with([](Request& r) { r.granularity = Granularity::block, r.block_rows = 16; }), "scale_rounding");
    refused("mxfp4", with([](Request&) {}), "scale_rounding");
    refused("nvfp4", with([](Request& r) { r.static_scale = true; }), "scale_rounding");
  }
  const auto as_block = [](Request& r) { r.granularity = Granularity::block, r.block_rows = 16; };
  refused("nvfp4", as_block, "");
  refused(
      "nvfp4", [&](Request& r) { as_block(r), r.static_scale = true; }, "quant_dtype");
  refused("mxfp4", as_block, "scale_format");
  refused("mxfp8", as_block, "scale_rounding");
  refused(
      "deepgemm", [](Request& r) { r.scale_format = ScaleFormat::float32, r.scale_layout = ScaleLayout::swizzled_8x4; },
      "scale_layout");
}

TEST(ScalesInTiles, AreEachInAPlaceOfTheirOwn) {
  for (const auto& [layout, rows] : {std::pair(ScaleLayout::swizzled_128x4, std::int64_t{384}),
                                     std::pair(ScaleLayout::swizzled_8x4, std::int64_t{304}),
                                     std::pair(ScaleLayout::shuffled_32x8, std::int64_t{512})}) {
    Request r = named("mxfp8", 300, 32 * 7);
    r.scale_layout = layout;
    ASSERT_FALSE(validate(r));
    EXPECT_EQ(padded_scale_rows(r), rows);
    EXPECT_EQ(padded_scale_columns(r), 8);
    EXPECT_EQ(scales_bytes(r), static_cast<std::size_t>(rows * 8));
    std::set<std::int64_t> places;
    const ScaleOffset offset = scale_offset(r);
    for (std::int64_t row = 0; row < 300; ++row) {
      for (std::int64_t group = 0; group < 7; ++group) {
        const std::int64_t place = scale_index(r, row, 32 * group);
        EXPECT_TRUE(place >= 0 && place < rows * 8 && places.insert(place).second) << row << ' ' << group;
        EXPECT_EQ(offset(row, group), place);
      }
    }
  }
  Request r = named("mxfp8", 300, 32 * 7);
  r.scale_layout = ScaleLayout::swizzled_128x4;
  EXPECT_EQ(scale_index(r, 130, 5 * 32), (1 * 2 + 1) * 512 + 2 * 16 + 0 + 1);
  EXPECT_EQ(scale_index(r, 33, 0), 16 + 4);
  r.scale_layout = ScaleLayout::swizzled_8x4;
  EXPECT_EQ(scale_index(r, 130, 5 * 32), (16 * 2 + 1) * 32 + 2 * 4 + 1);
  r.hidden_size = 32 * 12;  // 16 columns
  r.scale_layout = ScaleLayout::shuffled_32x8;
  EXPECT_EQ(scale_index(r, 130, 9 * 32), (4 * 16) * 32 + 1 * 256 + 1 * 64 + 2 * 4);
  EXPECT_EQ(scale_index(r, 27, 6 * 32), 2 * 64 + 11 * 4 + 2 + 1);
}

TEST(BlockFormats, ComeBackAsTheirNumbers) {
  const Request r = resolved(named("nvfp4", 1, 17));
  const std::vector<std::uint8_t> codes = {0x72, 0xf1, 0, 0, 0, 0, 0, 0, 0x04};
  const std::uint8_t scales[] = {0x38, 0x40};  // 1 and 2
  const float global_scale = 0.5f;
  std::vector<float> row(17);
  dequantize_row(r, {codes.data(), scales, nullptr, &global_scale}, 0, row.data());
  EXPECT_EQ(row[0], 0.5f);
  EXPECT_EQ(row[1], 3.0f);
  EXPECT_EQ(row[2], 0.25f);
  EXPECT_EQ(row[3], -3.0f);
  EXPECT_EQ(row[16], 2.0f);
}

}  // namespace
}  // namespace kq::block_formats
