// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/identify.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>

#include "backends/backend.hpp"
#include "bench/identify/candidates.hpp"
#include "bench/identify/formulas.hpp"
#include "kq/dialect.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench {
namespace {

/// Elements that are looked at before a candidate is worth all of them, and that an explanation is made from.
constexpr std::int64_t slice_elements = std::int64_t{1} << 18;
constexpr std::size_t most_examples = 5;

/// Element i of the input, as float.
float element_at(const Sample& sample, std::int64_t i) {
  const std::byte* const address = sample.input.data() + static_cast<std::size_t>(i) * kq::element_size(sample.element);
  if (sample.element == kq::Element::float32) {
    float value = 0.0f;
    std::memcpy(&value, address, sizeof value);
    return value;
  }
  std::uint16_t bits = 0;
  std::memcpy(&bits, address, sizeof bits);
  return sample.element == kq::Element::half ? kq::to_float(kq::half{bits}) : kq::to_float(kq::bfloat16{bits});
}

std::uint32_t element_bits(const Sample& sample, std::int64_t i) {
  std::uint32_t bits = 0;
  const std::size_t size = kq::element_size(sample.element);
  std::memcpy(&bits, sample.input.data() + static_cast<std::size_t>(i) * size, size);
  return bits;
}

/// Scale i of those stored, as a number; NaN for the byte that stands for it.
float scale_at(const kq::Request& r, const std::vector<std::byte>& scales, std::int64_t i) {
  return kq::group_scale_at(scales.data(), r.scale_format, i);
}

/// The tensor's scale, of outputs that have one.
float global_scale_of(const HostTensors& outputs) {
  float scale = 0.0f;
  std::memcpy(&scale, outputs.global_scale.data(), sizeof scale);
  return scale;
}

std::int32_t zero_point_at(const std::vector<std::byte>& zero_points, std::int64_t i) {
  std::int32_t value = 0;
  std::memcpy(&value, zero_points.data() + static_cast<std::size_t>(i) * sizeof value, sizeof value);
  return value;
}

/// The first rows of a sample by a request, with scales row by row: whole spans, where spans end with rows.
kq::Request slice_of(const kq::Request& whole, std::int64_t elements) {
  kq::Request slice = whole;
  slice.scale_layout = kq::ScaleLayout::row;
  slice.scale_stride = 0;
  if (whole.granularity == kq::Granularity::tensor || whole.granularity == kq::Granularity::channel) return slice;
  if (kq::finds_global_scale(whole)) return slice;
  const std::int64_t rows = std::max<std::int64_t>(1, elements / whole.hidden_size);
  const std::int64_t unit = kq::rows_per_scale(whole);
  slice.num_tokens = std::min(whole.num_tokens, (rows + unit - 1) / unit * unit);
  return slice;
}

/// Scales and zero points of a slice from those of the sample, as they lie there by a whole request.
void gather_scales(const kq::Request& whole, const kq::Request& slice, const Sample& sample, HostTensors& given) {
  given.scales.assign(kq::scales_bytes(slice), std::byte{0});
  given.zero_points.assign(kq::zero_points_bytes(slice), std::byte{0});
  const std::size_t size = kq::scale_size(slice);
  for (std::int64_t token = 0; token < slice.num_tokens; token += kq::rows_per_scale(slice)) {
    for (std::int64_t channel = 0; channel < slice.hidden_size; channel += kq::columns_per_scale(slice)) {
      const auto to = static_cast<std::size_t>(kq::scale_index(slice, token, channel));
      const auto from = static_cast<std::size_t>(kq::scale_index(whole, token, channel));
      std::memcpy(given.scales.data() + to * size, sample.scales.data() + from * size, size);
      if (slice.asymmetric) std::memcpy(given.zero_points.data() + 4 * to, sample.zero_points.data() + 4 * from, 4);
    }
  }
}

/// What the reference makes of slices. Layouts of one scheme share it.
class References {
 public:
  explicit References(const Sample& sample) : sample_(sample) {}

  HostTensors of(const kq::Request& whole, const kq::Request& slice) {
    if (slice.static_scale) return made(whole, slice);
    const auto found = kept_.find(slice);
    if (found != kept_.end()) return found->second;
    return kept_.emplace(slice, made(whole, slice)).first->second;
  }

