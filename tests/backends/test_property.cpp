// SPDX-License-Identifier: Apache-2.0

// Random requests with random data, on every implementation, against the reference. Case i follows from seed + i alone:
//
//   KQ_PROPERTY_SEED=N     another first seed (default 1)
//   KQ_PROPERTY_CASES=N    another number of cases (default 2500)
//
// A failing case is made smaller until nothing more can be left out, and printed with the line that repeats it.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
#include <tuple>

#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Property, RandomRequestsComeOutRight) {
  const std::uint64_t seed = from_environment("KQ_PROPERTY_SEED", 1);
  const std::uint64_t cases = from_environment("KQ_PROPERTY_CASES", 2500);
  std::cout << "KQ_PROPERTY_SEED=" << seed << " KQ_PROPERTY_CASES=" << cases << '\n';
  const Verdict verdict = [](const RandomCase& random) { return run_all(make_problem(random), random.placement); };
  for (std::uint64_t i = 0; i < cases; ++i) {
    const RandomCase random = random_case(seed + i);
    ASSERT_EQ(kq::validate(random.request), std::nullopt) << "seed " << seed + i;
    if (const auto failure = find_failure(random, verdict)) {
      FAIL() << "data: " << to_string(failure->smallest.fill) << "; " << failure->complaint
             << "\nfirst seen as: " << describe(random.request) << "\nrepeat with: KQ_PROPERTY_SEED=" << seed + i
             << " KQ_PROPERTY_CASES=1 test_backends --gtest_filter=Property.RandomRequestsComeOutRight";
    }
  }
}

/// Nothing that can be asked for is left out of the cases above.
TEST(Property, RandomRequestsAreOfEveryKind) {
  std::set<std::tuple<std::string, kq::Format, kq::Element>> kinds;
  std::set<std::tuple<kq::ScaleFormat, kq::ScaleLayout>> scales;
  std::set<Fill> fills;
  int bounded = 0, strided = 0, shifted = 0;
  const auto kind_of = [](const kq::Request& r) {
    kq::Request scheme = r;
    scheme.group_size = 0;
    scheme.block_rows = 0;
    scheme.scale_stride = 0;
    scheme.scale_format = {};
    scheme.scale_layout = {};
    return std::tuple(kq::operation_name(scheme), r.format, r.element);
  };
  std::set<std::tuple<kq::Producer, kq::Granularity, bool>> produced;
  for (std::uint64_t seed = 1; seed <= 10000; ++seed) {
    const RandomCase random = random_case(seed);
    const kq::Request& r = random.request;
    if (r.producer == kq::Producer::none) kinds.insert(kind_of(r));
    produced.insert({r.producer, r.granularity, r.static_scale});
    if (kq::has_groups(r.granularity)) scales.insert({r.scale_format, r.scale_layout});
    fills.insert(random.fill);
    bounded += r.qmax != kq::format_max(r.format) ? 1 : 0;
    strided += r.input_stride != r.hidden_size ? 1 : 0;
    shifted += random.placement != Placement{} ? 1 : 0;
  }
  std::size_t served = 0;
  for (const kq::Scheme& scheme : kq::schemes()) {
    served += 3u * ((scheme.int8 ? 1u : 0u) + (scheme.fp8 ? 4u : 0u));
  }
  std::set<std::tuple<std::string, kq::Format, kq::Element>> of_dialects;
  for (const kq::Element element : all_elements) {
    for (const kq::Request& request : dialect_requests(element, 1, 1)) {
      of_dialects.insert(kind_of(request));
    }
  }
  EXPECT_EQ(kinds.size(), served + of_dialects.size());
  EXPECT_EQ(produced.size(), (1 + kq::producers().size()) * 5 * 2)
      << "each producer and none, five granularities, static and dynamic";
  EXPECT_EQ(scales.size(), 13u) << "four formats in three layouts, and packed";
  EXPECT_EQ(fills.size(), std::size(all_fills));
  EXPECT_GT(bounded, 100);
  EXPECT_GT(strided, 100);
  EXPECT_GT(shifted, 100);
}

}  // namespace
}  // namespace kqbench::test
