// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <regex>

#include "bench/fleet/figures_of_merit.hpp"
#include "bench/fleet/gathered.hpp"
#include "tests/bench/fleet/sample_fleet.hpp"

namespace kqbench {
namespace {

TEST(FiguresOfMerit, AreOneStableLine) {
  EXPECT_EQ(figures_of_merit(gathered({{rank_result(0, 2, 1.0), ""}, {rank_result(1, 2, 1.21), ""}})),
            "FOM impl=kokkos rows=4 verified=4 ranks=2 time_us=31.113 gbps=35.8 ceiling_fraction=0.0083 "
            "time_ratio_to_native=nan spread=0.2100");
}

TEST(FiguresOfMerit, OfOneProcessHaveNoSpread) {
  const std::string line = figures_of_merit(rank_result(0, 1, 1.0));
  EXPECT_TRUE(std::regex_search(line, std::regex(" ranks=1 .* spread=nan$"))) << line;
  EXPECT_EQ(
      figures_of_merit({}),
      "FOM impl=none rows=0 verified=0 ranks=1 time_us=nan gbps=nan ceiling_fraction=nan time_ratio_to_native=nan "
      "spread=nan");
}

TEST(FiguresOfMerit, CountWhatIsWrong) {
  ResultFile result = rank_result(0, 1, 1.0);
  result.rows[1].time_us.reset();
  result.rows[1].verified = false;
  EXPECT_NE(figures_of_merit(result).find(" rows=2 verified=1 ranks=1 time_us=20.000 "), std::string::npos);
}

}  // namespace
}  // namespace kqbench
