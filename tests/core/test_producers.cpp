// SPDX-License-Identifier: Apache-2.0

// What producers compute, against its definition: the order of a sum, the exponential, and SiLU of every half and
// bfloat16.

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kq/element.hpp"
#include "kq/host.hpp"
#include "kq/producers.hpp"

namespace kq {
namespace {

/// By halves, as the order is defined.
double halved(std::vector<double> values) {
  std::size_t power = 1;
  while (power < values.size()) {
    power *= 2;
  }
  values.resize(power, 0.0);
  for (std::size_t half = power / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) {
      values[i] += values[i + half];
    }
  }
  return values[0];
}

/// Numbers whose sum depends on its order.
std::vector<double> uneven(std::size_t count) {
  std::mt19937_64 random(count);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(std::ldexp(static_cast<double>(random() >> 11), static_cast<int>(random() % 40)));
  }
  return values;
}

TEST(SumOfVectors, HasOneOrderWhateverAddsItUp) {
  for (const std::size_t count : {1u, 2u, 3u, 63u, 64u, 65u, 127u, 128u, 129u, 640u, 1000u, 1024u, 5000u}) {
    const std::vector<double> values = uneven(count);
    const double expected = halved(values);
    const auto size = static_cast<std::int64_t>(count);
    const auto at = [&](std::int64_t i) { return i < size ? values[static_cast<std::size_t>(i)] : 0.0; };
    EXPECT_EQ(host::sum_vectors(size, at), expected) << count;
    for (const int lanes : {1, 4, 32, 256}) {
      std::vector<double> of_lanes;
      for (int lane = 0; lane < lanes; ++lane) {
        double sum[1];
        sum_by_halves(
            next_power_of_two((size + lanes - 1) / lanes),
            [&](std::int64_t n, double(&value)[1]) { value[0] = at(lane + n * lanes); }, sum);
        of_lanes.push_back(sum[0]);
      }
      EXPECT_EQ(halved(of_lanes), expected) << count << " by " << lanes << " lanes";
    }
  }
  std::vector<double> forwards = uneven(640);
  double in_order = 0.0;
  for (const double value : forwards) {
    in_order += value;
  }
  EXPECT_NE(halved(forwards), in_order) << "the numbers tell no orders apart";
}

TEST(SumOfSquares, RoundsSquaresToFloatAndAddsThemByHalves) {
  const float x[4] = {1.0f + 0x1p-20f, 3.0f, 0x1p-30f, -5.0f};
  const auto square = [](float v) { return static_cast<double>(v * v); };
  EXPECT_EQ(sum_of_squares(x), (square(x[0]) + square(x[2])) + (square(x[1]) + square(x[3])));
}

TEST(SumOfSquares, IsThatOfHalvesInFewerOperations) {
  std::mt19937 random(7);
  for (int n = 0; n < 20'000; ++n) {
    float x[8];
    for (float& v : x) {
      const auto bits = static_cast<std::uint16_t>(random());
      v = to_float(
          half{(bits & 0x7c00u) == 0x7c00u && n % 100 != 0 ? static_cast<std::uint16_t>(bits & 0x83ffu) : bits});
    }
    const double sum = sum_of_squares(x);
    ASSERT_TRUE(sum_of_half_squares(x) == sum || (std::isnan(sum) && std::isnan(sum_of_half_squares(x)))) << sum;
  }
}

TEST(ReciprocalRms, IsOneOverTheRootOfTheMean) {
  EXPECT_EQ(reciprocal_rms(4.0 * 9.0, 4, 0.0f), 1.0f / 3.0f);
  EXPECT_EQ(reciprocal_rms(0.0, 4, 0.25f), 2.0f);
  EXPECT_TRUE(std::isnan(reciprocal_rms(std::nan(""), 4, 1e-6f)));
  EXPECT_EQ(reciprocal_rms(1e60, 4, 1e-6f), 0.0f) << "a sum that no float holds is infinite";
}

TEST(ExpMinus, IsWithinOneUlp) {
  double worst = 0.0;
  for (std::uint32_t bits = 0; bits < 0x42b20000u; bits += 4099) {
    for (const float x : {bits_float(bits), -bits_float(bits)}) {
      if (x > 80.0f) continue;  // where only 1 + e^-x is looked at
      const long double exact = std::exp(-static_cast<long double>(x));
      if (exact > static_cast<long double>(std::numeric_limits<float>::max())) {
        EXPECT_EQ(exp_minus(x), std::numeric_limits<float>::infinity()) << x;
        continue;
      }
      const auto nearest = static_cast<float>(exact);
      const double ulp = static_cast<double>(nearest) - static_cast<double>(std::nextafter(nearest, 0.0f));
      worst = std::max(worst, static_cast<double>(std::fabs(static_cast<long double>(exp_minus(x)) - exact)) / ulp);
    }
  }
  EXPECT_LE(worst, 1.5);  // an ulp below a power of two is half of that above it
  EXPECT_GT(worst, 0.5);
  EXPECT_EQ(1.0f + exp_minus(1000.0f), 1.0f);
  EXPECT_EQ(exp_minus(-1000.0f), std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(exp_minus(std::nanf(""))));
}

