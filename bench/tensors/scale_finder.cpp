// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/scale_finder.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kq/element.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

/// Calls use(token, channel, value) for each element of a block.
template <class Element, class Use>
void for_each_of(const kq::Request& block, const void* input, const Use& use) {
  for (std::int64_t token = 0; token < block.num_tokens; ++token) {
    const std::byte* row =
        static_cast<const std::byte*>(input) + static_cast<std::size_t>(token * block.input_stride) * sizeof(Element);
    for (std::int64_t channel = 0; channel < block.hidden_size; ++channel) {
      Element x;
      std::memcpy(&x, row + static_cast<std::size_t>(channel) * sizeof(Element), sizeof(Element));
      use(token, channel, kq::to_float(x));
    }
  }
}

template <class Use>
void for_each_element(const kq::Request& block, const void* input, const Use& use) {
  switch (block.element) {
    case kq::Element::half:
      return for_each_of<kq::half>(block, input, use);
    case kq::Element::bfloat16:
      return for_each_of<kq::bfloat16>(block, input, use);
    case kq::Element::float32:
      return for_each_of<float>(block, input, use);
  }
}

void widen(Range& range, float x) {
  range.min = std::min(range.min, x);
  range.max = std::max(range.max, x);
}

float amax(const Range& range) {
  return range.max < range.min ? 0.0f : std::max(-range.min, range.max);
}

/// The scale of a span that reaches up to `amax`, as a dynamic scheme would have it; 1 for a span of zeros.
float fitting_scale(float amax, float qmax) {
  return amax == 0.0f ? 1.0f : kq::scale_of(amax, qmax);
}

template <class Element>
void fill(std::span<std::byte> row, Element x) {
  for (std::size_t i = 0; i < row.size(); i += sizeof(Element)) {
    std::memcpy(row.data() + i, &x, sizeof(Element));
  }
}

/// `x` came from an element of that type, so it is one exactly.
void fill(kq::Element element, std::span<std::byte> row, float x) {
  switch (element) {
    case kq::Element::half:
      return fill(row, kq::to_half(x));
    case kq::Element::bfloat16:
      return fill(row, kq::to_bfloat16(x));
    case kq::Element::float32:
      return fill(row, x);
  }
}

}  // namespace

std::optional<std::string> unusable_scale(kq::ScaleFormat format, float scale) {
  if (format == kq::ScaleFormat::e4m3) {
    const bool is_exact = kq::Fp8E4M3Fn::decode(kq::Fp8E4M3Fn::encode(scale, scale)) == scale;
    if (scale >= 0.0f && is_exact) return std::nullopt;
    return "must be a number of E4M3 that is not below 0";
  }
  if (!std::isfinite(scale) || scale < kq::min_scale) {
    return fmt::format("must be finite and at least 2^-126 ({}), the smallest normal number", kq::min_scale);
  }
  if (format == kq::ScaleFormat::float32 || kq::ceil_to_power_of_two(scale) == scale) return std::nullopt;
  return fmt::format("must be a power of two for --scale-format {}", kq::to_string(format));
}

GivenScale GivenScale::part(const kq::Request& whole, const kq::Request& block, std::int64_t first_token) const {
  GivenScale part;
  part.scale = scale;
  part.zero_point = zero_point;
  part.global_scale = global_scale;
  if (!scales.empty()) part.scales.resize(static_cast<std::size_t>(kq::stored_scales(block)));
  if (!zero_points.empty()) part.zero_points.resize(static_cast<std::size_t>(kq::stored_scales(block)));
  for (std::int64_t token = 0; token < block.num_tokens; token += kq::rows_per_scale(block)) {
    for (std::int64_t channel = 0; channel < block.hidden_size; channel += kq::columns_per_scale(block)) {
      const auto to = static_cast<std::size_t>(kq::scale_index(block, token, channel));
      const auto from = static_cast<std::size_t>(kq::scale_index(whole, first_token + token, channel));
      if (!scales.empty()) part.scales[to] = scales[from];
      if (!zero_points.empty()) part.zero_points[to] = zero_points[from];
    }
  }
  return part;
}

std::vector<std::byte> scale_bytes(const kq::Request& request, std::span<const float> scales) {
  if (request.scale_format == kq::ScaleFormat::e4m3) {
    std::vector<std::byte> codes;
    for (const float scale : scales) {
      codes.push_back(std::byte{kq::Fp8E4M3Fn::encode(scale, scale)});
    }
    return codes;
  }
  if (request.scale_format != kq::ScaleFormat::ue8m0) {
    const auto bytes = std::as_bytes(scales);
    return {bytes.begin(), bytes.end()};
  }
  std::vector<std::byte> exponents;
  for (const float scale : scales) {
    exponents.push_back(std::byte{kq::ue8m0_code(scale)});
  }
  return exponents;
}

