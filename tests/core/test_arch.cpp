// SPDX-License-Identifier: Apache-2.0

// The functions of kq::arch, as a host has them, against their definitions in kq/arch/arch.hpp. The conversions of half
// and of the formats have tests of their own, in test_conversions.cpp.

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "kq/arch/arch.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"

namespace kq::arch {
namespace {

constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

TEST(Arch, MovesWords) {
  alignas(16) std::array<std::uint32_t, 4> memory = {1, 2, 3, 4};
  for (const Vector16& v : {load16(memory.data()), load16_evict_first(memory.data())}) {
    EXPECT_EQ(std::memcmp(v.word, memory.data(), sizeof v.word), 0);
  }
  const std::uint32_t one[] = {0xdeadbeefu};
  const std::uint32_t two[] = {0x01234567u, 0x89abcdefu};
  store_words(&memory[0], one);
  store_words(&memory[2], two);
  EXPECT_EQ(memory, (std::array<std::uint32_t, 4>{0xdeadbeefu, 2, 0x01234567u, 0x89abcdefu}));
  store_words_evict_first(&memory[0], two);
  store_words_evict_first(&memory[3], one);
  EXPECT_EQ(memory, (std::array<std::uint32_t, 4>{0x01234567u, 0x89abcdefu, 0x01234567u, 0xdeadbeefu}));
  std::uint64_t slot = 0;
  write_slot(&slot, 0x0123456789abcdefu);
  EXPECT_EQ(read_slot(&slot), 0x0123456789abcdefu);
}

TEST(Arch, LimitsAndKeepsNaN) {
  EXPECT_EQ(clamp(3.0f, -1.0f, 2.0f), 2.0f);
  EXPECT_EQ(clamp(-3.0f, -1.0f, 2.0f), -1.0f);
  EXPECT_EQ(clamp(0.5f, -1.0f, 2.0f), 0.5f);
  EXPECT_EQ(clamp(infinity, -1.0f, 2.0f), 2.0f);
  EXPECT_TRUE(std::isnan(clamp(nan, -1.0f, 2.0f)));
}

TEST(Arch, LimitsMagnitudes) {
  EXPECT_EQ(limit_magnitude(3.0f, 2.0f), 2.0f);
  EXPECT_EQ(limit_magnitude(-infinity, 2.0f), -2.0f);
  EXPECT_EQ(limit_magnitude(1.5f, 2.0f), 1.5f);
  EXPECT_TRUE(std::signbit(limit_magnitude(-0.0f, 2.0f)));
  EXPECT_FALSE(std::fabs(limit_magnitude(nan, 2.0f)) < 2.0f);
}

TEST(Arch, LeavesNaNOutOfExtremes) {
  for (const auto& [a, b, least, greatest] :
       {std::array{1.0f, 2.0f, 1.0f, 2.0f}, std::array{2.0f, -infinity, -infinity, 2.0f},
        std::array{nan, 2.0f, 2.0f, 2.0f}, std::array{-3.0f, nan, -3.0f, -3.0f}}) {
    EXPECT_EQ(min_number(a, b), least);
    EXPECT_EQ(max_number(a, b), greatest);
  }
  EXPECT_TRUE(std::isnan(max_number(nan, nan)));
  EXPECT_TRUE(std::isnan(min_number(nan, nan)));
}

TEST(Arch, RoundsRootsAndReciprocalsCorrectly) {
  std::uint32_t bits = 1;
  for (int i = 0; i < 2000; ++i) {
    bits = bits * 1664525u + 1013904223u;
    // From 2^-126 to 2^126, and for the approximation from 2^-2.
    const float any = std::ldexp(1.0f + static_cast<float>(bits >> 9) * 0x1p-23f, static_cast<int>(bits % 252u) - 126);
    const double x = any;
    EXPECT_EQ(square_root(any), static_cast<float>(std::sqrt(x))) << any;
    const double root = square_root(x);
    EXPECT_LE(std::fabs(root * root - x), x * 0x1p-52) << x;
    EXPECT_EQ(reciprocal(any), static_cast<float>(1.0 / x)) << any;
    if (any < 0.25f) continue;
    const float approximate = approximate_reciprocal(any);
    EXPECT_LE(std::fabs(approximate - 1.0 / x), 0x1p-23 / x) << any;
  }
}

TEST(Arch, PicksBytes) {
  EXPECT_EQ(low_bytes(0xffffff11u, 0x22u, 0xaaaaaa33u, 0xbbbbbb44u), 0x44332211u);
  EXPECT_EQ(even_bytes(0xaabbccddu), 0xbbddu);
  EXPECT_EQ(magnitudes2<half>(0xbc00fbffu), 0x3c007bffu);
  EXPECT_EQ(magnitudes2<bfloat16>(0x80003f80u), 0x00003f80u);
  const Vector16 v{{1, 2, 3, 4}};
  EXPECT_EQ(std::memcmp(unpacked_again(v).word, v.word, sizeof v.word), 0);
}

/// Byte i of the result is the byte of element i that has its sign.
TEST(Arch, GathersSignBytes) {
  EXPECT_EQ(sign_bytes<2>(0x8899aabbu, 0xccddeeffu), 0xccee88aau);
  EXPECT_EQ(sign_bytes<1>(0x8899aabbu, 0xccddeeffu) & 0xffffu, 0xcc88u);
}

TEST(Arch, ReadsHalfs) {
  for (const auto& [bits, value] : {std::pair<std::uint16_t, float>{0x3c00, 1.0f},
                                    {0xbc00, -1.0f},
                                    {0x0001, 0x1p-24f},
                                    {0x7bff, 65504.0f},
                                    {0xfc00, -infinity}}) {
    EXPECT_EQ(half_to_float(bits), value);
    EXPECT_EQ(unpack_half(bits), value);
  }
  EXPECT_TRUE(std::isnan(half_to_float(0xfe00)) && std::signbit(half_to_float(0xfe00)));
  EXPECT_TRUE(std::isnan(unpack_half(0x7e00)));
}

/// A host converts no format by an instruction and has no wave: what callers rely on to take the portable way.
TEST(Arch, HasNoDeviceInstructions) {
  const float v[4] = {1.0f, 2.0f, 3.0f, 4.0f};
  std::uint32_t word = 7;
  EXPECT_FALSE(encode4<Fp8E4M3Fn>(v, 0, word) || encode4<Int8>(v, 0, word));
  EXPECT_EQ(word, 7u);
  EXPECT_FALSE(is_device || has_packed_extremes || has_wave_max || rounds_to_16_bits || encodes_e2m1_in_eights);
  std::uint8_t code = 7;
  float value = 7.0f;
  EXPECT_FALSE(round_to_e4m3(1.0f, code, value));
  EXPECT_TRUE(code == 7 && value == 7.0f);
  EXPECT_EQ(exchange(1.5f, 1), 1.5f);
  EXPECT_EQ(exchange(std::uint32_t{3}, 1), 3u);
  EXPECT_EQ(from_lane(1.5f, 3, 8), 1.5f);
}

/// CUDA counts teams per multiprocessor, rounded up, so that the threads asked for fit.
TEST(Arch, BoundsLaunches) {
  EXPECT_EQ(launch_bound(256, 1280), 5);
  EXPECT_EQ(launch_bound(512, 1024), 2);
  EXPECT_EQ(launch_bound(1024, 512), 1);
}

}  // namespace
}  // namespace kq::arch
