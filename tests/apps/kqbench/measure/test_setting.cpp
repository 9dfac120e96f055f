// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <regex>

#include "apps/kqbench/measure/setting.hpp"
#include "tests/apps/kqbench/measure/fake_device.hpp"

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
  EXPECT_GE(setting.host_threads, 1);
  EXPECT_TRUE(std::regex_match(setting.time, std::regex(R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)"))) << setting.time;
}

}  // namespace
}  // namespace kqbench
