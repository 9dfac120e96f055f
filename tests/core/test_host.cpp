// SPDX-License-Identifier: Apache-2.0

// A host's loops over elements, which use vector instructions where they can: held against one element at a time.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/host.hpp"
#include "kq/numerics.hpp"
#include "kq/reduce.hpp"
#include "kq/scale_rules.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/format_types.hpp"

namespace kq {
namespace {

using kqbench::test::exhaustive;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();

/// Where a code must not be written, this is still there.
constexpr unsigned char untouched = 0x5a;

/// The element nearest to a number.
template <class Element>
Element to_element(float x) {
  if constexpr (std::is_same_v<Element, half>) return to_half(x);
  if constexpr (std::is_same_v<Element, bfloat16>) return to_bfloat16(x);
  if constexpr (std::is_same_v<Element, float>) return x;
}

/// Code `i` of a row.
template <class Code>
int code_in(const std::vector<Code>& row, std::size_t i) {
  if constexpr (std::is_same_v<Code, Code4>) {
    return i % 2 == 0 ? row[i / 2].bits & 15 : row[i / 2].bits >> 4;
  } else {
    return row[i];
  }
}

/// Expects of `in`, quantized at once, what the quantizer makes of each element.
template <class Element, class Quantizer>
void expect_each_code(const Element* in, std::int64_t size, const Quantizer& quantizer, std::size_t misalignment = 0) {
  using Code = typename Quantizer::Code;
  constexpr std::size_t margin = 64;
  const auto count = static_cast<std::size_t>(size);
  std::vector<Code> codes(margin + misalignment + count + margin, static_cast<Code>(untouched));
  Code* const out = codes.data() + margin + misalignment;
  host::quantize(in, out, size, quantizer, size);
  for (std::size_t i = 0; i < count; ++i) {
    const Code expected = quantizer.code(to_float(in[i]));
    ASSERT_EQ(out[i], expected) << "element " << i << " of " << size << ": " << to_float(in[i]);
  }
  for (std::size_t i = 0; i < margin; ++i) {
    ASSERT_EQ(codes[i + misalignment], static_cast<Code>(untouched)) << "before the codes";
    ASSERT_EQ(out[count + i], static_cast<Code>(untouched)) << "after the codes";
  }
}

/// Calls function(quantizer) for every way to quantize to a format by a scale.
template <class Element, class Format, class Function>
void for_each_quantizer(float scale, float qmax, const Function& function) {
  function(MultiplyQuantizer<Format>(scale, qmax));
  function(DivideQuantizer<Format, Element>(scale, qmax));
  if constexpr (Format::is_integer) {
    for (const std::int32_t zero_point : {0, 5, -128, 1000, -(1 << 21) + 1, 1 << 21, INT32_MIN}) {
      function(AffineQuantizer(scale, zero_point, qmax));
    }
  }
}

// NaN of several bits: the lower ones must not be taken for a number's.
const std::initializer_list<float> scales = {1.0f,
                                             0.0123f,
                                             1.7f,
                                             -0.37f,
                                             0x1p-20f,
                                             448.0f / 3.0f,
                                             1e-38f,
                                             1e-42f,
                                             0x1p120f,
                                             3.4e38f,
                                             0.0f,
                                             infinity,
                                             nan,
                                             -nan,
                                             bits_float(0x7fc0fffcu),
                                             bits_float(0x7f80fe03u),
                                             bits_float(0xffc0fb00u),
                                             bits_float(0x7f80fe01u)};

template <class Format>
std::vector<float> bounds() {
  return {Format::max, Format::max / 2, 100.5f, 3.0f, 1.0f};
}

template <class Format>
class HostQuantize : public ::testing::Test {
 protected:
  template <class Element>
  static void expect_every_pattern_has_its_code() {
    std::vector<Element> in(65536);
    for (std::size_t i = 0; i < in.size(); ++i) {
      in[i].bits = static_cast<std::uint16_t>(i);
    }
    // In an order that mixes NaN with numbers, and in one that does not.
    for (const bool mixed : {false, true}) {
      if (mixed) std::shuffle(in.begin(), in.end(), std::mt19937(1));
      for (const float scale : scales) {
        for (const float qmax : bounds<Format>()) {
          for_each_quantizer<Element, Format>(scale, qmax, [&](const auto& quantizer) {
            SCOPED_TRACE(testing::Message() << "scale " << scale << ", qmax " << qmax << ", mixed " << mixed);
            expect_each_code(in.data(), static_cast<std::int64_t>(in.size()), quantizer);
          });
        }
      }
    }
  }

