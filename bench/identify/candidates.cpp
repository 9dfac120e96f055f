// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/candidates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include "bench/identify/formulas.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

/// How many scales the sample has, padding and gaps included.
std::int64_t stored_scales(const Sample& sample) {
  return static_cast<std::int64_t>(sample.scales.size() / (sample.scales_are_bytes ? 1 : sizeof(float)));
}

/// Sizes that groups and blocks have in practice, and those that cut a row into as many groups as there are scales.
std::set<std::int64_t> group_sizes(const Sample& sample) {
  std::set<std::int64_t> sizes;
  for (std::int64_t size = 16; size <= std::max<std::int64_t>(sample.hidden_size, 16); size *= 2)
    sizes.insert(size);
  const std::int64_t groups = sample.num_tokens == 0 ? 0 : stored_scales(sample) / sample.num_tokens;
  if (groups > 0 && (sample.hidden_size + groups - 1) / groups >= 16) {
    sizes.insert((sample.hidden_size + groups - 1) / groups);
  }
  return sizes;
}

/// Rows that blocks have in practice, the most usual first; of those that hold all rows one, for they are the same.
std::vector<std::int64_t> block_rows(const Sample& sample) {
  std::vector<std::int64_t> all;
  bool holds_all = false;
  for (const std::int64_t rows : {128, 64, 32, 16, 256, 512, 8, 4, 2}) {
    if (rows >= sample.num_tokens && std::exchange(holds_all, true)) continue;
    all.push_back(rows);
  }
  return all;
}

/// The gap after a column of scales is shorter than this, for all that is known.
constexpr std::int64_t most_gap = 128;

/// Whether the sample can have scales in so many rows and columns: with the gaps and the padding of any layout.
bool can_have(const Sample& sample, std::int64_t rows, std::int64_t columns) {
  const std::int64_t stored = stored_scales(sample);
  const std::int64_t most_rows = std::max(rows + most_gap, (rows + 255) / 256 * 256);
  return rows * columns <= stored && stored <= most_rows * ((columns + 7) / 8 * 8);
}

std::vector<std::string> granularities(const Sample& sample) {
  std::vector<std::string> names = {"token", "tensor", "channel"};
  const std::set<std::int64_t> sizes = group_sizes(sample);
  const auto columns = [&](std::int64_t size) { return (sample.hidden_size + size - 1) / size; };
  for (const std::int64_t size : sizes) {
    if (can_have(sample, sample.num_tokens, columns(size))) names.push_back(fmt::format("group:{}", size));
  }
  for (const std::int64_t rows : block_rows(sample)) {
    for (const std::int64_t size : sizes) {
      const bool fits = can_have(sample, (sample.num_tokens + rows - 1) / rows, columns(size));
      if (size <= 512 && fits) names.push_back(fmt::format("block:{}x{}", rows, size));
    }
  }
  return names;
}

bool are_powers_of_two(const Sample& sample) {
  for (std::size_t i = 0; i < sample.scales.size(); i += sizeof(float)) {
    float scale = 0.0f;
    std::memcpy(&scale, sample.scales.data() + i, sizeof scale);
    int exponent = 0;
    if (std::isfinite(scale) && scale != 0.0f && std::frexp(scale, &exponent) != 0.5f) return false;
  }
  return true;
}

std::vector<std::string> scale_formats(const Sample& sample) {
  if (sample.scales_are_bytes) {
    std::vector<std::string> names;
    for (const kq::ScaleFormat format : sample.byte_formats)
      names.emplace_back(kq::to_string(format));
    return names;
  }
  if (are_powers_of_two(sample)) return {"float", "ue8m0_float"};
  return {"float"};
}

template <class Names>
Sweep::Values values_of(const Names& names) {
  return {names.begin(), names.end()};
}

/// Keeps those values of a parameter under which `possible` is true of the request.
template <class Possible>
void keep(Sweep& sweep, std::string_view name, kq::Request request, const Possible& possible) {
  Sweep::Values values = sweep.values(name);
  std::erase_if(values, [&](const kq::ParameterValue& value) {
    kq::parameter(name).set(request, value);
    return !possible(request);
  });
  sweep.set(name, std::move(values));
}

/// Whether the request's scale format can have its rounding.
bool has_rounding(const kq::Request& r) {
  if (r.scale_rounding == kq::ScaleRounding::quotient) return true;
  if (r.static_scale) return false;
  return r.scale_format == kq::ScaleFormat::e4m3 ? kq::is_four_over_six(r)
                                                 : r.scale_format == kq::ScaleFormat::ue8m0 && kq::is_mx(r);
}