 private:
  HostTensors made(const kq::Request& whole, const kq::Request& slice) const {
    HostTensors given;
    if (slice.static_scale) gather_scales(whole, slice, sample_, given);
    const float global_scale = sample_.global_scale.value_or(1.0f);
    if (slice.static_scale && kq::has_global_scale(slice)) {
      const auto bytes = std::as_bytes(std::span(&global_scale, 1));
      given.global_scale.assign(bytes.begin(), bytes.end());
    }
    Operands operands = kq::addresses(given);
    operands.input = sample_.input.data();
    HostTensors outputs = reference(slice, operands);
    if (kq::code_bits(slice.format) == 4) outputs.codes = unpacked(outputs.codes, slice.num_tokens, slice.hidden_size);
    return outputs;
  }

  const Sample& sample_;
  std::map<kq::Request, HostTensors> kept_;
};

/// Whether code i is one of four bits under a scale that is NaN: processors make different codes of that.
bool is_unspecified(const kq::Request& slice, const HostTensors& expected, std::size_t i) {
  if (kq::code_bits(slice.format) != 4 || slice.static_scale) return false;
  const auto element = static_cast<std::int64_t>(i);
  const std::int64_t scale = kq::scale_index(slice, element / slice.hidden_size, element % slice.hidden_size);
  return std::isnan(scale_at(slice, expected.scales, scale));
}

SampleDifference compare(const kq::Request& whole, const kq::Request& slice, const Sample& sample,
                         const HostTensors& expected) {
  SampleDifference difference;
  difference.codes_compared = expected.codes.size();
  for (std::size_t i = 0; i < expected.codes.size(); ++i) {
    const bool same = same_code(slice.format, std::to_integer<std::uint8_t>(sample.codes[i]),
                                std::to_integer<std::uint8_t>(expected.codes[i]));
    difference.codes += same || is_unspecified(slice, expected, i) ? 0 : 1;
  }
  if (slice.static_scale) return difference;
  HostTensors found;
  gather_scales(whole, slice, sample, found);
  const std::int64_t count = kq::num_scales(slice);
  difference.scales_compared = static_cast<std::size_t>(count);
  for (std::int64_t i = 0; i < count; ++i) {
    bool same = same_scale(scale_at(slice, found.scales, i), scale_at(slice, expected.scales, i));
    if (slice.asymmetric) {
      same = same && zero_point_at(found.zero_points, i) == zero_point_at(expected.zero_points, i);
    }
    difference.scales += same ? 0 : 1;
  }
  if (kq::has_global_scale(slice) && sample.global_scale) {
    ++difference.scales_compared;
    difference.scales += same_scale(*sample.global_scale, global_scale_of(expected)) ? 0 : 1;
  }
  return difference;
}

/// How wrong a candidate is: the shares of codes and scales that differ.
double distance(const SampleDifference& d) {
  const auto share = [](std::size_t wrong, std::size_t of) {
    return of == 0 ? 0.0 : static_cast<double>(wrong) / static_cast<double>(of);
  };
  return share(d.codes, d.codes_compared) + share(d.scales, d.scales_compared);
}

/// 0, 1 or 2 for one, two or more steps of the format; 3 for the other sign or NaN.
int steps_between(kq::Format format, std::uint8_t a, std::uint8_t b) {
  if (format == kq::Format::int8) {
    return std::min(std::abs(int{static_cast<std::int8_t>(a)} - int{static_cast<std::int8_t>(b)}), 3) - 1;
  }
  int sign = 0;
  kq::with_any_format(format, [&]<class Format>(Format) {
    if constexpr (!Format::is_integer) sign = kq::sign_of_code<Format>;
  });
  if (std::isnan(decoded(format, a)) || std::isnan(decoded(format, b)) || ((a ^ b) & sign) != 0) return 3;
  return std::min(std::abs(int{a} - int{b}), 3) - 1;
}

/// True if `v` is within 4 units in the last place of where the format changes from one code to the other: the middle
/// of the two, or, where an integer is truncated, the larger.
bool is_at_boundary(kq::Format format, float v, std::uint8_t a, std::uint8_t b) {
  if (!std::isfinite(v)) return false;
  const float low = std::fabs(decoded(format, a));
  const float high = std::fabs(decoded(format, b));
  const float unit = std::ldexp(1.0f, std::ilogb(std::max(std::fabs(v), std::numeric_limits<float>::min())) - 23);
  const auto is_near = [&](float boundary) { return std::fabs(std::fabs(v) - boundary) <= 4.0f * unit; };
  return is_near((low + high) / 2.0f) || (format == kq::Format::int8 && is_near(std::max(low, high)));
}

/// Everything that is said of a sample that no request gives.
class Explanation {
 public:
  Explanation(const Sample& sample, const kq::Request& whole, const kq::Request& slice, const HostTensors& expected,
              Identification& result)
      : sample_(sample), whole_(whole), slice_(slice), expected_(expected), result_(result) {
    gather_scales(whole, slice, sample, found_);
    spans_.resize(static_cast<std::size_t>(kq::num_scales(slice)));
    for_each_element([&](std::int64_t, std::int64_t, std::int64_t i, std::size_t span) {
      const float x = element_at(sample_, i);
      SpanFacts& facts = spans_[span];
      if (std::isnan(x)) facts.has_nan = true;
      if (!std::isnan(x)) facts.amax = std::max(facts.amax, std::fabs(x));
    });
  }

