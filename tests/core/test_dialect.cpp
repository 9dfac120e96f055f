// SPDX-License-Identifier: Apache-2.0

// The table of dialects: names, and which schemes each one serves.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kq/dialect.hpp"
#include "kq/dialect_numerics.hpp"
#include "kq/dialect_quantizers.hpp"
#include "kq/dialect_rules.hpp"
#include "kq/parameters.hpp"
#include "tests/support/format_types.hpp"

namespace kq {
namespace {

Request group_of(Dialect dialect) {
  Request r;
  r.dialect = dialect;
  r.format = Format::fp8_e4m3fn;
  r.granularity = Granularity::group;
  r.group_size = 128;
  r.num_tokens = 4;
  r.hidden_size = 256;
  return r;
}

std::string complaint(const Request& r) {
  const auto invalid = validate(r);
  return invalid ? invalid->field + ": " + invalid->reason : "";
}

TEST(Dialects, AreReadBackAsTheyAreWritten) {
  std::set<std::string_view> names;
  for (const DialectFacts& facts : dialects()) {
    EXPECT_EQ(facts.dialect, static_cast<Dialect>(&facts - dialects().data())) << "rows are in the enumerators' order";
    EXPECT_EQ(to_string(facts.dialect), facts.name);
    EXPECT_EQ(parse_dialect(facts.name), facts.dialect);
    EXPECT_TRUE(names.insert(facts.name).second) << facts.name;
    for (const std::string_view name : facts.short_names) {
      if (name.empty()) continue;
      EXPECT_EQ(parse_dialect(name), facts.dialect) << name;
      EXPECT_TRUE(names.insert(name).second) << name;
    }
    EXPECT_FALSE(facts.version.empty());
    EXPECT_FALSE(facts.source.empty());
  }
  EXPECT_EQ(dialects().size(), 12U);
  EXPECT_EQ(dialects().front().dialect, Dialect::kqbench);
}

TEST(Dialects, HaveShortNamesForTheNewestVersion) {
  EXPECT_EQ(parse_dialect("vllm"), Dialect::vllm_0_33_0);
  EXPECT_EQ(parse_dialect("vllm-0.33"), Dialect::vllm_0_33_0);
  EXPECT_EQ(parse_dialect("torchao"), Dialect::torchao_36027d8);
  EXPECT_EQ(parse_dialect("vllm-0.32"), std::nullopt);
  EXPECT_EQ(parse_dialect("VLLM"), std::nullopt);
  EXPECT_EQ(parse_dialect(""), std::nullopt);
}

TEST(Dialects, AreListedInTheOptionsHelp) {
  const std::string help = std::string(parameter("dialect").help) + ",";
  for (const DialectFacts& facts : dialects()) {
    std::string_view shortest = facts.name;
    for (const std::string_view name : facts.short_names) {
      if (!name.empty() && name.size() < shortest.size()) shortest = name;
    }
    EXPECT_NE(help.find(' ' + std::string(shortest) + ','), std::string::npos) << shortest;
  }
}

TEST(Dialects, HaveNoSchemeTwice) {
  for (const DialectFacts& facts : dialects()) {
    const auto schemes = dialect_schemes(facts.dialect);
    EXPECT_EQ(schemes.empty(), facts.dialect == Dialect::kqbench) << facts.name;
    for (const DialectScheme& a : schemes) {
      EXPECT_EQ(a.dialect, facts.dialect);
      EXPECT_FALSE(a.scale_formula.empty());
      EXPECT_FALSE(a.code_formula.empty());
      EXPECT_FALSE(a.differs.empty());
      for (const DialectScheme& b : schemes) {
        if (&a == &b || a.granularity != b.granularity || a.static_scale != b.static_scale) continue;
        const bool same = a.asymmetric == b.asymmetric && (a.formats & b.formats) != 0 &&
                          (a.scale_formats & b.scale_formats) != 0 && (a.roundings & b.roundings) != 0;
        EXPECT_FALSE(same) << facts.name << ": " << a.scale_formula << " and " << b.scale_formula;
      }
    }
  }
}

/// Whether kernels have the formula for spans of the request's granularity and format.
bool is_compiled(const Request& r, ScaleFormula formula) {
  bool is = false;
  kqbench::test::for_each_format([&]<class Format>(Format) {
    if (to_string(r.format) != Format::name) return;
    if (r.granularity == Granularity::tensor) is = has_formula<Format, Granularity::tensor>(formula);
    if (r.granularity == Granularity::token) is = has_formula<Format, Granularity::token>(formula);
    if (has_groups(r.granularity)) is = has_formula<Format, Granularity::group>(formula);
  });
  return is;
}

/// Whether the formula looks at this power of two in spans of the granularity.
bool is_looked_at(ScaleFormula formula, PowerOfTwo power, Granularity granularity) {
  using P = PowerOfTwo;
  if (formula == ScaleFormula::exponent)
    return power == P::up_float_log2 || power == P::up_any_bit || power == P::up_half;
  if (power == P::none) return true;
  if (!has_groups(granularity)) return false;
  if (formula == ScaleFormula::quotient) return power == P::up_finite || power == P::up_float_log2;
  if (formula == ScaleFormula::inverse) return power == P::down;
  return formula == ScaleFormula::amax_reciprocal && power == P::up;
}

/// A formula that no kernel has for a span would give it the scale 0.
TEST(Dialects, HaveTheirFormulasInKernels) {
  int looked_at = 0;
  for (const DialectFacts& facts : dialects()) {
    for (const DialectScheme& scheme : dialect_schemes(facts.dialect)) {
      if (scheme.static_scale || scheme.asymmetric) continue;
      for (const Format format : formats()) {
        for (const ScaleFormat scale_format :
             {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0, ScaleFormat::e4m3}) {
          for (unsigned rounding = 0; scheme.roundings >> rounding != 0; ++rounding) {
            Request r = group_of(facts.dialect);
            r.granularity = scheme.granularity;
            r.group_size = has_groups(r.granularity) ? 16 : 0;
            r.block_rows = r.granularity == Granularity::block ? 16 : 0;
            r.format = format;
            r.scale_format = scale_format;
            r.scale_rounding = static_cast<ScaleRounding>(rounding);
            if (dialect_scheme(r) != &scheme || validate(r)) continue;
            const DialectParameters p = dialect_parameters(r);
            EXPECT_TRUE(is_compiled(r, p.formula))
                << operation_name(r) << ' ' << to_string(format) << ": has_formula says no";
            EXPECT_TRUE(is_looked_at(p.formula, p.power, r.granularity))
                << operation_name(r) << ' ' << to_string(format) << ": its power of two is not looked at";
            ++looked_at;
          }
        }
      }
    }
  }
  EXPECT_GT(looked_at, 60);
}

TEST(Dialects, ServeWhatTheTableHasAndNothingElse) {
  int allowed = 0;
  for (const DialectFacts& facts : dialects()) {
    if (facts.dialect == Dialect::kqbench) continue;
    int of_dialect = 0;
    for (const Granularity granularity :
         {Granularity::tensor, Granularity::token, Granularity::channel, Granularity::group, Granularity::block}) {
      for (const Format format : {Format::int8, Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz}) {
        for (const ScaleFormat scale_format : {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0}) {
          for (const int bits : {0, 1, 2, 3}) {
            Request r = group_of(Dialect::kqbench);
            r.granularity = granularity;
            r.group_size = has_groups(granularity) ? 128 : 0;
            r.block_rows = granularity == Granularity::block ? 2 : 0;
            r.format = format;
            r.scale_format = scale_format;
            r.static_scale = (bits & 1) != 0;
            r.asymmetric = (bits & 2) != 0;
            const bool here = !validate(r);
            r.dialect = facts.dialect;
            const bool there = dialect_scheme(r) != nullptr;
            EXPECT_TRUE(here || !there) << operation_name(r) << " is in the table, but not a scheme of kqbench's";
            EXPECT_EQ(!validate(r), there) << operation_name(r) << ' ' << to_string(format) << complaint(r);
            of_dialect += there ? 1 : 0;
          }
        }
      }
    }
    EXPECT_GT(of_dialect, 0) << facts.name;
    allowed += of_dialect;
  }
  EXPECT_EQ(allowed, 61);
}

TEST(Dialects, HaveEveryElementButThoseThatAnEngineLacks) {
  for (const DialectFacts& facts : dialects()) {
    EXPECT_TRUE(has_element(facts.dialect, Element::half)) << facts.name;
    EXPECT_TRUE(has_element(facts.dialect, Element::bfloat16)) << facts.name;
    const bool lacks_float = facts.dialect == Dialect::flashinfer_trtllm_kernels;
    EXPECT_NE(has_element(facts.dialect, Element::float32), lacks_float) << facts.name;
  }
  EXPECT_FALSE(has_element(static_cast<Dialect>(200), Element::half));
}

TEST(Dialects, SayWhatTheEngineDoesNotHave) {
  EXPECT_EQ(complaint(group_of(Dialect::vllm_0_33_0)), "");
  Request r = group_of(Dialect::deepgemm_54e2261);
  r.granularity = Granularity::token;
  r.group_size = 0;
  EXPECT_EQ(complaint(r),
            "dialect: deepgemm-54e2261 has no dynamic token scales; take dynamic group or dynamic block, or another "
            "dialect");
  r = group_of(Dialect::vllm_0_33_0);
  r.format = Format::fp8_e5m2;
  EXPECT_EQ(complaint(r),
            "dialect: vllm-0.33.0 has no fp8_e5m2 codes with dynamic group scales; take fp8_e4m3fn or int8, or another "
            "dialect");
  r = group_of(Dialect::torchao_36027d8);
  EXPECT_EQ(complaint(r),
            "dialect: torchao-36027d8 has no float scales for dynamic group fp8_e4m3fn; take scale_format ue8m0, or "
            "another dialect");
  r = group_of(Dialect::flashinfer_trtllm_kernels);
  r.element = Element::float32;
  EXPECT_EQ(complaint(r),
            "dialect: flashinfer-trtllm-kernels has no kernels for float; take half or bfloat16, or another dialect");
  r = group_of(Dialect::vllm_0_33_0);
  r.qmax = 448.0f;
  EXPECT_EQ(complaint(r), "");
  r.qmax = 240.0f;
  EXPECT_EQ(complaint(r), "qmax: vllm-0.33.0 has bounds of its own; leave qmax out, or take dialect kqbench");
  r = group_of(Dialect::aiter_e404860);
  r.granularity = Granularity::token;
  r.group_size = 0;
  r.scale_ub = 3.0f;
  EXPECT_EQ(complaint(r), "scale_ub: aiter-e404860 has no upper bound; leave it out, or take dialect kqbench or vllm");
  r.dialect = Dialect::vllm_0_33_0;
  EXPECT_EQ(complaint(r), "");
  r.dialect = static_cast<Dialect>(200);
  EXPECT_EQ(complaint(r), "dialect: no such dialect");
}

/// ceil(log2 v) + 127 by way of a double's logarithm, rounded to float.
std::uint32_t ceil_log2_by_double(float v) {
  const float logarithm = std::ceil(static_cast<float>(std::log2(static_cast<double>(v))));
  return static_cast<std::uint32_t>(std::clamp(logarithm, -127.0f, 128.0f) + 127.0f);
}

TEST(BiasedCeilLog2, IsThatOfALogarithmRoundedToFloat) {
  for (std::uint32_t exponent = 0; exponent < 255; ++exponent) {
    for (std::uint32_t fraction = 0; fraction < (1u << 23); fraction += fraction < 256 ? 1 : 4099) {
      const float v = bits_float(exponent << 23 | fraction);
      ASSERT_EQ(detail::biased_ceil_log2(v), ceil_log2_by_double(v)) << v;
    }
  }
  for (std::uint32_t bits = 0x003fff00u; bits < 0x00400100u; ++bits) {
    ASSERT_EQ(detail::biased_ceil_log2(bits_float(bits)), ceil_log2_by_double(bits_float(bits))) << bits;
  }
  EXPECT_EQ(detail::biased_ceil_log2(std::numeric_limits<float>::infinity()), 255U);
}

/// The operands and elements at which the devices' quantizers are held against the host's: what engines' scales may be,
/// zeros, subnormal numbers, infinities and NaN.
template <class Element>
std::vector<float> any_numbers() {
  std::vector<float> numbers{0.0f,          -0.0f,    1.0f,      -1.0f,      0x1p-149f, -0x1p-149f, 0x1p-126f,
                             0x1.8p-140f,   0x1p-85f, 0x1p126f,  0x1.8p127f, 448.0f,    -464.5f,    57344.0f,
                             0x1.fffffep0f, 1e-10f,   -0x1p-24f, -65504.0f,  3e38f,     -3e38f};
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float special : {infinity, -infinity, std::numeric_limits<float>::quiet_NaN()})
    numbers.push_back(special);
  std::uint32_t bits = 12345;
  for (int i = 0; i < 300; ++i) {
    bits = bits * 1664525u + 1013904223u;
    numbers.push_back(bits_float(bits));
    numbers.push_back(bits_float((bits & 0x807fffffu) | (120u + (bits >> 28)) << 23));
  }
  for (float& number : numbers) {
    number = detail::nearest<Element>(number);
  }
  return numbers;
}

template <class Format, class Element>
void expect_device_codes(const DialectParameters& p) {
  using OfHost = DialectQuantizer<Format, Element, Granularity::token, PlainOperand>;
  using OfDevice = DialectQuantizer<Format, Element, Granularity::token, AnyOperandSteps<Element>>;
  const std::vector<float> xs = any_numbers<Element>();
  for (const float operand : any_numbers<float>()) {
    const OfHost host(p, operand, 1.0f, false);
    const OfDevice device(p, operand, 1.0f, false);
    for (const float x : xs) {
      ASSERT_EQ(host.code(x), device.code(x)) << x << (p.divides ? " / " : " * ") << operand;
      if (std::isnan(x) || !OfHost(p, operand, std::fabs(x), false).is_ordinary()) continue;
      ASSERT_EQ(host.code(x), (OrdinaryQuantizer<Format, Element>(operand, p.divides).code(x)))
          << x << (p.divides ? " / " : " * ") << operand;
    }
    const float four[4] = {xs[3], xs[7], xs[20], xs[22]};
    const std::uint32_t packed = host.codes4(four, signs4(four));
    for (int i = 0; i < 4; ++i) {
      ASSERT_EQ(static_cast<std::uint8_t>(packed >> 8 * i), static_cast<std::uint8_t>(host.code(four[i])));
    }
  }
}

TEST(DialectQuantizers, OfDevicesGiveTheCodesOfHosts) {
  for (const bool divides : {false, true}) {
    for (const float limit : {std::numeric_limits<float>::infinity(), 464.0f}) {
      DialectParameters p;
      p.divides = divides;
      p.limit = limit;
      expect_device_codes<Fp8E4M3Fn, half>(p);
      expect_device_codes<Fp8E4M3Fn, bfloat16>(p);
      expect_device_codes<Fp8E4M3Fn, float>(p);
      expect_device_codes<Fp8E5M2, half>(p);
      expect_device_codes<Int8, half>(p);
      p.otherwise = float_bits(-448.0f);
      expect_device_codes<Fp8E4M3Fn, half>(p);
    }
  }
}

/// Four codes of NaN that has lost its sign are those of NaN that has it. `name` is the quantizer's.
template <int bits = 8, class Quantizer>
void expect_signs_from_bits(const char* name, const Quantizer& quantizer) {
  const float lost = bits_float(0x7fffffffu);
  const float four[4] = {lost, lost, lost, lost};
  const std::uint32_t packed = quantizer.codes4(four, 0x80008000u);
  for (int i = 0; i < 4; ++i) {
    const float x = i % 2 == 0 ? lost : -lost;
    const std::uint32_t mask = (1u << bits) - 1u;
    EXPECT_EQ(packed >> bits * i & mask, static_cast<std::uint32_t>(quantizer.code(x)) & mask) << name << i;
  }
}

template <class Format>
void expect_signs_of_format() {
  const char* const name = Format::name.data();
  constexpr int bits = Format::code_bits;
  expect_signs_from_bits<bits>(name, MultiplyQuantizer<Format>(2.0f, Format::max));
  expect_signs_from_bits<bits>(name, DivideQuantizer<Format, half>(2.0f, Format::max));
  expect_signs_from_bits<bits>(name, DivideQuantizer<Format, half, Divisor<half>>(2.0f, Format::max));
  expect_signs_from_bits<bits>(name, SpanDivideQuantizer<Format, half>(2.0f, Format::max, 4.0f));
  for (const std::uint32_t otherwise : {0x7fc00000u, float_bits(Format::max)}) {
    DialectParameters p;
    p.otherwise = otherwise;
    expect_signs_from_bits<bits>(name, DialectQuantizer<Format, half, Granularity::group>(p, 2.0f, 4.0f, true));
  }
}

// A processor's conversion of half makes every NaN a positive one.
TEST(Quantizers, TakeTheSignOfNanFromTheBitsOfElements) {
  kqbench::test::for_each_format([]<class Format>(Format) { expect_signs_of_format<Format>(); });
  expect_signs_from_bits("power of two, fp8", PowerOfTwoQuantizer<Fp8E4M3Fn, half>(130));
  expect_signs_from_bits<4>("power of two, fp4", PowerOfTwoQuantizer<Fp4E2M1, half>(130));
  expect_signs_from_bits("limited", LimitedQuantizer<Fp8E4M3Fn>(2.0f));
  expect_signs_from_bits<4>("4over6", FourOverSixQuantizer(2.0f));
  expect_signs_from_bits("affine", AffineQuantizer(2.0f, 3, 127.0f));
  expect_signs_from_bits("affine, in half", AffineInTypeQuantizer<half>(2.0f, 3));
}

TEST(Dialects, AreNamedWithTheOperation) {
  EXPECT_EQ(operation_name(group_of(Dialect::kqbench)), "dynamic group:128");
  EXPECT_EQ(operation_name(group_of(Dialect::vllm_0_33_0)), "dynamic group:128 vllm-0.33.0");
}

}  // namespace
}  // namespace kq
