// SPDX-License-Identifier: Apache-2.0

// A device that fails in the middle of things: status 3, one line, what was measured so far kept and marked incomplete,
// nothing tried again, every allocation given back.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "backends/backend.hpp"
#include "tests/apps/kqbench/faulty_device.hpp"
#include "tests/apps/kqbench/tensors/scratch_folder.hpp"

namespace kqbench::test {
namespace {

using Json = nlohmann::json;

struct Ended {
  int status;
  std::string err;
};

/// Runs a command line on the host, behind a device that fails as planned.
Ended kqbench(std::vector<std::string> arguments, FaultPlan& plan) {
  arguments.insert(arguments.begin(), "kqbench");
  const DeviceOpener open = [&plan](const std::optional<std::string>&, const DeviceOptions& options) {
    return std::make_unique<FaultyDevice>(find_backend("host")->open(options), plan);
  };
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_program(arguments, open);
  testing::internal::GetCapturedStdout();
  return {status, testing::internal::GetCapturedStderr()};
}

std::vector<std::string> sweep(const std::filesystem::path& result) {
  return {"run",
          "--num-tokens",
          "3,5",
          "--hidden-size",
          "64",
          "--quant-dtype",
          "int8,fp8",
          "--max-time",
          "1e-9",
          "--num-iters",
          "5",
          "--cache",
          "hot",
          "--impl",
          "native",
          "--quiet",
          "--no-ceiling",
          "--json",
          result.string()};
}

/// How many calls of each kind a whole sweep makes: a plan that never fails counts them.
int calls_of(Fault fault, const std::filesystem::path& result) {
  constexpr int many = 1 << 30;
  FaultPlan plan{.fault = fault, .calls_before = many};
  EXPECT_EQ(kqbench(sweep(result), plan).status, 0);
  return many - plan.calls_before;
}

class DeviceFaults : public testing::TestWithParam<std::tuple<Fault, bool>> {};

/// At three moments, from the first call to the third part of them. (How many launches a sample has depends on how fast
/// the machine is at the time, so a later moment may not come.)
TEST_P(DeviceFaults, EndARunWithWhatItHasMeasured) {
  const auto [fault, is_final] = GetParam();
  const ScratchFolder folder;
  const auto result = folder.path() / "result.json";
  const int calls = calls_of(fault, result);
  ASSERT_GT(calls, 0);
  int kept = 0;
  for (const int part : {calls, 16, 3}) {
    std::filesystem::remove(result);
    FaultPlan plan{.fault = fault, .calls_before = (calls - 1) / part, .is_final = is_final};
    const Ended ended = kqbench(sweep(result), plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_TRUE(ended.err.starts_with("kqbench: ")) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_GE(plan.failures, 1);
    EXPECT_EQ(plan.launches_after, 0) << "tried again after call " << calls / part;
    EXPECT_EQ(plan.live_allocations, 0) << "after call " << calls / part;
    if (!std::filesystem::exists(result)) continue;
    std::ifstream file(result);
    const Json read = Json::parse(file);
    EXPECT_FALSE(read.at("complete"));
    for (const Json& row : read.at("rows")) {
      EXPECT_TRUE(row.at("verified"));
      ++kept;
    }
  }
  // Memory is taken before anything is measured; everything else may fail later.
  if (fault != Fault::allocation) {
    EXPECT_GT(kept, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(All, DeviceFaults,
                         testing::Combine(testing::Values(Fault::allocation, Fault::launch, Fault::synchronization,
                                                          Fault::copy),
                                          testing::Bool()));

TEST(DeviceFaults, EndVerifyToo) {
  for (const Fault fault : {Fault::allocation, Fault::launch, Fault::synchronization, Fault::copy}) {
    FaultPlan plan{.fault = fault, .calls_before = 1, .is_final = true};
    const Ended ended = kqbench({"verify", "--num-tokens", "3", "--hidden-size", "64", "--quiet"}, plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_EQ(plan.live_allocations, 0);
    EXPECT_EQ(plan.launches_after, 0);
  }
}

}  // namespace
}  // namespace kqbench::test
