// SPDX-License-Identifier: Apache-2.0

// Every dialect against what its engine was recorded to do: the reference, bit for bit but for the few codes that
// approximate instructions make otherwise, and then every implementation against the reference.

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "kq/dialect.hpp"
#include "tests/support/recorded.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

Outputs by_reference(const Problem& problem) {
  const std::byte* const scales = problem.request.static_scale ? problem.scales.data() : nullptr;
  return reference(problem.request, problem.input.data(), scales, nullptr, std::byte{0xa5});
}

TEST(Dialects, ComeOutAsRecorded) {
  std::map<kq::Dialect, int> met;
  for (const RecordedCase& c : recorded_cases()) {
    SCOPED_TRACE(c.name + ", " + describe(c.problem.request));
    ++met[c.problem.request.dialect];
    const Differences found = count_differences(c.problem.request, by_reference(c.problem), c.problem.expected);
    EXPECT_EQ(found.codes, c.differ);
    EXPECT_EQ(found.scales, 0);
    EXPECT_EQ(found.zero_points, 0);
    EXPECT_TRUE(c.differ == 0 || c.problem.request.dialect == kq::Dialect::sglang_0_5_23);
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

}  // namespace
}  // namespace kqbench::test
