// SPDX-License-Identifier: Apache-2.0

// Every dialect against what its engine was recorded to do: the reference, bit for bit but for the few codes that
// approximate instructions make otherwise, and then every implementation against the reference.

#include <gtest/gtest.h>

#include <cstdint>
#include <iterator>
#include <map>
#include <string>

#include "kq/dialect.hpp"
#include "tests/support/recorded.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

HostTensors by_reference(const Problem& problem) {
  return reference(problem.request, kq::addresses(problem.given));
}

TEST(Dialects, ComeOutAsRecorded) {
  std::map<kq::Dialect, int> met;
  for (const RecordedCase& c : recorded_cases()) {
    SCOPED_TRACE(c.name + ", " + describe(c.problem.request));
    ++met[c.problem.request.dialect];
    const Differences found = count_differences(c.problem.request, by_reference(c.problem), c.problem.expected);
    EXPECT_EQ(found.codes, c.differ);
    EXPECT_EQ(found.scales, c.scales_differ);
    EXPECT_EQ(found.sums, 0);
    EXPECT_EQ(found.zero_points, 0);
    EXPECT_TRUE(c.differ == 0 || c.problem.request.dialect == kq::Dialect::sglang_0_5_23);
    EXPECT_TRUE(c.scales_differ == 0 || c.problem.request.producer != kq::Producer::none);
  }
  EXPECT_EQ(met.size(), kq::dialects().size() - 1) << "a dialect without a recorded case";
}

TEST(Dialects, AreTheSameInEveryImplementation) {
  for (RecordedCase& c : recorded_cases()) {
    SCOPED_TRACE(c.name);
    c.problem.expected = by_reference(c.problem);
    EXPECT_RIGHT(c.problem);
  }
}

TEST(Dialects, AreTheSameWhateverTheDataAndShapes) {
  std::uint64_t seed = 0;
  for (const kq::Element element : all_elements) {
    for (const std::int64_t hidden_size : {1, 17, 64, 130, 1025, 2304}) {
      for (const kq::Request& request : dialect_requests(element, hidden_size > 1000 ? 3 : 7, hidden_size)) {
        for (const Fill fill : {Fill::normal, all_fills[seed % std::size(all_fills)]}) {
          ++seed;
          EXPECT_RIGHT(problem_of(request, seed, fill), {static_cast<int>(seed % 3), static_cast<int>(seed % 5), 0});
        }
      }
    }
  }
}

}  // namespace
}  // namespace kqbench::test
