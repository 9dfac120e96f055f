// SPDX-License-Identifier: Apache-2.0

// The planted faults on a GPU: what `verify` says of each, and which it cannot see.

#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "backends/backend.hpp"
#include "tests/plugin/program.hpp"

namespace kqbench::test {
namespace {

Ended verify_on_device(const std::string& kernel) {
  return kqbench_program(
      "verify --backend cuda --no-progress --num-tokens 3 --hidden-size 1000 --dtype bfloat16 "
      "--quant-dtype fp8 --granularity group:64 --scale-format float --scale-layout row --impl native," +
      kernel + " --plugin " DEVICE_FAULTS ":" + kernel);
}

struct OnDevice {
  std::string kernel;
  std::string said;
  friend void PrintTo(const OnDevice& planted, std::ostream* out) { *out << planted.kernel; }
};

class DeviceFaults : public testing::TestWithParam<OnDevice> {
 protected:
  void SetUp() override {
    if (find_backend("cuda")->device_count() == 0) GTEST_SKIP() << "no GPU here";
  }
};

TEST_P(DeviceFaults, AreFound) {
  const auto& [kernel, said] = GetParam();
  const Ended ended = verify_on_device(kernel);
  EXPECT_EQ(ended.status, 1) << ended.err;
  EXPECT_TRUE(contains(ended.out, "FAILED " + kernel)) << ended.out;
  EXPECT_TRUE(contains(ended.out, said)) << ended.out;
  EXPECT_FALSE(contains(ended.out, "FAILED native")) << ended.out;
}

INSTANTIATE_TEST_SUITE_P(
    All, DeviceFaults,
    testing::Values(OnDevice{"unwritten_tail", "(never written)"}, OnDevice{"race", " bytes of copy 0 are wrong"},
                    OnDevice{"wrong_rounding", "rounding_ties"}, OnDevice{"swapped_scale_layout", "scales[1] is"},
                    OnDevice{"out_of_bounds", "the guard after the codes"},
                    OnDevice{"wrong_stream", "it put nothing on the stream that it was given"},
                    OnDevice{"hidden_synchronization", "its launch cannot be recorded"},
                    OnDevice{"reciprocal", "rounding_ties"}, OnDevice{"nan_dropped", "0x7e and must be 0x7f"},
                    OnDevice{"wild_pointer", "illegal memory access"}),
    [](const auto& instance) { return instance.param.kernel; });

/// Launches that follow each other otherwise than the run has them.
class OverlapFaults : public DeviceFaults {
 protected:
  Ended run_on_device(const std::string& kernel, const std::string& launch) {
    return kqbench_program(
        "run --backend cuda --no-progress --no-ceiling --max-time 0.05 --num-tokens 64 --hidden-size 1024 --dtype "
        "bfloat16 --quant-dtype fp8 --granularity group:64 --json - --impl native," +
        kernel + " --launch " + launch + " --plugin " DEVICE_FAULTS ":" + kernel);
  }
};

TEST_P(OverlapFaults, AreFound) {
  const auto& [kernel, said] = GetParam();
  const Ended ended = run_on_device(kernel, kernel == "launches_early" ? "plain" : "overlapped");
  if (contains(ended.err, "need compute capability 9.0")) GTEST_SKIP() << ended.err;
  EXPECT_EQ(ended.status, said.empty() ? 0 : 1) << ended.out << ended.err;
  EXPECT_TRUE(contains(ended.out, said)) << ended.out;
  EXPECT_TRUE(contains(ended.out, '"' + kernel + '"')) << ended.out;
}

INSTANTIATE_TEST_SUITE_P(All, OverlapFaults,
                         testing::Values(OnDevice{"waits", ""}, OnDevice{"does_not_wait", "it does not wait: it reads"},
                                         OnDevice{"unmarked", "its launches do not overlap"},
                                         OnDevice{"launches_early", "its launches start before the end of the one"}),
                         [](const auto& instance) { return instance.param.kernel; });

class DeviceLimits : public DeviceFaults {};

/// What a process cannot see on a GPU: docs/your_own_kernel.md says so.
TEST_P(DeviceLimits, AreThere) {
  const Ended ended = verify_on_device(GetParam().kernel);
  EXPECT_EQ(ended.status, 0) << ended.out << ended.err;
}

INSTANTIATE_TEST_SUITE_P(All, DeviceLimits, testing::Values(OnDevice{"right", ""}, OnDevice{"reads_behind", ""}),
                         [](const auto& instance) { return instance.param.kernel; });

}  // namespace
}  // namespace kqbench::test