std::vector<std::byte> global_scale_bytes(const kq::Request& request, float global_scale) {
  if (!kq::has_global_scale(request) || request.num_tokens == 0) return {};
  const auto bytes = std::as_bytes(std::span(&global_scale, 1));
  return {bytes.begin(), bytes.end()};
}

ScaleFinder::ScaleFinder(const kq::Request& whole, const GivenScale& given)
    : whole_(whole), given_(given), needs_data_(!given.has_scale() || (whole.asymmetric && !given.has_zero_point())) {
  if (needs_data_) ranges_.resize(static_cast<std::size_t>(kq::stored_scales(whole)));
}

bool ScaleFinder::needs_data() const {
  return needs_data_;
}

void ScaleFinder::add(const kq::Request& block, std::int64_t first_token, const void* input) {
  for_each_element(block, input, [&](std::int64_t token, std::int64_t channel, float x) {
    if (std::isfinite(x)) {
      widen(ranges_[static_cast<std::size_t>(kq::scale_index(whole_, first_token + token, channel))], x);
    }
  });
}

StaticScales ScaleFinder::scales() const {
  StaticScales found;
  float global_scale = 1.0f;  // g
  if (kq::has_global_scale(whole_)) {
    float tensor_amax = 0.0f;
    for (const Range& range : ranges_) {
      tensor_amax = std::max(tensor_amax, amax(range));
    }
    if (given_.global_scale) {
      global_scale = 1.0f / *given_.global_scale;
    } else if (!given_.has_scale()) {
      global_scale = kq::nvfp4_global_scale(tensor_amax);
    }
    found.global_scale = given_.global_scale.value_or(1.0f / global_scale);
  }
  for (const Range& range : ranges_) {
    if (kq::has_global_scale(whole_)) {
      found.scales.push_back(kq::nvfp4_scale(amax(range), global_scale).value);
    } else if (whole_.asymmetric) {
      const kq::Affine affine = kq::affine_scale(range.min, range.max, whole_.qmax);
      found.scales.push_back(affine.scale);
      found.zero_points.push_back(affine.zero_point);
    } else {
      const float scale = fitting_scale(amax(range), whole_.qmax);
      const bool power_of_two = whole_.scale_format != kq::ScaleFormat::float32;
      found.scales.push_back(power_of_two ? kq::ceil_to_power_of_two(scale) : scale);
    }
  }
  // What is given takes the place of what was found.
  const auto spans = static_cast<std::size_t>(kq::stored_scales(whole_));
  if (given_.scale) found.scales.assign(spans, *given_.scale);
  if (!given_.scales.empty()) found.scales = given_.scales;
  if (whole_.asymmetric) {
    if (given_.zero_point) found.zero_points.assign(spans, *given_.zero_point);
    if (!given_.zero_points.empty()) found.zero_points = given_.zero_points;
  }
  return found;
}

void ExtremesFinder::add(const kq::Request& block, const void* input) {
  const bool by_channel = block.granularity == kq::Granularity::channel;
  extremes_.resize(by_channel ? static_cast<std::size_t>(block.hidden_size) : 1);
  for_each_element(block, input, [&](std::int64_t, std::int64_t channel, float x) {
    Extremes& extremes = extremes_[by_channel ? static_cast<std::size_t>(channel) : 0];
    if (std::isnan(x)) {
      extremes.has_nan = true;
    } else {
      widen(extremes.range, x);
    }
  });
}

float ExtremesFinder::amax() const {
  float amax = 0.0f;
  for (const Extremes& extremes : extremes_) {
    amax = std::max(amax, kqbench::amax(extremes.range));
  }
  return amax;
}

void ExtremesFinder::write_rows(const kq::Request& request, std::span<std::byte> rows) const {
  const std::span<std::byte> min = rows.first(rows.size() / 2);
  const std::span<std::byte> max = rows.last(rows.size() / 2);
  const std::size_t size = min.size() / extremes_.size();  // of what shares a range
  for (std::size_t i = 0; i < extremes_.size(); ++i) {
    const auto& [range, has_nan] = extremes_[i];
    const bool none = range.min > range.max;
    const bool shows_nan = has_nan && !request.asymmetric;
    const bool min_is_lesser = -range.min < range.max;
    const float nan = std::numeric_limits<float>::quiet_NaN();
    fill(request.element, min.subspan(i * size, size), none || (shows_nan && min_is_lesser) ? nan : range.min);
    fill(request.element, max.subspan(i * size, size), none || (shows_nan && !min_is_lesser) ? nan : range.max);
  }
}

}  // namespace kqbench
