// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bench/fleet/fleet.hpp"
#include "bench/fleet/fleet_text.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/fleet/sample_fleet.hpp"

namespace kqbench {
namespace {

/// Four devices, the third of which takes `factor` times as long.
Fleet fleet_of_four(double factor, const std::string& measured = "together") {
  Fleet fleet;
  for (int rank = 0; rank < 4; ++rank) {
    ResultFile result = rank_result(rank, 4, rank == 2 ? factor : 1.0, measured);
    if (rank == 2) {
      for (Row& row : result.rows) {
        row.clocks.core_mhz_after = 1600.0;
        row.clocks.power_watts = 695.0;
        row.clocks.temperature_celsius = 80.0;
      }
    }
    fleet.add({"run.json, rank " + std::to_string(rank), result});
  }
  return fleet;
}

TEST(Fleet, FindsTheSlowDeviceAndSaysWhatItsReadingsAre) {
  const FleetSummary summary = fleet_of_four(1.2).summary(0.05);
  ASSERT_EQ(summary.operations.size(), 2u);
  const FleetOperation& operation = summary.operations[0];
  EXPECT_EQ(operation.work.request.num_tokens, 64);
  EXPECT_DOUBLE_EQ(operation.median_us, 20.0);
  EXPECT_NEAR(operation.spread, 0.2, 1e-9);
  ASSERT_EQ(operation.times.size(), 4u);
  EXPECT_NEAR(operation.times[2].ratio.value, 1.2, 1e-9);
  EXPECT_TRUE(operation.times[2].outside);
  EXPECT_EQ(operation.times[2].verdict, Verdict::slower);
  EXPECT_FALSE(operation.times[1].outside);
  EXPECT_EQ(operation.times[1].verdict, Verdict::same);
  ASSERT_TRUE(operation.times[2].ratio.interval);
  EXPECT_LT(operation.times[2].ratio.interval->low, 1.2 / 1.02) << "what another run might give is in it";

  ASSERT_EQ(summary.outliers.size(), 1u);
  const FleetOutlier& outlier = summary.outliers[0];
  EXPECT_EQ(summary.devices[outlier.device].text(), "right GPU-2");
  EXPECT_EQ(outlier.slower, 2u);
  EXPECT_EQ(outlier.faster, 0u);
  EXPECT_NEAR(outlier.ratio.value, 1.2, 1e-9);
  EXPECT_EQ(outlier.hints, (std::vector<std::string>{"core clock 1600 MHz, 19 % below the others'",
                                                     "power 695 W, at its cap of 700 W", "80 °C, the others' 50 °C"}));
  EXPECT_NE(why_outside(summary).find("2 of 8 ratios outside 5 %, the furthest 1.200"), std::string::npos)
      << why_outside(summary);
  EXPECT_NE(why_outside(summary).find("right GPU-2"), std::string::npos);
}

TEST(Fleet, FindsNothingWhereNothingIs) {
  const FleetSummary summary = fleet_of_four(1.04).summary(0.05);
  EXPECT_TRUE(summary.outliers.empty());
  EXPECT_EQ(why_outside(summary), "");
  EXPECT_EQ(fleet_of_four(1.04).summary(0.03).outliers.size(), 1u);
}

TEST(Fleet, FindsAFasterOneToo) {
  const FleetSummary summary = fleet_of_four(0.9).summary(0.05);
  ASSERT_EQ(summary.outliers.size(), 1u);
  EXPECT_EQ(summary.outliers[0].faster, 2u);
}

TEST(Fleet, HoldsTogetherAgainstAlone) {
  Fleet fleet = fleet_of_four(1.5, "together");
  for (int rank = 0; rank < 4; ++rank) {
    fleet.add({"alone", rank_result(rank, 4, 0.5, "alone")});
  }
  const FleetSummary summary = fleet.summary(0.05);
  EXPECT_EQ(summary.operations.size(), 4u);
  EXPECT_EQ(summary.devices.size(), 4u) << "they are the same devices";
  ASSERT_EQ(summary.together_alone.size(), 2u);
  const TogetherAlone& both = summary.together_alone[0];
  EXPECT_EQ(both.devices, 4u);
  EXPECT_DOUBLE_EQ(both.ratio, 2.0);
  EXPECT_EQ(summary.devices[both.slowest].id, "GPU-2");
  EXPECT_NEAR(both.slowest_ratio.value, 3.0, 1e-9);
}

TEST(Fleet, CountsWhatIsWrongOrMissing) {
  Fleet fleet;
  for (int rank = 0; rank < 3; ++rank) {
    ResultFile result = rank_result(rank, 3, 1.0);
    if (rank == 1) {
      result.rows[0].time_us.reset();
      result.rows[0].verified = false;
    }
    if (rank == 2) {
      result.rows.pop_back();
      result.complete = false;
    }
    fleet.add({"file " + std::to_string(rank), result});
  }
  const FleetSummary summary = fleet.summary(0.05);
  ASSERT_EQ(summary.operations.size(), 2u);
  EXPECT_EQ(summary.operations[0].failed, std::vector<std::size_t>{1});
  EXPECT_EQ(summary.operations[1].missing, std::vector<std::size_t>{2});
  EXPECT_EQ(why_outside(summary), "1 output wrong; 1 row missing; 1 file incomplete, the first 'file 2'");
  const std::string csv = fleet_csv(summary);
  EXPECT_NE(csv.find(",failed,"), std::string::npos);
  EXPECT_NE(csv.find(",missing,"), std::string::npos);
}

TEST(Fleet, KeepsUnlikeDevicesApart) {
  Fleet fleet;
  fleet.add({"a", rank_result(0, 2, 1.0)});
  ResultFile other = rank_result(1, 2, 1.0);
  other.context.device = "Another GPU";
  fleet.add({"b", other});
  const FleetSummary summary = fleet.summary(0.05);
  EXPECT_TRUE(summary.operations.empty());
  EXPECT_EQ(summary.lone_operations, 4u);
}

TEST(Fleet, RefusesTheSameWorkOfADeviceTwice) {
  Fleet fleet;
  fleet.add({"a", rank_result(0, 2, 1.0)});
  try {
    fleet.add({"b", rank_result(0, 2, 1.0)});
    FAIL() << "was taken";
  } catch (const UsageError& error) {
    EXPECT_EQ(std::string(error.what()),
              "'b': has kokkos, dynamic token int8 from half, 64x4096 of left GPU-0, and so has 'a'; give one file of "
              "each device and way of measuring");
  }
}

TEST(Fleet, IsWrittenInEveryFormat) {
  const FleetSummary summary = fleet_of_four(1.2).summary(0.05);
  const nlohmann::json json = nlohmann::json::parse(fleet_json(summary));
  EXPECT_EQ(json["schema"], "kqbench-fleet/1");
  EXPECT_EQ(json["devices"].size(), 4u);
  EXPECT_EQ(json["operations"][0]["devices"][2]["outside"], true);
  EXPECT_EQ(json["outliers"][0]["device"], 2);
  const std::string csv = fleet_csv(summary);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 2 * 4);
  std::string line;
  std::istringstream lines(csv);
  while (std::getline(lines, line)) {
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), 27) << line;
  }
  std::ostringstream text, markdown, html;
  write_fleet_text(text, summary, false);
  write_fleet_markdown(markdown, summary);
  write_fleet_html(html, summary);
  for (const std::string& written : {text.str(), markdown.str(), html.str()}) {
    EXPECT_NE(written.find("right GPU-2: kokkos together: 2 slower of 2 operations"), std::string::npos) << written;
  }
}

}  // namespace
}  // namespace kqbench
