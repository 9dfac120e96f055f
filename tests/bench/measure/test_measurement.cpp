// SPDX-License-Identifier: Apache-2.0

// The measurement as a whole, with implementations that are right, and with the ones a benchmark must not fall for: one
// that writes nothing, one that writes half, one that is right only now and then, one that writes too far.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "bench/measure/measurement.hpp"
#include "tests/bench/measure/fake_device.hpp"
#include "tests/bench/measure/small_problem.hpp"
#include "tests/support/printing.hpp"

namespace kqbench {
namespace {

using fake::FakeDevice;
using fake::FakeImplementation;
using fake::small_problem;

const Interrupted never = [] { return false; };

MeasureOptions options_for(Timing timing) {
  MeasureOptions options;
  options.timing = timing;
  return options;
}

class MeasureTest : public testing::TestWithParam<Timing> {
 protected:
  GroupMeasurement measure_all(std::vector<Implementation*> implementations, const MeasureOptions& options,
                               const Interrupted& interrupted = never) {
    return measure(device, arena, problem, implementations, options, device.time.clock(), interrupted);
  }
  GroupMeasurement measure_all(std::vector<Implementation*> implementations) {
    return measure_all(std::move(implementations), options_for(GetParam()));
  }

  FakeDevice device;
  DeviceArena arena{device};
  Problem problem = small_problem();
  FakeImplementation native{device, "native", fake::quantize_rightly};
  FakeImplementation kokkos{device, "kokkos", fake::quantize_rightly};
};

INSTANTIATE_TEST_SUITE_P(Timings, MeasureTest, testing::Values(Timing::graph, Timing::stream, Timing::wall),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

TEST_P(MeasureTest, RightImplementationsAreTimedInPairs) {
  kokkos.microseconds = [](std::int64_t) { return 11.0; };
  const GroupMeasurement group = measure_all({&kokkos, &native});
  ASSERT_EQ(group.implementations.size(), 2u);
  for (const Measurement& measurement : group.implementations) {
    EXPECT_FALSE(measurement.mismatch);
    EXPECT_GE(measurement.samples.size(), 20u);
    EXPECT_EQ(measurement.samples.size(), group.implementations[0].samples.size());
    EXPECT_GE(static_cast<std::int64_t>(measurement.samples.size()) * group.launches_per_sample, 100);
  }
  EXPECT_NEAR(group.implementations[0].median, 11.0, 1e-6);
  EXPECT_NEAR(group.implementations[1].median, 10.0, 1e-6);
  EXPECT_NEAR(group.implementations[0].ratio_to_native->median, 1.1, 1e-6);
  EXPECT_EQ(group.stop, StopReason::interval);
  EXPECT_EQ(group.cache, Cache::cold);
}

TEST_P(MeasureTest, WhatIsColdIsColdInFact) {
  const kq::Traffic traffic = kq::minimal_traffic(problem.request);
  const std::uint64_t bytes = traffic.read + traffic.written;
  Implementation* const implementations[] = {&kokkos, &native};
  const MeasureOptions options = options_for(GetParam());
  GroupMeasurement group;
  for (int round = 0; round < options.rounds; ++round) {  // before each of which all copies are written
    device.inputs.clear();
    measure_round(device, arena, problem, implementations, options, device.time.clock(), never, group);
    // From the addresses that the launches saw, whoever made them.
    std::map<const void*, std::size_t> last;
    for (std::size_t i = 0; i < device.inputs.size(); ++i) {
      const auto [at, first_time] = last.try_emplace(device.inputs[i], i);
      if (first_time) continue;
      ASSERT_GT((i - at->second - 1) * bytes, 2 * device.info().cache_bytes);
      at->second = i;
    }
    EXPECT_EQ(static_cast<std::int64_t>(last.size()), group.copies);
    EXPECT_GT(group.bytes_between_uses, 2 * device.info().cache_bytes);
  }
}

TEST_P(MeasureTest, WhatKeepsBytesInACacheIsTakenBackOnceBeforeEachRound) {
  for (int done = 0; done < 2; ++done) {
    device.journal.clear();
    measure_all({&kokkos});
    ASSERT_FALSE(device.journal.empty());
    EXPECT_EQ(device.journal.front(), "before measuring");
    EXPECT_EQ(std::ranges::count(device.journal, "before measuring"), MeasureOptions{}.rounds);
  }
}

TEST_P(MeasureTest, HotUsesOneCopy) {
  MeasureOptions options = options_for(GetParam());
  options.hot = true;
  const GroupMeasurement group = measure_all({&native}, options);
  EXPECT_EQ(group.cache, Cache::hot);
  EXPECT_EQ(group.copies, 1);
  EXPECT_TRUE(std::all_of(device.inputs.begin(), device.inputs.end(),
                          [this](const void* input) { return input == device.inputs.front(); }));
}

TEST_P(MeasureTest, OneThatWritesNothingIsCaught) {
  FakeImplementation lazy(device, "lazy", [](const kq::Request&, const Operands&, std::int64_t) {});
  lazy.microseconds = [](std::int64_t) { return 0.001; };
  const GroupMeasurement group = measure_all({&lazy, &native});
  ASSERT_TRUE(group.implementations[0].mismatch);
  EXPECT_TRUE(group.implementations[0].mismatch->untouched);
  EXPECT_TRUE(group.implementations[0].samples.empty()) << "a wrong row has no time";
  EXPECT_FALSE(group.implementations[1].mismatch) << "and spoils no other";
  EXPECT_FALSE(group.implementations[1].samples.empty());
}

TEST_P(MeasureTest, OneThatWritesHalfIsCaught) {
  FakeImplementation half(device, "half", [](const kq::Request& request, Operands operands, std::int64_t launch) {
    kq::Request upper = request;
    upper.num_tokens /= 2;
    fake::quantize_rightly(upper, operands, launch);
  });
  const GroupMeasurement group = measure_all({&half});
  ASSERT_TRUE(group.implementations[0].mismatch);
  EXPECT_EQ(group.implementations[0].mismatch->where, "codes[token 2, channel 0]");
  EXPECT_TRUE(group.implementations[0].samples.empty());
}

TEST_P(MeasureTest, OneThatRacesIsCaught) {
  // Some launches lose one code to another's.
  FakeImplementation racing(device, "racing", [](const kq::Request& request, Operands operands, std::int64_t launch) {
    fake::quantize_rightly(request, operands, launch);
    auto* codes = static_cast<std::byte*>(operands.codes);
    if (launch % 5 == 4) codes[77] = codes[78] ^ std::byte{1};
  });
  for (const bool hot : {false, true}) {
    MeasureOptions options = options_for(GetParam());
    options.hot = hot;
    const GroupMeasurement group = measure_all({&racing}, options);
    ASSERT_TRUE(group.implementations[0].mismatch) << "hot: " << hot;
    EXPECT_EQ(group.implementations[0].mismatch->wrong_bytes, 1u);
  }
}

TEST_P(MeasureTest, OneThatIsWrongOnlyOnceItIsTimedIsCaught) {
  FakeImplementation tired(device, "tired", [](const kq::Request& request, Operands operands, std::int64_t launch) {
    if (launch < 50) fake::quantize_rightly(request, operands, launch);
  });
  const GroupMeasurement group = measure_all({&tired});
  ASSERT_TRUE(group.implementations[0].mismatch);
  EXPECT_TRUE(group.implementations[0].samples.empty());
}

TEST_P(MeasureTest, OneThatWritesTooFarIsCaught) {
  FakeImplementation wide(device, "wide", [](const kq::Request& request, Operands operands, std::int64_t launch) {
    fake::quantize_rightly(request, operands, launch);
    static_cast<std::byte*>(operands.codes)[kq::codes_bytes(request)] = std::byte{0};
  });
  const GroupMeasurement group = measure_all({&wide});
  ASSERT_TRUE(group.implementations[0].mismatch);
  EXPECT_EQ(group.implementations[0].mismatch->where, "the guard after the codes");
}

TEST_P(MeasureTest, OneThatSpoilsItsInputIsCaught) {
  FakeImplementation rude(device, "rude", [](const kq::Request& request, Operands operands, std::int64_t launch) {
    fake::quantize_rightly(request, operands, launch);
    std::memset(const_cast<void*>(operands.input), 0, 64);
  });
  EXPECT_TRUE(measure_all({&rude}).implementations[0].mismatch);
}

TEST_P(MeasureTest, OneCannotPassForAnothersWork) {
  // Writes nothing itself; if outputs were shared, the native one's would be found in its place.
  FakeImplementation lazy(device, "lazy", [](const kq::Request&, const Operands&, std::int64_t) {});
  const GroupMeasurement group = measure_all({&native, &lazy});
  EXPECT_FALSE(group.implementations[0].mismatch);
  EXPECT_TRUE(group.implementations[1].mismatch);
}

TEST_P(MeasureTest, AClockThatDropsIsMarked) {
  device.clocks = [this] {
    ClockReading reading;
    reading.core_mhz = device.time.microseconds < 60000.0 ? 1980.0 : 1200.0;
    return reading;
  };
  native.microseconds = [this](std::int64_t) { return device.time.microseconds < 60000.0 ? 10.0 : 16.5; };
  MeasureOptions options = options_for(GetParam());
  options.limits.min_samples = 60;
  const GroupMeasurement group = measure_all({&native}, options);
  EXPECT_TRUE(group.clocks.dropped());
  EXPECT_EQ(group.clocks.first().core_mhz, 1980.0);
  EXPECT_EQ(group.clocks.last().core_mhz, 1200.0);
}

TEST_P(MeasureTest, AJumpThatNoClockTellsOfIsSeenInTheTimes) {
  // Half-way through 120 samples of 2 ms, which a graph takes twice as long over.
  const double jump = GetParam() == Timing::graph ? 250000.0 : 130000.0;
  native.microseconds = [this, jump](std::int64_t) { return device.time.microseconds < jump ? 10.0 : 16.5; };
  MeasureOptions options = options_for(GetParam());
  options.limits.min_samples = 120;
  const GroupMeasurement group = measure_all({&native}, options);
  EXPECT_TRUE(group.implementations[0].drifted);
}

TEST_P(MeasureTest, WarmUpIsNotCounted) {
  native.microseconds = [](std::int64_t launch) { return launch < 1000 ? 100.0 : 10.0; };
  MeasureOptions options = options_for(GetParam());
  options.warmup_launches = 1000;
  const GroupMeasurement group = measure_all({&native}, options);
  EXPECT_NEAR(*std::max_element(group.implementations[0].samples.begin(), group.implementations[0].samples.end()), 10.0,
              1e-6);
}

TEST_P(MeasureTest, AnInterruptKeepsWhatIsThereInPairs) {
  const Interrupted later = [this] { return device.time.microseconds > 150000.0; };
  MeasureOptions options = options_for(GetParam());
  options.limits.min_samples = 1000000;
  const GroupMeasurement group = measure_all({&kokkos, &native}, options, later);
  EXPECT_EQ(group.stop, StopReason::interrupted);
  EXPECT_FALSE(group.implementations[0].samples.empty());
  EXPECT_EQ(group.implementations[0].samples.size(), group.implementations[1].samples.size());
}

TEST_P(MeasureTest, AnInterruptBeforeTheFirstSampleLeavesNone) {
  const GroupMeasurement group = measure_all({&native}, options_for(GetParam()), [] { return true; });
  EXPECT_EQ(group.stop, StopReason::interrupted);
  EXPECT_TRUE(group.implementations[0].samples.empty());
}

// --- one number of launches per sample -------------------------------------------------------------------------------

TEST_P(MeasureTest, AnEstimateThatWasPreemptedDoesNotMakeSamplesShort) {
  const std::int64_t undisturbed = measure_all({&kokkos, &native}).launches_per_sample;
  EXPECT_GE(undisturbed, 200) << "2 ms of 10 us";
  EXPECT_LE(undisturbed, 210);
  // The first launches after the trial belong to the first estimate of one implementation.
  for (const std::int64_t hit : {8, 9, 12, 15}) {
    FakeImplementation preempted(device, "kokkos", fake::quantize_rightly);
    preempted.microseconds = [hit](std::int64_t launch) { return launch == hit ? 10000.0 : 10.0; };
    EXPECT_EQ(measure_all({&preempted, &native}).launches_per_sample, undisturbed) << hit;
    EXPECT_EQ(measure_all({&native, &preempted}).launches_per_sample, undisturbed) << hit;
  }
}

TEST_P(MeasureTest, TheFastestSetsTheNumberForAllAsFarAsTimeAllows) {
  MeasureOptions options = options_for(GetParam());
  options.hot = true;
  kokkos.microseconds = [](std::int64_t) { return 30.0; };
  EXPECT_NEAR(static_cast<double>(measure_all({&kokkos, &native}, options).launches_per_sample), 200.0, 1.0);
  kokkos.microseconds = [](std::int64_t) { return 10000.0; };
  const double begin = device.time.microseconds;
  const GroupMeasurement group = measure_all({&kokkos, &native}, options);
  if (GetParam() != Timing::wall) {  // which has a least number of launches, as vLLM's script has
    EXPECT_LT(device.time.microseconds - begin, 2.6e6) << "a second for each, checks apart";
    EXPECT_LE(group.launches_per_sample, 7);
  }
  EXPECT_GE(group.implementations[0].samples.size(), 6u);
}

// A scheduler lets the process run for 4 ms, which are two samples, and then another one for 4 ms. Were implementations
// always timed in one order, the interruption would fall on the same one again and again.
TEST_P(MeasureTest, ARhythmOfTheMachineDoesNotFallOnOneImplementation) {
  double worked = 0.0;
  const auto in_slices = [&worked](std::int64_t) {
    worked += 10.0;
    if (worked < 4010.0) return 10.0;
    worked = 0.0;
    return 4010.0;
  };
  kokkos.microseconds = in_slices;
  native.microseconds = in_slices;
  MeasureOptions options = options_for(GetParam());
  options.hot = true;
  options.limits.min_samples = 100;
  const PairedRatio ratio = *measure_all({&kokkos, &native}, options).implementations[0].ratio_to_native;
  EXPECT_LE(ratio.interval.low, 1.0 + 1e-9);
  EXPECT_GE(ratio.interval.high, 1.0 - 1e-9);
}

// --- the time of a row -----------------------------------------------------------------------------------------------

TEST_P(MeasureTest, TheTimeWinsOverTheLeastNumbers) {
  const bool loops = GetParam() == Timing::wall;  // of vLLM's script: 100 launches by default
  native.microseconds = [](std::int64_t) { return 5000.0; };
  MeasureOptions options = options_for(GetParam());
  options.hot = true;
  options.limits.max_seconds = 0.02;
  if (loops) options.limits.min_launches = 1;
  const GroupMeasurement group = measure_all({&native}, options);
  EXPECT_EQ(group.stop, StopReason::max_time);
  EXPECT_EQ(group.implementations[0].samples.size(), 6u);
  EXPECT_EQ(group.launches_per_sample, 1);
  EXPECT_LE(device.time.microseconds, 200e3) << "20 samples of 5 launches took more than 500";
}

TEST_P(MeasureTest, TheTimeIsThatOfWarmUpAndEstimatesToo) {
  MeasureOptions options = options_for(GetParam());
  options.hot = true;
  options.warmup_launches = 1000000000;
  options.limits.max_seconds = 0.3;
  options.limits.relative_interval = -1.0;  // never narrow enough
  const GroupMeasurement group = measure_all({&native, &kokkos}, options);
  EXPECT_EQ(group.stop, StopReason::max_time);
  EXPECT_NEAR(group.seconds, 0.6, 0.15);
  EXPECT_LE(device.time.microseconds, 0.8e6);
}

// --- rounds ----------------------------------------------------------------------------------------------------------

/// Rounds of native alone, each launch of which takes so many microseconds.
class RoundsTest : public MeasureTest {
 protected:
  bool add_round(double microseconds, const Interrupted& interrupted = never) {
    native.microseconds = [microseconds](std::int64_t) { return microseconds; };
    Implementation* const implementations[] = {&native};
    return measure_round(device, arena, problem, implementations, options_for(GetParam()), device.time.clock(),
                         interrupted, group);
  }
  const Measurement& row() {
    summarize(group);
    return group.implementations.front();
  }

  GroupMeasurement group;
};

INSTANTIATE_TEST_SUITE_P(Timings, RoundsTest, testing::Values(Timing::graph, Timing::stream, Timing::wall),
                         [](const auto& instance) { return std::string(to_string(instance.param)); });

TEST_P(RoundsTest, SayWhatAnotherRunMayDifferBy) {
  for (const double microseconds : {10.0, 10.2, 10.4})
    EXPECT_TRUE(add_round(microseconds));
  ASSERT_EQ(row().rounds.size(), 3u);
  EXPECT_NEAR(row().rounds[0], 10.0, 1e-6);
  EXPECT_NEAR(row().rounds[2], 10.4, 1e-6);
  EXPECT_NEAR(*row().repeatability, *repeatability(std::vector<double>{10.0, 10.2, 10.4}, 0.0), 1e-6);
  EXPECT_GT(*row().repeatability, 0.08);
  EXPECT_GE(row().samples.size(), 20u) << "all rounds' together";
}

TEST_P(RoundsTest, HaveOneNumberOfLaunchesAndOfCopies) {
  add_round(10.0);
  const std::int64_t launches = group.launches_per_sample;
  const std::int64_t copies = group.copies;
  add_round(20.0);
  EXPECT_EQ(group.launches_per_sample, launches);
  EXPECT_EQ(group.copies, copies);
}

TEST_P(RoundsTest, OneAloneDoesNotTell) {
  add_round(10.0);
  EXPECT_EQ(row().rounds.size(), 1u);
  EXPECT_FALSE(row().repeatability);
}

TEST_P(RoundsTest, AnInterruptKeepsWhatThereIs) {
  add_round(10.0);
  const std::size_t samples = row().samples.size();
  EXPECT_FALSE(add_round(11.0, [] { return true; }));
  EXPECT_EQ(group.stop, StopReason::interrupted);
  EXPECT_EQ(row().samples.size(), samples);
  EXPECT_EQ(row().rounds.size(), 1u) << "what was cut short is no round";
  EXPECT_NEAR(row().median, 10.0, 1e-6);
}

TEST_P(RoundsTest, OneThatGoesWrongInALaterRoundHasNoTime) {
  bool right = true;
  FakeImplementation tired(device, "tired",
                           [&right](const kq::Request& request, const Operands& operands, std::int64_t launch) {
                             if (right) fake::quantize_rightly(request, operands, launch);
                           });
  Implementation* const implementations[] = {&tired, &native};
  const auto add = [&] {
    measure_round(device, arena, problem, implementations, options_for(GetParam()), device.time.clock(), never, group);
  };
  add();
  EXPECT_FALSE(group.implementations[0].mismatch);
  right = false;
  add();
  right = true;
  add();
  summarize(group);
  EXPECT_TRUE(group.implementations[0].mismatch);
  EXPECT_TRUE(group.implementations[0].samples.empty());
  EXPECT_TRUE(group.implementations[0].rounds.empty());
  EXPECT_FALSE(group.implementations[1].mismatch);
  EXPECT_EQ(group.implementations[1].rounds.size(), 3u);
}

TEST_P(RoundsTest, AFaultLeavesTheEarlierOnesAsTheyWere) {
  add_round(10.0);
  const std::vector<double> samples = row().samples;
  FakeImplementation broken(
      device, "native", [](const kq::Request&, const Operands&, std::int64_t) { throw DeviceError("it is broken"); });
  Implementation* const implementations[] = {&broken};
  EXPECT_THROW(measure_round(device, arena, problem, implementations, options_for(GetParam()), device.time.clock(),
                             never, group),
               DeviceError);
  EXPECT_EQ(group.rounds, 1);
  EXPECT_EQ(row().samples, samples);
}

TEST_P(MeasureTest, MemoryIsKeptForTheNextProblemAndGivenBackAtTheEnd) {
  measure_all({&native});
  measure_all({&native});
  EXPECT_EQ(device.allocations, 1);
  EXPECT_EQ(device.blocks(), 1u);
}

TEST(PlanCopies, LeaveHalfOfTheMemoryAlone) {
  FakeDevice device;
  DeviceArena arena(device);
  kq::Request request;
  request.num_tokens = 1;
  request.hidden_size = 64;
  request.granularity = kq::Granularity::token;
  const kq::Request full = kq::resolved(request);
  FakeImplementation native(device, "native", fake::quantize_rightly);
  Implementation* const implementations[] = {&native};
  const BufferSizes sizes = buffer_sizes(full, implementations);
  const std::int64_t copies = plan_copies(device, arena, full, implementations, false);
  EXPECT_LE(static_cast<std::uint64_t>(copies) * sizes.per_copy, FakeDevice::memory_bytes / 2);
  EXPECT_EQ(plan_copies(device, arena, full, implementations, true), 1);
}

TEST(WallTiming, WhereLaunchesQueueUpASampleIsTheWholeLoopOfVllmsScript) {
  FakeDevice device;
  DeviceArena arena(device);
  const Problem problem = small_problem();
  FakeImplementation native(device, "native", fake::quantize_rightly);
  native.microseconds = [](std::int64_t) { return 5000.0; };
  Implementation* const implementations[] = {&native};
  MeasureOptions options = options_for(Timing::wall);
  const GroupMeasurement group = measure(device, arena, problem, implementations, options, device.time.clock(), never);
  EXPECT_EQ(group.launches_per_sample, 100);
}

}  // namespace
}  // namespace kqbench
