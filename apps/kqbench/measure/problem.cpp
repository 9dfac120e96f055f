// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/measure/problem.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "kq/element.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

/// The least and the largest finite number of a span.
struct Range {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();

  void add(float x) {
    if (!std::isfinite(x)) return;
    min = std::min(min, x);
    max = std::max(max, x);
  }
  float amax() const { return max < min ? 0.0f : std::max(-min, max); }
};

template <class Element>
std::vector<Range> span_ranges(const kq::Request& request, const std::vector<std::byte>& input) {
  std::vector<Range> ranges(static_cast<std::size_t>(kq::num_scales(request)));
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    const std::byte* row = input.data() + static_cast<std::size_t>(token * request.input_stride) * sizeof(Element);
    for (std::int64_t channel = 0; channel < request.hidden_size; ++channel) {
      Element x;
      std::memcpy(&x, row + static_cast<std::size_t>(channel) * sizeof(Element), sizeof(Element));
      ranges[static_cast<std::size_t>(kq::scale_index(request, token, channel))].add(kq::to_float(x));
    }
  }
  return ranges;
}

std::vector<Range> span_ranges(const kq::Request& request, const std::vector<std::byte>& input) {
  switch (request.element) {
    case kq::Element::half:
      return span_ranges<kq::half>(request, input);
    case kq::Element::bfloat16:
      return span_ranges<kq::bfloat16>(request, input);
    case kq::Element::float32:
      return span_ranges<float>(request, input);
  }
  return {};
}

/// A scale that is no number to divide by (0, or so small that its reciprocal overflows) is replaced.
float usable(float scale) {
  if (scale == 0.0f) return 1.0f;
  return std::max(scale, std::numeric_limits<float>::min());
}

void derive_scales(Problem& problem, const GivenScale& given) {
  const kq::Request& request = problem.request;
  for (const Range& range : span_ranges(request, problem.input)) {
    if (request.asymmetric) {
      const kq::Affine affine = kq::affine_scale(range.min, range.max, request.qmax);
      problem.scales.push_back(given.scale.value_or(usable(affine.scale)));
      problem.zero_points.push_back(given.zero_point.value_or(affine.zero_point));
    } else {
      problem.scales.push_back(given.scale.value_or(usable(range.amax() / request.qmax)));
    }
  }
}

}  // namespace

Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given) {
  Problem problem;
  problem.request = kq::resolved(request);
  problem.input = std::move(input);
  if (problem.request.static_scale) derive_scales(problem, given);
  problem.expected =
      reference(problem.request, problem.input.data(), problem.scales.data(), problem.zero_points.data());
  return problem;
}

}  // namespace kqbench
