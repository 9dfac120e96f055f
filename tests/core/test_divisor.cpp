// SPDX-License-Identifier: Apache-2.0

// Division as devices, and a host with AVX2, do it, without a division instruction, held against `/`.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/format_types.hpp"

namespace kq {
namespace {

using kqbench::test::exhaustive;

/// Quotients that no format tells from zero, and those that make every format saturate, need not be exact.
constexpr float too_small = 0x1p-20f;
constexpr float too_large = 0x1p17f;

/// Either quotient gives one code, sign and NaN included.
template <class Format>
bool same_code(float ours, float exact, float x) {
  return Format::encode(ours, x) == Format::encode(exact, x);
}

template <class Divide>
testing::AssertionResult divides_well(const Divide& divide, float x, float divisor) {
  const float ours = divide(x);
  const float exact = x / divisor;
  const bool same = std::bit_cast<std::uint32_t>(ours) == std::bit_cast<std::uint32_t>(exact);
  const float magnitude = std::fabs(exact);
  const bool may_differ = !(magnitude >= too_small && magnitude <= too_large);
  bool same_codes = true;
  kqbench::test::for_each_format([&]<class Format>(Format) {
    same_codes = same_codes && (Format::code_bits == 4 || same_code<Format>(ours, exact, x));
  });
  if (same || (may_differ && same_codes)) return testing::AssertionSuccess();
  return testing::AssertionFailure() << std::hexfloat << x << " / " << divisor << " is " << exact << ", not " << ours;
}

/// Every format makes one code of two quotients, and of their products with every power of two that matters.
bool same_codes_at_any_scale(float ours, float exact) {
  for (int power = -24; power <= 20; ++power) {
    const float a = std::ldexp(ours, power);
    const float b = std::ldexp(exact, power);
    bool same = true;
    kqbench::test::for_each_format([&]<class Format>(Format) { same = same && same_code<Format>(a, b, 1.0f); });
    if (!same) return false;
  }
  return true;
}

/// A half has 11 bits of significand, a bfloat16 eight of the same; a power of two changes nothing in either operand.
/// So these are all quotients that 16-bit elements have.
TEST(Divisor, IsExactForEverySignificandOf16BitElements) {
  const std::uint32_t step = exhaustive() ? 1 : 509;
  int inexact = 0;
  for (std::uint32_t mantissa = 0; mantissa < 1u << 23; mantissa += step) {
    const float divisor = bits_float(0x3f800000u | mantissa);
    const Divisor<half> divide(divisor);
    const ShortDivisor<half> divide_short(divisor);
    const LimitedDivisor divide_limited(divide);
    std::uint32_t wrong = 0;
    for (std::uint32_t i = 0; i < 1024; ++i) {
      const float x = bits_float(0x3f800000u | i << 13);
      const std::uint32_t exact = float_bits(x / divisor);
      for (const float ours : {divide(x), divide_limited(x)}) {
        wrong += float_bits(ours) != exact ? 1u : 0u;
      }
      const float quotient = divide_short(x);
      if (float_bits(quotient) == exact) continue;
      ++inexact;
      wrong += same_codes_at_any_scale(quotient, x / divisor) ? 0u : 1u;
    }
    ASSERT_EQ(wrong, 0u) << "of all 11-bit significands, divided by " << std::hexfloat << divisor;
  }
  if (exhaustive()) {
    EXPECT_EQ(inexact, 69);
  }
}

/// Quotients of which ShortDivisor misses the last bit, those of bfloat16; and the one that would be made a tie.
TEST(Divisor, MissesNoCodeWhereItMissesABit) {
  constexpr float pairs[][2] = {{0x1.34p0f, 0x1.6327dep0f}, {0x1.e6p0f, 0x1.850c26p0f}, {0x1.5ep0f, 0x1.b1522cp0f},
                                {0x1.2ap0f, 0x1.b90a06p0f}, {0x1.4ap0f, 0x1.bb102cp0f}, {0x1.b2p0f, 0x1.c483dep0f},
                                {0x1.e8p0f, 0x1.f250c6p0f}};
  for (const auto& [x, divisor] : pairs) {
    const float ours = ShortDivisor<bfloat16>(divisor)(x);
    EXPECT_NE(ours, x / divisor) << std::hexfloat << divisor;
    EXPECT_TRUE(same_codes_at_any_scale(ours, x / divisor)) << std::hexfloat << divisor;
  }
  EXPECT_EQ(ShortDivisor<half>(0x1.fffffep0f)(1.0f), 1.0f / 0x1.fffffep0f);
  EXPECT_FALSE(same_codes_at_any_scale(0.5f, 1.0f / 0x1.fffffep0f));
}

/// Every half and bfloat16, special ones too, by divisors of every exponent.
TEST(Divisor, ServesEvery16BitElementAndEveryExponent) {
  std::mt19937 random(1);
  for (std::uint32_t exponent = 0; exponent < 255; exponent += exhaustive() ? 1 : 7) {
    const float divisor =
        bits_float(exponent << 23 | (static_cast<std::uint32_t>(random()) & 0x7fffffu) | (exponent == 0 ? 1u : 0u));
    const Divisor<half> by_half(divisor);
    const Divisor<bfloat16> by_bfloat16(divisor);
    const LimitedDivisor by_limited(by_bfloat16);
    const ShortDivisor<bfloat16> by_short(divisor);
    for (std::uint32_t bits = 0; bits < 1u << 16; ++bits) {
      ASSERT_TRUE(divides_well(by_half, to_float(half{static_cast<std::uint16_t>(bits)}), divisor));
      const float brain = to_float(bfloat16{static_cast<std::uint16_t>(bits)});
      ASSERT_TRUE(divides_well(by_bfloat16, brain, divisor));
      if (ShortDivisor<bfloat16>::serves(divisor, std::fabs(brain))) {
        ASSERT_TRUE(divides_well(by_short, brain, divisor));
      }
      if (!by_bfloat16.is_ordinary()) continue;
      ASSERT_TRUE(divides_well(by_limited, to_float(half{static_cast<std::uint16_t>(bits)}), divisor));
      ASSERT_TRUE(divides_well(by_limited, brain, divisor));
    }
  }
}

/// Floats of any bits by positive divisors of any bits; the step that leaves exceptions out where it says it serves.
TEST(Divisor, ServesRandomFloats) {
  std::mt19937 random(2);
  const int divisors = exhaustive() ? 100'000 : 1'000;
  for (int i = 0; i < divisors; ++i) {
    const float divisor = bits_float(1 + static_cast<std::uint32_t>(random()) % 0x7f7fffffu);
    const Divisor<float> divide(divisor);
    const ShortDivisor<float> divide_short(divisor);
    for (int k = 0; k < 200; ++k) {
      // Half of the dividends are within the range of quotients that matters.
      const float any = bits_float(static_cast<std::uint32_t>(random()));
      const int exponent = std::isnormal(any) ? std::ilogb(divisor) + static_cast<int>(random() % 40) - 22 : 0;
      const float x = k % 2 == 0 || !std::isnormal(any) ? any : std::ldexp(any, exponent - std::ilogb(any));
      ASSERT_TRUE(divides_well(divide, x, divisor));
      if (ShortDivisor<float>::serves(divisor, std::fabs(x))) {
        ASSERT_TRUE(divides_well(divide_short, x, divisor));
      }
    }
  }
}

/// An infinite scale, as an infinite amax makes it: finite elements give 0, infinite ones NaN.
TEST(Divisor, ServesAnInfiniteDivisor) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Divisor<half> divide(infinity);
  for (const float x : {0.0f, -0.0f, 1.0f, -65504.0f, infinity, -infinity}) {
    EXPECT_TRUE(divides_well(divide, x, infinity));
  }
}

/// A given scale may be anything: these are what `/` says of it.
TEST(Divisor, ServesDivisorsThatAreNoScales) {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float divisor : {0.0f, 0x1p-149f, 0x1p-128f, 0x1p-90f, 1.5f, 0x1.8p126f, 0x1.8p127f, infinity, nan}) {
    for (const float signed_divisor : {divisor, -divisor}) {
      const Divisor<half> by_half(signed_divisor);
      const Divisor<float> by_float(signed_divisor);
      EXPECT_EQ(by_half.is_ordinary(), signed_divisor == 1.5f);
      for (const float x : {0.0f, 0x1p-149f, 0x1p-126f, 3.0f, 65504.0f, 0x1.8p127f, infinity, nan}) {
        for (const float signed_x : {x, -x}) {
          EXPECT_TRUE(divides_well(by_half, signed_x, signed_divisor));
          EXPECT_TRUE(divides_well(by_float, signed_x, signed_divisor));
        }
      }
    }
  }
}

}  // namespace
}  // namespace kq