/// T(x / (1 + e^-x)) with the nearest float for e^-x.
template <class T>
std::uint32_t silu_of_definition(float x) {
  const auto e = static_cast<float>(std::exp(-static_cast<double>(x)));
  return rounded_bits<T>(x / (1.0f + e));
}

template <class T>
void expect_silu_of_every_element() {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float x = to_float(T{static_cast<std::uint16_t>(bits)});
    const std::uint32_t expected = silu_of_definition<T>(x);
    ASSERT_EQ(rounded_bits<T>(x / (1.0f + exp_minus(x))), expected) << std::hex << bits;
    for (const std::int32_t off : {-1, 0, 1}) {
      for (const float least : {0.0f, 0x1p-126f}) {
        const auto reciprocal = [off, least](float d) {
          const float exact = 1.0f / d;
          return exact < least ? 0.0f : bits_float(float_bits(exact) + static_cast<std::uint32_t>(off));
        };
        ASSERT_EQ(rounded_bits<T>(short_silu<T>(x, reciprocal)), expected) << std::hex << bits << ", off by " << off;
      }
    }
  }
}

TEST(Silu, IsItsDefinitionForEveryHalf) {
  expect_silu_of_every_element<half>();
}

TEST(Silu, IsItsDefinitionForEveryBfloat16) {
  expect_silu_of_every_element<bfloat16>();
}

TEST(RoundedBits, HasOneNan) {
  EXPECT_EQ(rounded_bits<half>(-std::nanf("")), 0x7fffu);
  EXPECT_EQ(rounded_bits<bfloat16>(bits_float(0xffc00001u)), 0x7fffu);
  EXPECT_EQ(rounded_bits<float>(bits_float(0xff800001u)), 0x7fffffffu);
  EXPECT_EQ(rounded_bits<half>(-0.0f), 0x8000u);
  EXPECT_EQ(rounded_bits<float>(-std::numeric_limits<float>::infinity()), 0xff800000u);
}

/// silu_mul in front of a static tensor scale: [3, 1024].
Request silu_request() {
  Request r;
  r.format = Format::fp8_e4m3fn;
  r.static_scale = true;
  r.num_tokens = 3;
  r.hidden_size = 1024;
  r.producer = Producer::silu_mul;
  return resolved(r);
}

TEST(CutRows, AreQuantizedAsRowsOfTheirOwn) {
  const Request r = silu_request();
  ASSERT_TRUE(may_be_cut(r, 256));
  const Request parts = with_rows_cut(r, 256);
  EXPECT_EQ(parts.num_tokens, 12);
  EXPECT_EQ(parts.hidden_size, 256);
  EXPECT_EQ(parts.codes_stride, 256);
  EXPECT_EQ(parts.input_stride, 2048);

  Request groups = r;
  groups.static_scale = false;
  groups.granularity = Granularity::group;
  groups.group_size = 128;
  EXPECT_TRUE(may_be_cut(groups, 256));
  EXPECT_EQ(num_scales(with_rows_cut(groups, 256)), num_scales(groups));
}

TEST(CutRows, AreRefusedWhereMoreThanAPartBelongsTogether) {
  const auto refuses = [](std::int64_t size, auto change) {
    Request r = silu_request();
    change(r);
    return !may_be_cut(r, size);
  };
  EXPECT_TRUE(refuses(384, [](Request&) {}));
  EXPECT_TRUE(refuses(256, [](Request& r) { r.producer = Producer::rms_norm; }));
  EXPECT_TRUE(refuses(256, [](Request& r) { r.codes_stride += 16; }));
  EXPECT_TRUE(refuses(256, [](Request& r) { r.static_scale = false; }));
  EXPECT_TRUE(refuses(256, [](Request& r) { r.granularity = Granularity::token; }));
  const auto group = [](Request& r, std::int64_t size) {
    r.granularity = Granularity::group;
    r.group_size = size;
  };
  EXPECT_TRUE(refuses(256, [&](Request& r) { group(r, 512); }));
  EXPECT_TRUE(refuses(256, [&](Request& r) {
    group(r, 128);
    r.scale_layout = ScaleLayout::column;
  }));
}

}  // namespace
}  // namespace kq
