// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "backends/reference/reference.hpp"
#include "kq/dequantize.hpp"
#include "kq/element.hpp"
#include "kq/error_report.hpp"
#include "tests/support/coded_tensors.hpp"

namespace kq {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

Request request_of(Format format, Granularity granularity, std::int64_t tokens, std::int64_t width) {
  Request request;
  request.element = Element::float32;
  request.format = format;
  request.granularity = granularity;
  request.static_scale = true;
  request.num_tokens = tokens;
  request.hidden_size = width;
  return request;
}

std::vector<float> row(const Request& request, const Quantized& quantized, std::int64_t token) {
  std::vector<float> values(static_cast<std::size_t>(request.hidden_size));
  dequantize_row(resolved(request), quantized, token, values.data());
  return values;
}

TEST(Dequantize, EachFormatDecodesItsCodes) {
  const std::uint8_t codes[] = {0x00, 0x38, 0xb8, 0x7e};
  const float scale = 2.0f;
  const Quantized quantized{codes, &scale, nullptr};
  const auto values = [&](Format format) { return row(request_of(format, Granularity::tensor, 1, 4), quantized, 0); };
  EXPECT_EQ(values(Format::fp8_e4m3fn), (std::vector<float>{0.0f, 2.0f, -2.0f, 896.0f}));
  EXPECT_EQ(values(Format::fp8_e4m3fnuz), (std::vector<float>{0.0f, 1.0f, -1.0f, 448.0f}));
  EXPECT_EQ(values(Format::fp8_e5m2fnuz), (std::vector<float>{0.0f, 0.5f, -0.5f, 98304.0f}));
  EXPECT_EQ(values(Format::int8), (std::vector<float>{0.0f, 112.0f, -144.0f, 252.0f}));
  const auto e5m2 = values(Format::fp8_e5m2);
  EXPECT_EQ(e5m2[1], 1.0f);
  EXPECT_TRUE(std::isnan(e5m2[3]));
}

TEST(Dequantize, EachGranularityFindsItsScale) {
  const std::int8_t codes[] = {1, 1, 1, 1, 1, 1};  // two rows of three
  const float scales[] = {1.0f, 2.0f, 4.0f, 8.0f};
  const Quantized quantized{codes, scales, nullptr};
  Request request = request_of(Format::int8, Granularity::token, 2, 3);
  EXPECT_EQ(row(request, quantized, 1), (std::vector<float>{2.0f, 2.0f, 2.0f}));
  request.granularity = Granularity::channel;
  EXPECT_EQ(row(request, quantized, 1), (std::vector<float>{1.0f, 2.0f, 4.0f}));
}

TEST(Dequantize, GroupsMayBeShortAndTheirScalesInEitherLayout) {
  Request request = request_of(Format::int8, Granularity::group, 2, 20);
  request.static_scale = false;
  request.group_size = 16;
  const std::vector<std::int8_t> codes(40, 1);
  const float scales[] = {1.0f, 2.0f, 4.0f, 8.0f};
  const Quantized quantized{codes.data(), scales, nullptr};
  std::vector<float> wanted(20, 4.0f);
  std::fill(wanted.begin() + 16, wanted.end(), 8.0f);
  EXPECT_EQ(row(request, quantized, 1), wanted);
  request.scale_layout = ScaleLayout::column;
  std::fill(wanted.begin(), wanted.begin() + 16, 2.0f);
  EXPECT_EQ(row(request, quantized, 1), wanted);

  request.scale_format = ScaleFormat::ue8m0;
  const std::uint8_t exponents[] = {127, 126, 130, 255};
  const auto values = row(request, {codes.data(), exponents, nullptr}, 1);
  EXPECT_EQ(values[0], 0.5f);
  EXPECT_TRUE(std::isnan(values[19]));  // 255 is NaN
}

TEST(Dequantize, ZeroPointsAreTakenOffWithoutWrapping) {
  Request request = request_of(Format::int8, Granularity::token, 2, 2);
  request.asymmetric = true;
  const std::int8_t codes[] = {-128, 127, 127, 0};
  const float scales[] = {0.5f, 1.0f};
  const std::int32_t zero_points[] = {-128, std::numeric_limits<std::int32_t>::min()};
  const Quantized quantized{codes, scales, zero_points};
  EXPECT_EQ(row(request, quantized, 0), (std::vector<float>{0.0f, 127.5f}));
  EXPECT_EQ(row(request, quantized, 1), (std::vector<float>{0x1p31f, 0x1p31f}));
}

TEST(Dequantize, RowsMayLieApart) {
  Request request = request_of(Format::int8, Granularity::tensor, 2, 2);
  request.codes_stride = 3;
  const std::int8_t codes[] = {1, 2, 99, 3, 4};
  const float scale = 1.0f;
  EXPECT_EQ(row(request, {codes, &scale, nullptr}, 1), (std::vector<float>{3.0f, 4.0f}));
}

TEST(Dequantize, EveryCodeOfEverySchemeIsAsTheReferenceHasIt) {
  for (const auto& tensor : kqbench::test::coded_tensors()) {
    const Quantized quantized{tensor.codes.data(), tensor.scales.data(), tensor.zero_points.data()};
    std::vector<float> found;
    for (std::int64_t token = 0; token < tensor.request.num_tokens; ++token) {
      const auto values = row(tensor.request, quantized, token);
      found.insert(found.end(), values.begin(), values.end());
    }
    const auto expected =
        kqbench::reference_dequantized(tensor.request, quantized.codes, quantized.scales, quantized.zero_points);
    EXPECT_EQ(kqbench::test::difference(tensor, found, expected), "");
  }
}

/// Codes and a scale such that the errors are known: y is {1, 2, 3, 4}.
struct Known {
  std::int8_t codes[4] = {1, 2, 3, 4};
  float scale = 1.0f;
  Request request = resolved(request_of(Format::int8, Granularity::tensor, 2, 2));
  Quantized quantized() const { return {codes, &scale, nullptr}; }
};

TEST(ErrorMeter, MeasuresKnownErrors) {
  const Known known;
  const float input[] = {1.0f, 2.5f, 3.0f, 3.0f};  // errors 0, 1/2, 0, 1
  ErrorMeter meter;
  meter.add(known.request, input, known.quantized());
  const ErrorReport report = meter.report();
  EXPECT_EQ(report.max_error, 1.0);
  EXPECT_DOUBLE_EQ(report.rmse, std::sqrt(1.25 / 4));
  EXPECT_DOUBLE_EQ(report.sqnr_db, 10.0 * std::log10(25.25 / 1.25));
  EXPECT_EQ(report.elements, 4);
  EXPECT_EQ(report.not_finite, 0);
  EXPECT_EQ(report.lost, 0);
}

TEST(ErrorMeter, BlocksAddUpToTheWhole) {
  const Known known;
  const float input[] = {1.0f, 2.5f, 3.0f, 3.0f};
  ErrorMeter whole;
  whole.add(known.request, input, known.quantized());
  Request one_row = known.request;
  one_row.num_tokens = 1;
  ErrorMeter blocks;
  blocks.add(one_row, input, known.quantized());
  blocks.add(one_row, input + 2, {known.codes + 2, &known.scale, nullptr});
  EXPECT_EQ(blocks.report().max_error, whole.report().max_error);
  EXPECT_EQ(blocks.report().rmse, whole.report().rmse);
  EXPECT_EQ(blocks.report().sqnr_db, whole.report().sqnr_db);
  EXPECT_EQ(blocks.report().elements, whole.report().elements);
}

TEST(ErrorMeter, ReadsEveryElementAtItsStride) {
  Known known;
  known.request.element = Element::half;
  known.request.input_stride = 3;
  const half halves[] = {to_half(1), to_half(2), to_half(999), to_half(3), to_half(4)};
  ErrorMeter meter;
  meter.add(known.request, halves, known.quantized());
  EXPECT_EQ(meter.report().max_error, 0.0);
  known.request.element = Element::bfloat16;
  const bfloat16 bfloats[] = {to_bfloat16(1), to_bfloat16(2), to_bfloat16(999), to_bfloat16(3), to_bfloat16(4)};
  meter.add(known.request, bfloats, known.quantized());
  EXPECT_EQ(meter.report().max_error, 0.0);
  EXPECT_EQ(meter.report().sqnr_db, infinity);
}

TEST(ErrorMeter, LeavesOutInputsThatAreNotFinite) {
  const Known known;
  const float input[] = {nan, 2.0f, infinity, 5.0f};
  ErrorMeter meter;
  meter.add(known.request, input, known.quantized());
  EXPECT_EQ(meter.report().not_finite, 2);
  EXPECT_EQ(meter.report().max_error, 1.0);
  EXPECT_DOUBLE_EQ(meter.report().rmse, std::sqrt(0.5));
}

TEST(ErrorMeter, DoesNotHideWhatAnInfiniteScaleLost) {
  Known known;
  known.scale = infinity;
  const float input[] = {infinity, 2.0f, 3.0f, 5.0f};
  ErrorMeter meter;
  meter.add(known.request, input, known.quantized());
  EXPECT_EQ(meter.report().lost, 3);
  EXPECT_EQ(meter.report().rmse, infinity);
  EXPECT_EQ(meter.report().max_error, infinity);
  EXPECT_EQ(meter.report().sqnr_db, -infinity);
}

TEST(ErrorMeter, OfNothingIsNothing) {
  const ErrorReport report = ErrorMeter().report();
  EXPECT_EQ(report.rmse, 0.0);
  EXPECT_EQ(report.elements, 0);
}

}  // namespace
}  // namespace kq
