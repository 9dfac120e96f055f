// SPDX-License-Identifier: Apache-2.0

// Whose codes and scales: every recorded case, and mixtures that are nobody's.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/identify/formulas.hpp"
#include "bench/identify/identify.hpp"
#include "bench/support/errors.hpp"
#include "kq/element.hpp"
#include "tests/support/host_tensors.hpp"
#include "tests/support/recorded.hpp"
#include "tests/support/requests.hpp"

namespace kqbench::test {
namespace {

Sample sample_of(const kq::Request& r, const std::vector<std::byte>& input, const HostTensors& outputs) {
  Sample sample;
  sample.element = r.element;
  sample.num_tokens = r.num_tokens;
  sample.hidden_size = r.hidden_size;
  sample.input = input;
  sample.codes = outputs.codes;
  sample.formats = {r.format};
  sample.scales = outputs.scales;
  sample.scales_are_bytes = kq::scale_size(r) == 1;
  sample.zero_points = outputs.zero_points;
  return sample;
}

bool names(const std::vector<SampleMatch>& matches, const kq::Request& wanted) {
  return std::any_of(matches.begin(), matches.end(), [&](const SampleMatch& match) {
    const kq::Request& r = match.request;
    const bool same_blocks = r.granularity == wanted.granularity && r.group_size == wanted.group_size;
    return r.dialect == wanted.dialect && same_blocks && r.scale_format == wanted.scale_format &&
           r.static_scale == wanted.static_scale;
  });
}

TEST(Identify, NamesTheDialectOfEveryRecordedCase) {
  for (const RecordedCase& c : recorded_cases()) {
    SCOPED_TRACE(c.name);
    const kq::Request& r = c.problem.request;
    const Identification found = identify(sample_of(r, c.problem.given.input, c.problem.expected), {});
    // A dynamic scheme that gives the scales says more than that they were given.
    const bool is_explained = r.static_scale && !found.matches.empty() && !found.matches.front().request.static_scale;
    EXPECT_TRUE(names(found.matches, r) || is_explained) << describe(r);
  }
}

/// half [16, 256], dynamic group:64 fp8.
kq::Request group_request(kq::Dialect dialect) {
  kq::Request r;
  r.format = kq::Format::fp8_e4m3fn;
  r.granularity = kq::Granularity::group;
  r.group_size = 64;
  r.num_tokens = 16;
  r.hidden_size = 256;
  r.dialect = dialect;
  return kq::resolved(r);
}

HostTensors outputs_of(const kq::Request& r, const std::vector<std::byte>& input) {
  return reference(r, given(input.data()));
}

class Mixtures : public testing::Test {
 protected:
  kq::Request request = group_request(kq::Dialect::kqbench);
  std::vector<std::byte> input = make_input(request, 7);
  HostTensors outputs = outputs_of(request, input);

