// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "bench/measure/stopping_rule.hpp"

namespace kqbench {
namespace {

using Samples = std::vector<std::vector<double>>;

const StoppingLimits usual = {
    .min_launches = 100, .min_samples = 20, .least_samples = 6, .relative_interval = 0.01, .max_seconds = 1.0};

/// Passes until the rule stops, each of one sample an implementation and `launches` launches, `seconds` apart.
struct Stopped {
  std::optional<StopReason> reason;
  int rounds = 0;
};
template <class Sample>
Stopped run(const StoppingLimits& limits, std::size_t implementations, std::int64_t launches, double seconds,
            Sample sample) {
  StoppingRule rule(limits);
  Samples samples(implementations);
  for (int round = 1; round <= 10000; ++round) {
    for (std::size_t i = 0; i < implementations; ++i) {
      samples[i].push_back(sample(i, round));
    }
    if (const auto reason = rule.after_pass(samples, launches * round, seconds * round)) return {reason, round};
  }
  return {};
}

double steady(std::size_t, int) {
  return 10.0;
}
double noisy(std::size_t, int round) {
  return round % 2 == 0 ? 10.0 : 20.0;
}

TEST(StoppingRule, SteadyTimesStopAtTheLeastNumberOfSamples) {
  const Stopped stopped = run(usual, 2, 100, 0.001, steady);
  EXPECT_EQ(stopped.reason, StopReason::interval);
  EXPECT_EQ(stopped.rounds, 20);
}

TEST(StoppingRule, LaunchesAreCountedToo) {
  const Stopped stopped = run(usual, 1, 2, 0.001, steady);
  EXPECT_EQ(stopped.reason, StopReason::interval);
  EXPECT_EQ(stopped.rounds, 50);
}

TEST(StoppingRule, TheLeastIsDoneEvenWhenTimeIsUp) {
  const Stopped stopped = run(usual, 1, 5, 10.0, noisy);
  EXPECT_EQ(stopped.reason, StopReason::max_time);
  EXPECT_EQ(stopped.rounds, 6) << "what an interval of 95 % takes, and no more";
}

TEST(StoppingRule, TimeWinsOverTheLeastNumbersOfSamplesAndLaunches) {
  const Stopped few_samples = run(usual, 1, 100, 0.1, steady);
  EXPECT_EQ(few_samples.reason, StopReason::max_time);
  EXPECT_EQ(few_samples.rounds, 10);
  const Stopped few_launches = run(usual, 1, 1, 0.04, steady);
  EXPECT_EQ(few_launches.reason, StopReason::max_time);
  EXPECT_EQ(few_launches.rounds, 25);
}

TEST(StoppingRule, ARoundHasItsPartOfTheLaunchesSamplesAndTime) {
  const StoppingLimits second = limits_of_round(usual, 1, 3);
  EXPECT_EQ(second.min_launches, 34);
  EXPECT_EQ(second.min_samples, 7);
  EXPECT_EQ(second.least_samples, 2);
  EXPECT_DOUBLE_EQ(second.max_seconds, 2.0 / 3.0);
  EXPECT_DOUBLE_EQ(limits_of_round(usual, 2, 3).max_seconds, 1.0);
}

// However many samples earlier rounds have: a round's median needs some of its own.
TEST(StoppingRule, EachRoundTakesSamplesOfItsOwn) {
  const StoppingLimits limits = limits_of_round(usual, 1, 3);
  StoppingRule steady_rule(limits, 500);
  StoppingRule late_rule(limits, 500);
  Samples samples = {std::vector<double>(500, 10.0)};
  for (int taken = 1; taken <= 7; ++taken) {
    samples[0].push_back(10.0);
    EXPECT_EQ(steady_rule.after_pass(samples, 100 * taken, 0.0).has_value(), taken == 7) << taken;
    if (taken > 2) continue;
    EXPECT_EQ(late_rule.after_pass(samples, 100 * taken, 5.0).has_value(), taken == 2) << taken;
  }
}

TEST(StoppingRule, NoisyTimesGoOnUntilTimeIsUp) {
  const Stopped stopped = run(usual, 1, 100, 0.01, noisy);
  EXPECT_EQ(stopped.reason, StopReason::max_time);
  EXPECT_EQ(stopped.rounds, 100);
}

TEST(StoppingRule, EachImplementationHasItsTime) {
  EXPECT_EQ(run(usual, 2, 100, 0.01, noisy).rounds, 200);
}

TEST(StoppingRule, OneNoisyImplementationKeepsAllGoing) {
  const Stopped stopped =
      run(usual, 2, 100, 0.01, [](std::size_t i, int round) { return i == 0 ? steady(i, round) : noisy(i, round); });
  EXPECT_EQ(stopped.reason, StopReason::max_time);
}

// Were every round a chance to stop, the rule would pick a lucky one. It looks at 20, 25, 31, 38, 47, ... samples.
TEST(StoppingRule, LooksAreSpaced) {
  // Narrow from the 26th round on.
  const Stopped stopped =
      run(usual, 1, 100, 0.0001, [](std::size_t, int round) { return round <= 4 ? 10.0 + 5.0 * round : 10.0; });
  EXPECT_EQ(stopped.reason, StopReason::interval);
  StoppingRule rule(usual);
  Samples wide = {std::vector<double>(20, 10.0)};
  for (std::size_t i = 0; i < 10; ++i)
    wide[0][i] = 20.0;
  EXPECT_FALSE(rule.after_pass(wide, 1000, 0.0));
  Samples narrow = {std::vector<double>(21, 10.0)};
  EXPECT_FALSE(rule.after_pass(narrow, 1000, 0.0)) << "looked again after one more sample";
  narrow[0].resize(25, 10.0);
  EXPECT_EQ(rule.after_pass(narrow, 1000, 0.0), StopReason::interval);
}

TEST(StopReason, NamesAreThoseOfTheResultFile) {
  EXPECT_EQ(to_string(StopReason::interval), "interval");
  EXPECT_EQ(to_string(StopReason::max_time), "max_time");
  EXPECT_EQ(to_string(StopReason::interrupted), "interrupted");
}

}  // namespace
}  // namespace kqbench
