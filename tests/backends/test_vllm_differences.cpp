// SPDX-License-Identifier: Apache-2.0

// Where vLLM's kernels give what no engine wants, this project departs from them on purpose: the table "Where this
// departs from vLLM" in docs/numerics.md. Each row has its test here, the outputs written out by hand, with the reason.
// So have the numbers that are not finite, which the recorded cases leave out.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "bench/tensors/stored_numbers.hpp"
#include "tests/support/host_tensors.hpp"
#include "tests/support/printing.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

using kq::Format;
using kq::Granularity;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float nan = std::numeric_limits<float>::quiet_NaN();
constexpr float least_scale = 1.0f / (448.0f * 512.0f);

struct Expected {
  std::vector<int> codes;
  std::vector<float> scales;
  std::vector<std::int32_t> zero_points = {};
};

class Departures : public ::testing::TestWithParam<kq::Element> {
 protected:
  kq::Request request(Format format, Granularity granularity) const {
    kq::Request r;
    r.element = GetParam();
    r.format = format;
    r.granularity = granularity;
    return r;
  }
  kq::Request fixed(Format format) const {
    kq::Request r = request(format, Granularity::tensor);
    r.static_scale = true;
    return r;
  }
  kq::Request asymmetric(Granularity granularity) const {
    kq::Request r = request(Format::int8, granularity);
    r.asymmetric = true;
    return r;
  }
  kq::Request groups(Format format) const {
    kq::Request r = request(format, Granularity::group);
    r.group_size = 16;
    return r;
  }

  /// Rows of `hidden_size` values must become just that, from every implementation and from the reference. A static
  /// scale is 1, a static zero point what is expected to stay.
  static void expect(kq::Request r, std::int64_t hidden_size, const std::vector<float>& values,
                     const Expected& expected) {
    r.hidden_size = hidden_size;
    r.num_tokens = static_cast<std::int64_t>(values.size()) / hidden_size;
    Problem problem = problem_of(r, values, 1.0f, r.static_scale && r.asymmetric ? expected.zero_points.front() : 0);
    HostTensors written_out;
    for (const int code : expected.codes) {
      written_out.codes.push_back(static_cast<std::byte>(code));
    }
    written_out.scales.resize(expected.scales.size() * sizeof(float));
    std::memcpy(written_out.scales.data(), expected.scales.data(), written_out.scales.size());
    written_out.zero_points = to_bytes(expected.zero_points);
    EXPECT_EQ(problem.expected.codes, written_out.codes) << describe(problem.request);
    EXPECT_EQ(problem.expected.scales, written_out.scales) << describe(problem.request);
    EXPECT_EQ(problem.expected.zero_points, written_out.zero_points) << describe(problem.request);
    problem.expected = written_out;
    EXPECT_RIGHT(problem);
  }
};

// --- NaN -------------------------------------------------------------------------------------------------------------

/// vLLM limits with fminf and fmaxf, which drop a NaN for the other operand: a NaN becomes the largest number, and what
/// went wrong upstream is hidden. Here it stays what it is, with its sign where the format has one.
TEST_P(Departures, NanStaysNan) {
  const std::vector<float> values = {nan, std::copysign(nan, -1.0f), 1.0f, -0.0f};
  expect(fixed(Format::fp8_e4m3fn), 4, values, {{0x7f, 0xff, 0x38, 0x80}, {1.0f}});
  expect(fixed(Format::fp8_e5m2), 4, values, {{0x7f, 0xff, 0x3c, 0x80}, {1.0f}});
  expect(fixed(Format::fp8_e4m3fnuz), 4, values, {{0x80, 0x80, 0x40, 0x00}, {1.0f}});
  expect(fixed(Format::fp8_e5m2fnuz), 4, values, {{0x80, 0x80, 0x40, 0x00}, {1.0f}});
}

/// int8 has no NaN; the conversion gives 0, whatever the processor's own would.
TEST_P(Departures, NanIsZeroAsAnInteger) {
  const std::vector<float> values = {nan, std::copysign(nan, -1.0f), 127.0f, -1.0f};
  expect(fixed(Format::int8), 4, values, {{0, 0, 127, -1}, {1.0f}});
  expect(request(Format::int8, Granularity::token), 4, values, {{0, 0, 127, -1}, {1.0f}});
  expect(request(Format::int8, Granularity::tensor), 4, values, {{0, 0, 127, -1}, {1.0f}});
}

/// A single NaN must not cost the rest of its span their scale, so extremes are those of the numbers.
TEST_P(Departures, NanHasNoPartInTheScale) {
  const std::vector<float> values = {nan, 448.0f, -224.0f, 0.0f};
  expect(request(Format::fp8_e4m3fn, Granularity::token), 4, values, {{0x7f, 0x7e, 0xf6, 0x00}, {1.0f}});
  expect(request(Format::fp8_e4m3fn, Granularity::tensor), 4, values, {{0x7f, 0x7e, 0xf6, 0x00}, {1.0f}});
  expect(groups(Format::fp8_e4m3fn), 4, values, {{0x7f, 0x7e, 0xf6, 0x00}, {1.0f}});
}

