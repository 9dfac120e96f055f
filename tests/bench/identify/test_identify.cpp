// SPDX-License-Identifier: Apache-2.0

// Whose codes and scales: every recorded case, and mixtures that are nobody's.

#include <fmt/format.h>
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
#include "kq/dialect.hpp"
#include "kq/element.hpp"
#include "kq/scale_layout.hpp"
#include "tests/support/exhaustive.hpp"
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
  const bool is_half = kq::code_bits(r.format) == 4;
  sample.codes = is_half ? unpacked(outputs.codes, r.num_tokens, r.hidden_size) : outputs.codes;
  sample.formats = {r.format};
  sample.scales = outputs.scales;
  sample.scales_are_bytes = kq::scale_size(r) == 1;
  sample.byte_formats = {kq::ScaleFormat::ue8m0};
  if (is_half) sample.byte_formats.push_back(kq::ScaleFormat::e4m3);
  if (r.global_scale != 0.0f) sample.global_scale = numbers_of<float>(outputs.global_scale).front();
  sample.zero_points = outputs.zero_points;
  return sample;
}

HostTensors outputs_of(const kq::Request& r, const std::vector<std::byte>& input) {
  return reference(r, given(input.data()));
}

bool names(const std::vector<SampleMatch>& matches, const kq::Request& wanted) {
  return std::any_of(matches.begin(), matches.end(), [&](const SampleMatch& match) {
    const kq::Request& r = match.request;
    const bool same_blocks = r.granularity == wanted.granularity && r.group_size == wanted.group_size;
    return r.dialect == wanted.dialect && same_blocks && r.scale_format == wanted.scale_format &&
           r.static_scale == wanted.static_scale;
  });
}

/// How many of what was tried came out right, for whoever reads the test's output.
struct Trial {
  std::string what;
  int right = 0;
  int of = 0;

  void add(bool is_right) {
    right += is_right ? 1 : 0;
    ++of;
  }
  ~Trial() { fmt::print("identify: {} of {} {}\n", right, of, what); }
};

