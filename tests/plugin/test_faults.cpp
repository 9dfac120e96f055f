// SPDX-License-Identifier: Apache-2.0

// Kernels with a fault each: what `run` and `verify` say of them. What a host's process cannot see is not here:
// docs/your_own_kernel.md lists it.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "tests/plugin/program.hpp"

namespace kqbench::test {
namespace {

using Json = nlohmann::json;

const std::string verify =
    "verify --backend host --host-threads 1 --no-progress --num-tokens 3 --hidden-size 1000 --scale-format float "
    "--scale-layout row --impl ";

struct Planted {
  std::string kernel;
  std::string said;  ///< in the message
  friend void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.kernel; }
};

/// Each is found by verify, whose numbers are made to find mistakes.
class VerifyFaults : public testing::TestWithParam<Planted> {};

TEST_P(VerifyFaults, FindsTheFault) {
  const auto& [kernel, said] = GetParam();
  const Ended ended = kqbench_program(verify + "native," + kernel + " " + groups + faults(kernel));
  EXPECT_EQ(ended.status, 1) << ended.err;
  EXPECT_TRUE(contains(ended.out, "FAILED " + kernel + ": dynamic group:64 fp8_e4m3fn from float")) << ended.out;
  EXPECT_TRUE(contains(ended.out, said)) << ended.out;
  EXPECT_TRUE(contains(ended.out, "native     ")) << ended.out;
  EXPECT_FALSE(contains(ended.out, "FAILED native")) << ended.out;
}

INSTANTIATE_TEST_SUITE_P(
    All, VerifyFaults,
    testing::Values(
        Planted{"unwritten_tail", "(never written) and must be"}, Planted{"race", " bytes of copy 0 are wrong"},
        Planted{"wrong_rounding", "filled with rounding_ties"}, Planted{"swapped_scale_layout", "scales[1] is"},
        Planted{"out_of_bounds", "it crashed: SIGSEGV: it wrote right behind the end of codes"},
        Planted{"reads_behind", "it crashed: SIGSEGV: it read right behind the end of input"},
        Planted{"reciprocal", "filled with rounding_ties"},
        Planted{"nan_dropped", "filled with not numbers, packed: codes[token 0, channel 0] is 0x7e and must be 0x7f"},
        Planted{"writes_input", "it wrote byte 0 of input, which is only read"}, Planted{"far_out_of_bounds", "scales"},
        Planted{"workspace", "it wrote right behind the end of workspace"},
        Planted{"bad_pointer", "it crashed: SIGSEGV"}, Planted{"abort", "it crashed: SIGABRT"},
        Planted{"exit", "it ended the process: exit status 7"}, Planted{"exception", "no kernel for this"},
        Planted{"failure", "no kernel image is available"}, Planted{"now_and_then", "codes[token 0, channel 0]"}),
    [](const auto& instance) { return instance.param.kernel; });

TEST(Faults, VerifyFindsNothingWrongWithARightOne) {
  const Ended ended = kqbench_program(verify + "right " + groups + faults("right"));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, "right ")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "no mismatch")) << ended.out;
}

/// A crash, and nothing else, costs the kernel's rows; those of others are there.
class RunFaults : public testing::TestWithParam<Planted> {};

TEST_P(RunFaults, KeepsTheOthersRows) {
  const auto& [kernel, said] = GetParam();
  const Ended ended =
      kqbench_program(short_run + groups + "--impl native," + kernel + " " + faults(kernel) + "--json -");
  EXPECT_EQ(ended.status, 1) << ended.err;
  const Json result = Json::parse(ended.out);
  EXPECT_TRUE(result["complete"]);
  ASSERT_EQ(result["rows"].size(), 2u);
  for (const Json& row : result["rows"]) {
    const bool is_plugin = row["impl"] == kernel;
    EXPECT_EQ(row["verified"], !is_plugin) << row;
    EXPECT_EQ(row["time_us"].is_null(), is_plugin) << row;
    EXPECT_TRUE(!is_plugin || contains(row["failure"], said)) << row;
  }
}

INSTANTIATE_TEST_SUITE_P(
    All, RunFaults,
    testing::Values(Planted{"unwritten_tail", "codes[token 5, channel 255] is 0xa5 (never written)"},
                    Planted{"out_of_bounds", "it crashed: SIGSEGV: it wrote right behind the end of codes"},
                    Planted{"reads_behind", "it crashed: SIGSEGV: it read right behind the end of input"},
                    Planted{"swapped_scale_layout", "scales[1] is"}, Planted{"bad_pointer", "it crashed: SIGSEGV"},
                    Planted{"exit", "it ended the process: exit status 7"},
                    Planted{"failure", "no kernel image is available"},
                    Planted{"silent_failure", "it failed, and does not say how"},
                    Planted{"rounding_mode", "it leaves another rounding mode behind"},
                    Planted{"in_why_not", "it crashed: SIGSEGV"}),
    [](const auto& instance) { return instance.param.kernel; });

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(OfX86, RunFaults,
                         testing::Values(Planted{"flushes_subnormals",
                                                 "it leaves subnormal numbers flushed to zero behind"}),
                         [](const auto& instance) { return instance.param.kernel; });