TEST_P(Departures, ASpanOfNanAloneHasTheScaleOfZeros) {
  const std::vector<float> values = {nan, std::copysign(nan, -1.0f)};
  expect(request(Format::fp8_e4m3fn, Granularity::token), 2, values, {{0x7f, 0xff}, {least_scale}});
  expect(request(Format::fp8_e4m3fn, Granularity::tensor), 2, values, {{0x7f, 0xff}, {least_scale}});
  expect(groups(Format::fp8_e4m3fn), 2, values, {{0x7f, 0xff}, {1e-10f / 448.0f}});
  expect(request(Format::int8, Granularity::token), 2, values, {{0, 0}, {0.0f}});
  expect(asymmetric(Granularity::token), 2, values, {{0, 0}, {1.0f}, {0}});
  expect(asymmetric(Granularity::tensor), 2, values, {{0, 0}, {1.0f}, {0}});
}

/// NaN counts as 0 before the zero point is added, so that it dequantizes to 0.
TEST_P(Departures, NanIsAtTheZeroPoint) {
  expect(asymmetric(Granularity::token), 4, {nan, -100.0f, 155.0f, 0.0f}, {{-28, -128, 127, -28}, {1.0f}, {-28}});
}

// --- all zero --------------------------------------------------------------------------------------------------------

/// vLLM's scale is amax / qmax = 0 here, its codes are 0 * inf = NaN. A tensor of zeros is no error: it happens to
/// every padded batch, and must come back as zeros.
TEST_P(Departures, ATensorOfZerosStaysZero) {
  const std::vector<float> values = {0.0f, -0.0f, 0.0f, 0.0f};
  expect(request(Format::fp8_e4m3fn, Granularity::tensor), 2, values, {{0x00, 0x80, 0x00, 0x00}, {least_scale}});
  expect(request(Format::fp8_e5m2, Granularity::tensor), 2, values, {{0x00, 0x80, 0x00, 0x00}, {least_scale}});
  expect(request(Format::fp8_e4m3fnuz, Granularity::tensor), 2, values, {{0, 0, 0, 0}, {least_scale}});
  expect(request(Format::fp8_e5m2fnuz, Granularity::tensor), 2, values, {{0, 0, 0, 0}, {least_scale}});
  // As vLLM has it for the other dynamic schemes.
  expect(request(Format::int8, Granularity::tensor), 2, values, {{0, 0, 0, 0}, {0.0f}});
  expect(request(Format::int8, Granularity::token), 2, values, {{0, 0, 0, 0}, {0.0f, 0.0f}});
  expect(request(Format::fp8_e4m3fn, Granularity::token), 2, values,
         {{0x00, 0x80, 0x00, 0x00}, {least_scale, least_scale}});
  expect(groups(Format::int8), 2, values, {{0, 0, 0, 0}, {1e-10f / 127.0f, 1e-10f / 127.0f}});
}

// --- tiny numbers ----------------------------------------------------------------------------------------------------

/// vLLM's scale is so small here that its reciprocal is infinite: zeros become NaN, and everything else an extreme. A
/// layer whose weights were pruned away has such spans. A half has no number as small.
TEST_P(Departures, ATinySpanKeepsItsNumbers) {
  if (GetParam() == kq::Element::half) return;
  constexpr float least = 0x1p-126f;
  const std::vector<float> values = {0.0f, least, -2.0f * least, 4.0f * least};
  for (const Granularity granularity : {Granularity::token, Granularity::tensor}) {
    expect(request(Format::int8, granularity), 4, values, {{0, 1, -2, 4}, {least}});
    expect(asymmetric(granularity), 4, values, {{-126, -125, -128, -122}, {least}, {-126}});
  }
  expect(request(Format::fp8_e4m3fn, Granularity::tensor), 4, values, {{0x00, 0x38, 0xc0, 0x48}, {least}});
  expect(request(Format::fp8_e5m2, Granularity::tensor), 4, values, {{0x00, 0x3c, 0xc0, 0x44}, {least}});
  expect(request(Format::fp8_e4m3fnuz, Granularity::tensor), 4, values, {{0x00, 0x40, 0xc8, 0x50}, {least}});
  expect(request(Format::fp8_e5m2fnuz, Granularity::tensor), 4, values, {{0x00, 0x40, 0xc4, 0x48}, {least}});
}

// --- a constant row --------------------------------------------------------------------------------------------------

/// vLLM divides by max - min = 0 here. A constant row is widened to hold 0, which gives it a scale and the least error
/// int8 has to offer; with no number but 0 there is nothing to scale.
TEST_P(Departures, AConstantRowIsWidenedToHoldZero) {
  expect(asymmetric(Granularity::token), 2, {5.0f, 5.0f, -5.0f, -5.0f, 0.0f, -0.0f},
         {{127, 127, -128, -128, 0, 0}, {5.0f / 255.0f, 5.0f / 255.0f, 1.0f}, {-128, 127, 0}});
  expect(asymmetric(Granularity::tensor), 2, {5.0f, 5.0f, 5.0f, nan}, {{127, 127, 127, -128}, {5.0f / 255.0f}, {-128}});
  expect(asymmetric(Granularity::tensor), 1, {-5.0f}, {{-128}, {5.0f / 255.0f}, {127}});
}