/// Whether the request's scale format can have its layout.
bool has_layout(const kq::Request& r) {
  return kq::scale_size(r) == 1 || !(kq::is_tiled(r.scale_layout) || r.scale_layout == kq::ScaleLayout::packed);
}

/// The valid requests of a sweep. Of roundings and layouts that nobody chose, only those of each scale format are
/// tried: most other combinations are invalid.
std::vector<kq::Request> possible_requests(const Sweep& sweep, bool any_rounding, bool any_layout) {
  std::vector<kq::Request> requests;
  for (const kq::ParameterValue& is_static : sweep.values("static_scale")) {
    for (const kq::ParameterValue& format : sweep.values("scale_format")) {
      Sweep part = sweep;
      part.set("static_scale", {is_static});
      part.set("scale_format", {format});
      kq::Request like;
      kq::parameter("static_scale").set(like, is_static);
      kq::parameter("scale_format").set(like, format);
      if (any_rounding) keep(part, "scale_rounding", like, has_rounding);
      if (any_layout) keep(part, "scale_layout", like, has_layout);
      const std::vector<kq::Request> valid = valid_requests(part);
      requests.insert(requests.end(), valid.begin(), valid.end());
    }
  }
  if (requests.empty()) return plan_sweep(sweep).requests;  // which says why
  return requests;
}

/// Scales of layout column may have gaps: the stride that the sample's size gives, if it gives one.
void set_scale_stride(kq::Request& r, const Sample& sample) {
  if (r.scale_layout != kq::ScaleLayout::column || r.scale_stride != 0) return;
  const auto stored = static_cast<std::int64_t>(sample.scales.size() / kq::scale_size(r));
  const std::int64_t stride = stored / kq::groups_per_row(r);
  const bool has_columns = kq::groups_per_row(r) > 1 && stored % kq::groups_per_row(r) == 0;
  const std::int64_t gap = stride - kq::scale_rows(r);
  if (has_columns && gap > 0 && gap < most_gap) r.scale_stride = stride;
}

/// The bound that the largest of a token's fp8 scales may come from: all that are cut off have it.
std::optional<float> upper_bound(const kq::Request& r, const Sample& sample) {
  const bool may_have_one =
      r.granularity == kq::Granularity::token && kq::is_fp8(r.format) && !r.static_scale && std::isinf(r.scale_ub);
  if (!may_have_one || sample.scales_are_bytes) return std::nullopt;
  float largest = 0.0f;
  for (std::size_t i = 0; i < sample.scales.size(); i += sizeof(float)) {
    float scale = 0.0f;
    std::memcpy(&scale, sample.scales.data() + i, sizeof scale);
    if (std::isfinite(scale)) largest = std::max(largest, scale);
  }
  // A bound that people would give comes first, then those next to the product.
  const float q = kq::format_max(r.format);
  const float product = largest * q;
  for (const double digits : {1e1, 1e2, 1e3, 1e4}) {
    const auto round = static_cast<float>(std::nearbyint(static_cast<double>(product) * digits) / digits);
    if (round > 0.0f && round / q == largest) return round;
  }
  for (const float bound : {product, std::nextafter(product, 0.0f), std::nextafter(product, 2.0f * product)}) {
    if (bound > 0.0f && std::isfinite(bound) && bound / q == largest) return bound;
  }
  return std::nullopt;
}

/// A bound of codes' magnitude below the format's, as the largest code tells it: a dynamic scale lets each span have
/// one.
std::optional<float> smaller_qmax(const kq::Request& r, const Sample& sample) {
  float largest = 0.0f;
  for (const std::byte code : sample.codes) {
    const float value = decoded(r.format, std::to_integer<std::uint8_t>(code));
    // Integers below 0 reach further by one where there is a zero point.
    const float magnitude = r.asymmetric && value < 0.0f ? -value - 1.0f : std::fabs(value);
    if (std::isfinite(magnitude)) largest = std::max(largest, magnitude);
  }
  if (largest == 0.0f || largest >= kq::format_max(r.format)) return std::nullopt;
  return largest;
}

/// The numbers that may have been given for the tensor's scale, as its stored value in the sample tells them.
std::vector<float> given_global_scales(const kq::Request& r, const Sample& sample) {
  if (!kq::finds_global_scale(r) || !sample.global_scale || !(*sample.global_scale > 0.0f)) return {};
  const float stored = *sample.global_scale;
  const bool divides = r.dialect == kq::Dialect::torchao_36027d8 || r.dialect == kq::Dialect::torchao_0_18_0;
  if (divides) return {stored};
  if (kq::is_four_over_six(r)) return {};
  std::vector<float> numbers;
  const float g = 1.0f / stored;
  for (const float number : {g, std::nextafter(g, 0.0f), std::nextafter(g, std::numeric_limits<float>::infinity())}) {
    if (std::isfinite(number) && 1.0f / number == stored) numbers.push_back(number);
  }
  return numbers;
}

