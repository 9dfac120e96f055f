// SPDX-License-Identifier: Apache-2.0

// What a profiler is shown: each implementation once, in its range, between start and stop, on a cache as cold or hot
// as was asked for.

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "bench/measure/profile.hpp"
#include "tests/bench/measure/fake_device.hpp"
#include "tests/bench/measure/small_problem.hpp"

namespace kqbench {
namespace {

using fake::FakeDevice;
using fake::FakeImplementation;
using fake::small_problem;
using Journal = std::vector<std::string>;

class ProfileTest : public testing::TestWithParam<bool> {
 protected:
  std::vector<Row> profile_all() {
    MeasureOptions options;
    options.hot = GetParam();
    return profile(device, arena, problem, {&kokkos, &native}, options);
  }

  FakeDevice device;
  DeviceArena arena{device};
  Problem problem = small_problem();
  FakeImplementation kokkos{device, "kokkos", fake::quantize_rightly};
  FakeImplementation native{device, "native", fake::quantize_rightly};
};

INSTANTIATE_TEST_SUITE_P(Caches, ProfileTest, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "hot" : "cold"; });

TEST_P(ProfileTest, ShowsEachImplementationOnceInItsRange) {
  const std::vector<Row> rows = profile_all();
  const auto start = std::find(device.journal.begin(), device.journal.end(), "start");
  const std::string work = "dynamic token int8 from half, 4 x 64";
  EXPECT_EQ(Journal(start, device.journal.end()), (Journal{"start", "push kokkos: " + work, "launch kokkos", "pop",
                                                           "push native: " + work, "launch native", "pop", "stop"}));
  for (const char* const name : {"launch kokkos", "launch native"}) {
    EXPECT_GE(std::count(device.journal.begin(), start, name), 5) << "what is loaded once is loaded before";
  }
  ASSERT_EQ(rows.size(), 2u);
  for (const Row& row : rows) {
    EXPECT_TRUE(row.verified);
    EXPECT_FALSE(row.time_us);
    EXPECT_EQ(row.cache, GetParam() ? "hot" : "cold");
  }
}

TEST_P(ProfileTest, TheLaunchesShownFindTheCacheAsAskedFor) {
  profile_all();
  const auto shown = device.inputs.end() - 2;
  const std::set<const void*> inputs(shown, device.inputs.end());
  if (GetParam()) {
    EXPECT_EQ(inputs.size(), 1u);
    EXPECT_EQ(*(shown - 1), *shown);
    return;
  }
  EXPECT_EQ(inputs.size(), 2u);
  const kq::Traffic traffic = kq::minimal_traffic(problem.request);
  const auto launches = static_cast<std::ptrdiff_t>(2 * device.info().cache_bytes / (traffic.read + traffic.written));
  for (auto before = shown - launches; before != shown; ++before) {
    EXPECT_FALSE(inputs.contains(*before));
  }
}

TEST_P(ProfileTest, AWrongOutputIsCaught) {
  FakeImplementation lazy(device, "lazy", [](const kq::Request&, const Operands&, std::int64_t) {});
  MeasureOptions options;
  options.hot = GetParam();
  const std::vector<Row> rows = profile(device, arena, problem, {&lazy, &native}, options);
  EXPECT_FALSE(rows[0].verified);
  EXPECT_FALSE(rows[0].failure.empty());
  EXPECT_TRUE(rows[1].verified);
}

}  // namespace
}  // namespace kqbench
