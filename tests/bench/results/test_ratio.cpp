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

Ratio with_interval(double low, double high) {
  return {std::sqrt(low * high), Interval{low, high}};
}

TEST(Ratio, VerdictsAreOfTheIntervalAndTheMargin) {
  EXPECT_EQ(with_interval(1.021, 1.1).verdict(0.02), Verdict::slower);
  EXPECT_EQ(with_interval(1.019, 1.1).verdict(0.02), Verdict::ambiguous);
  EXPECT_EQ(with_interval(1.0, 1.02).verdict(0.02), Verdict::same);
  EXPECT_EQ(with_interval(1.0 / 1.02, 1.02).verdict(0.02), Verdict::same);
  EXPECT_EQ(with_interval(1.0 / 1.02, 1.021).verdict(0.02), Verdict::ambiguous);
  EXPECT_EQ(with_interval(0.97, 0.985).verdict(0.02), Verdict::ambiguous);
  EXPECT_EQ(with_interval(0.9, 0.98).verdict(0.02), Verdict::faster);
  EXPECT_EQ(with_interval(0.5, 2.0).verdict(0.02), Verdict::ambiguous);
  EXPECT_EQ(with_interval(1.001, 1.002).verdict(0.0), Verdict::slower);
  EXPECT_EQ(with_interval(0.998, 0.999).verdict(0.0), Verdict::faster);
  EXPECT_EQ(with_interval(1.021, 1.1).verdict(0.2), Verdict::same);
  EXPECT_EQ((Ratio{3.0, std::nullopt}.verdict(0.02)), Verdict::ambiguous) << "too few samples";
  EXPECT_STREQ(to_string(Verdict::ambiguous), "ambiguous");
}

TEST(Ratio, BetweenRunsIsAsUncertainAsTheyRepeat) {
  Row a = sample_row("kokkos", token_request(16, 4096), 10.0);
  Row b = sample_row("kokkos", token_request(16, 4096), 10.3);
  a.time_us->samples.assign(25, 10.0);
  a.time_us->ci95_low = a.time_us->ci95_high = 10.0;
  b.time_us->samples.assign(25, 10.3);
  b.time_us->ci95_low = b.time_us->ci95_high = 10.3;
  const auto above = [&] {
    const Ratio ratio = ratio_between_runs(b, a);
    EXPECT_DOUBLE_EQ(ratio.value, 1.03);
    EXPECT_NEAR(ratio.interval->low * ratio.interval->high, 1.03 * 1.03, 1e-12);
    return std::log(ratio.interval->high / ratio.value);
  };
  a.time_us->repeatability = 0.03;
  b.time_us->repeatability = 0.04;
  EXPECT_NEAR(above(), std::hypot(std::log(1.03), std::log(1.04)), 1e-12);
  EXPECT_FALSE(ratio_between_runs(b, a).significant());
  a.time_us->repeatability = b.time_us->repeatability = 0.0;
  EXPECT_NEAR(above(), 0.0, 1e-12);
  a.time_us->repeatability.reset();
  b.time_us->repeatability.reset();
  EXPECT_NEAR(above(), std::sqrt(2.0) * std::log(1.02), 1e-12) << "a device";
  a.backend = b.backend = "host";
  EXPECT_NEAR(above(), std::sqrt(2.0) * std::log(1.05), 1e-12);
  a.time_us->repeatability = 0.2;
  EXPECT_NEAR(above(), std::hypot(std::log(1.2), std::log(1.05)), 1e-12) << "only for the row that has none";
}

TEST(GeometricMean, OfManyRatiosIsNoSurerOfTheRunsThanOne) {
  Row a = sample_row("kokkos", token_request(16, 4096), 10.0);
  const Ratio one = ratio_between_runs(a, a);
  const Ratio mean = geometric_mean(std::vector<Ratio>(100, one));
  EXPECT_GE(mean.interval->high, std::exp(std::sqrt(2.0) * std::log(1.02)));
  EXPECT_LE(mean.interval->high, one.interval->high);
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
