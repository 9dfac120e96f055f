// SPDX-License-Identifier: Apache-2.0

// What quantization is for: a finite number comes back within half a step of its format, whatever the size of its span,
// from the least subnormal number to the largest. The oracle knows no formula of the schemes: in double, it looks for
// the code that comes nearest under the scale that was stored.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "backends/reference/definitions.hpp"
#include "bench/tensors/random.hpp"
#include "tests/support/host_tensors.hpp"
#include "tests/support/requests.hpp"

namespace kqbench::test {
namespace {

using kq::Format;
using kq::Granularity;
using kq::ScaleFormat;

/// The finite numbers of a format, ascending; for int8 its codes.
std::vector<double> numbers_of(Format format) {
  std::vector<double> numbers;
  for (int code = 0; code < 256; ++code) {
    if (format == Format::int8) {
      numbers.push_back(code - 128);
    } else {
      const double value = reference_detail::decode(reference_detail::definition(format), static_cast<unsigned>(code));
      if (std::isfinite(value)) numbers.push_back(value);
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

double distance_to_nearest(const std::vector<double>& numbers, double x) {
  const auto above = std::lower_bound(numbers.begin(), numbers.end(), x);
  double distance = std::numeric_limits<double>::infinity();
  if (above != numbers.end()) distance = *above - x;
  if (above != numbers.begin()) distance = std::min(distance, x - *(above - 1));
  return distance;
}

/// Rows of normal numbers and zeros, each of a size of its own: 2^-149 to 2^124, as the difference of two has to be
/// finite.
std::vector<float> rows_of_any_size(std::int64_t tokens, std::int64_t hidden_size, std::uint64_t seed) {
  std::vector<float> values;
  for (std::int64_t token = 0; token < tokens; ++token) {
    const int exponent = static_cast<int>(random_bits(seed, static_cast<std::uint64_t>(token)) % 274) - 149;
    for (std::int64_t channel = 0; channel < hidden_size; ++channel) {
      const auto index = static_cast<std::uint64_t>(token * hidden_size + channel);
      const bool zero = random_bits(~seed, index) % 9 == 0;
      values.push_back(zero ? 0.0f : std::ldexp(random_normal(seed + 1, index), exponent));
    }
  }
  return values;
}

float scale_at(const kq::Request& r, const HostTensors& outputs, std::int64_t index) {
  const auto at = static_cast<std::size_t>(index);
  if (r.scale_format == ScaleFormat::ue8m0) {
    return static_cast<float>(std::ldexp(1.0, std::to_integer<int>(outputs.scales[at]) - 127));
  }
  float scale = 0.0f;
  std::memcpy(&scale, outputs.scales.data() + at * sizeof scale, sizeof scale);
  return scale;
}

/// Counts the elements looked at.
std::int64_t expect_within_half_a_step(const kq::Request& request, const std::vector<float>& values) {
  // Static scales are those that fit the data.
  const Problem problem = kqbench::make_problem(request, problem_of(request, values).given.input, {});
  const kq::Request& r = problem.request;
  const std::vector<std::int32_t> zero_points = test::numbers_of<std::int32_t>(problem.expected.zero_points);
  const std::vector<double> numbers = numbers_of(r.format);
  std::int64_t wrong = 0;
  for (std::int64_t token = 0; token < r.num_tokens; ++token) {
    for (std::int64_t channel = 0; channel < r.hidden_size; ++channel) {
      const auto index = static_cast<std::size_t>(token * r.hidden_size + channel);
      const std::int64_t span = kq::scale_index(r, token, channel);
      const auto scale = static_cast<double>(scale_at(r, problem.expected, span));
      const std::int64_t zero_point = r.asymmetric ? zero_points[static_cast<std::size_t>(span)] : 0;
      const auto code = std::to_integer<std::uint8_t>(problem.expected.codes[index]);
      const double decoded = r.format == Format::int8
                                 ? static_cast<double>(static_cast<std::int8_t>(code) - zero_point)
                                 : reference_detail::decode(reference_detail::definition(r.format), code);
      const auto x = static_cast<double>(values[index]);
      // A span of zeros alone: scale 0 is the rule for int8. (Other spans with a zero have larger numbers too.)
      const bool of_zeros = x == 0.0 && scale == 0.0 && code == 0 && r.granularity == Granularity::channel;
      // In steps of the scale. A division and a product of floats may put it on the other side of a middle.
      const double steps = x / scale;
      double allowed = distance_to_nearest(numbers, steps) + std::abs(steps) * 0x1p-21;
      // Asymmetric: the zero point and the number are rounded each, so a number at the end of the span may be a whole
      // step beyond the last code.
      if (r.asymmetric) allowed = code == 0x7f || code == 0x80 ? 1.0 + 0x1p-12 : 0.5 + 0x1p-12;
      if (of_zeros) continue;
      const bool good = std::isnormal(scale) && std::abs(steps - decoded) <= allowed;
      if (!good && wrong++ == 0) {
        ADD_FAILURE() << describe(r) << ": " << x << " with scale " << scale << " became " << decoded << " steps, not "
                      << steps;
      }
    }
  }
  EXPECT_EQ(wrong, 0) << describe(r);
  return r.num_tokens * r.hidden_size;
}

/// Every scheme, static ones with the scales that fit their data, and every format.
TEST(HalfAStep, IsTheMostThatASpanOfAnySizeIsOff) {
  constexpr std::int64_t tokens = 96, hidden_size = 48;
  std::int64_t looked_at = 0;
  std::uint64_t seed = 1;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const Format format : byte_formats()) {
      if (!kq::serves(scheme, format)) continue;
      const bool whole = scheme.granularity == Granularity::tensor || scheme.granularity == Granularity::channel;
      // A scale that rows share is that of the largest: tensors of one row, then, of all sizes.
      for (std::int64_t tensor = 0; tensor < (whole ? tokens : 1); ++tensor, ++seed) {
        kq::Request request = request_of(scheme, kq::Element::float32, format, whole ? 1 : tokens, hidden_size);
        if (kq::has_groups(scheme.granularity)) request.group_size = 16;
        if (scheme.granularity == Granularity::block) request.block_rows = 1;
        const std::vector<float> values = rows_of_any_size(request.num_tokens, hidden_size, seed);
        for (const ScaleFormat scale_format : {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0}) {
          request.scale_format = scale_format;
          if (kq::validate(request)) continue;
          // All zero: scale 0 is the rule for int8.
          const bool zeros = std::all_of(values.begin(), values.end(), [](float x) { return x == 0.0f; });
          if (!zeros) looked_at += expect_within_half_a_step(request, values);
        }
      }
    }
  }
  EXPECT_GT(looked_at, 150'000);
}

}  // namespace
}  // namespace kqbench::test
