// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <regex>

#include "bench/measure/setting.hpp"
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

TEST(Setting, HasWhatTheBuildAndTheDeviceTell) {
  fake::FakeDevice device;
  device.clocks = [] {
    ClockReading reading;
    reading.core_mhz = 345.0;
    reading.power_cap_watts = 700.0;
    return reading;
  };
  const Setting setting = read_setting(device, "kqbench run");
  EXPECT_FALSE(setting.version.empty());
  EXPECT_FALSE(setting.commit.empty());
  EXPECT_FALSE(setting.compiler.empty());
  EXPECT_EQ(setting.libraries.count("fmt"), 1u);
  EXPECT_EQ(setting.backend, "fake");
  EXPECT_EQ(setting.device, "A device for tests");
  EXPECT_EQ(setting.cache_bytes, 4096u);
  EXPECT_EQ(setting.power_cap_watts, 700.0);
  EXPECT_EQ(setting.command_line, "kqbench run");
  EXPECT_EQ(setting.clocks.core_mhz_before, 345.0);
  EXPECT_FALSE(setting.clocks.core_mhz_after);
  EXPECT_FALSE(setting.host_architecture.empty());
  EXPECT_EQ(setting.device_compiler.empty(), setting.device_architectures.empty());
  EXPECT_GE(setting.host_threads, 1);
  EXPECT_EQ(setting.host_threads_used, 1) << "a device does the work";
  EXPECT_TRUE(std::regex_match(setting.time, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << setting.time;
}

TEST(Setting, SaysHowManyThreadsOfAHostWorked) {
  for (const int threads : {1, 2}) {
    const auto host = find_backend("host");
    DeviceOptions options;
    options.host_threads = threads;
    try {
      EXPECT_EQ(read_setting(*host->open(options), "kqbench").host_threads_used, threads);
    } catch (const DeviceError& error) {
      ASSERT_EQ(threads, 2) << error.what();  // without OpenMP there is one
    }
  }
}

TEST(Setting, HasTheClocksAfterTheRunAndWhetherOneDropped) {
  fake::FakeDevice device;
  ResultFile result;
  result.setting = read_setting(device, "kqbench run");
  result.rows.resize(2);
  device.clocks = [] { return ClockReading{1980.0, 3201.0, 512.0, 700.0, 61.0}; };
  finish_setting(device, result);
  EXPECT_EQ(result.setting.clocks.core_mhz_after, 1980.0);
  EXPECT_EQ(result.setting.clocks.memory_mhz_after, 3201.0);
  EXPECT_EQ(result.setting.clocks.power_watts, 512.0);
  EXPECT_EQ(result.setting.clocks.temperature_celsius, 61.0);
  EXPECT_FALSE(result.setting.clocks.dropped);
  result.rows[1].clocks.dropped = true;
  finish_setting(device, result);
  EXPECT_TRUE(result.setting.clocks.dropped);
}

}  // namespace
}  // namespace kqbench
