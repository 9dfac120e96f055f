// SPDX-License-Identifier: Apache-2.0

// The judge against results worked out by hand, above all where implementations like to differ.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "backends/reference/definitions.hpp"
#include "backends/reference/reference.hpp"
#include "tests/backends/operands.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench::testing {
namespace {

using kq::Element;
using kq::Format;
using kq::Granularity;
using kq::Request;
using kq::ScaleFormat;
using kq::ScaleLayout;
using reference_detail::decode;
using reference_detail::definition;
using reference_detail::ElementReader;
using reference_detail::Fp8Encoder;

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float s_min = 1.0f / 229376.0f;

using Bytes = std::vector<int>;

/// One case: what a request of some rows of floats gives.
struct Result {
  std::vector<int> codes;
  std::vector<float> scales;
  std::vector<int> zero_points;
};

Result quantize(Request r, const std::vector<std::vector<float>>& rows, const std::vector<float>& scales = {},
                const std::vector<std::int32_t>& zero_points = {}) {
  r.element = Element::float32;
  r.num_tokens = static_cast<std::int64_t>(rows.size());
  r.hidden_size = static_cast<std::int64_t>(rows[0].size());
  const auto invalid = kq::validate(r);
  EXPECT_FALSE(invalid) << invalid->field << ": " << invalid->reason;
  std::vector<float> input;
  for (const auto& row : rows) {
    input.insert(input.end(), row.begin(), row.end());
  }
  const HostTensors outputs = reference(r, test::given(input.data(), scales.data(), zero_points.data()));
  Result result;
  for (const std::byte code : outputs.codes) {
    result.codes.push_back(r.format == Format::int8 ? static_cast<std::int8_t>(code) : std::to_integer<int>(code));
  }
  for (std::int64_t i = 0; i < kq::stored_scales(r); ++i) {
    float scale = 0.0f;
    if (r.scale_format == ScaleFormat::ue8m0) {
      scale = static_cast<float>(outputs.scales[static_cast<std::size_t>(i)]);  // the exponent as it is stored
    } else {
      std::memcpy(&scale, outputs.scales.data() + i * 4, 4);
    }
    result.scales.push_back(scale);
  }
  result.zero_points = test::numbers_of<std::int32_t>(outputs.zero_points);
  return result;
}

Request request(Format format, Granularity granularity, bool static_scale = false) {
  Request r;
  r.format = format;
  r.granularity = granularity;
  r.static_scale = static_scale;
  return r;
}

Request asymmetric(Granularity granularity, bool static_scale = false) {
  Request r = request(Format::int8, granularity, static_scale);
  r.asymmetric = true;
  return r;
}

Request group(Format format, std::int64_t size, ScaleFormat scale_format = ScaleFormat::float32) {
  Request r = request(format, Granularity::group);
  r.group_size = size;
  r.scale_format = scale_format;
  return r;
}

// --- formats ---------------------------------------------------------------------------------------------------------

TEST(Definition, GivesTheValuesOfTheFormatsPapers) {
  const auto e4m3 = definition(Format::fp8_e4m3fn);
  EXPECT_EQ(decode(e4m3, 0x00), 0.0);
  EXPECT_EQ(decode(e4m3, 0x01), 0x1p-9);
  EXPECT_EQ(decode(e4m3, 0x07), 0x1.cp-7);
  EXPECT_EQ(decode(e4m3, 0x08), 0x1p-6);
  EXPECT_EQ(decode(e4m3, 0x38), 1.0);
  EXPECT_EQ(decode(e4m3, 0x7e), 448.0);
  EXPECT_EQ(decode(e4m3, 0xfe), -448.0);
  EXPECT_TRUE(std::isnan(decode(e4m3, 0x7f)));
  EXPECT_TRUE(std::isnan(decode(e4m3, 0xff)));
  EXPECT_TRUE(std::signbit(decode(e4m3, 0x80)));

  const auto e5m2 = definition(Format::fp8_e5m2);
  EXPECT_EQ(decode(e5m2, 0x01), 0x1p-16);
  EXPECT_EQ(decode(e5m2, 0x04), 0x1p-14);
  EXPECT_EQ(decode(e5m2, 0x3c), 1.0);
  EXPECT_EQ(decode(e5m2, 0x7b), 57344.0);
  EXPECT_EQ(decode(e5m2, 0x7c), std::numeric_limits<double>::infinity());
  EXPECT_EQ(decode(e5m2, 0xfc), -std::numeric_limits<double>::infinity());
  EXPECT_TRUE(std::isnan(decode(e5m2, 0x7d)));
  EXPECT_TRUE(std::isnan(decode(e5m2, 0xff)));

  const auto e4m3fnuz = definition(Format::fp8_e4m3fnuz);
  EXPECT_EQ(decode(e4m3fnuz, 0x01), 0x1p-10);
  EXPECT_EQ(decode(e4m3fnuz, 0x40), 1.0);
  EXPECT_EQ(decode(e4m3fnuz, 0x7f), 240.0);
  EXPECT_EQ(decode(e4m3fnuz, 0xff), -240.0);
  EXPECT_TRUE(std::isnan(decode(e4m3fnuz, 0x80)));

  const auto e5m2fnuz = definition(Format::fp8_e5m2fnuz);
  EXPECT_EQ(decode(e5m2fnuz, 0x01), 0x1p-17);
  EXPECT_EQ(decode(e5m2fnuz, 0x40), 1.0);
  EXPECT_EQ(decode(e5m2fnuz, 0x7f), 57344.0);
  EXPECT_TRUE(std::isnan(decode(e5m2fnuz, 0x80)));
}

TEST(Encoder, GivesEveryCodeForItsOwnValue) {
  for (const Format format : {Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz, Format::fp8_e5m2fnuz}) {
    const Fp8Encoder encode(format);
    for (std::uint32_t code = 0; code < 256; ++code) {
      const double value = decode(definition(format), code);
      if (!std::isfinite(value)) continue;
      EXPECT_EQ(encode(static_cast<float>(value), std::signbit(value)), code) << kq::to_string(format);
    }
  }
}

TEST(Encoder, RoundsHalfWayToTheEvenCodeAndTheRestToTheNearest) {
  const Fp8Encoder encode(Format::fp8_e4m3fn);
  EXPECT_EQ(encode(1.0625f, false), 0x38);  // half-way from 0x38 to 0x39
  EXPECT_EQ(encode(std::nextafter(1.0625f, 2.0f), false), 0x39);
  EXPECT_EQ(encode(1.1875f, false), 0x3a);  // half-way from 0x39 to 0x3a
  EXPECT_EQ(encode(std::nextafter(1.1875f, 1.0f), true), 0xb9);
  EXPECT_EQ(encode(0x1p-10f, false), 0x00);  // half the smallest subnormal
  EXPECT_EQ(encode(std::nextafter(0x1p-10f, 1.0f), false), 0x01);
  EXPECT_EQ(encode(0x1.8p-9f, false), 0x02);
  EXPECT_EQ(encode(0x1.ep-7f, true), 0x88);  // between the last subnormal and the first normal
  EXPECT_EQ(encode(0x1p-149f, true), 0x80);  // -0 is a code of its own,
  EXPECT_EQ(Fp8Encoder(Format::fp8_e4m3fnuz)(0x1p-149f, true), 0x00);  // here it is not
  EXPECT_EQ(Fp8Encoder(Format::fp8_e4m3fnuz)(-0x1p-10f, true), 0x81);
}

TEST(ElementReader, ReadsHalfAndBfloat16) {
  const std::uint16_t bits[] = {0x3c00, 0xc000, 0x0001, 0x8000, 0x7bff, 0x7c00, 0xfe00, 0x3555};
  const ElementReader half(Element::half);
  EXPECT_EQ(half(bits, 0), 1.0f);
  EXPECT_EQ(half(bits, 1), -2.0f);
  EXPECT_EQ(half(bits, 2), 0x1p-24f);
  EXPECT_TRUE(half(bits, 3) == 0.0f && std::signbit(half(bits, 3)));
  EXPECT_EQ(half(bits, 4), 65504.0f);
  EXPECT_EQ(half(bits, 5), inf);
  EXPECT_TRUE(std::isnan(half(bits, 6)) && std::signbit(half(bits, 6)));
  EXPECT_EQ(half(bits, 7), 0x1.554p-2f);
  const std::uint16_t brain[] = {0x3f80, 0xc000, 0x0001, 0x7f80, 0xffc0};
  const ElementReader bfloat16(Element::bfloat16);
  EXPECT_EQ(bfloat16(brain, 0), 1.0f);
  EXPECT_EQ(bfloat16(brain, 1), -2.0f);
  EXPECT_EQ(bfloat16(brain, 2), 0x1p-133f);
  EXPECT_EQ(bfloat16(brain, 3), inf);
  EXPECT_TRUE(std::isnan(bfloat16(brain, 4)) && std::signbit(bfloat16(brain, 4)));
}

// --- static scales ---------------------------------------------------------------------------------------------------

TEST(StaticInt8, DividesRoundsToEvenAndSaturates) {
  const auto result =
      quantize(request(Format::int8, Granularity::tensor, true),
               {{0.0f, -0.0f, 1.0f, 3.0f, -1.0f, -3.0f, 254.0f, 255.0f, 1e30f, -256.0f, -1e30f}}, {2.0f});
  EXPECT_EQ(result.codes, (Bytes{0, 0, 0, 2, 0, -2, 127, 127, 127, -128, -128}));
  EXPECT_EQ(result.scales, std::vector<float>{2.0f});
}

// 45.5 / 7 is 6.5, a tie that goes to 6, while 45.5 * (1 / 7 as float) is 6.50000048; 10.9375 / 7 lies half-way from
// code 0x3c to 0x3d of E4M3, while 10.9375 * (1 / 7 as float) lies just above. So a code tells division from
// multiplication.
TEST(Schemes, DivideOrMultiplyByTheReciprocalAsTheTableSays) {
  const auto codes_at = [](const Request& r, float amax, float x) {
    auto row = std::vector<float>(16, amax);
    row[1] = x;
    return quantize(r, {row}, {7.0f}, {0}).codes[1];
  };
  const auto int8_code = [&](const Request& r) { return codes_at(r, 7.0f * 127.0f, 45.5f); };
  EXPECT_EQ(int8_code(request(Format::int8, Granularity::tensor, true)), 6);
  EXPECT_EQ(int8_code(asymmetric(Granularity::tensor, true)), 7);
  EXPECT_EQ(int8_code(request(Format::int8, Granularity::tensor)), 7);
  EXPECT_EQ(int8_code(request(Format::int8, Granularity::token)), 7);
  EXPECT_EQ(int8_code(group(Format::int8, 16)), 6);
  const auto fp8_code = [&](const Request& r) { return codes_at(r, 7.0f * 448.0f, 10.9375f); };
  EXPECT_EQ(fp8_code(request(Format::fp8_e4m3fn, Granularity::tensor, true)), 0x3d);
  EXPECT_EQ(fp8_code(request(Format::fp8_e4m3fn, Granularity::tensor)), 0x3d);
  EXPECT_EQ(fp8_code(request(Format::fp8_e4m3fn, Granularity::token)), 0x3c);
  EXPECT_EQ(fp8_code(group(Format::fp8_e4m3fn, 16)), 0x3c);
}

TEST(StaticInt8, MakesNaNZeroAndSaturatesInfinity) {
  const auto result = quantize(request(Format::int8, Granularity::tensor, true), {{nan, -nan, inf, -inf}}, {0.5f});
  EXPECT_EQ(result.codes, (Bytes{0, 0, 127, -128}));
}

TEST(StaticFp8, SaturatesAndKeepsSignsOfZeroAndNaN) {
  const std::vector<std::vector<float>> rows = {{0.0f, -0.0f, 448.0f, 1e30f, -inf, nan, -nan}};
  const auto codes = [&](Format format) {
    return quantize(request(format, Granularity::tensor, true), rows, {1.0f}).codes;
  };
  EXPECT_EQ(codes(Format::fp8_e4m3fn), (Bytes{0x00, 0x80, 0x7e, 0x7e, 0xfe, 0x7f, 0xff}));
  EXPECT_EQ(codes(Format::fp8_e5m2), (Bytes{0x00, 0x80, 0x5f, 0x7b, 0xfb, 0x7f, 0xff}));
  EXPECT_EQ(codes(Format::fp8_e4m3fnuz), (Bytes{0x00, 0x00, 0x7f, 0x7f, 0xff, 0x80, 0x80}));
  EXPECT_EQ(codes(Format::fp8_e5m2fnuz), (Bytes{0x00, 0x00, 0x63, 0x7f, 0xff, 0x80, 0x80}));
}

TEST(Static, TakesAScaleATokenOrAChannel) {
  const std::vector<std::vector<float>> rows = {{8.0f, 8.0f, 8.0f}, {-8.0f, -8.0f, -8.0f}};
  EXPECT_EQ(quantize(request(Format::int8, Granularity::token, true), rows, {1.0f, 4.0f}).codes,
            (Bytes{8, 8, 8, -2, -2, -2}));
  EXPECT_EQ(quantize(request(Format::int8, Granularity::channel, true), rows, {1.0f, 2.0f, 4.0f}).codes,
            (Bytes{8, 4, 2, -8, -4, -2}));
}

TEST(StaticAsymmetric, AddsTheZeroPointWithoutWrapping) {
  const Request r = asymmetric(Granularity::token, true);
  const auto result = quantize(r, {{1.0f, nan, inf, -1e30f}, {1.0f, nan, inf, -1e30f}, {1.0f, nan, 1e30f, -inf}},
                               {0.5f, 0.5f, 0.5f}, {10, 2147483647, -2147483647 - 1});
  EXPECT_EQ(result.codes, (Bytes{12, 10, 127, -128,        //
                                 127, 127, 127, -1,        // -2^31 + (2^31 - 1)
                                 -128, -128, -1, -128}));  // (2^31 - 1) - 2^31
}

// Scales that are in a device's memory cannot be looked at before the codes are made: these are the codes.
TEST(Static, UnderAScaleThatIsNoneFollowsTheFormula) {
  const std::vector<std::vector<float>> row = {{0.0f, -0.0f, 3.0f, -3.0f, inf, nan}};
  const auto fp8 = [&](float scale) {
    return quantize(request(Format::fp8_e4m3fn, Granularity::tensor, true), row, {scale}).codes;
  };
  const auto int8 = [&](float scale) {
    return quantize(request(Format::int8, Granularity::tensor, true), row, {scale}).codes;
  };
  const auto affine = [&](float scale) {
    return quantize(asymmetric(Granularity::tensor, true), row, {scale}, {5}).codes;
  };
  for (const float infinite : {inf, -inf}) {
    EXPECT_EQ(fp8(infinite), (Bytes{0x00, 0x80, 0x00, 0x80, 0x7f, 0x7f}));
    EXPECT_EQ(int8(infinite), (Bytes{0, 0, 0, 0, 0, 0}));
    EXPECT_EQ(affine(infinite), (Bytes{5, 5, 5, 5, 5, 5}));
  }
  for (const float no_reciprocal : {0.0f, 0x1p-149f, 0x1p-128f}) {
    EXPECT_EQ(fp8(no_reciprocal), (Bytes{0x7f, 0xff, 0x7e, 0xfe, 0x7e, 0x7f}));
    EXPECT_EQ(fp8(-no_reciprocal), (Bytes{0x7f, 0xff, 0x7e, 0xfe, 0x7e, 0x7f}));
    EXPECT_EQ(int8(no_reciprocal), (Bytes{0, 0, 127, -128, 127, 0}));
    EXPECT_EQ(int8(-no_reciprocal), (Bytes{0, 0, -128, 127, -128, 0}));
    EXPECT_EQ(affine(no_reciprocal), (Bytes{5, 5, 127, -128, 127, 5}));
    EXPECT_EQ(affine(-no_reciprocal), (Bytes{5, 5, -128, 127, -128, 5}));
  }
  EXPECT_EQ(fp8(-2.0f), (Bytes{0x00, 0x80, 0x3c, 0xbc, 0x7e, 0x7f}));  // 1.5, as under 2
  EXPECT_EQ(int8(-2.0f), (Bytes{0, 0, -2, 2, -128, 0}));
  EXPECT_EQ(affine(-2.0f), (Bytes{5, 5, 3, 7, -128, 5}));
  EXPECT_EQ(fp8(nan), (Bytes{0x7f, 0xff, 0x7f, 0xff, 0x7f, 0x7f}));
  EXPECT_EQ(int8(nan), (Bytes{0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(affine(nan), (Bytes{5, 5, 5, 5, 5, 5}));
}

TEST(Static, KeepsToTheBound) {
  Request r = request(Format::int8, Granularity::tensor, true);
  r.qmax = 7.0f;
  EXPECT_EQ(quantize(r, {{6.0f, 7.0f, 8.0f, -7.0f, -8.0f, -9.0f, inf}}, {1.0f}).codes, (Bytes{6, 7, 7, -7, -8, -8, 7}));
  r.format = Format::fp8_e4m3fnuz;
  r.qmax = 224.0f;
  EXPECT_EQ(quantize(r, {{224.0f, 240.0f, -300.0f}}, {1.0f}).codes, (Bytes{0x7e, 0x7e, 0xfe}));
}

/// The bound is kept before rounding, which may end on the number of the format just above it.
TEST(Static, RoundsABoundThatIsNoNumberOfTheFormat) {
  Request r = request(Format::fp8_e4m3fn, Granularity::tensor, true);
  r.qmax = 250.0f;
  EXPECT_EQ(quantize(r, {{300.0f, 225.0f}}, {1.0f}).codes, (Bytes{0x78, 0x76}));  // 256 and 224
  r.qmax = 0x1p-11f;                                                              // below half the least number
  EXPECT_EQ(quantize(r, {{300.0f, -1.0f}}, {1.0f}).codes, (Bytes{0x00, 0x80}));
}

// --- dynamic scales --------------------------------------------------------------------------------------------------

TEST(DynamicTokenInt8, MultipliesByTheInverse) {
  const auto result = quantize(request(Format::int8, Granularity::token), {{-2.0f, 1.0f, 0.5f, nan},  //
                                                                           {0.0f, -0.0f, 0.0f, nan},
                                                                           {-inf, inf, 1.0f, nan},
                                                                           {-5.0f, -5.0f, -5.0f, -5.0f}});
  EXPECT_EQ(result.codes, (Bytes{-127, 64, 32, 0,  // 63.5 to even, 31.75
                                 0, 0, 0, 0,       //
                                 0, 0, 0, 0,       //
                                 -127, -127, -127, -127}));
  EXPECT_EQ(result.scales, (std::vector<float>{2.0f / 127.0f, 0.0f, inf, 5.0f / 127.0f}));
}

// --- spans whose amax is tiny: the scale is 2^-126 at least ----------------------------------------------------------

constexpr float least_normal = 0x1p-126f;

TEST(TinyAmax, OfInt8KeepsItsNumbers) {
  for (const Granularity granularity : {Granularity::token, Granularity::tensor}) {
    const Request r = request(Format::int8, granularity);
    const auto result = quantize(r, {{0.0f, 1e-38f, -2e-38f, 5e-38f}});  // 0, 0.85, -1.70, 4.25 times 2^-126
    EXPECT_EQ(result.codes, (Bytes{0, 1, -2, 4}));
    EXPECT_EQ(result.scales, std::vector<float>{least_normal});
    const auto subnormal = quantize(r, {{0x1p-149f, -0x1p-149f, 0.0f, 0x1p-127f, -0x1.8p-127f, -0.0f, nan}});
    EXPECT_EQ(subnormal.codes, (Bytes{0, 0, 0, 0, -1, 0, 0}));  // 0.5 to even
    EXPECT_EQ(subnormal.scales, std::vector<float>{least_normal});
  }
}

TEST(TinyAmax, OfInt8EndsWhereAmaxIsQmaxTimesTheLeastScale) {
  const Request r = request(Format::int8, Granularity::token);
  const float limit = 127.0f * least_normal;
  const auto result = quantize(r, {{limit, least_normal, 0.0f},
                                   {std::nextafter(limit, 0.0f), least_normal, 0.0f},
                                   {64.0f * least_normal, -least_normal, 0.0f},
                                   {254.0f * least_normal, least_normal, -4.0f * least_normal},
                                   {0.0f, -0.0f, 0.0f}});
  EXPECT_EQ(result.codes, (Bytes{127, 1, 0, 127, 1, 0, 64, -1, 0, 127, 0, -2, 0, 0, 0}));
  EXPECT_EQ(result.scales, (std::vector<float>{least_normal, least_normal, least_normal, 2.0f * least_normal, 0.0f}));
  Request narrow = r;
  narrow.qmax = 7.0f;
  const auto bounded = quantize(narrow, {{4.0f * least_normal, -least_normal}, {14.0f * least_normal, -least_normal}});
  EXPECT_EQ(bounded.codes, (Bytes{4, -1, 7, 0}));  // -0.5 to even
  EXPECT_EQ(bounded.scales, (std::vector<float>{least_normal, 2.0f * least_normal}));
}

TEST(TinyAmax, OfATensorOfFp8KeepsItsNumbers) {
  const std::vector<std::vector<float>> rows = {
      {0.0f, -0.0f, least_normal, -0x1p-127f, 3.0f * least_normal, nan, 0x1p-149f}};
  const auto of = [&](Format format) { return quantize(request(format, Granularity::tensor), rows); };
  EXPECT_EQ(of(Format::fp8_e4m3fn).codes, (Bytes{0x00, 0x80, 0x38, 0xb0, 0x44, 0x7f, 0x00}));  // 1, -0.5, 3
  EXPECT_EQ(of(Format::fp8_e5m2).codes, (Bytes{0x00, 0x80, 0x3c, 0xb8, 0x42, 0x7f, 0x00}));
  EXPECT_EQ(of(Format::fp8_e4m3fnuz).codes, (Bytes{0x00, 0x00, 0x40, 0xb8, 0x4c, 0x80, 0x00}));
  EXPECT_EQ(of(Format::fp8_e5m2fnuz).codes, (Bytes{0x00, 0x00, 0x40, 0xbc, 0x46, 0x80, 0x00}));
  for (const Format format : {Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz, Format::fp8_e5m2fnuz}) {
    EXPECT_EQ(of(format).scales, std::vector<float>{least_normal}) << kq::to_string(format);
  }
}

/// 57344 * 2^-126 is 6.7e-34: E5M2's spans are tiny long before the others'.
TEST(TinyAmax, OfATensorOfE5m2BeginsAtItsQmaxTimesTheLeastScale) {
  const Request r = request(Format::fp8_e5m2, Granularity::tensor);
  const auto result = quantize(r, {{0x1p-113f, -0.0f, least_normal}});
  EXPECT_EQ(result.codes, (Bytes{0x70, 0x80, 0x3c}));  // 8192 and 1
  EXPECT_EQ(result.scales, std::vector<float>{least_normal});
  EXPECT_EQ(quantize(r, {{57344.0f * least_normal, 0.0f}}).scales, std::vector<float>{least_normal});
  EXPECT_EQ(quantize(r, {{2.0f * 57344.0f * least_normal, 0.0f}}).scales, std::vector<float>{2.0f * least_normal});
}

/// A bound below 1 takes the product qmax * 2^-126 below the normal numbers; the scale is 2^-126 nevertheless.
TEST(TinyAmax, HasTheLeastScaleUnderAnyBound) {
  Request r = request(Format::fp8_e4m3fn, Granularity::tensor);
  r.qmax = 0.3f;
  const auto result = quantize(r, {{0x1p-129f, 0.0f}});
  EXPECT_EQ(result.scales, std::vector<float>{least_normal});
  EXPECT_EQ(result.codes, (Bytes{0x20, 0x00}));  // 1/8
}

TEST(TinyAmax, AsymmetricKeepsItsNumbers) {
  for (const Granularity granularity : {Granularity::token, Granularity::tensor}) {
    const auto result =
        quantize(asymmetric(granularity), {{-2.0f * least_normal, 0.0f, least_normal, 5.0f * least_normal, nan}});
    EXPECT_EQ(result.scales, std::vector<float>{least_normal});
    EXPECT_EQ(result.zero_points, std::vector<int>{-126});
    EXPECT_EQ(result.codes, (Bytes{-128, -126, -125, -121, -126}));
    const auto constant = quantize(asymmetric(granularity), {{3.0f * least_normal, 3.0f * least_normal}});
    EXPECT_EQ(constant.scales, std::vector<float>{least_normal});
    EXPECT_EQ(constant.zero_points, std::vector<int>{-128});
    EXPECT_EQ(constant.codes, (Bytes{-125, -125}));
    const auto away_from_zero = quantize(asymmetric(granularity), {{100.0f * least_normal, 101.0f * least_normal}});
    EXPECT_EQ(away_from_zero.scales, std::vector<float>{least_normal});
    EXPECT_EQ(away_from_zero.zero_points, std::vector<int>{-228});
    EXPECT_EQ(away_from_zero.codes, (Bytes{-128, -127}));
    const auto wide = quantize(asymmetric(granularity), {{0.0f, 510.0f * least_normal}});
    EXPECT_EQ(wide.scales, std::vector<float>{2.0f * least_normal});
    EXPECT_EQ(wide.codes, (Bytes{-128, 127}));
  }
}

/// The schemes that have a least scale of their own, or a least amax, are as they were.
TEST(TinyAmax, OfATokenOfFp8AndOfAGroupHasTheirOwnLeastScales) {
  Request bounded = request(Format::fp8_e4m3fn, Granularity::token);
  bounded.scale_ub = 1e-45f;
  const auto token = quantize(bounded, {{1.0f, 0.0f, 5e-38f, -0.0f}, {5e-38f, 0.0f, 0.0f, 0.0f}});
  EXPECT_EQ(token.scales, (std::vector<float>{s_min, s_min}));
  EXPECT_EQ(token.codes, (Bytes{0x7e, 0x00, 0x00, 0x80, 0x00, 0x00, 0x00, 0x00}));
  const auto fp8 = quantize(group(Format::fp8_e5m2, 16), {{5e-38f, 0.0f}});
  EXPECT_EQ(fp8.scales, std::vector<float>{1e-10f / 57344.0f});
  EXPECT_EQ(fp8.codes, (Bytes{0x00, 0x00}));
  EXPECT_EQ(quantize(group(Format::fp8_e5m2, 16, ScaleFormat::ue8m0), {{5e-38f, 0.0f}}).scales,
            std::vector<float>{127 - 49});
}

TEST(DynamicTokenFp8, DividesByABoundedScale) {
  Request r = request(Format::fp8_e4m3fn, Granularity::token);
  r.scale_ub = 100.0f;
  const auto result = quantize(r, {{448.0f, 1.0f, nan}, {44.8f, -44.8f, 0.0f}, {0.0f, -0.0f, 1e-5f}});
  EXPECT_EQ(result.scales, (std::vector<float>{100.0f / 448.0f, 44.8f / 448.0f, s_min}));
  EXPECT_EQ(result.codes, (Bytes{0x7e, 0x49, 0x7f,     // 1 / 0.2232 = 4.48
                                 0x7e, 0xfe, 0x00,     //
                                 0x00, 0x80, 0x41}));  // 1e-5 * 229376 = 2.294
}

TEST(DynamicTokenFp8, TakesABoundFromMemory) {
  Request r = request(Format::fp8_e4m3fn, Granularity::token);
  r.element = Element::float32;
  r.num_tokens = 2;
  r.hidden_size = 2;
  const std::vector<float> input = {448.0f, 1.0f, 44.8f, -44.8f};
  kq::Operands given = test::given(input.data());
  const float bound = 100.0f;
  given.scale_ub = &bound;
  r = kq::resolved(r);
  const HostTensors outputs = reference(r, given);
  EXPECT_EQ(test::numbers_of<float>(outputs.scales), (std::vector<float>{100.0f / 448.0f, 44.8f / 448.0f}));
  r.scale_ub = 100.0f;
  EXPECT_EQ(outputs, reference(r, test::given(input.data())));
}

TEST(DynamicTokenFp8, OfAnInfinityIsNaNThereAndZeroElsewhere) {
  const auto result = quantize(request(Format::fp8_e4m3fn, Granularity::token), {{inf, -inf, 1.0f, -1.0f, nan}});
  EXPECT_EQ(result.scales, std::vector<float>{inf});
  EXPECT_EQ(result.codes, (Bytes{0x7f, 0xff, 0x00, 0x80, 0x7f}));
}

TEST(DynamicTensor, HasOneScaleForAll) {
  const std::vector<std::vector<float>> rows = {{1.0f, nan}, {-4.0f, 2.0f}};
  const auto int8 = quantize(request(Format::int8, Granularity::tensor), rows);
  EXPECT_EQ(int8.scales, std::vector<float>{4.0f / 127.0f});
  EXPECT_EQ(int8.codes, (Bytes{32, 0, -127, 64}));  // 31.75 and 63.5
  const auto fp8 = quantize(request(Format::fp8_e5m2, Granularity::tensor), rows);
  EXPECT_EQ(fp8.scales, std::vector<float>{4.0f / 57344.0f});
  EXPECT_EQ(fp8.codes, (Bytes{0x73, 0x7f, 0xfb, 0x77}));  // 14336, NaN, -57344, 28672
}

TEST(DynamicTensor, OfZerosHasTheLeastScale) {
  const auto fp8 = quantize(request(Format::fp8_e4m3fn, Granularity::tensor), {{0.0f, -0.0f, nan}});
  EXPECT_EQ(fp8.scales, std::vector<float>{s_min});
  EXPECT_EQ(fp8.codes, (Bytes{0x00, 0x80, 0x7f}));
  const auto int8 = quantize(request(Format::int8, Granularity::tensor), {{0.0f, -0.0f, nan}});
  EXPECT_EQ(int8.scales, std::vector<float>{0.0f});
  EXPECT_EQ(int8.codes, (Bytes{0, 0, 0}));
}

TEST(DynamicTensorFp8, HasNoLeastScaleOtherwise) {
  const auto result = quantize(request(Format::fp8_e4m3fn, Granularity::tensor), {{0x1p-100f}});
  EXPECT_EQ(result.scales, std::vector<float>{0x1p-100f / 448.0f});
  EXPECT_EQ(result.codes, Bytes{0x7e});
}

TEST(DynamicAsymmetric, SpansTheRange) {
  const auto result =
      quantize(asymmetric(Granularity::token), {{0.0f, 255.0f, 127.0f, nan}, {-100.0f, 155.0f, 0.0f, 27.5f}});
  EXPECT_EQ(result.scales, (std::vector<float>{1.0f, 1.0f}));
  EXPECT_EQ(result.zero_points, (std::vector<int>{-128, -28}));
  EXPECT_EQ(result.codes, (Bytes{-128, 127, -1, -128,   //
                                 -128, 127, -28, 0}));  // 27.5 to 28
}

TEST(DynamicAsymmetric, OfAConstantRowIsWidenedToHoldZero) {
  const auto result = quantize(asymmetric(Granularity::token), {{510.0f, 510.0f, nan},  //
                                                                {-255.0f, -255.0f, -255.0f},
                                                                {0.0f, -0.0f, nan},
                                                                {nan, nan, -nan}});
  EXPECT_EQ(result.scales, (std::vector<float>{2.0f, 1.0f, 1.0f, 1.0f}));
  EXPECT_EQ(result.zero_points, (std::vector<int>{-128, 127, 0, 0}));
  EXPECT_EQ(result.codes, (Bytes{127, 127, -128, -128, -128, -128, 0, 0, 0, 0, 0, 0}));
}

TEST(DynamicAsymmetric, OfInfinitiesHasAnInfiniteScale) {
  const auto result = quantize(asymmetric(Granularity::token), {{1.0f, inf}, {1.0f, -inf}, {inf, inf}});
  EXPECT_EQ(result.scales, (std::vector<float>{inf, inf, inf}));
  EXPECT_EQ(result.zero_points, (std::vector<int>{-128, 0, -128}));  // -inf / inf is NaN, which gives 0
  EXPECT_EQ(result.codes, (Bytes{-128, -128, 0, 0, -128, -128}));
}

TEST(DynamicScales, AreThoseOfTheNumbersBesideNanThatSignals) {
  const auto signalling = std::bit_cast<float>(0x7f800001U);
  const std::vector<std::vector<float>> rows = {{-2.0f, signalling, 1.0f, 0.5f}, {-signalling, 8.0f, 1.0f, signalling}};
  const auto token = quantize(request(Format::int8, Granularity::token), rows);
  EXPECT_EQ(token.scales, (std::vector<float>{2.0f / 127.0f, 8.0f / 127.0f}));
  EXPECT_EQ(token.codes, (Bytes{-127, 0, 64, 32, 0, 127, 16, 0}));  // 63.5 to even, 31.75, 15.875
  const auto tensor = quantize(request(Format::fp8_e5m2, Granularity::tensor), rows);
  EXPECT_EQ(tensor.scales, std::vector<float>{8.0f / 57344.0f});
  const auto range = quantize(asymmetric(Granularity::tensor), rows);
  EXPECT_EQ(range.scales, std::vector<float>{10.0f / 255.0f});
}

TEST(DynamicAsymmetric, KeepsToTheBound) {
  Request r = asymmetric(Granularity::tensor);
  r.qmax = 7.0f;
  const auto result = quantize(r, {{0.0f, 15.0f, 4.0f}});
  EXPECT_EQ(result.scales, std::vector<float>{1.0f});
  EXPECT_EQ(result.zero_points, std::vector<int>{-8});
  EXPECT_EQ(result.codes, (Bytes{-8, 7, -4}));
}

// --- groups ----------------------------------------------------------------------------------------------------------

std::vector<float> row_of(std::initializer_list<std::pair<int, float>> runs) {
  std::vector<float> row;
  for (const auto& [count, value] : runs) {
    row.insert(row.end(), static_cast<std::size_t>(count), value);
  }
  return row;
}

TEST(DynamicGroup, HasAScaleEachAndAShortLastGroup) {
  const auto row = row_of({{16, 1.0f}, {16, -2.0f}, {3, 4.0f}});
  const auto result = quantize(group(Format::int8, 16), {row, row_of({{35, 0.0f}})});
  const float least = 1e-10f / 127.0f;
  EXPECT_EQ(result.scales, (std::vector<float>{1.0f / 127.0f, 2.0f / 127.0f, 4.0f / 127.0f, least, least, least}));
  EXPECT_EQ(result.codes[0], 127);
  EXPECT_EQ(result.codes[16], -127);
  EXPECT_EQ(result.codes[34], 127);
  EXPECT_EQ(result.codes[35], 0);
  Request columns = group(Format::int8, 16);
  columns.scale_layout = ScaleLayout::column;
  EXPECT_EQ(quantize(columns, {row, row_of({{35, 0.0f}})}).scales,
            (std::vector<float>{1.0f / 127.0f, least, 2.0f / 127.0f, least, 4.0f / 127.0f, least}));
}

TEST(DynamicGroup, OfInt8RoundsAndDoesNotTruncate) {
  auto row = row_of({{16, 127.0f}});
  row[1] = 1.75f;
  row[2] = -2.5f;
  EXPECT_EQ(quantize(group(Format::int8, 16), {row}).codes[1], 2);
  EXPECT_EQ(quantize(group(Format::int8, 16), {row}).codes[2], -2);
}

TEST(DynamicGroup, RaisesUe8m0ScalesToThePowerOfTwoAbove) {
  const float above = std::nextafter(448.0f, 500.0f);
  const float below = std::nextafter(448.0f, 0.0f);
  const auto row = row_of({{16, 448.0f}, {16, above}, {16, below}, {16, 0.0f}, {16, inf}, {16, 224.0f}});
  const auto as_float = quantize(group(Format::fp8_e4m3fn, 16, ScaleFormat::ue8m0_float32), {row});
  // above / 448 is 1 + 2^-23 or so, and rounds to a float above 1; below / 448 is 1 - 2^-24 or rounds to 1.
  EXPECT_EQ(as_float.scales, (std::vector<float>{1.0f, 2.0f, 1.0f, 0x1p-42f, inf, 0.5f}));
  EXPECT_EQ(as_float.codes[0], 0x7e);
  EXPECT_EQ(as_float.codes[16], 0x76);  // 224
  EXPECT_EQ(as_float.codes[64], 0x7f);
  const auto exponents = quantize(group(Format::fp8_e4m3fn, 16, ScaleFormat::ue8m0), {row});
  EXPECT_EQ(exponents.scales, (std::vector<float>{127, 128, 127, 127 - 42, 255, 126}));
  EXPECT_EQ(exponents.codes, as_float.codes);
}

/// The exponent 255, which is NaN, is that of a scale above 2^127: of an infinite amax, or of a large one under a qmax
/// below 2.
TEST(DynamicGroup, HasNoUe8m0ScaleAbove2To127) {
  Request r = group(Format::int8, 16, ScaleFormat::ue8m0);
  r.qmax = 1.0f;
  const auto row = row_of({{16, 0x1p127f}, {16, 0x1.000002p127f}, {1, inf}});
  EXPECT_EQ(quantize(r, {row}).scales, (std::vector<float>{254, 255, 255}));
  EXPECT_EQ(quantize(r, {row}).codes[0], 1);
  EXPECT_EQ(quantize(r, {row}).codes[16], 0);
}

Request block(Format format, std::int64_t rows, std::int64_t columns) {
  Request r = request(format, Granularity::block);
  r.block_rows = rows;
  r.group_size = columns;
  return r;
}

/// Rows 0 and 1 share scales, row 2 has its own; columns 0 to 15 do, and 16 and 17.
TEST(DynamicBlock, HasAScaleEachAndShortLastBlocks) {
  const std::vector<std::vector<float>> rows = {row_of({{16, 1.0f}, {2, -8.0f}}), row_of({{16, -2.0f}, {2, 4.0f}}),
                                                row_of({{16, 0.0f}, {2, 127.0f}})};
  const auto result = quantize(block(Format::int8, 2, 16), rows);
  const float least = 1e-10f / 127.0f;
  EXPECT_EQ(result.scales, (std::vector<float>{2.0f / 127.0f, 8.0f / 127.0f, least, 1.0f}));
  std::vector<int> codes;
  // 63.5 and 4 / (8 / 127): to even.
  for (const auto& [count, code] : {std::pair{16, 64}, {2, -127}, {16, -127}, {2, 64}, {16, 0}, {2, 127}}) {
    codes.insert(codes.end(), static_cast<std::size_t>(count), code);
  }
  EXPECT_EQ(result.codes, codes);

  const auto fp8 = quantize(block(Format::fp8_e4m3fn, 2, 16), rows);
  EXPECT_EQ(fp8.scales[0], 2.0f / 448.0f);
  EXPECT_EQ(fp8.codes[18], 0xfe) << "-448";
  EXPECT_EQ(fp8.codes[0], 0x76) << "224";
}

TEST(DynamicBlock, StoresItsScalesInEveryLayout) {
  // Scales of 3 x 5 blocks of 1 x 16, exponents 127 + 10 t + g.
  std::vector<std::vector<float>> rows;
  for (int t = 0; t < 3; ++t) {
    rows.push_back({});
    for (int g = 0; g < 5; ++g) {
      rows.back().insert(rows.back().end(), 16, std::ldexp(127.0f, 10 * t + g));
    }
  }
  Request r = block(Format::int8, 1, 16);
  r.scale_format = ScaleFormat::ue8m0;
  r.scale_layout = ScaleLayout::packed;
  EXPECT_EQ(quantize(r, rows).scales,
            (std::vector<float>{127, 128, 129, 130, 137, 138, 139, 140, 147, 148, 149, 150, 0, 0, 0, 0,  //
                                131, 0,   0,   0,   141, 0,   0,   0,   151, 0,   0,   0,   0, 0, 0, 0}));
  r.scale_layout = ScaleLayout::column;
  EXPECT_EQ(quantize(r, rows).scales,
            (std::vector<float>{127, 137, 147, 128, 138, 148, 129, 139, 149, 130, 140, 150, 131, 141, 151}));
  r.scale_stride = 4;
  constexpr float left_alone = 0xa5;
  EXPECT_EQ(quantize(r, rows).scales, (std::vector<float>{127, 137, 147, left_alone, 128, 138, 148, left_alone,  //
                                                          129, 139, 149, left_alone, 130, 140, 150, left_alone,  //
                                                          131, 141, 151}));
  r.scale_stride = 0;
  r.scale_layout = ScaleLayout::column_aligned;
  r.scale_format = ScaleFormat::ue8m0_float32;
  std::vector<float> aligned;
  for (int g = 0; g < 5; ++g) {
    for (int t = 0; t < 3; ++t) {
      aligned.push_back(std::ldexp(1.0f, 10 * t + g));
    }
    aligned.push_back(0.0f);
  }
  EXPECT_EQ(quantize(r, rows).scales, aligned);
}

TEST(StaticGroup, MultipliesFp8AndDividesInt8) {
  const std::vector<std::vector<float>> rows = {row_of({{16, 3.0f}, {4, -1.5f}}), row_of({{16, 1.0f}, {4, inf}})};
  Request fp8 = group(Format::fp8_e4m3fn, 16);
  fp8.static_scale = true;
  const auto codes = quantize(fp8, rows, {2.0f, 0.5f, 1.0f, 4.0f}).codes;
  EXPECT_EQ(codes[0], 0x3c) << "1.5";
  EXPECT_EQ(codes[16], 0xc4) << "-3";
  EXPECT_EQ(codes[20], 0x38) << "1";
  EXPECT_EQ(codes[36], 0x7e) << "448";

  Request int8 = block(Format::int8, 2, 16);
  int8.static_scale = true;
  const auto of_blocks = quantize(int8, rows, {2.0f, 0.5f}).codes;
  EXPECT_EQ(of_blocks[0], 2) << "1.5, to even";
  EXPECT_EQ(of_blocks[16], -3);
  EXPECT_EQ(of_blocks[20], 0) << "0.5, to even";
  EXPECT_EQ(of_blocks[36], 127);
}

TEST(DynamicChannel, HasAScaleAColumn) {
  const std::vector<std::vector<float>> rows = {{127.0f, 0.0f, -1.0f, nan}, {-254.0f, 0.0f, 0.5f, 3.0f}};
  const auto int8 = quantize(request(Format::int8, Granularity::channel), rows);
  EXPECT_EQ(int8.scales, (std::vector<float>{2.0f, 0.0f, 1.0f / 127.0f, 3.0f / 127.0f}));
  EXPECT_EQ(int8.codes, (std::vector<int>{64, 0, -127, 0, -127, 0, 64, 127}));

  const auto fp8 = quantize(request(Format::fp8_e4m3fn, Granularity::channel), rows);
  EXPECT_EQ(fp8.scales, (std::vector<float>{254.0f / 448.0f, s_min, 1.0f / 448.0f, 3.0f / 448.0f}));
  EXPECT_EQ(fp8.codes, (std::vector<int>{0x76, 0, 0xfe, 0x7f, 0xfe, 0, 0x76, 0x7e}));

  const auto affine = quantize(asymmetric(Granularity::channel), {{0.0f, 5.0f}, {255.0f, 5.0f}});
  EXPECT_EQ(affine.scales, (std::vector<float>{1.0f, 5.0f / 255.0f}));
  EXPECT_EQ(affine.zero_points, (std::vector<int>{-128, -128}));
  EXPECT_EQ(affine.codes, (std::vector<int>{-128, 127, 127, 127}));
}

TEST(Dequantized, Ue8m0Exponent255IsNaN) {
  Request r = group(Format::fp8_e4m3fn, 16, ScaleFormat::ue8m0);
  r.num_tokens = 1;
  r.hidden_size = 64;
  std::vector<std::uint8_t> codes(64, 0x38);
  const std::uint8_t exponents[] = {0, 127, 254, 255};
  const auto values = reference_dequantized(r, codes.data(), exponents, nullptr);
  EXPECT_EQ(values[0], 0x1p-127f);
  EXPECT_EQ(values[16], 1.0f);
  EXPECT_EQ(values[32], 0x1p127f);
  EXPECT_TRUE(std::isnan(values[48]));
}

// --- memory ----------------------------------------------------------------------------------------------------------

TEST(Reference, KeepsThePaddingOfStridedRows) {
  Request r = request(Format::int8, Granularity::tensor, true);
  r.element = Element::float32;
  r.num_tokens = 3;
  r.hidden_size = 2;
  r.input_stride = 4;
  r.codes_stride = 3;
  const std::vector<float> input = {1, 2, nan, nan, 3, 4, nan, nan, 5, 6};
  const float scale = 1.0f;
  const HostTensors outputs = reference(r, test::given(input.data(), &scale), std::byte{0x77});
  std::vector<int> codes;
  for (const std::byte code : outputs.codes) {
    codes.push_back(std::to_integer<int>(code));
  }
  EXPECT_EQ(codes, (Bytes{1, 2, 0x77, 3, 4, 0x77, 5, 6}));
}

TEST(Reference, HasNothingToDoWithoutTokens) {
  for (const Request& one : {request(Format::int8, Granularity::tensor), asymmetric(Granularity::channel, true),
                             group(Format::fp8_e5m2, 16)}) {
    Request r = one;
    r.num_tokens = 0;
    r.hidden_size = 8;
    const HostTensors outputs = reference(r, {});
    EXPECT_TRUE(outputs.codes.empty() && outputs.scales.empty() && outputs.zero_points.empty());
    EXPECT_TRUE(reference_dequantized(r, nullptr, nullptr, nullptr).empty());
  }
}

TEST(Reference, GivesBackTheScalesItWasGiven) {
  const auto result = quantize(asymmetric(Granularity::channel, true), {{1.0f, 2.0f}}, {0.5f, 0.25f}, {-3, 4});
  EXPECT_EQ(result.scales, (std::vector<float>{0.5f, 0.25f}));
  EXPECT_EQ(result.zero_points, (std::vector<int>{-3, 4}));
  EXPECT_EQ(result.codes, (Bytes{-1, 12}));
}

}  // namespace
}  // namespace kqbench::testing