#endif

TEST(Faults, RunGoesOnWithTheNextRequestAfterACrash) {
  const Ended ended = kqbench_program(short_run + "--num-tokens 7 " + groups + faults("in_why_not") + "--json -");
  EXPECT_EQ(ended.status, 1) << ended.err;
  int verified = 0;
  const Json result = Json::parse(ended.out);
  for (const Json& row : result["rows"]) {
    if (row["impl"] == "in_why_not") verified += row["verified"] ? 1 : 0;
  }
  EXPECT_EQ(verified, 1) << ended.out;
}

/// A workspace that nothing has room for costs the kernel's rows, in one line, and nothing else.
TEST(Workspace, ThatIsFarTooLargeIsRefused) {
  const std::string both = faults("right") + faults("large_workspace");
  const Ended timed = kqbench_program(short_run + groups + both + "--json -");
  EXPECT_EQ(timed.status, 0) << timed.err;
  EXPECT_TRUE(contains(timed.err,
                       "large_workspace does not serve dynamic group:64 fp8_e4m3fn from float, 6 x 256: it asks for a "
                       "workspace of 1125899906842624 bytes (1048576.0 GiB), and "))
      << timed.err;
  EXPECT_TRUE(contains(timed.err, " are free beside the tensors\n")) << timed.err;
  const Json result = Json::parse(timed.out);
  EXPECT_TRUE(result["complete"]);
  EXPECT_GE(result["rows"].size(), 2u);
  for (const Json& row : result["rows"]) {
    EXPECT_NE(row["impl"], "large_workspace");
    EXPECT_TRUE(row["verified"]);
  }
  const Ended verified = kqbench_program(verify + "native,right,large_workspace " + groups + both);
  EXPECT_EQ(verified.status, 0) << verified.err;
  EXPECT_TRUE(contains(verified.out, "not served: it asks for a workspace of 1125899906842624 bytes")) << verified.out;
  EXPECT_TRUE(contains(verified.out, "right      ")) << verified.out;
}

TEST(Workspace, ThatWrapsRoundIsRefusedOfTheRequestsThatAskForIt) {
  const Ended ended =
      kqbench_program(short_run + "--num-tokens 7 " + groups + faults("largest_workspace") + "--json -");
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.err, ", 6 x 256: it asks for a workspace of 18446744073709551615 bytes")) << ended.err;
  int verified = 0;
  const Json result = Json::parse(ended.out);
  for (const Json& row : result["rows"]) {
    if (row["impl"] == "largest_workspace") verified += row["verified"] && row["num_tokens"] == 7 ? 1 : 100;
  }
  EXPECT_EQ(verified, 1) << ended.out;
}

TEST(Workspace, ThatIsFarTooLargeOfTheOnlyKernelEndsInOneLine) {
  const Ended ended = kqbench_program(short_run + groups + "--impl large_workspace " + faults("large_workspace"));
  EXPECT_EQ(ended.status, 2);
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  EXPECT_TRUE(contains(ended.err, "it asks for a workspace of")) << ended.err;
}

/// A failing reference is not a failing kernel: where all are wrong alike, that is said.
TEST(Agreement, OfAllIsTold) {
  const std::string both =
      "--impl swapped_scale_layout,swapped_too " + faults("swapped_scale_layout") + faults("swapped_too");
  const std::string said = "; but all 2 implementations agree with each other: is the reference wrong?\n";
  const Ended verified =
      kqbench_program("verify --backend host --host-threads 1 --num-tokens 3 --hidden-size 1000 " + groups + both);
  EXPECT_EQ(verified.status, 1);
  EXPECT_TRUE(contains(verified.out, said)) << verified.out;
  const Ended timed = kqbench_program(short_run + groups + both);
  EXPECT_EQ(timed.status, 1);
  EXPECT_TRUE(contains(timed.out, said)) << timed.out;
}

TEST(Agreement, OfSomeIsNot) {
  const std::string two = "--impl native,swapped_scale_layout " + faults("swapped_scale_layout");
  const Ended ended = kqbench_program(short_run + groups + two);
  EXPECT_EQ(ended.status, 1);
  EXPECT_FALSE(contains(ended.out, "agree with each other")) << ended.out;
  const std::string unlike =
      "--impl unwritten_tail,swapped_scale_layout " + faults("unwritten_tail") + faults("swapped_scale_layout");
  EXPECT_FALSE(contains(kqbench_program(short_run + groups + unlike).out, "agree with each other"));
}

}  // namespace
}  // namespace kqbench::test
