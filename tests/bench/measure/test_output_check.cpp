// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "bench/measure/output_check.hpp"

namespace kqbench {
namespace {

constexpr std::byte poison{0xa5};

/// Dynamic token int8 with zero points, rows of 5 codes 8 apart.
kq::Request strided_request() {
  kq::Request request;
  request.granularity = kq::Granularity::token;
  request.asymmetric = true;
  request.num_tokens = 3;
  request.hidden_size = 5;
  request.codes_stride = 8;
  return kq::resolved(request);
}

HostTensors outputs_of(const kq::Request& request) {
  HostTensors outputs;
  outputs.codes.assign(kq::codes_bytes(request), std::byte{0xee});  // gaps included: they must not be looked at
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    for (std::int64_t channel = 0; channel < request.hidden_size; ++channel) {
      outputs.codes[static_cast<std::size_t>(token * request.codes_stride + channel)] =
          static_cast<std::byte>(10 * token + channel);
    }
  }
  outputs.scales.assign(kq::scales_bytes(request), std::byte{0x11});
  outputs.zero_points.assign(12, std::byte{0x22});
  return outputs;
}

class OutputCheck : public testing::Test {
 protected:
  std::optional<Mismatch> compare_with(std::size_t offset, std::byte value) const {
    std::vector<std::byte> found = image;
    found[offset] = value;
    return compare(layout, image, found, poison);
  }

  /// Where a tensor begins in the block.
  template <class Address>
  std::size_t offset_of(Address Operands::*tensor) {
    std::vector<std::byte> block(layout.bytes());
    Operands operands;
    layout.set_addresses(block.data(), operands);
    return static_cast<std::size_t>(reinterpret_cast<std::byte*>(operands.*tensor) - block.data());
  }

  kq::Request request = strided_request();
  OutputLayout layout{request};
  std::size_t scales = offset_of(&Operands::scales);
  std::size_t zero_points = offset_of(&Operands::zero_points);
  std::vector<std::byte> image = layout.image(outputs_of(request), poison);
};

TEST_F(OutputCheck, PartsAreAlignedAndGuarded) {
  EXPECT_EQ(scales % 256, 0u);
  EXPECT_EQ(zero_points % 256, 0u);
  EXPECT_EQ(layout.bytes() % 256, 0u);
  EXPECT_GE(scales, kq::codes_bytes(request) + 64);
  EXPECT_GE(zero_points, scales + kq::scales_bytes(request) + 64);
  EXPECT_GE(layout.bytes(), zero_points + kq::zero_points_bytes(request) + 64);
}

TEST_F(OutputCheck, TheImageHasPoisonWhereNothingMayBeWritten) {
  EXPECT_EQ(image[0], std::byte{0});
  EXPECT_EQ(image[8 + 4], std::byte{14});
  for (const std::size_t gap : {5u, 6u, 7u, 13u})
    EXPECT_EQ(image[gap], poison);
  EXPECT_EQ(image[kq::codes_bytes(request)], poison);
  EXPECT_EQ(image[scales + 12], poison);
  EXPECT_EQ(image.back(), poison);
}

TEST_F(OutputCheck, EqualBytesAreRight) {
  EXPECT_FALSE(compare(layout, image, image, poison));
}

TEST_F(OutputCheck, ACodeIsNamedByTokenAndChannel) {
  const auto mismatch = compare_with(2 * 8 + 3, std::byte{0x7f});
  ASSERT_TRUE(mismatch);
  EXPECT_EQ(mismatch->where, "codes[token 2, channel 3]");
  EXPECT_EQ(mismatch->expected, "0x17");
  EXPECT_EQ(mismatch->found, "0x7f");
  EXPECT_EQ(mismatch->wrong_bytes, 1u);
  EXPECT_FALSE(mismatch->untouched);
}

TEST_F(OutputCheck, AScaleIsShownWhole) {
  const auto mismatch = compare_with(scales + 4 + 2, std::byte{0x99});
  ASSERT_TRUE(mismatch);
  EXPECT_EQ(mismatch->where, "scales[1]");
  EXPECT_EQ(mismatch->expected, "0x11111111");
  EXPECT_EQ(mismatch->found, "0x11991111");
}

TEST_F(OutputCheck, AZeroPointIsShownWhole) {
  const auto mismatch = compare_with(zero_points + 11, std::byte{0x00});
  ASSERT_TRUE(mismatch);
  EXPECT_EQ(mismatch->where, "zero_points[2]");
  EXPECT_EQ(mismatch->found, "0x00222222");
}

TEST_F(OutputCheck, WritesWhereNoneAreAllowedAreFound) {
  EXPECT_EQ(compare_with(6, std::byte{0})->where, "the gap after token 0 of the codes");
  EXPECT_EQ(compare_with(kq::codes_bytes(request), std::byte{0})->where, "the guard after the codes");
  EXPECT_EQ(compare_with(scales + 12, std::byte{0})->where, "the guard after the scales");
  EXPECT_EQ(compare_with(layout.bytes() - 1, std::byte{0})->where, "the guard after the zero_points");
}

TEST_F(OutputCheck, WhatWasNeverWrittenIsSaid) {
  const std::vector<std::byte> found(layout.bytes(), poison);
  const auto mismatch = compare(layout, image, found, poison);
  ASSERT_TRUE(mismatch);
  EXPECT_TRUE(mismatch->untouched);
  EXPECT_EQ(mismatch->where, "codes[token 0, channel 0]");
  EXPECT_EQ(mismatch->wrong_bytes, 15u + 12u + 12u);
  EXPECT_NE(mismatch->message().find("never written"), std::string::npos);
}

TEST(OutputLayout, OfAStaticRequestHasCodesOnly) {
  kq::Request request;
  request.static_scale = true;
  request.num_tokens = 2;
  request.hidden_size = 100;
  const OutputLayout layout(kq::resolved(request));
  EXPECT_EQ(layout.bytes(), 512u);
  EXPECT_EQ(layout.describe(150), "codes[token 1, channel 50]");
  EXPECT_EQ(layout.describe(511), "the guard after the codes");
}

TEST(OutputLayout, OneByteScalesAreNamedOneByOne) {
  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::group;
  request.group_size = 16;
  request.scale_format = kq::ScaleFormat::ue8m0;
  request.num_tokens = 2;
  request.hidden_size = 64;
  const kq::Request full = kq::resolved(request);
  const OutputLayout layout(full);
  EXPECT_EQ(layout.describe(256 + 7), "scales[7]");
  EXPECT_EQ(layout.describe(256 + 8), "the guard after the scales");
}

}  // namespace
}  // namespace kqbench