  void explain() {
    explain_scales();
    explain_codes();
  }

 private:
  template <class Function>
  void for_each_element(const Function& function) const {
    for (std::int64_t token = 0; token < slice_.num_tokens; ++token) {
      for (std::int64_t channel = 0; channel < slice_.hidden_size; ++channel) {
        function(token, channel, token * slice_.hidden_size + channel,
                 static_cast<std::size_t>(kq::scale_index(slice_, token, channel)));
      }
    }
  }

  /// What multiplies the scales of groups: 1 where nothing does.
  float tensor_scale() const {
    if (!kq::has_global_scale(slice_)) return 1.0f;
    return sample_.global_scale ? *sample_.global_scale : global_scale_of(expected_);
  }

  float found_scale(std::size_t span) const { return scale_at(slice_, found_.scales, static_cast<std::int64_t>(span)); }
  float expected_scale(std::size_t span) const {
    return scale_at(slice_, expected_.scales, static_cast<std::int64_t>(span));
  }

  void explain_scales() {
    if (slice_.static_scale) return;
    std::vector<FoundScale> scales;
    std::size_t wrong = 0;
    for (std::size_t span = 0; span < spans_.size(); ++span) {
      scales.push_back({spans_[span], found_scale(span)});
      if (same_scale(found_scale(span), expected_scale(span))) continue;
      ++wrong;
      if (result_.first_scales.size() < most_examples) {
        const std::int64_t index = index_in_sample(span);
        result_.first_scales.push_back({index, spans_[span].amax, found_scale(span), expected_scale(span)});
      }
    }
    if (wrong > 0 && !slice_.asymmetric) result_.scale_formulas = fit_scales(slice_, scales, tensor_scale());
  }

  /// Where a span's scale lies in the sample.
  std::int64_t index_in_sample(std::size_t span) const {
    const auto i = static_cast<std::int64_t>(span);
    if (!kq::has_groups(slice_.granularity)) return i;
    const std::int64_t row = i / kq::groups_per_row(slice_) * kq::rows_per_scale(slice_);
    const std::int64_t column = i % kq::groups_per_row(slice_) * kq::columns_per_scale(slice_);
    return kq::scale_index(whole_, row, column);
  }

  void explain_codes() {
    std::vector<FoundCode> codes;
    std::size_t wrong = 0;
    for_each_element([&](std::int64_t token, std::int64_t channel, std::int64_t i, std::size_t span) {
      const float x = element_at(sample_, i);
      const auto found = std::to_integer<std::uint8_t>(sample_.codes[static_cast<std::size_t>(i)]);
      const auto nearest = std::to_integer<std::uint8_t>(expected_.codes[static_cast<std::size_t>(i)]);
      if (is_unspecified(slice_, expected_, static_cast<std::size_t>(i))) return;
      codes.push_back({x, found_scale(span), spans_[span].amax, found});
      if (same_code(slice_.format, found, nearest)) return;
      ++wrong;
      count(x, channel, span, found, nearest);
      if (result_.first_codes.size() < most_examples) {
        result_.first_codes.push_back({token, channel, element_bits(sample_, i), x, found_scale(span), found, nearest});
      }
    });
    if (wrong > 0 && !slice_.asymmetric) result_.code_formulas = fit_codes(slice_, codes, tensor_scale());
  }

