// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "bench/measure/settling.hpp"

namespace kqbench {
namespace {

TEST(Settling, WaitsForTheClockToStopRising) {
  Settling settling;
  for (const double mhz : {345.0, 900.0, 1400.0, 1980.0, 1980.0, 1975.0}) {
    settling.observe(mhz, 10.0);
    EXPECT_FALSE(settling.settled()) << mhz;
  }
  settling.observe(1980.0, 10.0);
  EXPECT_TRUE(settling.settled());
}

TEST(Settling, AClockThatCreepsIsNotSettled) {
  Settling settling;
  double mhz = 1000.0;
  for (int i = 0; i < 20; ++i) {
    settling.observe(mhz, 10.0);
    mhz *= 1.006;  // never 1 % at once, but never the same
  }
  EXPECT_FALSE(settling.settled());
}

TEST(Settling, WithoutAClockTimesDecide) {
  Settling settling;
  for (const double microseconds : {40.0, 20.0, 12.0, 10.0, 11.0, 10.0}) {
    settling.observe(std::nullopt, microseconds);
    EXPECT_FALSE(settling.settled()) << microseconds;
  }
  settling.observe(std::nullopt, 12.0);
  EXPECT_TRUE(settling.settled());
}

}  // namespace
}  // namespace kqbench
