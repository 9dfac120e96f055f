// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <regex>

#include "bench/measure/context.hpp"
#include "tests/bench/measure/fake_device.hpp"

namespace kqbench {
namespace {

TEST(CommandLineText, IsWhatAShellWouldTake) {
  EXPECT_EQ(command_line_text({"kqbench", "--num-tokens", "1,2", "--granularity=group:128"}),
            "kqbench --num-tokens 1,2 --granularity=group:128");
  EXPECT_EQ(command_line_text({"a b", "", "it's"}), R"('a b' '' 'it'\''s')");
}

TEST(CommandLineText, IsOneLineOfPrintableCharacters) {
  const std::string text = command_line_text({"a\nb\x1b[31m\xff"});
  EXPECT_EQ(text, R"('a\x0ab\x1b[31m\xff')");
}

TEST(Context, HasWhatTheBuildAndTheDeviceTell) {
  fake::FakeDevice device;
  device.clocks = [] {
    ClockReading reading;
    reading.core_mhz = 345.0;
    reading.power_cap_watts = 700.0;
    return reading;
  };
  const Context context = read_context(device, "kqbench run", {});
  EXPECT_FALSE(context.version.empty());
  EXPECT_FALSE(context.commit.empty());
  EXPECT_FALSE(context.compiler.empty());
  EXPECT_EQ(context.libraries.count("fmt"), 1u);
  EXPECT_EQ(context.backend, "fake");
  EXPECT_EQ(context.device, "A device for tests");
  EXPECT_EQ(context.cache_bytes, 4096u);
  EXPECT_EQ(context.power_cap_watts, 700.0);
  EXPECT_EQ(context.command_line, "kqbench run");
  EXPECT_EQ(context.clocks.core_mhz_before, 345.0);
  EXPECT_FALSE(context.clocks.core_mhz_after);
  EXPECT_FALSE(context.host_architecture.empty());
  EXPECT_EQ(context.device_compiler.empty(), context.device_architectures.empty());
  EXPECT_GE(context.host_threads, 1);
  EXPECT_EQ(context.host_threads_used, 1) << "a device does the work";
  EXPECT_TRUE(std::regex_match(context.time, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << context.time;
}

TEST(Context, SaysHowManyThreadsOfAHostWorked) {
  for (const int threads : {1, 2}) {
    const auto host = find_backend("host");
    DeviceOptions options;
    options.host_threads = threads;
    try {
      EXPECT_EQ(read_context(*host->open(options), "kqbench", {}).host_threads_used, threads);
    } catch (const DeviceError& error) {
      ASSERT_EQ(threads, 2) << error.what();  // without OpenMP there is one
    }
  }
}

TEST(Context, HasTheClocksAfterTheRunAndWhetherOneDropped) {
  fake::FakeDevice device;
  ResultFile result;
  result.context = read_context(device, "kqbench run", {});
  result.rows.resize(2);
  device.clocks = [] { return ClockReading{1980.0, 3201.0, 512.0, 700.0, 61.0}; };
  finish_context(device, result);
  EXPECT_EQ(result.context.clocks.core_mhz_after, 1980.0);
  EXPECT_EQ(result.context.clocks.memory_mhz_after, 3201.0);
  EXPECT_EQ(result.context.clocks.power_watts, 512.0);
  EXPECT_EQ(result.context.clocks.temperature_celsius, 61.0);
  EXPECT_FALSE(result.context.clocks.dropped);
  result.rows[1].clocks.dropped = true;
  finish_context(device, result);
  EXPECT_TRUE(result.context.clocks.dropped);
}

}  // namespace
}  // namespace kqbench