  /// Spans of every length up to 70, on any address, with a NaN of either sign anywhere in them.
  template <class Element, class Make>
  static void expect_spans_end_where_they_end(const Make& make) {
    constexpr std::int64_t longest = 70;
    std::mt19937 random(2);
    std::normal_distribution<float> normal(0.0f, 50.0f);
    std::vector<Element> in(longest + 8);
    for (std::int64_t size = 0; size <= longest; ++size) {
      for (std::int64_t nan_at = -1; nan_at < size; ++nan_at) {
        for (Element& x : in) {
          x = make(normal(random));
        }
        const auto misalignment = static_cast<std::size_t>(random() % 8);
        Element* const first = in.data() + misalignment;
        if (nan_at >= 0) first[nan_at] = make(nan_at % 2 == 0 ? nan : -nan);
        for_each_quantizer<Element, Format>(
            1.3f, Format::max, [&](const auto& quantizer) { expect_each_code(first, size, quantizer, random() % 8); });
      }
    }
  }
};

TYPED_TEST_SUITE(HostQuantize, kqbench::test::FormatTypes<kqbench::test::IsByte>, kqbench::test::FormatName);

TYPED_TEST(HostQuantize, EveryHalfBecomesItsCode) {
  this->template expect_every_pattern_has_its_code<half>();
}

TYPED_TEST(HostQuantize, EveryBfloat16BecomesItsCode) {
  this->template expect_every_pattern_has_its_code<bfloat16>();
}

TYPED_TEST(HostQuantize, SpansOfHalfEndWhereTheyEnd) {
  this->template expect_spans_end_where_they_end<half>(to_half);
}

TYPED_TEST(HostQuantize, SpansOfBfloat16EndWhereTheyEnd) {
  this->template expect_spans_end_where_they_end<bfloat16>(to_bfloat16);
}

TYPED_TEST(HostQuantize, SpansOfFloatEndWhereTheyEnd) {
  this->template expect_spans_end_where_they_end<float>([](float x) { return x; });
}

/// By scale 1: the codes change at floats of few digits, whose neighbours are looked at, and others in between.
TYPED_TEST(HostQuantize, EveryFloatBecomesItsCode) {
  constexpr std::uint32_t block = 1 << 16;
  const std::uint32_t size = exhaustive() ? block : 1024;
  std::vector<float> in(size);
  std::mt19937 random(3);
  for (std::uint64_t begin = 0; begin < std::uint64_t{1} << 32; begin += block) {
    const bool first_of_many = begin % (1 << 19) == 0;  // mantissas of 4 bits
    if (!exhaustive() && !first_of_many) continue;
    for (std::uint32_t i = 0; i < size; ++i) {
      const auto bits = static_cast<std::uint32_t>(begin) + i;
      const std::uint32_t near = static_cast<std::uint32_t>(begin) + i / 2 % 256 - 128;
      in[i] = bits_float(exhaustive() ? bits : (i % 2 == 0 ? near : static_cast<std::uint32_t>(random())));
    }
    expect_each_code(in.data(), size, MultiplyQuantizer<TypeParam>(1.0f, TypeParam::max));
    expect_each_code(in.data(), size, DivideQuantizer<TypeParam, float>(1.7f, TypeParam::max));
    if (this->HasFailure()) break;
  }
}

// --- divisions that are none -----------------------------------------------------------------------------------------

/// The positive numbers at which a format's codes change.
template <class Format>
std::vector<float> boundaries() {
  std::vector<float> found;
  if constexpr (Format::is_integer) {
    for (int i = 0; i < 128; ++i) {
      found.push_back(static_cast<float>(i) + 0.5f);
    }
  } else {
    for (int code = 0; Format::decode(static_cast<std::uint8_t>(code)) < Format::max; ++code) {
      const float below = Format::decode(static_cast<std::uint8_t>(code));
      const float above = Format::decode(static_cast<std::uint8_t>(code + 1));
      found.push_back((below + above) / 2);
    }
  }
  return found;
}

/// Expects the codes of quotients by scales that bring an element, and every other that is a power of two times it,
/// next to where a code changes.
template <class Format, class Element>
void expect_quotients_next_to_boundaries() {
  const std::vector<float> ties = boundaries<Format>();
  std::vector<Element> in;
  if constexpr (sizeof(Element) == 2) {
    for (std::uint32_t bits = 0; bits < 65536; ++bits) {
      in.push_back({static_cast<std::uint16_t>(bits)});
    }
  }
  std::mt19937 random(6);
  std::lognormal_distribution<float> magnitudes(0.0f, 3.0f);
  const int rounds = (exhaustive() ? 4000 : 60) * (sizeof(Element) == 2 ? 1 : 20);
  for (int round = 0; round < rounds; ++round) {
    const float tie = ties[random() % ties.size()];
    const float exact = to_float(to_element<Element>(magnitudes(random))) / tie;
    const float scale = bits_float(float_bits(exact) + static_cast<std::uint32_t>(random() % 5) - 2);
    if constexpr (sizeof(Element) == 4) {
      in.clear();
      for (const float t : ties) {
        for (std::uint32_t step = 0; step < 9; ++step) {
          in.push_back(bits_float(float_bits(t * scale) + step - 4));
          in.push_back(-in.back());
        }
      }
    }
    SCOPED_TRACE(testing::Message() << "scale " << scale);
    expect_each_code(in.data(), static_cast<std::int64_t>(in.size()),
                     DivideQuantizer<Format, Element>(scale, Format::max));
    if (testing::Test::HasFailure()) return;
  }
}

TYPED_TEST(HostQuantize, HalfQuotientsNextToBoundariesAreRight) {
  expect_quotients_next_to_boundaries<TypeParam, half>();
}

TYPED_TEST(HostQuantize, Bfloat16QuotientsNextToBoundariesAreRight) {
  expect_quotients_next_to_boundaries<TypeParam, bfloat16>();
}

TYPED_TEST(HostQuantize, FloatQuotientsNextToBoundariesAreRight) {
  expect_quotients_next_to_boundaries<TypeParam, float>();
}

// --- codes of four bits ----------------------------------------------------------------------------------------------

/// Expects of `in`, quantized at once, what the quantizer makes of each element, two codes per byte.
template <class Element, class Quantizer>
void expect_each_pair(const std::vector<Element>& in, const Quantizer& quantizer) {
  const std::size_t bytes = (in.size() + 1) / 2;
  std::vector<Code4> out(bytes + 1, Code4{untouched});
  host::quantize(in.data(), out.data(), static_cast<std::int64_t>(in.size()), quantizer, 64);
  for (std::size_t i = 0; i < 2 * bytes; ++i) {
    const int expected = i < in.size() ? quantizer.code(to_float(in[i])) : 0;
    ASSERT_EQ(code_in(out, i), expected) << "element " << i << " of " << in.size();
  }
  ASSERT_EQ(out[bytes].bits, untouched) << "after the codes";
}

template <class Element>
class HostPairs : public ::testing::Test {};
using Elements16 = ::testing::Types<half, bfloat16>;
TYPED_TEST_SUITE(HostPairs, Elements16);

TYPED_TEST(HostPairs, EveryPatternBecomesItsCode) {
  std::vector<TypeParam> in(65536);
  for (std::size_t i = 0; i < in.size(); ++i) {
    in[i].bits = static_cast<std::uint16_t>(i);
  }
  for (const bool mixed : {false, true}) {
    if (mixed) std::shuffle(in.begin(), in.end(), std::mt19937(1));
    for (const float factor : scales) {
      SCOPED_TRACE(testing::Message() << "factor " << factor << ", mixed " << mixed);
      expect_each_pair(in, MultiplyQuantizer<Fp4E2M1>(factor, 6.0f));
      expect_each_pair(in, DivideQuantizer<Fp4E2M1, TypeParam>(factor, 6.0f));
    }
    for (std::uint32_t e = 0; e < 256; ++e) {
      expect_each_pair(in, PowerOfTwoQuantizer<Fp4E2M1, TypeParam>(e));
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(HostPairs, SpansEndWhereTheyEnd) {
  std::mt19937 random(7);
  for (std::size_t size = 0; size <= 100; ++size) {
    std::vector<TypeParam> in(size);
    for (TypeParam& x : in) {
      x.bits = static_cast<std::uint16_t>(random());
    }
    expect_each_pair(in, MultiplyQuantizer<Fp4E2M1>(1.0f, 6.0f));
    if (this->HasFatalFailure()) return;
  }
}

// --- groups ----------------------------------------------------------------------------------------------------------

/// A scale as it is stored.
struct StoredScale {
  float* to;
  template <class Scale>
  void write(const Scale& scale) const {
    *to = scale.value();
  }
};

/// Expects of groups, quantized at once, what each is by itself, element after element.
template <class Element, class Rule>
void expect_each_group(const std::vector<Element>& in, std::size_t group_size, const Rule& rule) {
  using Code = typename Rule::Code;
  const std::size_t groups = (in.size() + group_size - 1) / group_size;
  constexpr std::size_t per_byte = 8 / bits_of_code<Code>;
  std::vector<Code> out((in.size() + per_byte - 1) / per_byte);
  std::vector<float> found(groups);
  host::quantize_groups(in.data(), out.data(), static_cast<std::int64_t>(in.size()),
                        static_cast<std::int64_t>(group_size), rule,
                        [&](std::int64_t i) { return StoredScale{&found[static_cast<std::size_t>(i)]}; });
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t begin = group * group_size;
    const std::size_t end = std::min(begin + group_size, in.size());
    Maxima<typename Rule::Reduction> maxima;
    for (std::size_t i = begin; i < end; ++i) {
      typename Rule::Reduction::template Fold<Element> fold;
      fold.add(in[i]);
      maxima.add(Maxima<typename Rule::Reduction>::of(fold));
    }
    const auto scale = rule.scale(Rule::Reduction::value(maxima.value));
    ASSERT_EQ(float_bits(found[group]), float_bits(scale.value())) << "group " << group << " of " << group_size;
    for (std::size_t i = begin; i < end; ++i) {
      const int expected = scale.quantizer().code(to_float(in[i]));
      ASSERT_EQ(code_in(out, i), expected) << "element " << i - begin << " of group " << group << " of " << group_size;
    }
  }
}

template <class Element>
class HostGroups : public ::testing::Test {
 protected:
  static void expect_all_rules(const std::vector<Element>& in, std::size_t group_size) {
    expect_each_group(in, group_size, GroupRule<Element, Fp8E4M3Fn>(448.0f, false));
    expect_each_group(in, group_size, GroupRule<Element, Fp8E4M3Fnuz>(224.0f, true));
    expect_each_group(in, group_size, GroupRule<Element, Int8>(127.0f, false));
    if (group_size % 16 != 0) return;
    expect_each_group(in, group_size, MxRule<Element, Fp8E5M2>(ScaleRounding::rceil));
    expect_each_group(in, group_size, MxRule<Element, Fp4E2M1>(ScaleRounding::even));
    expect_each_group(in, group_size, Nvfp4Rule<Element>(Nvfp4Global{37.0f}));
  }
};
using Elements = ::testing::Types<half, bfloat16, float>;
TYPED_TEST_SUITE(HostGroups, Elements);

TYPED_TEST(HostGroups, AreEachQuantizedByTheirScale) {
  std::mt19937 random(8);
  std::normal_distribution<float> normal;
  for (const std::size_t group_size : {1, 15, 16, 31, 32, 48, 64, 100, 128, 500}) {
    for (const std::size_t size : {group_size, 3 * group_size, 17 * group_size + 1, 40 * group_size + group_size / 2}) {
      // Ordinary numbers, of which a few groups have a NaN, an infinity, or zeros alone; and any bits.
      for (const int kind : {0, 1, 2}) {
        std::vector<TypeParam> in(size);
        float spread = 1.0f;
        for (std::size_t i = 0; i < size; ++i) {
          if (i % group_size == 0) spread = std::ldexp(1.0f, static_cast<int>(random() % 20) - 10);
          float x = spread * normal(random);
          if (kind == 1 && random() % 256 == 0) x = random() % 2 == 0 ? nan : infinity;
          if (i / group_size == 2) x = 0.0f;
          using Bits = typename host::Pattern<TypeParam>::Unsigned;
          in[i] = kind == 2 ? host::Pattern<TypeParam>::element(static_cast<Bits>(random())) : to_element<TypeParam>(x);
        }
        this->expect_all_rules(in, group_size);
        if (this->HasFatalFailure()) return;
      }
    }
  }
}

// --- extremes --------------------------------------------------------------------------------------------------------

template <class Element>
void expect_extremes(const std::vector<Element>& in) {
  float magnitude = 0.0f;
  float min = infinity;
  float max = -infinity;
  for (const Element element : in) {
    const float x = to_float(element);
    if (is_nan(x)) continue;
    magnitude = std::max(magnitude, __builtin_fabsf(x));
    min = std::min(min, x);
    max = std::max(max, x);
  }
  const auto size = static_cast<std::int64_t>(in.size());
  ASSERT_EQ(host::abs_max(in.data(), size), magnitude);
  const auto range = host::range(in.data(), size);
  ASSERT_EQ(range.first, min);
  ASSERT_EQ(range.second, max);
}

template <class Element>
class HostExtremes : public ::testing::Test {};
TYPED_TEST_SUITE(HostExtremes, Elements);

TYPED_TEST(HostExtremes, LeaveNanOut) {
  const float specials[] = {nan,     -nan,  infinity, -infinity, 0.0f, -0.0f, 1e-42f,
                            -1e-42f, 6e-8f, 3.0f,     -3.0f,     6e4f, -6e4f};
  std::mt19937 random(4);
  for (std::size_t size = 0; size <= 70; ++size) {
    for (int round = 0; round < 200; ++round) {
      std::vector<TypeParam> in(size);
      const std::size_t kinds = 1 + random() % std::size(specials);
      const std::size_t first_kind = random() % std::size(specials);
      for (TypeParam& x : in) {
        x = to_element<TypeParam>(specials[(first_kind + random() % kinds) % std::size(specials)]);
      }
      expect_extremes(in);
      if (this->HasFatalFailure()) return;
    }
  }
}

TYPED_TEST(HostExtremes, AreRightForAnyBits) {
  using Bits = typename host::Pattern<TypeParam>::Unsigned;
  std::mt19937 random(5);
  for (int round = 0; round < 2000; ++round) {
    std::vector<TypeParam> in(1 + random() % 40);
    for (TypeParam& x : in) {
      x = host::Pattern<TypeParam>::element(static_cast<Bits>(random()));
    }
    expect_extremes(in);
    if (this->HasFatalFailure()) return;
  }
}

}  // namespace
}  // namespace kq
