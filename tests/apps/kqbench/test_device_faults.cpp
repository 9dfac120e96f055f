// SPDX-License-Identifier: Apache-2.0

// A device that fails in the middle of things: status 3, one line, what was measured so far kept and marked incomplete,
// nothing tried again, every allocation given back.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "backends/backend.hpp"
#include "bench/measure/measurement.hpp"
#include "bench/tensors/npy.hpp"
#include "tests/apps/kqbench/faulty_device.hpp"
#include "tests/bench/measure/fake_device.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/printing.hpp"

namespace kqbench::test {
namespace {

using Json = nlohmann::json;
using Opener = std::function<std::unique_ptr<Device>(const DeviceOptions&)>;

struct Ended {
  int status;
  std::string out;
  std::string err;
};

std::unique_ptr<Device> host(const DeviceOptions& options) {
  return find_backend("host")->open(options);
}

/// Runs a command line on the device that is opened so, behind one that fails as planned. Returns the status.
int run_on_faulty_device(std::vector<std::string> arguments, FaultPlan& plan, const Opener& open = host) {
  arguments.insert(arguments.begin(), "kqbench");
  return run_program(arguments, [&](const std::optional<std::string>&, const DeviceOptions& options) {
    return std::make_unique<FaultyDevice>(open(options), plan);
  });
}

Ended kqbench(const std::vector<std::string>& arguments, FaultPlan& plan, const Opener& open = host) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_on_faulty_device(arguments, plan, open);
  std::string out = testing::internal::GetCapturedStdout();
  return {status, std::move(out), testing::internal::GetCapturedStderr()};
}

/// Two small shapes, as little as can be of each, and what else is asked for.
std::vector<std::string> short_run(const std::vector<std::string>& more) {
  std::vector<std::string> arguments{
      "run", "--num-tokens", "3,5", "--hidden-size", "64",       "--max-time", "1e-9", "--num-iters",
      "5",   "--cache",      "hot", "--quiet",       "--rounds", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<std::string> sweep(const std::filesystem::path& result) {
  return short_run({"--quant-dtype", "int8,fp8", "--impl", "native", "--no-ceiling", "--json", result.string()});
}

constexpr int never = std::numeric_limits<int>::max();

/// The allocations and copies of the whole sweep: counted by a plan that never fails.
int length_of_sweep(const std::filesystem::path& result) {
  FaultPlan plan{.moment = never};
  EXPECT_EQ(kqbench(sweep(result), plan).status, 0);
  return plan.progress;
}

class DeviceFaults : public testing::TestWithParam<std::tuple<Fault, bool>> {};

/// From the first call on, at moments all over the sweep of four rows.
TEST_P(DeviceFaults, EndARunWithWhatItHasMeasured) {
  const auto [fault, is_final] = GetParam();
  const ScratchFolder folder;
  const auto result = folder.path() / "result.json";
  const int length = length_of_sweep(result);
  ASSERT_GT(length, 16);
  std::size_t kept = 0;
  constexpr int moments = 8;
  int faults = 0;
  for (int i = 0; i < moments; ++i) {
    const int moment = length * i / moments;
    SCOPED_TRACE(fmt::format("after {} of {} allocations and copies", moment, length));
    std::filesystem::remove(result);
    FaultPlan plan{.fault = fault, .moment = moment, .is_final = is_final};
    const Ended ended = kqbench(sweep(result), plan);
    // Memory is taken before anything is measured; everything else happens to the end.
    if (fault == Fault::allocation && plan.failures == 0) {
      EXPECT_GT(i, 0);
      EXPECT_EQ(ended.status, 0) << ended.err;
      continue;
    }
    EXPECT_GE(plan.failures, 1);
    ++faults;
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_TRUE(ended.err.starts_with("kqbench: ")) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(plan.work_after, 0) << "tried again";
    EXPECT_EQ(plan.live_allocations, 0);
    if (!std::filesystem::exists(result)) {
      EXPECT_EQ(kept, 0u) << "what was measured is lost";
      continue;
    }
    std::ifstream file(result);
    const Json read = Json::parse(file);
    EXPECT_FALSE(read.at("complete"));
    EXPECT_GE(read.at("rows").size(), kept);
    kept = read.at("rows").size();
    for (const Json& row : read.at("rows")) {
      EXPECT_TRUE(row.at("verified"));
    }
  }
  if (fault != Fault::allocation) {
    EXPECT_EQ(kept, 3u);
    EXPECT_EQ(faults, moments);
  }
  RecordProperty("faults", faults);
}

/// Of any device; a host has no graphs and events.
constexpr std::array all_faults{Fault::allocation, Fault::launch, Fault::synchronization, Fault::copy};

std::string test_name(const testing::TestParamInfo<std::tuple<Fault, bool>>& test) {
  const auto [fault, is_final] = test.param;
  return fmt::format("{}{}", fault_name(fault), is_final ? "ForGood" : "Once");
}

INSTANTIATE_TEST_SUITE_P(All, DeviceFaults, testing::Combine(testing::ValuesIn(all_faults), testing::Bool()),
                         test_name);

/// A device with graphs and events, as a GPU has them. Launches that nothing is put between, whose time is estimated
/// so, take as long as a sample should: a sample is one launch, and the calls are the same in every run.
class QueueingDevice : public fake::FakeDevice {
 public:
  QueueingDevice() {
    for (const char* const name : {"kokkos", "native"}) {
      add(std::make_unique<fake::FakeImplementation>(*this, name, fake::quantize_rightly));
    }
  }
  void fill(void* to, unsigned char value, std::size_t bytes) override {
    filled_ = true;
    FakeDevice::fill(to, value, bytes);
  }
  void synchronize() override {
    if (!filled_ && launches_ != inputs.size()) {
      std::this_thread::sleep_for(std::chrono::duration<double>(MeasureOptions{}.sample_seconds));
    }
    filled_ = false;
    launches_ = inputs.size();
  }
  std::uint64_t free_memory_bytes() const override { return std::uint64_t{8} << 20; }  // so that ceilings take no time

 private:
  bool filled_ = false;
  std::size_t launches_ = 0;
};

class DeviceFaultsWhileTiming : public testing::TestWithParam<std::tuple<Timing, Fault>> {};

/// At every call of the kind in a sweep of two requests by two implementations, ceilings before them. The result goes
/// to standard output: hundreds of files would take most of the time.
TEST_P(DeviceFaultsWhileTiming, EndARunWithWhatItHasMeasured) {
  const auto [timing, fault] = GetParam();
  const std::vector<std::string> arguments =
      short_run({"--timing", std::string(to_string(timing)), "--quant-dtype", "int8", "--json", "-"});
  std::size_t kept = 0;
  int position = 0;
  for (;; ++position) {
    SCOPED_TRACE(fmt::format("at call {}", position));
    // Both kinds of call of a sample, or of a recording, with either kind of failure.
    FaultPlan plan{.fault = fault, .position = position, .is_final = position / 2 % 2 == 1};
    const Ended ended =
        kqbench(arguments, plan, [](const DeviceOptions&) { return std::make_unique<QueueingDevice>(); });
    EXPECT_EQ(plan.live_allocations, 0);
    EXPECT_EQ(plan.live_handles, 0);
    EXPECT_EQ(plan.work_after, 0) << "tried again";
    ASSERT_TRUE(Json::accept(ended.out)) << ended.out << ended.err;
    const Json read = Json::parse(ended.out);
    EXPECT_GE(read.at("rows").size(), kept);
    kept = read.at("rows").size();
    for (const Json& row : read.at("rows")) {
      EXPECT_TRUE(row.at("verified"));
      EXPECT_EQ(row.at("timing"), to_string(timing));
    }
    if (plan.failures == 0) {  // there are no more calls
      EXPECT_EQ(ended.status, 0) << ended.err;
      EXPECT_TRUE(read.at("complete"));
      EXPECT_EQ(kept, 4u);
      break;
    }
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_TRUE(ended.err.starts_with("kqbench: ")) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_FALSE(read.at("complete"));
    EXPECT_EQ(kept % 2, 0u) << "half a request";
    EXPECT_LT(kept, 4u);
    if (HasFailure()) break;
  }
  EXPECT_GE(position, 8);
  RecordProperty("faults", position);
}

INSTANTIATE_TEST_SUITE_P(Graph, DeviceFaultsWhileTiming,
                         testing::Combine(testing::Values(Timing::graph),
                                          testing::Values(Fault::launch, Fault::recording, Fault::graph_launch,
                                                          Fault::event_creation, Fault::event_record,
                                                          Fault::event_time)),
                         [](const auto& test) { return fault_name(std::get<1>(test.param)); });
INSTANTIATE_TEST_SUITE_P(Stream, DeviceFaultsWhileTiming,
                         testing::Combine(testing::Values(Timing::stream),
                                          testing::Values(Fault::launch, Fault::event_creation, Fault::event_record,
                                                          Fault::event_time)),
                         [](const auto& test) { return fault_name(std::get<1>(test.param)); });

/// What is measured in the first round is not lost to a fault in the second.
TEST(DeviceFault, InALaterRoundKeepsTheRowsOfTheEarlierOnes) {
  const ScratchFolder folder;
  const auto result = folder.path() / "result.json";
  auto arguments = sweep(result);
  *std::find(arguments.begin(), arguments.end(), "1") = "3";  // --rounds
  FaultPlan counting{.moment = never};
  ASSERT_EQ(kqbench(arguments, counting).status, 0);
  for (const int before_the_end : {20, 3}) {  // in the second round, and in the third
    FaultPlan plan{.fault = Fault::copy, .moment = counting.progress - before_the_end};
    const Ended ended = kqbench(arguments, plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_EQ(plan.live_allocations, 0);
    std::ifstream file(result);
    const Json read = Json::parse(file);
    EXPECT_FALSE(read.at("complete"));
    ASSERT_EQ(read.at("rows").size(), 4u);
    for (const Json& row : read.at("rows")) {
      EXPECT_TRUE(row.at("verified"));
      EXPECT_GE(row.at("time_us").at("rounds").size(), 1u);
    }
    EXPECT_EQ(read.at("rows").back().at("stop"), "interrupted");
    EXPECT_LT(read.at("rows").back().at("time_us").at("rounds").size(), 3u);
  }
}

/// Half-way through the sweep's four rows.
TEST(DeviceFault, OfMemoryOrSystemKeepsWhatItHasMeasuredToo) {
  for (const Thrown thrown : {Thrown::bad_alloc, Thrown::runtime_error}) {
    const ScratchFolder folder;
    const auto result = folder.path() / "result.json";
    FaultPlan plan{.fault = Fault::copy, .thrown = thrown, .moment = length_of_sweep(result) / 2};
    std::filesystem::remove(result);
    const Ended ended = kqbench(sweep(result), plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    ASSERT_TRUE(std::filesystem::exists(result));
    std::ifstream file(result);
    const Json read = Json::parse(file);
    EXPECT_FALSE(read.at("complete"));
    EXPECT_GE(read.at("rows").size(), 1u);
    EXPECT_LT(read.at("rows").size(), 4u);
    EXPECT_TRUE(ended.out.ends_with("Incomplete: rows or samples are missing.\n")) << ended.out;
    EXPECT_EQ(ended.out.find("nterrupted"), std::string::npos) << "nobody interrupted it: " << ended.out;
  }
}

/// Ends the process with the sweep's status, and says on standard error whether the file is complete. `moment` from the
/// length of the sweep.
template <class Moment>
[[noreturn]] void run_with_a_signal(Moment moment) {
  FaultPlan plan{.fault = Fault::copy, .thrown = Thrown::signal};
  int status = -1;
  {
    const ScratchFolder folder;
    const auto result = folder.path() / "result.json";
    plan.moment = moment(length_of_sweep(result));
    status = run_on_faulty_device(sweep(result), plan);
    std::ifstream file(result);
    fmt::print(stderr, "{}\n", Json::parse(file).at("complete").get<bool>() ? "complete" : "rows are missing");
  }
  std::exit(plan.failures == 1 ? status : -1);
}

/// In new processes: a signal that came stays noted, and threads are not there after a fork alone.
TEST(DeviceFaultDeathTest, ASignalAfterTheLastSampleCostsNothing) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  // The last copy fetches the last row's outputs.
  EXPECT_EXIT(run_with_a_signal([](int length) { return length - 1; }), testing::ExitedWithCode(0), "complete");
  EXPECT_EXIT(run_with_a_signal([](int length) { return length / 2; }), testing::ExitedWithCode(130),
              "rows are missing");
}

TEST(DeviceFault, EndsVerifyToo) {
  for (const Fault fault : all_faults) {
    FaultPlan plan{.fault = fault, .moment = 1, .is_final = true};
    const Ended ended = kqbench({"verify", "--num-tokens", "3", "--hidden-size", "64", "--quiet"}, plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_EQ(plan.live_allocations, 0);
    EXPECT_EQ(plan.work_after, 0);
  }
}

/// At every moment; afterwards, when what was written is read again, no device is needed.
TEST(DeviceFault, EndsQuantizeWithoutAFile) {
  const ScratchFolder folder;
  std::vector<std::byte> zeros(5 * 64 * sizeof(float));
  write_npy(folder / "in.npy", {DType::float32, {5, 64}, zeros});
  const std::vector<std::string> arguments{
      "quantize", (folder / "in.npy").string(), "-o", (folder / "out.npy").string(), "--asymmetric", "--dequantize"};
  FaultPlan none{.moment = never};
  ASSERT_EQ(kqbench(arguments, none).status, 0);
  int faults = 0;
  for (const Fault fault : all_faults) {
    for (int moment = 0; moment <= none.progress; ++moment) {
      SCOPED_TRACE(fmt::format("fault {} after {} allocations and copies", static_cast<int>(fault), moment));
      for (const char* name : {"out.npy", "out.scale.npy", "out.zero_point.npy"}) {
        std::filesystem::remove(folder / name);
      }
      FaultPlan plan{.fault = fault, .moment = moment, .is_final = true};
      const Ended ended = kqbench(arguments, plan);
      EXPECT_EQ(plan.live_allocations, 0);
      EXPECT_EQ(plan.work_after, 0);
      EXPECT_EQ(ended.status, plan.failures > 0 ? 3 : 0) << ended.err;
      EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), plan.failures > 0 ? 1 : 0) << ended.err;
      faults += plan.failures > 0;
      const auto files = std::distance(std::filesystem::directory_iterator(folder.path()), {});
      EXPECT_EQ(files, plan.failures > 0 ? 1 : 4);
    }
  }
  EXPECT_GT(faults, 20);
}

TEST(DeviceFault, EndsAProfileToo) {
  for (const Fault fault : all_faults) {
    FaultPlan plan{.fault = fault, .moment = fault == Fault::allocation ? 0 : 1, .is_final = true};
    const Ended ended =
        kqbench({"run", "--profile", "--num-tokens", "3", "--hidden-size", "64", "--cache", "hot", "--quiet"}, plan);
    EXPECT_EQ(ended.status, 3) << ended.err;
    EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
    EXPECT_EQ(plan.live_allocations, 0);
    EXPECT_EQ(plan.work_after, 0);
  }
}

}  // namespace
}  // namespace kqbench::test