  void count(float x, std::int64_t channel, std::size_t span, std::uint8_t found, std::uint8_t nearest) {
    DifferentCodes& different = result_.different_codes;
    ++different.by_steps[static_cast<std::size_t>(steps_between(slice_.format, found, nearest))];
    const float scale = found_scale(span);
    const std::int64_t columns = kq::columns_per_scale(slice_);
    const bool is_short = channel / columns * columns + columns > slice_.hidden_size;
    if (spans_[span].amax == 0.0f) {
      ++different.of_zero_spans;
    } else if (!std::isfinite(x)) {
      ++different.of_nan_or_infinity;
    } else if (!slice_.static_scale && !same_scale(scale, expected_scale(span))) {
      ++different.of_different_scales;
    } else if (std::fabs(scale) < std::numeric_limits<float>::min()) {
      ++different.of_subnormal_scales;
    } else if (is_at_boundary(slice_.format, x / (scale * tensor_scale()), found, nearest)) {
      ++different.at_rounding_boundaries;
    } else if (is_short) {
      ++different.in_short_groups;
    } else {
      ++different.elsewhere;
    }
  }

  const Sample& sample_;
  const kq::Request& whole_;
  const kq::Request& slice_;
  const HostTensors& expected_;
  Identification& result_;
  HostTensors found_;
  std::vector<SpanFacts> spans_;
};

/// True if candidates() added the request's qmax.
bool has_found_qmax(const kq::Request& r, const Sweep& restriction) {
  return r.qmax != kq::format_max(r.format) && !restriction.has("qmax");
}

/// True if candidates() added a bound to the request.
bool has_bound_by_itself(const kq::Request& r, const Sweep& restriction) {
  return (std::isfinite(r.scale_ub) && !restriction.has("scale_ub")) || has_found_qmax(r, restriction);
}

/// True if the dialect's engine scales codes by an approximate reciprocal.
bool is_engine_approximate(const kq::Request& r) {
  const kq::DialectScheme* const scheme = kq::dialect_scheme(r);
  return scheme != nullptr && scheme->approximate;
}

/// True if all that differs is a few codes, each the neighbour across a rounding boundary. In all that was recorded of
/// SGLang 3 codes of 3840 do so at most (tests/golden/engines/index.txt).
bool is_within_approximation(const Sample& sample, const kq::Request& whole, References& references) {
  constexpr double most_share = 0.001;
  if (!is_engine_approximate(whole)) return false;
  const kq::Request full = slice_of(whole, whole.num_tokens * whole.hidden_size);
  const HostTensors expected = references.of(whole, full);
  const SampleDifference difference = compare(whole, full, sample, expected);
  const double most = std::max(3.0, most_share * static_cast<double>(difference.codes_compared));
  if (difference.scales != 0 || static_cast<double>(difference.codes) > most) return false;
  for (std::int64_t i = 0; i < std::ssize(expected.codes); ++i) {
    const auto found = std::to_integer<std::uint8_t>(sample.codes[static_cast<std::size_t>(i)]);
    const auto wanted = std::to_integer<std::uint8_t>(expected.codes[static_cast<std::size_t>(i)]);
    if (same_code(full.format, found, wanted)) continue;
    const std::int64_t span = kq::scale_index(full, i / full.hidden_size, i % full.hidden_size);
    const float v = element_at(sample, i) / scale_at(full, expected.scales, span);
    if (steps_between(full.format, found, wanted) != 0 || !is_at_boundary(full.format, v, found, wanted)) return false;
  }
  return true;
}

bool same_scheme(const kq::Request& a, kq::Request b) {
  b.dialect = a.dialect;
  if (a.global_scale != 0.0f && b.global_scale != 0.0f)
    b.global_scale = a.global_scale;  // it means another thing in each dialect
  return a == b;
}

/// Something exact says more: another request's match, or that the codes are another dialect's, under these scales.
void drop_approximate_beside_exact(std::vector<SampleMatch>& matches, const std::vector<SampleMatch>& looked_at) {
  const bool any_exact = std::any_of(matches.begin(), matches.end(), [](const auto& m) { return !m.is_approximate; });
  std::erase_if(matches, [&](const SampleMatch& match) {
    const auto has_these_codes = [&](const SampleMatch& other) {
      return other.difference.codes == 0 && same_scheme(match.request, other.request);
    };
    return match.is_approximate && (any_exact || std::any_of(looked_at.begin(), looked_at.end(), has_these_codes));
  });
}

/// Layouts that put the scales of this sample alike are one match, and so are a token and a group that is a whole row.
void fold_equal(std::vector<SampleMatch>& matches) {
  std::vector<SampleMatch> kept;
  for (const SampleMatch& match : matches) {
    const auto says_the_same = [&](const SampleMatch& other) {
      kq::Request a = other.request;
      kq::Request b = match.request;
      for (kq::Request* const r : {&a, &b}) {
        r->scale_layout = kq::ScaleLayout::row;
        r->scale_stride = 0;
        r->global_scale = 0.0f;  // a number that is what the tensor's own would be
        const bool is_row = r->granularity == kq::Granularity::group && r->group_size >= r->hidden_size;
        if (!is_row) continue;
        r->granularity = kq::Granularity::token;
        r->group_size = 0;
      }
      return a == b;
    };
    if (std::none_of(kept.begin(), kept.end(), says_the_same)) kept.push_back(match);
  }
  matches = std::move(kept);
}

/// Adds a dialect once.
void add(std::vector<kq::Dialect>& dialects, kq::Dialect dialect) {
  if (std::find(dialects.begin(), dialects.end(), dialect) == dialects.end()) dialects.push_back(dialect);
}

/// The sample with the two codes of each byte in each other's place.
Sample with_swapped_halves(const Sample& sample) {
  Sample swapped = sample;
  for (std::int64_t token = 0; token < sample.num_tokens; ++token) {
    for (std::int64_t channel = 0; channel + 1 < sample.hidden_size; channel += 2) {
      const auto i = static_cast<std::size_t>(token * sample.hidden_size + channel);
      std::swap(swapped.codes[i], swapped.codes[i + 1]);
    }
  }
  return swapped;
}

/// Identification of a sample as it is.
Identification identify_once(const Sample& sample, const Sweep& restriction) {
  Identification result;
  const std::vector<kq::Request> all = candidates(sample, restriction);
  References references(sample);
  std::vector<SampleMatch> looked_at;
  for (const kq::Request& whole : all) {
    if (whole.static_scale && !result.matches.empty() && !result.matches.front().request.static_scale) {
      break;  // a dynamic scheme says more
    }
    // A bound is looked for where nothing else gives the scales.
    const auto has_no_bound = [&](const SampleMatch& match) {
      return !has_bound_by_itself(match.request, restriction);
    };
    const bool is_explained = std::any_of(result.matches.begin(), result.matches.end(), has_no_bound);
    if (is_explained && has_bound_by_itself(whole, restriction)) continue;
    const kq::Request slice = slice_of(whole, slice_elements);
    SampleMatch match{whole, compare(whole, slice, sample, references.of(whole, slice))};
    const bool is_whole = slice.num_tokens == whole.num_tokens;
    if (match.difference.none() && !is_whole) {
      const kq::Request full = slice_of(whole, whole.num_tokens * whole.hidden_size);
      match.difference = compare(whole, full, sample, References(sample).of(whole, full));
    }
    match.is_approximate = !match.difference.none() && is_within_approximation(sample, whole, references);
    if (match.difference.none() || match.is_approximate) result.matches.push_back(match);
    if (!has_found_qmax(whole, restriction)) looked_at.push_back(match);
  }
  drop_approximate_beside_exact(result.matches, looked_at);
  fold_equal(result.matches);
  if (!result.matches.empty()) return result;

  // Where only the codes of static schemes come near, the scales are nobody's that we know.
  const auto nearest = std::min_element(looked_at.begin(), looked_at.end(), [](const auto& a, const auto& b) {
    return std::pair(a.request.static_scale, distance(a.difference)) <
           std::pair(b.request.static_scale, distance(b.difference));
  });
  result.nearest = *nearest;
  for (const SampleMatch& match : looked_at) {
    if (!same_scheme(nearest->request, match.request)) continue;
    if (match.difference.scales == 0) add(result.dialects_of_scales, match.request.dialect);
    if (match.difference.codes == 0) add(result.dialects_of_codes, match.request.dialect);
  }
  const kq::Request slice = slice_of(nearest->request, slice_elements);
  result.rows_looked_at = slice.num_tokens;
  const HostTensors expected = references.of(nearest->request, slice);
  Explanation(sample, nearest->request, slice, expected, result).explain();
  return result;
}

}  // namespace

Identification identify(const Sample& sample, const Sweep& restriction) {
  Identification result = identify_once(sample, restriction);
  const bool has_halves = sample.formats == std::vector{kq::Format::fp4_e2m1};
  if (result.matches.empty() && has_halves) {
    for (const SampleMatch& match : identify_once(with_swapped_halves(sample), restriction).matches) {
      if (!match.request.static_scale) result.matches_of_swapped_halves.push_back(match);
    }
  }
  return result;
}

}  // namespace kqbench
