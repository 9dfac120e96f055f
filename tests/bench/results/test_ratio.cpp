// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "bench/results/ratio.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace kqbench {
namespace {

TEST(Ratio, OfMediansIsTheRatioOfTheMedians) {
  const Ratio ratio = ratio_of_medians(statistics_of(samples_around(11.0)), statistics_of(samples_around(10.0)));
  EXPECT_DOUBLE_EQ(ratio.value, 1.1);
  ASSERT_TRUE(ratio.interval);
  EXPECT_LT(ratio.interval->low, 1.1);
  EXPECT_GT(ratio.interval->high, 1.1);
  EXPECT_TRUE(ratio.significant());
}

TEST(Ratio, TurnedRoundIsItsInverse) {
  const TimeStatistics a = statistics_of(samples_around(11.0));
  const TimeStatistics b = statistics_of({9.0, 10.0, 10.5, 10.0, 12.0, 10.25, 10.75});
  const Ratio there = ratio_of_medians(a, b);
  const Ratio back = ratio_of_medians(b, a);
  EXPECT_NEAR(there.value * back.value, 1.0, 1e-12);
  EXPECT_NEAR(there.interval->low * back.interval->high, 1.0, 1e-12);
  EXPECT_NEAR(there.interval->high * back.interval->low, 1.0, 1e-12);
}

TEST(Ratio, OfTheSameSamplesIsNotSignificant) {
  const TimeStatistics time = statistics_of(samples_around(10.0));
  EXPECT_FALSE(ratio_of_medians(time, time).significant());
  EXPECT_FALSE(ratio_of_pairs(time, time).significant());
}

TEST(Ratio, OfPairsCancelsWhatSlowsBoth) {
  std::vector<double> a, b;
  for (int i = 0; i < 30; ++i) {
    const double drift = 1.0 + 0.02 * i;
    b.push_back(10.0 * drift);
    a.push_back(10.1 * drift);
  }
  const Ratio paired = ratio_of_pairs(statistics_of(a), statistics_of(b));
  EXPECT_NEAR(paired.value, 1.01, 1e-9);
  EXPECT_TRUE(paired.significant());
  EXPECT_FALSE(ratio_of_medians(statistics_of(a), statistics_of(b)).significant());
}

TEST(Ratio, OfTooFewSamplesHasNoInterval) {
  const TimeStatistics few = statistics_of({10.0, 10.1, 10.2, 10.3, 10.4});
  const TimeStatistics enough = statistics_of(samples_around(20.0));
  EXPECT_FALSE(ratio_of_medians(few, enough).interval);
  EXPECT_FALSE(ratio_of_medians(enough, few).interval);
  EXPECT_FALSE(ratio_of_pairs(few, few).interval);
  EXPECT_FALSE(ratio_of_medians(few, enough).significant());
}

TEST(Ratio, IntervalHoldsTheTrueRatioAsOftenAsItSays) {
  std::mt19937_64 engine(1);
  std::lognormal_distribution<double> noise(0.0, 0.1);
  constexpr double truth = 1.25;
  constexpr int trials = 2000;
  int held = 0;
  for (int trial = 0; trial < trials; ++trial) {
    std::vector<double> a(25), b(40);
    for (double& x : a) {
      x = truth * noise(engine);
    }
    for (double& x : b) {
      x = noise(engine);
    }
    const Ratio ratio = ratio_of_medians(statistics_of(a), statistics_of(b));
    held += ratio.interval->low <= truth && truth <= ratio.interval->high ? 1 : 0;
  }
  // 95 % of 2000 are 1900, with a standard deviation of 10; order statistics err to the safe side.
  EXPECT_GE(held, 1870);
  EXPECT_LE(held, 1985);
}

TEST(GeometricMean, OfRatiosAndTheirIntervals) {
  const std::vector<Ratio> ratios = {{2.0, Interval{1.0, 4.0}}, {0.5, Interval{0.25, 1.0}}};
  const Ratio mean = geometric_mean(ratios);
  EXPECT_NEAR(mean.value, 1.0, 1e-12);
  ASSERT_TRUE(mean.interval);
  EXPECT_NEAR(std::log2(mean.interval->high), std::sqrt(2.0) / 2.0, 1e-12);
  EXPECT_NEAR(std::log2(mean.interval->low), -std::sqrt(2.0) / 2.0, 1e-12);
}

TEST(GeometricMean, WithoutAnIntervalOfOneHasNone) {
  const std::vector<Ratio> ratios = {{2.0, Interval{1.0, 4.0}}, {2.0, std::nullopt}};
  EXPECT_NEAR(geometric_mean(ratios).value, 2.0, 1e-12);
  EXPECT_FALSE(geometric_mean(ratios).interval);
}

}  // namespace
}  // namespace kqbench