/// Whether the sample's bytes are as many as the request's scales. A whole column may end with its gap.
bool fits(const kq::Request& r, const Sample& sample) {
  const std::size_t bytes = kq::scales_bytes(r);
  if (sample.scales.size() == bytes) return true;
  const bool has_stride = r.scale_layout == kq::ScaleLayout::column && r.scale_stride != 0;
  return has_stride &&
         sample.scales.size() == static_cast<std::size_t>(kq::groups_per_row(r) * r.scale_stride) * kq::scale_size(r);
}

}  // namespace

std::vector<kq::Request> candidates(const Sample& sample, const Sweep& restriction) {
  Sweep sweep = restriction;
  std::vector<std::string> formats;
  for (const kq::Format format : sample.formats)
    formats.emplace_back(kq::to_string(format));
  sweep.set("num_tokens", {sample.num_tokens});
  sweep.set("hidden_size", {sample.hidden_size});
  sweep.set("dtype", {std::string(kq::to_string(sample.element))});
  sweep.set_default("quant_dtype", values_of(formats));
  sweep.set_default("static_scale", {false, true});
  sweep.set_default("granularity", values_of(granularities(sample)));
  if (restriction.flag("asymmetric") && sample.zero_points.empty()) {
    throw UsageError("--asymmetric: there are no zero points; give --zero-points FILE");
  }
  // Zero points that all are 0 may be those of a symmetric scheme.
  const bool all_zero = std::all_of(sample.zero_points.begin(), sample.zero_points.end(),
                                    [](std::byte byte) { return byte == std::byte{0}; });
  Sweep::Values asymmetric;
  if (all_zero) asymmetric.emplace_back(false);
  if (!sample.zero_points.empty()) asymmetric.emplace_back(true);
  sweep.set_default("asymmetric", asymmetric);
  sweep.set_default("scale_format", values_of(scale_formats(sample)));
  if (sample.scales_are_bytes) {
    sweep.set_default("scale_rounding", values_of(kq::parameter("scale_rounding").names()));
  }
  sweep.set_default("scale_layout", values_of(kq::parameter("scale_layout").names()));
  sweep.set_default("dialect", values_of(kq::parameter("dialect").names()));

  std::vector<kq::Request> found, with_given, with_bound;
  std::map<std::pair<kq::Format, bool>, std::optional<float>> qmax_of;  // by format, asymmetric
  for (kq::Request r : possible_requests(sweep, !restriction.has("scale_rounding"), !restriction.has("scale_layout"))) {
    set_scale_stride(r, sample);
    if (kq::validate(r) || !fits(r, sample)) continue;
    if (r.asymmetric && kq::zero_points_bytes(r) != sample.zero_points.size()) continue;
    r = kq::resolved(r);
    if (std::find(found.begin(), found.end(), r) == found.end()) found.push_back(r);
    for (const float number : given_global_scales(r, sample)) {
      kq::Request given = r;
      given.global_scale = number;
      if (!kq::validate(given)) with_given.push_back(given);
    }
    if (const auto bound = upper_bound(r, sample)) {
      kq::Request bounded = r;
      bounded.scale_ub = *bound;
      if (!kq::validate(bounded)) with_bound.push_back(bounded);
    }
    if (restriction.has("qmax") || kq::code_bits(r.format) == 4 || r.static_scale || r.dialect != kq::Dialect::kqbench)
      continue;
    const auto [known, is_new] = qmax_of.try_emplace({r.format, r.asymmetric});
    if (is_new) known->second = smaller_qmax(r, sample);
    if (!known->second) continue;
    kq::Request smaller = r;
    smaller.qmax = *known->second;
    const bool is_there = std::find(with_bound.begin(), with_bound.end(), smaller) != with_bound.end();
    if (!is_there && !kq::validate(smaller)) with_bound.push_back(smaller);
  }
  found.insert(found.end(), with_given.begin(), with_given.end());
  found.insert(found.end(), with_bound.begin(), with_bound.end());
  if (found.empty()) {
    throw UsageError(fmt::format("no scheme has {} {} for {} x {}{}; give the scales of this tensor, all of them",
                                 stored_scales(sample), sample.scales_are_bytes ? "bytes of scales" : "scales",
                                 sample.num_tokens, sample.hidden_size,
                                 sample.zero_points.empty() ? "" : " and as many zero points"));
  }
  std::stable_partition(found.begin(), found.end(), [](const kq::Request& r) { return !r.static_scale; });
  return found;
}

}  // namespace kqbench
