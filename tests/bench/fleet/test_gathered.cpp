// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "bench/fleet/gathered.hpp"
#include "bench/results/json_reader.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/results/report_page.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/fleet/sample_fleet.hpp"

namespace kqbench {
namespace {

std::string refusal_of(const ResultFile& result) {
  try {
    parse_result(to_json(result), "'x.json'");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "was read";
}

/// Rank 1 first; it could not go on.
ResultFile two_ranks() {
  ResultFile second = rank_result(1, 2, 1.5);
  second.rows.pop_back();
  return gathered({{second, "the device was lost"}, {rank_result(0, 2, 1.0), ""}});
}

TEST(Gathered, HasARowOfEachRankAndSaysWhichFailed) {
  const ResultFile file = two_ranks();
  EXPECT_FALSE(file.complete);
  ASSERT_EQ(file.rows.size(), 3u);
  EXPECT_EQ(file.rows[0].rank, 0);
  EXPECT_EQ(file.rows[2].rank, 1);
  ASSERT_EQ(file.context.ranks.size(), 2u);
  EXPECT_TRUE(file.context.ranks[0].complete);
  EXPECT_FALSE(file.context.ranks[1].complete);
  EXPECT_EQ(file.context.ranks[1].failure, "the device was lost");
  EXPECT_EQ(file.context.ranks[1].device_id, "GPU-1");
}

TEST(Gathered, ComesBackFromAFileAsItWas) {
  const std::string text = to_json(two_ranks());
  EXPECT_EQ(to_json(parse_result(text, "it")), text);
}

TEST(Gathered, FallsApartIntoItsRanks) {
  const std::vector<NamedResult> parts = by_rank({"run.json", two_ranks()});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[1].name, "run.json, rank 1");
  EXPECT_FALSE(parts[1].result.complete);
  EXPECT_TRUE(parts[0].result.complete);
  EXPECT_EQ(parts[1].result.context.device_id, "GPU-1");
  ASSERT_EQ(parts[1].result.rows.size(), 1u);
  EXPECT_EQ(parts[1].result.rows[0].time_us->median, 30.0);
  EXPECT_EQ(to_json(parts[0].result), to_json(rank_result(0, 2, 1.0)));
  EXPECT_EQ(by_rank({"one", sample_result()}).size(), 1u);
}

TEST(Gathered, HasItsFleetInTheReport) {
  const ResultFile file = gathered({{rank_result(0, 2, 1.0), ""}, {rank_result(1, 2, 1.5), ""}});
  const std::string page = report_markdown(by_rank({"run.json", file}));
  EXPECT_NE(page.find("## Fleet"), std::string::npos) << page;
  EXPECT_NE(page.find("left GPU-1: kokkos together: 2 slower of 2 operations"), std::string::npos) << page;
  EXPECT_EQ(report_markdown({{"one", sample_result()}}).find("## Fleet"), std::string::npos);
}

TEST(Gathered, IsRefusedWhereItsRanksDoNotAddUp) {
  ResultFile no_such = two_ranks();
  no_such.rows[1].rank = 7;
  EXPECT_EQ(refusal_of(no_such), "'x.json': rows[1].rank: is not one of setting.ranks; write the file again");
  ResultFile none = two_ranks();
  none.rows[0].rank.reset();
  EXPECT_EQ(refusal_of(none), "'x.json': rows[0].rank: is not one of setting.ranks; write the file again");
  ResultFile twice = two_ranks();
  twice.context.ranks[1].rank = 0;
  EXPECT_EQ(refusal_of(twice), "'x.json': setting.ranks: rank 0 is there twice; write the file again");
  ResultFile alone = rank_result(0, 1, 1.0);
  alone.rows[0].rank = 0;
  EXPECT_NE(refusal_of(alone), "was read");
}

}  // namespace
}  // namespace kqbench
