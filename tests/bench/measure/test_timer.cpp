// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <vector>

#include "bench/measure/rotation.hpp"
#include "bench/measure/timer.hpp"
#include "tests/bench/measure/fake_device.hpp"

namespace kqbench {
namespace {

using fake::FakeDevice;

constexpr Timing all_timings[] = {Timing::graph, Timing::stream, Timing::wall};

/// Launches of 7 us over `copies` copies in turn, noted.
struct Launches {
  explicit Launches(FakeDevice& fake_device, std::int64_t copies) : device(fake_device), rotation(copies) {}

  Work work() {
    return {[this] {
              device.enqueue([this] {
                device.time.microseconds += 7.0;
                ++done;
              });
              return rotation.next();
            },
            [this](std::int64_t copy) { told.push_back(copy); }};
  }

  FakeDevice& device;
  Rotation rotation;
  std::int64_t done = 0;
  std::vector<std::int64_t> told;
};

TEST(Sampler, GivesTheTimeOfOneLaunch) {
  for (const Timing timing : all_timings) {
    FakeDevice device;
    Launches launches(device, 3);
    const auto sampler = make_sampler(timing, device, launches.work(), 12, device.time.clock());
    EXPECT_EQ(sampler->launches(), 12);
    EXPECT_NEAR(sampler->sample(), 7.0, 1e-6) << to_string(timing);
    EXPECT_NEAR(sampler->sample(), 7.0, 1e-6) << to_string(timing);
  }
}

TEST(Sampler, TellsOfEveryLaunchThatRan) {
  for (const Timing timing : all_timings) {
    FakeDevice device;
    Launches launches(device, 3);
    const auto sampler = make_sampler(timing, device, launches.work(), 6, device.time.clock());
    EXPECT_EQ(launches.done, 0) << "a graph is recorded, not run";
    sampler->sample();
    sampler->sample();
    ASSERT_EQ(static_cast<std::int64_t>(launches.told.size()), launches.done) << to_string(timing);
    for (std::size_t i = 0; i < launches.told.size(); ++i) {
      EXPECT_EQ(launches.told[i], static_cast<std::int64_t>(i % 3)) << to_string(timing);
    }
  }
}

TEST(Sampler, AGraphIsReplayedOnceBeforeItIsTimed) {
  FakeDevice device;
  Launches launches(device, 3);
  const auto sampler = make_sampler(Timing::graph, device, launches.work(), 6, device.time.clock());
  sampler->sample();
  EXPECT_EQ(launches.done, 12);
}

// A recorded graph begins at its own first copy at every replay, whatever was recorded: a rotation longer than the
// graph is cut short, and the audit must see it.
TEST(Sampler, ARotationCutShortByReplaysIsNotCold) {
  FakeDevice device;
  constexpr std::int64_t copies = 100;
  ReuseAudit audit(copies, 1000);
  Rotation rotation(copies);
  Work work{[&rotation] { return rotation.next(); }, [&audit](std::int64_t copy) { audit.launched(copy); }};
  device.time.microseconds = 1.0;
  work.enqueue_next = [&] {
    device.enqueue([&device] { device.time.microseconds += 1.0; });
    return rotation.next();
  };
  const auto sampler = make_sampler(Timing::graph, device, work, 10, device.time.clock());
  sampler->sample();
  EXPECT_EQ(audit.least_bytes_between_uses(), 9000u);
  EXPECT_EQ(audit.label(40000), Cache::warm);
}

TEST(Sampler, AClockThatStandsStillOrGoesBackIsAnError) {
  for (const double step : {0.0, -5.0}) {
    FakeDevice device;
    device.time.microseconds = 1000.0;
    const Work work{[&device, step] {
                      device.enqueue([&device, step] { device.time.microseconds += step; });
                      return std::int64_t{0};
                    },
                    [](std::int64_t) {}};
    for (const Timing timing : all_timings) {
      const auto sampler = make_sampler(timing, device, work, 4, device.time.clock());
      EXPECT_THROW(sampler->sample(), DeviceError) << to_string(timing);
    }
  }
}

TEST(WhyNot, ADeviceWithoutAQueueHasOnlyTheHostsClock) {
  const FakeDevice host(false);
  EXPECT_TRUE(why_not(Timing::graph, host));
  EXPECT_TRUE(why_not(Timing::stream, host));
  EXPECT_FALSE(why_not(Timing::wall, host));
  const FakeDevice device(true);
  for (const Timing timing : all_timings)
    EXPECT_FALSE(why_not(timing, device));
}

TEST(Sampler, RecordsLaunchesThatOverlapOnlyWhereThatIsAskedFor) {
  for (const Launch launch : {Launch::plain, Launch::overlapped}) {
    FakeDevice device;
    Launches launches(device, 3);
    const auto sampler = make_sampler(Timing::graph, device, launches.work(), 6, device.time.clock(), launch);
    const std::vector<std::string> expected(launch == Launch::overlapped ? 1 : 0, "overlapped");
    EXPECT_EQ(device.journal, expected);
    EXPECT_NEAR(sampler->sample(), 7.0, 1e-6) << to_string(launch);
  }
}

TEST(WhyNot, LaunchesOverlapInAGraphOfADeviceThatCan) {
  FakeDevice device;
  EXPECT_FALSE(why_not(Launch::plain, Timing::wall, device));
  EXPECT_TRUE(why_not(Launch::overlapped, Timing::graph, device));
  device.overlaps = true;
  EXPECT_FALSE(why_not(Launch::overlapped, Timing::graph, device));
  EXPECT_TRUE(why_not(Launch::overlapped, Timing::stream, device));
  EXPECT_TRUE(why_not(Launch::overlapped, Timing::wall, device));
}

TEST(Launch, NamesGoBothWays) {
  for (const Launch launch : {Launch::plain, Launch::overlapped})
    EXPECT_EQ(parse_launch(to_string(launch)), launch);
  EXPECT_FALSE(parse_launch("Plain"));
}

TEST(Timing, NamesGoBothWays) {
  for (const Timing timing : all_timings)
    EXPECT_EQ(parse_timing(to_string(timing)), timing);
  EXPECT_FALSE(parse_timing("Graph"));
}

TEST(SteadyClock, DoesNotGoBack) {
  const Clock clock = steady_clock();
  double last = clock();
  for (int i = 0; i < 1000; ++i) {
    const double now = clock();
    EXPECT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace kqbench