// --- groups of int8 --------------------------------------------------------------------------------------------------

/// vLLM's group kernel converts to int8 by truncation, which makes every code too small by half a step on average and
/// loses what is below one step. Every other scheme rounds to nearest, and so do groups here.
TEST_P(Departures, GroupsOfInt8RoundToNearest) {
  expect(groups(Format::int8), 8, {127.0f, 0.75f, -0.75f, 1.5f, 2.5f, -1.5f, -2.5f, 0.25f},
         {{127, 1, -1, 2, 2, -2, -2, 0}, {1.0f}});
}

// --- a sum with a zero point -----------------------------------------------------------------------------------------

/// vLLM adds the zero point in int32, where the sum wraps: of a number far above the span it makes the lowest code.
/// Here the sum is exact before it saturates.
TEST_P(Departures, ASumWithAZeroPointSaturates) {
  kq::Request r = fixed(Format::int8);
  r.asymmetric = true;
  expect(r, 4, {1.0f, 100.0f, -1.0f, infinity}, {{127, 127, 127, 127}, {1.0f}, {INT32_MAX}});
  expect(r, 4, {-1.0f, -100.0f, 1.0f, -infinity}, {{-128, -128, -128, -128}, {1.0f}, {INT32_MIN}});
}

// --- infinities ------------------------------------------------------------------------------------------------------

TEST_P(Departures, InfinitiesSaturateUnderAGivenScale) {
  const std::vector<float> values = {infinity, -infinity, 1.0f, 0.0f};
  expect(fixed(Format::fp8_e4m3fn), 4, values, {{0x7e, 0xfe, 0x38, 0x00}, {1.0f}});
  expect(fixed(Format::fp8_e5m2), 4, values, {{0x7b, 0xfb, 0x3c, 0x00}, {1.0f}});
  expect(fixed(Format::fp8_e4m3fnuz), 4, values, {{0x7f, 0xff, 0x40, 0x00}, {1.0f}});
  expect(fixed(Format::fp8_e5m2fnuz), 4, values, {{0x7f, 0xff, 0x40, 0x00}, {1.0f}});
  expect(fixed(Format::int8), 4, values, {{127, -128, 1, 0}, {1.0f}});
}

/// The scale is infinite: numbers are nothing beside it, and of inf / inf nobody can say what it is. The sign is the
/// input's, though processors give the NaN of inf / inf either.
TEST_P(Departures, AnInfiniteNumberMakesADynamicScaleInfinite) {
  const std::vector<float> values = {infinity, -infinity, 1.0f, -1.0f};
  for (const Granularity granularity : {Granularity::token, Granularity::tensor}) {
    expect(request(Format::fp8_e4m3fn, granularity), 4, values, {{0x7f, 0xff, 0x00, 0x80}, {infinity}});
    expect(request(Format::fp8_e4m3fnuz, granularity), 4, values, {{0x80, 0x80, 0x00, 0x00}, {infinity}});
    expect(request(Format::int8, granularity), 4, values, {{0, 0, 0, 0}, {infinity}});
  }
  expect(groups(Format::fp8_e4m3fn), 4, values, {{0x7f, 0xff, 0x00, 0x80}, {infinity}});
  expect(groups(Format::int8), 4, values, {{0, 0, 0, 0}, {infinity}});
}

/// Asymmetric, every code is the zero point: it is what -infinity makes 0, and the lowest code without one.
TEST_P(Departures, AnInfiniteNumberLeavesTheZeroPointAlone) {
  for (const Granularity granularity : {Granularity::token, Granularity::tensor}) {
    expect(asymmetric(granularity), 3, {infinity, 1.0f, -1.0f}, {{-128, -128, -128}, {infinity}, {-128}});
    expect(asymmetric(granularity), 3, {-infinity, 1.0f, -1.0f}, {{0, 0, 0}, {infinity}, {0}});
    expect(asymmetric(granularity), 3, {-infinity, 1.0f, infinity}, {{0, 0, 0}, {infinity}, {0}});
  }
}

/// An upper bound of amax is one of the scale too.
TEST_P(Departures, AnInfiniteNumberSaturatesUnderAnUpperBound) {
  kq::Request r = request(Format::fp8_e4m3fn, Granularity::token);
  r.scale_ub = 448.0f;
  expect(r, 4, {infinity, -infinity, 1.0f, 0.0f}, {{0x7e, 0xfe, 0x38, 0x00}, {1.0f}});
}

INSTANTIATE_TEST_SUITE_P(Of, Departures, ::testing::ValuesIn(all_elements),
                         [](const auto& element) { return std::string(kq::to_string(element.param)); });

}  // namespace
}  // namespace kqbench::test