TEST(Identify, NamesTheDialectOfEveryRecordedCase) {
  constexpr int every = sanitized ? 5 : 1;  // a sanitizer makes minutes of all of them
  Trial trial{"recorded cases named"};
  int number = 0;
  for (const RecordedCase& c : recorded_cases()) {
    if (number++ % every != 0) continue;
    SCOPED_TRACE(c.name);
    const kq::Request& r = c.problem.request;
    if (r.producer != kq::Producer::none) continue;  // their input is not what was quantized
    HostTensors outputs = c.problem.expected;
    if (r.global_scale != 0.0f) outputs.global_scale = outputs_of(r, c.problem.given.input).global_scale;
    const Identification found = identify(sample_of(r, c.problem.given.input, outputs), {});
    // A dynamic scheme that gives the scales says more than that they were given.
    const bool is_explained = r.static_scale && !found.matches.empty() && !found.matches.front().request.static_scale;
    trial.add(names(found.matches, r) || is_explained);
    EXPECT_TRUE(names(found.matches, r) || is_explained) << describe(r);
  }
  EXPECT_GE(trial.of, every == 1 ? 510 : 90);
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

/// The symmetric dynamic schemes of every engine, half [32, 256]; rounding differs somewhere in so many numbers.
std::vector<kq::Request> engine_requests() {
  std::vector<kq::Request> requests = dialect_requests(kq::Element::half, 32, 256);
  std::erase_if(requests, [](const kq::Request& r) { return r.static_scale || r.asymmetric; });
  return requests;
}

bool has(const std::vector<kq::Dialect>& dialects, kq::Dialect wanted) {
  return std::find(dialects.begin(), dialects.end(), wanted) != dialects.end();
}

/// Known as far as a user knows it: who gave codes and scales is not.
Sweep scheme_of(const kq::Request& r) {
  Sweep sweep;
  sweep.set("granularity", {kq::to_string(r.granularity, r.group_size, r.block_rows)});
  return sweep;
}

/// Codes of half inputs, each made the one below in magnitude where it is above the number that it stands for.
void round_toward_zero(const kq::Request& r, const std::vector<std::byte>& input, HostTensors& outputs) {
  const std::vector<float> scales = numbers_of<float>(outputs.scales);
  for (std::int64_t i = 0; i < r.num_tokens * r.hidden_size; ++i) {
    kq::half x{};
    std::memcpy(&x, input.data() + 2 * i, sizeof x);
    const auto span = static_cast<std::size_t>(kq::scale_index(r, i / r.hidden_size, i % r.hidden_size));
    const float v = kq::to_float(x) / scales[span];
    auto& code = outputs.codes[static_cast<std::size_t>(i)];
    const auto bits = std::to_integer<std::uint8_t>(code);
    if (std::fabs(decoded(r.format, bits)) <= std::fabs(v)) continue;
    const bool counts_up = r.format == kq::Format::int8 && decoded(r.format, bits) < 0.0f;
    code = static_cast<std::byte>(counts_up ? bits + 1 : bits - 1);
  }
}

/// Some mixtures are, byte for byte, what a third engine gives: then that one is named.
TEST(IdentifyMixtures, NamesBothEnginesOfCodesUnderAnothersScales) {
  Trial trial{"mixtures of two engines have both named, or are another's, byte for byte"};
  Trial thirds{"of these are another's"};
  for (const kq::Request& of_scales : engine_requests()) {
    const std::vector<std::byte> input = make_input(of_scales, 11);
    const HostTensors theirs = outputs_of(of_scales, input);
    for (const kq::DialectFacts& facts : kq::dialects()) {
      kq::Request of_codes = of_scales;
      of_codes.dialect = facts.dialect;
      if (kq::validate(of_codes)) continue;
      HostTensors mixture = outputs_of(of_codes, input);
      if (mixture.scales == theirs.scales || mixture.codes == theirs.codes) continue;  // of one engine
      mixture.scales = theirs.scales;
      const Identification found = identify(sample_of(of_codes, input, mixture), scheme_of(of_codes));
      const bool is_anothers = !found.matches.empty() && found.matches.front().difference.none();
      const bool named =
          has(found.dialects_of_scales, of_scales.dialect) && has(found.dialects_of_codes, of_codes.dialect);
      thirds.add(is_anothers);
      trial.add(is_anothers || named);
      EXPECT_TRUE(is_anothers || named) << describe(of_codes) << ": codes of " << facts.name << ", scales of "
                                        << kq::to_string(of_scales.dialect);
    }
  }
  EXPECT_GE(trial.of, 90);
  EXPECT_LE(thirds.right, trial.of / 10);
}

TEST(IdentifyMixtures, NamesTheRoundingOfCodesTowardZero) {
  Trial trial{"tensors rounded toward 0 have that named"};
  for (const kq::Request& r : engine_requests()) {
    if (r.scale_layout != kq::ScaleLayout::row || kq::scale_size(r) != sizeof(float)) continue;
    const std::vector<std::byte> input = make_input(r, 19);
    HostTensors outputs = outputs_of(r, input);
    round_toward_zero(r, input, outputs);
    const Identification found = identify(sample_of(r, input, outputs), scheme_of(r));
    const auto is_truncating = [](const FormulaFit& fit) {
      return fit.explains_all() && fit.formula.find("toward 0") != std::string::npos;
    };
    // An engine's own int8 codes may be truncated already.
    const bool told =
        !found.matches.empty() || std::any_of(found.code_formulas.begin(), found.code_formulas.end(), is_truncating);
    trial.add(told);
    EXPECT_TRUE(told) << describe(r) << ": "
                      << (found.code_formulas.empty() ? "" : found.code_formulas.front().formula);
  }
  EXPECT_GE(trial.of, 15);
}

TEST(IdentifyMixtures, NamesEveryEngineWhoseScalesLieInColumns) {
  Trial trial{"transposed scale layouts named"};
  for (kq::Request r : engine_requests()) {
    if (!kq::has_groups(r.granularity) || r.scale_layout == kq::ScaleLayout::packed) continue;
    for (const kq::ScaleLayout layout : {kq::ScaleLayout::column, kq::ScaleLayout::swizzled_128x4,
                                         kq::ScaleLayout::swizzled_8x4, kq::ScaleLayout::shuffled_32x8}) {
      r.scale_layout = layout;
      r.scale_stride = 0;
      r = kq::resolved(r);
      if (kq::validate(r)) continue;
      const std::vector<std::byte> input = make_input(r, 13);
      const HostTensors outputs = outputs_of(r, input);
      kq::Request rows = r;
      rows.scale_layout = kq::ScaleLayout::row;
      rows.scale_stride = 0;
      kq::Request packed = rows;
      packed.scale_layout = kq::ScaleLayout::packed;
      // All alike, or tiles of 8 by 4 that are packed ones: nobody can tell.
      if (outputs.scales == outputs_of(kq::resolved(rows), input).scales) continue;
      if (!kq::validate(packed) && outputs.scales == outputs_of(kq::resolved(packed), input).scales) continue;
      const Identification found = identify(sample_of(r, input, outputs), scheme_of(r));
      const bool named = names(found.matches, r) && found.matches.front().request.scale_layout == r.scale_layout;
      trial.add(named);
      EXPECT_TRUE(named) << describe(r);
    }
  }
  EXPECT_GE(trial.of, 60);
}

/// The scales of one layout, read as another of as many bytes.
TEST(IdentifyMixtures, NamesTheLayoutThatScalesAreIn) {
  Trial trial{"scales in rows and in tiles told apart"};
  for (const kq::ScaleLayout layout :
       {kq::ScaleLayout::row, kq::ScaleLayout::swizzled_128x4, kq::ScaleLayout::swizzled_8x4, kq::ScaleLayout::column,
        kq::ScaleLayout::shuffled_32x8}) {
    kq::Request r;
    r.format = kq::Format::fp4_e2m1;
    r.granularity = kq::Granularity::group;
    r.group_size = 16;
    r.scale_format = kq::ScaleFormat::e4m3;
    r.scale_layout = layout;
    r.num_tokens = 256;
    r.hidden_size = 128;  // eight groups: no layout pads
    r = kq::resolved(r);
    const std::vector<std::byte> input = make_input(r, 23);
    const Identification found = identify(sample_of(r, input, outputs_of(r, input)), scheme_of(r));
    const bool named = names(found.matches, r) && found.matches.front().request.scale_layout == layout;
    trial.add(named);
    EXPECT_TRUE(named) << describe(r);
  }
}

TEST(IdentifyMixtures, NamesNobodyForCodesWithSwappedHalves) {
  Trial trial{"tensors with swapped halves of bytes refused, their scales named"};
  for (const kq::Request& r : engine_requests()) {
    const std::vector<std::byte> input = make_input(r, 17);
    HostTensors outputs = outputs_of(r, input);
    for (std::byte& code : outputs.codes)
      code = code << 4 | code >> 4;
    const Identification found = identify(sample_of(r, input, outputs), scheme_of(r));
    const bool is_half = kq::code_bits(r.format) == 4;
    const bool told = found.matches.empty() &&
                      (is_half ? names(found.matches_of_swapped_halves, r) : has(found.dialects_of_scales, r.dialect));
    trial.add(told);
    EXPECT_TRUE(told) << describe(r);
  }
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
  round_toward_zero(request, input, outputs);
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

/// A bound of codes that nobody told.
TEST_F(Mixtures, ASmallerQmaxIsFound) {
  for (const auto& [format, qmax] : {std::pair(kq::Format::int8, 100.0f), std::pair(kq::Format::int8, 7.0f),
                                     std::pair(kq::Format::fp8_e4m3fn, 240.0f)}) {
    for (const bool asymmetric : {false, true}) {
      if (asymmetric && format != kq::Format::int8) continue;
      request.format = format;
      request.qmax = qmax;
      request.asymmetric = asymmetric;
      request.granularity = asymmetric ? kq::Granularity::token : kq::Granularity::group;
      request.group_size = asymmetric ? 0 : 64;
      ASSERT_FALSE(kq::validate(request));
      outputs = outputs_of(request, input);
      const Identification found = identified();
      ASSERT_EQ(found.matches.size(), 1u) << describe(request);
      EXPECT_EQ(found.matches.front().request.qmax, qmax) << describe(request);
      EXPECT_EQ(found.matches.front().request.dialect, kq::Dialect::kqbench);
    }
  }
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

/// FP4 under scales of groups, as an engine gives it but for one change.
class FourBits : public testing::Test {
 protected:
  FourBits() {
    request.format = kq::Format::fp4_e2m1;
    request.granularity = kq::Granularity::group;
    request.num_tokens = 64;
    request.hidden_size = 256;
  }

  void make(kq::ScaleFormat scales, std::int64_t group, kq::ScaleRounding rounding) {
    request.scale_format = scales;
    request.group_size = group;
    request.scale_rounding = rounding;
    request = kq::resolved(request);
    input = make_input(request, 29);
    outputs = outputs_of(request, input);
  }

  /// Codes of the elements as they are under the scales, each made the one below in magnitude where it is above.
  void truncate(float tensor_scale) {
    for (std::int64_t i = 0; i < request.num_tokens * request.hidden_size; ++i) {
      kq::half x{};
      std::memcpy(&x, input.data() + 2 * i, sizeof x);
      const std::int64_t span = kq::scale_index(request, i / request.hidden_size, i % request.hidden_size);
      const float scale = kq::group_scale_at(outputs.scales.data(), request.scale_format, span) * tensor_scale;
      auto& pair = outputs.codes[static_cast<std::size_t>(i / 2)];
      const int shift = i % 2 == 0 ? 0 : 4;
      const auto code = static_cast<std::uint8_t>(std::to_integer<unsigned>(pair) >> shift & 15u);
      if (std::fabs(decoded(request.format, code)) > std::fabs(kq::to_float(x) / scale)) {
        pair = static_cast<std::byte>(std::to_integer<unsigned>(pair) - (1u << shift));
      }
    }
  }

  Identification identified() const { return identify(sample_of(request, input, outputs), scheme_of(request)); }

  kq::Request request;
  std::vector<std::byte> input;
  HostTensors outputs;
};

TEST_F(FourBits, RoundedTowardZeroUnderExponents) {
  make(kq::ScaleFormat::ue8m0, 32, kq::ScaleRounding::rceil);
  truncate(1.0f);
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_FALSE(found.code_formulas.empty());
  EXPECT_TRUE(found.code_formulas.front().explains_all());
  EXPECT_EQ(found.code_formulas.front().formula, "x / scale, rounded toward 0");
}

TEST_F(FourBits, RoundedTowardZeroUnderE4M3) {
  make(kq::ScaleFormat::e4m3, 16, kq::ScaleRounding::quotient);
  truncate(numbers_of<float>(outputs.global_scale).front());
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_FALSE(found.code_formulas.empty());
  EXPECT_NE(found.code_formulas.front().formula.find("rounded toward 0"), std::string::npos)
      << found.code_formulas.front().formula;
  EXPECT_GE(found.code_formulas.front().right + 8, found.code_formulas.front().of);
}

/// The exponent of amax / 6 rounded to the nearest, which is nobody's.
TEST_F(FourBits, ExponentsRoundedToNearest) {
  make(kq::ScaleFormat::ue8m0, 32, kq::ScaleRounding::rceil);
  for (std::int64_t span = 0; span < kq::num_scales(request); ++span) {
    float amax = 0.0f;
    for (std::int64_t i = 0; i < 32; ++i) {
      kq::half x{};
      std::memcpy(&x, input.data() + 2 * (32 * span + i), sizeof x);
      if (!std::isnan(kq::to_float(x))) amax = std::max(amax, std::fabs(kq::to_float(x)));
    }
    if (!std::isfinite(amax) || amax == 0.0f) continue;
    const double exponent = std::nearbyint(std::log2(static_cast<double>(amax / 6.0f)));
    outputs.scales[static_cast<std::size_t>(span)] = static_cast<std::byte>(static_cast<int>(exponent) + 127);
  }
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_FALSE(found.scale_formulas.empty());
  EXPECT_TRUE(found.scale_formulas.front().explains_all());
  EXPECT_EQ(found.scale_formulas.front().formula, "amax / 6 to the nearest power of two");
}

/// The next E4M3 number above, where the quotient is none: nobody's.
TEST_F(FourBits, E4M3RoundedUp) {
  make(kq::ScaleFormat::e4m3, 16, kq::ScaleRounding::quotient);
  const float g = numbers_of<float>(outputs.global_scale).front();
  for (std::int64_t span = 0; span < kq::num_scales(request); ++span) {
    float amax = 0.0f;
    for (std::int64_t i = 0; i < 16; ++i) {
      kq::half x{};
      std::memcpy(&x, input.data() + 2 * (16 * span + i), sizeof x);
      if (!std::isnan(kq::to_float(x))) amax = std::max(amax, std::fabs(kq::to_float(x)));
    }
    auto& byte = outputs.scales[static_cast<std::size_t>(span)];
    const float scale = kq::group_scale_at(outputs.scales.data(), kq::ScaleFormat::e4m3, span);
    if (scale < amax / 6.0f / g && byte < std::byte{0x7e})
      byte = static_cast<std::byte>(std::to_integer<int>(byte) + 1);
  }
  const Identification found = identified();
  ASSERT_TRUE(found.matches.empty());
  ASSERT_FALSE(found.scale_formulas.empty());
  EXPECT_TRUE(found.scale_formulas.front().explains_all());
  EXPECT_EQ(found.scale_formulas.front().formula, "amax / 6 / g up to e4m3");
}

}  // namespace
}  // namespace kqbench::test
