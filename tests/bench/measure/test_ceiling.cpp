// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/measure/ceiling.hpp"
#include "tests/bench/measure/fake_device.hpp"

namespace kqbench {
namespace {

using fake::FakeDevice;

TEST(NearestMix, IsThatOfTheReadsAndWrites) {
  EXPECT_EQ(nearest_mix({200, 100}), StreamMix::read2_write1);
  EXPECT_EQ(nearest_mix({400, 100}), StreamMix::read4_write1);
  EXPECT_EQ(nearest_mix({100, 100}), StreamMix::copy);
  EXPECT_EQ(nearest_mix({100, 0}), StreamMix::read_only);
  EXPECT_EQ(nearest_mix({0, 100}), StreamMix::write_only);
  EXPECT_EQ(nearest_mix({2000, 1031}), StreamMix::read2_write1);  // half to fp8 in groups of 128
}

TEST(Ceilings, AreThoseOfTheFastestLaunchShape) {
  FakeDevice device;
  DeviceArena arena(device);
  device.stream_microseconds = {300.0, 100.0, 200.0};
  const Ceilings ceilings = measure_ceilings(device, arena, all_stream_mixes, device.time.clock());
  const double bytes = 16.0 * (1 << 20);  // a quarter of the device's memory
  for (const StreamMix mix : all_stream_mixes) {
    ASSERT_TRUE(ceilings.gbps(mix));
    EXPECT_NEAR(*ceilings.gbps(mix), bytes / 100.0 * 1e-3, 1e-9);
  }
}

TEST(Ceilings, StopWhenTheTimeIsSpentAndSayNothingOfTheRest) {
  FakeDevice device;
  DeviceArena arena(device);
  device.stream_microseconds = {100000.0, 50000.0};
  const StreamMix mixes[] = {StreamMix::read2_write1, StreamMix::copy};
  const Ceilings ceilings = measure_ceilings(device, arena, mixes, device.time.clock(), 0.3);
  EXPECT_TRUE(ceilings.gbps(StreamMix::read2_write1));
  EXPECT_FALSE(ceilings.gbps(StreamMix::copy));
  EXPECT_FALSE(ceilings.gbps(StreamMix::read_only));
}

TEST(Ceilings, TheFirstMixIsMeasuredHoweverSlowTheDevice) {
  FakeDevice device;
  DeviceArena arena(device);
  device.stream_microseconds = {1e7};
  const Ceilings ceilings = measure_ceilings(device, arena, all_stream_mixes, device.time.clock(), 0.1);
  EXPECT_TRUE(ceilings.gbps(all_stream_mixes[0]));
  EXPECT_FALSE(ceilings.gbps(all_stream_mixes[1]));
}

TEST(Ceilings, WithoutRoomForTwiceTheCacheThereIsNone) {
  FakeDevice device;
  DeviceArena arena(device);
  device.set_cache_bytes(FakeDevice::memory_bytes / 4);
  EXPECT_FALSE(measure_ceilings(device, arena, all_stream_mixes, device.time.clock()).gbps(StreamMix::copy));
  EXPECT_EQ(device.allocations, 0);
}

TEST(Ceilings, EveryLaunchShapeIsTriedEvenWhenTimeIsShort) {
  FakeDevice device;
  DeviceArena arena(device);
  device.stream_microseconds = {1e6, 1e6, 5e5};
  const StreamMix mixes[] = {StreamMix::copy};
  const Ceilings ceilings = measure_ceilings(device, arena, mixes, device.time.clock(), 0.1);
  EXPECT_NEAR(*ceilings.gbps(StreamMix::copy), 16.0 * (1 << 20) / 5e5 * 1e-3, 1e-9);
}

TEST(Ceilings, AHostIsTimedByItsClock) {
  FakeDevice host(false);
  DeviceArena arena(host);
  host.stream_microseconds = {50.0};
  const StreamMix mixes[] = {StreamMix::copy};
  EXPECT_NEAR(*measure_ceilings(host, arena, mixes, host.time.clock()).gbps(StreamMix::copy), (1 << 20) / 50.0 * 1e-3,
              1e-6);
}

}  // namespace
}  // namespace kqbench
