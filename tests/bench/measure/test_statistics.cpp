// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <numeric>
#include <vector>

#include "bench/measure/statistics.hpp"
#include "bench/tensors/random.hpp"

namespace kqbench {
namespace {

TEST(Median, OfOddAndEvenCounts) {
  EXPECT_EQ(median(std::vector<double>{3.0}), 3.0);
  EXPECT_EQ(median(std::vector<double>{9.0, 1.0, 2.0}), 2.0);
  EXPECT_EQ(median(std::vector<double>{4.0, 1.0, 2.0, 100.0}), 3.0);
}

// Positions as in tables of the sign test: for 20 samples the 6th and the 15th, and so on.
TEST(MedianRanks, AreThoseOfTheTables) {
  const auto expect = [](std::size_t n, std::size_t low, std::size_t high) {
    const OrderRanks ranks = median_ranks(n);
    EXPECT_EQ(ranks.low + 1, low) << n;
    EXPECT_EQ(ranks.high + 1, high) << n;
  };
  expect(6, 1, 6);
  expect(8, 1, 8);
  expect(9, 2, 8);
  expect(10, 2, 9);
  expect(20, 6, 15);
  expect(25, 8, 18);
  expect(50, 18, 33);
  expect(100, 40, 61);
}

TEST(MedianRanks, TooFewSamplesGiveAllThereIs) {
  for (std::size_t n = 1; n <= 5; ++n) {
    EXPECT_EQ(median_ranks(n).low, 0u);
    EXPECT_EQ(median_ranks(n).high, n - 1);
  }
}

// Of 20 samples, from the tables: 1 - 2 * 0.0207. Of few, 1 - 2^(1-n): the chance that not all are on one side.
TEST(IntervalConfidence, IsWhatTheRanksGiveAndNoMore) {
  EXPECT_NEAR(interval_confidence(20), 0.9586, 1e-4);
  EXPECT_NEAR(interval_confidence(6), 0.96875, 1e-12);
  EXPECT_NEAR(interval_confidence(5), 0.9375, 1e-12);
  EXPECT_NEAR(interval_confidence(3), 0.75, 1e-12);
  EXPECT_NEAR(interval_confidence(1), 0.0, 1e-12);
  for (std::size_t n = 1; n < 200; ++n) {
    EXPECT_EQ(interval_confidence(n) >= 0.95, n >= least_samples) << n;
  }
}

TEST(MedianRanks, ManySamplesGiveTheNormalApproximation) {
  const std::size_t n = 100000;
  const double expected = 0.5 * static_cast<double>(n) - 1.96 * 0.5 * std::sqrt(static_cast<double>(n));
  EXPECT_NEAR(static_cast<double>(median_ranks(n).low), expected, 2.0);
}

// What the interval promises: it holds the true median, here 0, in at least 95 of 100 cases.
TEST(MedianInterval, HoldsTheTrueMedian) {
  constexpr int repetitions = 4000;
  constexpr std::uint64_t n = 21;
  int held = 0;
  for (std::uint64_t repetition = 0; repetition < repetitions; ++repetition) {
    std::vector<double> samples;
    for (std::uint64_t i = 0; i < n; ++i) {
      samples.push_back(static_cast<double>(random_normal(1, repetition * n + i)));
    }
    const Interval interval = median_interval(samples);
    held += interval.low <= 0.0 && 0.0 <= interval.high ? 1 : 0;
  }
  EXPECT_GE(held, repetitions * 95 / 100);
  EXPECT_LE(held, repetitions * 99 / 100);  // and it is not wide for nothing
}

TEST(PairedRatio, CancelsWhatSlowsBoth) {
  std::vector<double> a;
  std::vector<double> b;
  for (int i = 0; i < 30; ++i) {
    const double drift = 1.0 + 0.1 * i;  // the device gets three times slower
    a.push_back(2.0 * drift);
    b.push_back(1.0 * drift);
  }
  const PairedRatio ratio = paired_ratio(a, b);
  EXPECT_NEAR(ratio.median, 2.0, 1e-12);
  EXPECT_NEAR(ratio.interval.low, 2.0, 1e-12);
  EXPECT_NEAR(ratio.interval.high, 2.0, 1e-12);
}

// From the tables.
TEST(StudentT, IsThatOfTheTables) {
  EXPECT_NEAR(student_t(1), 12.706, 1e-3);
  EXPECT_NEAR(student_t(2), 4.303, 1e-3);
  EXPECT_NEAR(student_t(4), 2.776, 1e-3);
  EXPECT_NEAR(student_t(30), 2.042, 1e-3);
  EXPECT_NEAR(student_t(40), 2.021, 2e-3);
  EXPECT_NEAR(student_t(99), 1.984, 2e-3);
}

TEST(Repeatability, IsThePredictionIntervalOfOneMoreRound) {
  // Logarithms -0.01, 0, 0.01: s = 0.01.
  const std::vector<double> rounds = {10.0 * std::exp(-0.01), 10.0, 10.0 * std::exp(0.01)};
  EXPECT_NEAR(repeatability(rounds, 0.0).value(), std::exp(4.303 * 0.01 * std::sqrt(4.0 / 3.0)) - 1.0, 1e-9);
}

TEST(Repeatability, IsNoLessThanTheIntervalOfTheMedian) {
  EXPECT_DOUBLE_EQ(repeatability(std::vector<double>{10.0, 10.0, 10.0}, 0.02).value(), 0.02);
}

TEST(Repeatability, IsNotKnownFromOneRound) {
  EXPECT_FALSE(repeatability(std::vector<double>{10.0}, 0.01));
  EXPECT_FALSE(repeatability({}, 0.01));
}

TEST(Repeatability, IsANumberHoweverFarRoundsAreApart) {
  EXPECT_EQ(repeatability(std::vector<double>{1e-9, 1e12}, 0.0), most_repeatability);
}

// What the figure promises: where runs differ as rounds do, another round is within it in at least 95 of 100 cases.
TEST(Repeatability, HoldsAnotherRound) {
  constexpr int repetitions = 4000;
  for (const std::uint64_t n : {2u, 3u, 5u}) {
    int held = 0;
    for (std::uint64_t repetition = 0; repetition < repetitions; ++repetition) {
      std::vector<double> rounds;
      double mean = 0.0;
      for (std::uint64_t i = 0; i < n; ++i) {
        const double logarithm = 0.03 * static_cast<double>(random_normal(n, repetition * (n + 1) + i));
        rounds.push_back(10.0 * std::exp(logarithm));
        mean += logarithm / static_cast<double>(n);
      }
      const double another = 0.03 * static_cast<double>(random_normal(n, repetition * (n + 1) + n));
      const double width = std::log1p(repeatability(rounds, 0.0).value());
      held += std::abs(another - mean) <= width ? 1 : 0;
    }
    EXPECT_GE(held, repetitions * 94 / 100) << n;
    EXPECT_LE(held, repetitions * 96 / 100) << n;
  }
}

TEST(HalvesDiffer, WhenTheClockJumps) {
  std::vector<double> samples;
  for (int i = 0; i < 40; ++i) {
    samples.push_back((i < 20 ? 10.0 : 11.0) + 0.01 * (i % 5));
  }
  EXPECT_TRUE(halves_differ(samples));
}

TEST(HalvesDiffer, NotForNoiseNorForLittle) {
  std::vector<double> noise;
  std::vector<double> little;
  for (int i = 0; i < 40; ++i) {
    noise.push_back(10.0 + 3.0 * (i % 7));
    little.push_back(i < 20 ? 10.0 : 10.2);
  }
  EXPECT_FALSE(halves_differ(noise));
  EXPECT_FALSE(halves_differ(little));
  EXPECT_FALSE(halves_differ(std::vector<double>{1.0}));
}

TEST(RelativeHalfWidth, TakesTheLargerSide) {
  EXPECT_DOUBLE_EQ(relative_half_width({9.0, 12.0}, 10.0), 0.2);
  EXPECT_DOUBLE_EQ(relative_half_width({7.0, 11.0}, 10.0), 0.3);
}

}  // namespace
}  // namespace kqbench
