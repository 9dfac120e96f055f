// SPDX-License-Identifier: Apache-2.0

// Every dialect against what its engine was recorded to do: the reference, bit for bit but for the few codes that
// approximate instructions make otherwise, and then every implementation against the reference.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <vector>

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
    const kq::DialectScheme* const scheme = kq::dialect_scheme(c.problem.request);
    ASSERT_NE(scheme, nullptr);
    EXPECT_TRUE(c.differ == 0 || scheme->approximate);
    EXPECT_TRUE(c.scales_differ == 0 || c.problem.request.producer != kq::Producer::none);
  }
  EXPECT_EQ(met.size(), kq::dialects().size() - 1) << "a dialect without a recorded case";
}

/// vLLM's producers alone, which are this project's own: of half and bfloat16 to the bit, of float but for what the
/// engine's rsqrtf, expf and sums make otherwise.
TEST(Dialects, HaveProducersThatComeOutAsRecorded) {
  const std::map<std::string, int> elements_that_differ = {
      {"vllm-0.33.0/float_norm_10x640/rms_norm", 423},
      {"vllm-0.33.0/float_norm_10x640/add_rms_norm", 1435},
      {"vllm-0.33.0/float_silu_8x512/silu_mul", 432},
  };
  for (const RecordedOutput& o : recorded_outputs()) {
    SCOPED_TRACE(o.name);
    const std::vector<std::byte> values = reference_values(o.request, o.sources);
    ASSERT_EQ(values.size(), o.output.size());
    int differ = 0;
    const std::size_t size = kq::element_size(o.request.element);
    for (std::size_t i = 0; i < values.size(); i += size) {
      differ += std::memcmp(&values[i], &o.output[i], size) == 0 ? 0 : 1;
    }
    EXPECT_EQ(reference(o.request, kq::addresses(o.sources)).residual_out, o.residual_out);
    const auto known = elements_that_differ.find(o.name);
    EXPECT_EQ(differ, known == elements_that_differ.end() ? 0 : known->second);
  }
}

/// A case of which no output is read is one of these, and each of these is such a one.
TEST(Dialects, HaveATestOfEveryRecordedCaseButThese) {
  const std::set<std::string> left_out = {
      // SGLang has two kernels of SiLU and groups, for the same tensors: this one rounds once, where the other, whose
      // arithmetic the dialect has, rounds SiLU's value first.
      "sglang-0.5.23/bfloat16_silu_8x512/silu_dense",
      "sglang-0.5.23/half_silu_8x512/silu_dense",
  };
  const std::set<std::string> read = files_that_tests_read();
  std::set<std::string> missing;
  for (const CaseFiles& c : all_recorded()) {
    for (const std::string& file : c.files) {
      if (read.count(file) == 0) missing.insert(c.name);
    }
  }
  EXPECT_EQ(missing, left_out);
  EXPECT_EQ(all_recorded().size(), 513u);
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