  Identification identified() const { return identify(sample_of(request, input, outputs), {}); }
};

TEST_F(Mixtures, CodesOfOneEngineWithScalesOfAnother) {
  request.num_tokens = 256;  // a quotient and a product differ in one of some thousand codes
  input = make_input(request, 7);
  outputs = outputs_of(request, input);
  kq::Request other = request;
  other.dialect = kq::Dialect::te_d0067d0;
  outputs.scales = outputs_of(other, input).scales;
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  EXPECT_NE(std::find(found.dialects_of_scales.begin(), found.dialects_of_scales.end(), kq::Dialect::te_d0067d0),
            found.dialects_of_scales.end());
  EXPECT_NE(std::find(found.dialects_of_codes.begin(), found.dialects_of_codes.end(), kq::Dialect::kqbench),
            found.dialects_of_codes.end());
}

/// SGLang's codes may be off at boundaries, by an approximate reciprocal; other codes are not its.
TEST_F(Mixtures, CodesOfAnotherUnderSglangsScalesAreNoApproximation) {
  request.num_tokens = 256;
  input = make_input(request, 7);
  outputs = outputs_of(request, input);
  kq::Request other = request;
  other.dialect = kq::Dialect::sglang_0_5_23;
  outputs.scales = outputs_of(other, input).scales;
  Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  EXPECT_EQ(found.dialects_of_scales, std::vector{kq::Dialect::sglang_0_5_23});
  EXPECT_NE(std::find(found.dialects_of_codes.begin(), found.dialects_of_codes.end(), kq::Dialect::kqbench),
            found.dialects_of_codes.end());

  outputs = outputs_of(other, input);
  for (const std::size_t i : {5u, 500u, 5000u})
    outputs.codes[i] ^= std::byte{0x01};
  found = identified();
  EXPECT_TRUE(found.matches.empty()) << "codes that are wrong anywhere";
}

TEST_F(Mixtures, AFileOfZerosForZeroPointsIsSymmetric) {
  request.format = kq::Format::int8;
  request.qmax = 127.0f;
  request.granularity = kq::Granularity::token;
  request.group_size = 0;
  outputs = outputs_of(request, input);
  outputs.zero_points.assign(16 * sizeof(std::int32_t), std::byte{0});
  const Identification found = identified();
  ASSERT_FALSE(found.matches.empty());
  EXPECT_FALSE(found.matches.front().request.asymmetric);
}

TEST_F(Mixtures, ATransposedLayoutIsALayout) {
  kq::Request columns = request;
  columns.scale_layout = kq::ScaleLayout::column;
  outputs.scales = outputs_of(columns, input).scales;
  const Identification found = identified();
  ASSERT_FALSE(found.matches.empty());
  EXPECT_EQ(found.matches.front().request.scale_layout, kq::ScaleLayout::column);
}

/// Codes rounded toward zero: no engine's.
TEST_F(Mixtures, AWrongRoundingModeIsNamed) {
  const std::vector<float> scales = numbers_of<float>(outputs.scales);
  for (std::int64_t i = 0; i < request.num_tokens * request.hidden_size; ++i) {
    kq::half x{};
    std::memcpy(&x, input.data() + 2 * i, sizeof x);
    const auto span = static_cast<std::size_t>(kq::scale_index(request, i / 256, i % 256));
    const float v = kq::to_float(x) / scales[span];
    auto& code = outputs.codes[static_cast<std::size_t>(i)];
    const float value = decoded(request.format, std::to_integer<std::uint8_t>(code));
    if (std::fabs(value) > std::fabs(v)) code = static_cast<std::byte>(std::to_integer<std::uint8_t>(code) - 1);
  }
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_FALSE(found.code_formulas.empty());
  EXPECT_TRUE(found.code_formulas.front().explains_all());
  EXPECT_EQ(found.code_formulas.front().formula, "x / scale, rounded toward 0");
  EXPECT_GT(found.different_codes.by_steps[0], 0u);
  EXPECT_EQ(found.different_codes.by_steps[2], 0u);
  EXPECT_FALSE(found.first_codes.empty());
}

/// A least amax of 1e-5, which no dialect has.
TEST_F(Mixtures, ALeastAmaxIsNamed) {
  for (std::int64_t i = 0; i < 64; ++i) {
    const kq::half small = kq::to_half(1e-7f);
    std::memcpy(input.data() + 2 * i, &small, sizeof small);
  }
  outputs = outputs_of(request, input);
  const float floored = 1e-5f / 448.0f;
  std::memcpy(outputs.scales.data(), &floored, sizeof floored);
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_EQ(found.first_scales.size(), 1u);
  EXPECT_EQ(found.first_scales.front().index, 0);
  ASSERT_FALSE(found.scale_formulas.empty());
  EXPECT_TRUE(found.scale_formulas.front().explains_all());
  EXPECT_EQ(found.scale_formulas.front().formula, "max(amax, 1e-5) / 448");
}

TEST_F(Mixtures, OneWrongCodeIsShown) {
  outputs.codes[300] ^= std::byte{0x01};
  const Identification found = identified();
  ASSERT_TRUE(found.nearest);
  EXPECT_EQ(found.nearest->request.dialect, kq::Dialect::kqbench);
  EXPECT_EQ(found.nearest->difference.codes, 1u);
  EXPECT_EQ(found.nearest->difference.scales, 0u);
  ASSERT_EQ(found.first_codes.size(), 1u);
  EXPECT_EQ(found.first_codes.front().token, 1);
  EXPECT_EQ(found.first_codes.front().channel, 300 - 256);
}

TEST_F(Mixtures, ScalesOfNoShapeAreRefused) {
  outputs.scales.resize(outputs.scales.size() - 12);
  EXPECT_THROW(identified(), UsageError);
}

}  // namespace
}  // namespace kqbench::test
