// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "bench/measure/problem.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::byte> bytes_of(const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// Static, float input of 2 rows of 3.
kq::Request static_request(kq::Granularity granularity, kq::Format format) {
  kq::Request request;
  request.element = kq::Element::float32;
  request.format = format;
  request.granularity = granularity;
  request.static_scale = true;
  request.num_tokens = 2;
  request.hidden_size = 3;
  return request;
}

std::vector<float> scales_of(const Problem& problem) {
  std::vector<float> scales(problem.given.scales.size() / sizeof(float));
  std::memcpy(scales.data(), problem.given.scales.data(), problem.given.scales.size());
  return scales;
}

const std::vector<float> input = {1.0f, -127.0f, 254.0f, -12.7f, 0.0f, 2.54f};

TEST(MakeProblem, StaticScalesJustHoldTheInput) {
  using kq::Granularity;
  const auto scales = [](Granularity granularity) {
    return scales_of(make_problem(static_request(granularity, kq::Format::int8), bytes_of(input), {}));
  };
  EXPECT_EQ(scales(Granularity::tensor), (std::vector<float>{2.0f}));
  EXPECT_EQ(scales(Granularity::token), (std::vector<float>{2.0f, 12.7f / 127.0f}));
  EXPECT_EQ(scales(Granularity::channel), (std::vector<float>{12.7f / 127.0f, 1.0f, 2.0f}));
}

TEST(MakeProblem, ADynamicSchemeIsGivenNoScale) {
  kq::Request request = static_request(kq::Granularity::token, kq::Format::int8);
  request.static_scale = false;
  const Problem problem = make_problem(request, bytes_of(input), {});
  EXPECT_TRUE(problem.given.scales.empty());
  EXPECT_EQ(problem.expected.scales.size(), 8u);
}

TEST(MakeProblem, WhatIsNoFiniteNumberHasNoPartInAScale) {
  const std::vector<float> strange = {nan, infinity, -127.0f, nan, nan, -infinity};
  const Problem problem = make_problem(static_request(kq::Granularity::token, kq::Format::int8), bytes_of(strange), {});
  EXPECT_EQ(scales_of(problem), (std::vector<float>{1.0f, 1.0f}));
}

TEST(MakeProblem, AScaleIsNeverSoSmallThatItsReciprocalOverflows) {
  const std::vector<float> tiny(6, std::numeric_limits<float>::denorm_min());
  const Problem problem =
      make_problem(static_request(kq::Granularity::tensor, kq::Format::fp8_e4m3fn), bytes_of(tiny), {});
  EXPECT_GT(scales_of(problem)[0], 0.0f);
  EXPECT_LT(1.0f / scales_of(problem)[0], infinity);
}

TEST(MakeProblem, AsymmetricSpansGetAZeroPoint) {
  kq::Request request = static_request(kq::Granularity::token, kq::Format::int8);
  request.asymmetric = true;
  const Problem problem = make_problem(request, bytes_of({0.0f, 255.0f, 1.0f, -255.0f, 0.0f, -1.0f}), {});
  EXPECT_EQ(scales_of(problem), (std::vector<float>{1.0f, 1.0f}));
  EXPECT_EQ(test::numbers_of<std::int32_t>(problem.given.zero_points), (std::vector<std::int32_t>{-128, 127}));
}

/// The exponents of scales raised to powers of two, where the layout has them.
TEST(MakeProblem, PackedScalesAreExponents) {
  kq::Request request = static_request(kq::Granularity::block, kq::Format::int8);
  request.group_size = 16;
  request.block_rows = 1;
  request.scale_format = kq::ScaleFormat::ue8m0;
  request.scale_layout = kq::ScaleLayout::packed;
  const Problem problem = make_problem(request, bytes_of(input), {});

  ASSERT_EQ(problem.given.scales.size(), 16u);
  EXPECT_EQ(problem.given.scales[0], std::byte{127 + 1}) << "254 / 127";
  EXPECT_EQ(problem.given.scales[4], std::byte{127 - 3}) << "12.7 / 127, raised to 1 / 8";
}

TEST(MakeProblem, GivenScalesAreTakenAsTheyAre) {
  kq::Request request = static_request(kq::Granularity::token, kq::Format::int8);
  request.asymmetric = true;
  const Problem problem = make_problem(request, bytes_of(input), {.scale = 0.25f, .zero_point = -3});
  EXPECT_EQ(scales_of(problem), (std::vector<float>{0.25f, 0.25f}));
  EXPECT_EQ(test::numbers_of<std::int32_t>(problem.given.zero_points), (std::vector<std::int32_t>{-3, -3}));
}

TEST(MakeProblem, TheRequestIsResolved) {
  const Problem problem = make_problem(static_request(kq::Granularity::tensor, kq::Format::int8), bytes_of(input), {});
  EXPECT_EQ(problem.request.input_stride, 3);
  EXPECT_EQ(problem.request.qmax, 127.0f);
  EXPECT_EQ(problem.expected.codes.size(), 6u);
}

}  // namespace
}  // namespace kqbench
