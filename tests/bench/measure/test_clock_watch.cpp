// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/measure/clock_watch.hpp"

namespace kqbench {
namespace {

ClockReading core(double mhz) {
  ClockReading reading;
  reading.core_mhz = mhz;
  return reading;
}

TEST(ClockWatch, KeepsTheFirstAndTheLast) {
  ClockWatch watch;
  for (const double mhz : {1980.0, 1950.0, 1965.0})
    watch.add(core(mhz));
  EXPECT_EQ(watch.first().core_mhz, 1980.0);
  EXPECT_EQ(watch.last().core_mhz, 1965.0);
  EXPECT_FALSE(watch.dropped());
}

TEST(ClockWatch, MarksADropThatHasPassed) {
  ClockWatch watch;
  for (const double mhz : {1980.0, 1500.0, 1980.0})
    watch.add(core(mhz));
  EXPECT_TRUE(watch.dropped());
}

TEST(ClockWatch, ARisingClockHasNotDropped) {
  ClockWatch watch;
  for (const double mhz : {345.0, 1200.0, 1980.0})
    watch.add(core(mhz));
  EXPECT_FALSE(watch.dropped());
}

TEST(ClockWatch, TheMemoryClockCountsToo) {
  ClockWatch watch;
  ClockReading reading = core(1980.0);
  reading.memory_mhz = 3201.0;
  watch.add(reading);
  reading.memory_mhz = 2619.0;
  watch.add(reading);
  EXPECT_TRUE(watch.dropped());
}

TEST(ClockWatch, ADeviceThatDoesNotTellIsNotMarked) {
  ClockWatch watch;
  watch.add({});
  watch.add({});
  EXPECT_FALSE(watch.dropped());
  EXPECT_FALSE(watch.first().core_mhz);
}

}  // namespace
}  // namespace kqbench
