// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench {
namespace {

constexpr float smallest_normal = std::numeric_limits<float>::min();
constexpr float least_fp8_scale = 1.0f / (448.0f * 512.0f);

float to_type(kq::Element element, float v) {
  if (element == kq::Element::half) return kq::to_float(kq::to_half(v));
  if (element == kq::Element::bfloat16) return kq::to_float(kq::to_bfloat16(v));
  return v;
}

float power_of_two(int exponent) {
  return std::ldexp(1.0f, exponent);
}

/// A part of a formula: how it is written, and what it does. `parts` counts what was added to the plainest form.
template <class Function>
struct Part {
  std::string text;
  Function apply;
  int parts = 1;
};

// --- scales ----------------------------------------------------------------------------------------------------------

using ScaleStep = Part<std::function<float(float)>>;

/// Written around an operand: "max({}, 1e-10)".
std::string around(const std::string& text, const std::string& operand) {
  const std::size_t place = text.find("{}");
  return place == std::string::npos ? operand : text.substr(0, place) + operand + text.substr(place + 2);
}

std::vector<ScaleStep> floors_of_amax(kq::Element element) {
  std::vector<ScaleStep> steps = {{"{}", [](float v) { return v; }, 0}};
  for (const auto& [text, least] : {std::pair("1e-12", 1e-12f), std::pair("1e-10", 1e-10f), std::pair("1e-8", 1e-8f),
                                    std::pair("1e-5", 1e-5f), std::pair("1e-4", 1e-4f)}) {
    steps.push_back({"max({}, " + std::string(text) + ")", [least = least](float v) { return std::max(v, least); }});
  }
  const float least = to_type(element, 1e-6f);
  steps.push_back({"max({}, T(1e-6))", [least](float v) { return std::max(v, least); }});
  return steps;
}

std::vector<ScaleStep> quotients(const kq::Request& r) {
  std::vector<ScaleStep> steps;
  std::vector<std::pair<std::string, float>> bounds = {{fmt::format("{:g}", r.qmax), r.qmax}};
  if (r.format == kq::Format::int8) bounds.insert(bounds.end(), {{"127.5", 127.5f}, {"128", 128.0f}});
  if (r.format == kq::Format::fp8_e4m3fn) bounds.push_back({"240", 240.0f});
  if (r.scale_format == kq::ScaleFormat::ue8m0 || r.scale_format == kq::ScaleFormat::ue8m0_float32) {
    const float largest_power = power_of_two(std::ilogb(r.qmax));  // MX's roundings have it in place of qmax
    bounds.push_back({fmt::format("{:g}", largest_power), largest_power});
  }
  if (r.scale_format == kq::ScaleFormat::e4m3) steps.push_back({"{}", [](float v) { return v; }, 0});
  for (const auto& [text, q] : bounds) {
    const int other = q == r.qmax ? 0 : 1;
    steps.push_back({"{} / " + text, [q = q](float v) { return v / q; }, other});
    steps.push_back({"{} * (1/" + text + ")", [q = q](float v) { return v * (1.0f / q); }, other});
    steps.push_back({"1 / (" + text + " / {})", [q = q](float v) { return 1.0f / (q / v); }, other + 1});
    steps.push_back({text + " / {}", [q = q](float v) { return q / v; }, other + 1});
    const kq::Element element = r.element;
    if (element != kq::Element::float32) {
      steps.push_back(
          {"T({} / " + text + ")", [q = q, element](float v) { return to_type(element, v / q); }, other + 1});
    }
  }
  return steps;
}

/// What becomes of a quotient. The amax is its first argument, for a scale where that is 0.
struct LastStep {
  std::string text;
  std::function<float(float amax, float scale)> apply;
  int parts;
};

std::vector<LastStep> last_steps(const kq::Request& r) {
  std::vector<LastStep> steps = {
      {"{}", [](float, float v) { return v; }, 0},
      {"max({}, 2^-126)", [](float, float v) { return std::max(v, smallest_normal); }, 1},
      {"max({}, 1 / (448 * 512))", [](float, float v) { return std::max(v, least_fp8_scale); }, 1},
  };
  const std::size_t floors = steps.size();
  const float epsilon = r.element == kq::Element::half       ? 0x1p-10f
                        : r.element == kq::Element::bfloat16 ? 0x1p-7f
                                                             : 0x1p-23f;
  for (const auto& [text, value] : {std::pair("0", 0.0f), std::pair("1", 1.0f),
                                    std::pair("1 / (448 * 512)", least_fp8_scale), std::pair("T's epsilon", epsilon)}) {
    for (std::size_t i = 0; i < floors; ++i) {
      const auto inner = steps[i].apply;
      steps.push_back({steps[i].text + ", " + text + " where amax is 0",
                       [inner, value = value](float amax, float v) { return amax == 0.0f ? value : inner(amax, v); },
                       steps[i].parts + 1});
    }
  }
  return steps;
}

/// Powers of two from a scale that is not one.
std::vector<ScaleStep> roundings(const kq::Request& r) {
  const auto finite = [](auto function) {
    return [function](float v) { return std::isfinite(v) && v > 0.0f ? function(v) : v; };
  };
  std::vector<ScaleStep> steps = {
      {"{} up to a power of two", finite([](float v) {
         int e = 0;
         const float fraction = std::frexp(v, &e);
         return power_of_two(fraction == 0.5f ? e - 1 : e);
       }),
       0},
      {"{} up to a power of two by a float log2", finite([](float v) {
         return power_of_two(static_cast<int>(std::ceil(static_cast<float>(std::log2(static_cast<double>(v))))));
       })},
      {"{} down to a power of two", finite([](float v) { return power_of_two(std::ilogb(v)); })},
      {"{} to the nearest power of two", finite([](float v) {
         return power_of_two(static_cast<int>(std::nearbyint(std::log2(static_cast<double>(v)))));
       })},
  };
  int mantissa_bits = 0;
  kq::with_any_format(r.format, [&](auto format) {
    if constexpr (!decltype(format)::is_integer) mantissa_bits = decltype(format)::mantissa_bits;
  });
  if (mantissa_bits > 0) {
    const std::uint32_t half_step = 1u << (22 - mantissa_bits);
    steps.push_back({"{} and half a code's step down to a power of two", finite([half_step](float v) {
                       return power_of_two(std::ilogb(kq::bits_float(kq::float_bits(v) + half_step)));
                     })});
  }
  const std::size_t count = steps.size();
  for (std::size_t i = 0; i < count; ++i) {
    const auto inner = steps[i].apply;
    steps.push_back({around(steps[i].text, "max({}, 1e-10)"), [inner](float v) { return inner(std::max(v, 1e-10f)); },
                     steps[i].parts + 1});
  }
  return steps;
}

/// A scale of the tensor, g, and E4M3 for each group.
std::vector<ScaleStep> e4m3_roundings(const kq::Request& r, float g) {
  using E4M3 = kq::Fp8E4M3Fn;
  const auto nearest = [](float v) { return E4M3::decode(E4M3::encode(v, v)); };
  const auto next_to = [nearest](float v, bool up) {
    if (!std::isfinite(v)) return nearest(v);
    std::uint8_t code = E4M3::encode(v, v);
    if (up && E4M3::decode(code) < v && code < E4M3::encode(448.0f, 448.0f)) ++code;
    if (!up && E4M3::decode(code) > v) --code;
    return E4M3::decode(code);
  };
  const std::string bound = fmt::format("{:g}", r.qmax);
  const float product = 1.0f / g * (1.0f / r.qmax);
  return {
      {"e4m3({} * ((1 / g) * (1/" + bound + ")))", [=](float v) { return nearest(v * product); }, 0},
      {"e4m3({} / g)", [=](float v) { return nearest(v / g); }, 0},
      {"e4m3({} * (1 / g))", [=](float v) { return nearest(v * (1.0f / g)); }, 0},
      {"e4m3(max({} / g, 2^-9))", [=](float v) { return nearest(std::max(v / g, 0x1p-9f)); }},
      {"e4m3(max({} / g, 2^-6))", [=](float v) { return nearest(std::max(v / g, 0x1p-6f)); }},
      {"{} / g up to e4m3", [=](float v) { return next_to(v / g, true); }},
      {"{} / g down to e4m3", [=](float v) { return next_to(v / g, false); }},
  };
}

struct ScoredFit {
  FormulaFit fit;
  int parts;
};

std::vector<FormulaFit> best_first(std::vector<ScoredFit> fits) {
  std::stable_sort(fits.begin(), fits.end(), [](const ScoredFit& a, const ScoredFit& b) {
    return a.fit.right != b.fit.right ? a.fit.right > b.fit.right : a.parts < b.parts;
  });
  std::vector<FormulaFit> best;
  for (std::size_t i = 0; i < std::min<std::size_t>(fits.size(), 3); ++i) {
    if (fits[i].fit.right > 0) best.push_back(fits[i].fit);
  }
  return best;
}

// --- codes -----------------------------------------------------------------------------------------------------------

using Scaling = Part<std::function<float(const FoundCode&)>>;

std::vector<Scaling> scalings(const kq::Request& r, float g) {
  const float q = r.qmax;
  const std::string bound = fmt::format("{:g}", q);
  const kq::Element element = r.element;
  if (kq::has_global_scale(r)) {
    return {
        {"x / (scale * g)", [g](const FoundCode& c) { return c.x / (c.scale * g); }, 0},
        {"x * (1 / (scale * g))", [g](const FoundCode& c) { return c.x * (1.0f / (c.scale * g)); }, 0},
        {"x * ((1 / g) / scale)", [g](const FoundCode& c) { return c.x * (1.0f / g / c.scale); }, 0},
        {"x / g / scale", [g](const FoundCode& c) { return c.x / g / c.scale; }, 0},
        {"x * (1 / g) / scale", [g](const FoundCode& c) { return c.x * (1.0f / g) / c.scale; }, 0},
        {"x * (" + bound + " / amax)", [q](const FoundCode& c) { return c.x * (c.amax == 0.0f ? 0.0f : q / c.amax); },
         1},
    };
  }
  std::vector<Scaling> all = {
      {"x / scale", [](const FoundCode& c) { return c.x / c.scale; }, 0},
      {"x * (1 / scale)", [](const FoundCode& c) { return c.x * (1.0f / c.scale); }, 0},
      {"x * (" + bound + " / amax)", [q](const FoundCode& c) { return c.x * (c.amax == 0.0f ? 0.0f : q / c.amax); }, 0},
      {"x * ((1 / amax) * " + bound + ")",
       [q](const FoundCode& c) { return c.x * (c.amax == 0.0f ? 0.0f : (1.0f / c.amax) * q); }, 1},
      {"bfloat16(x * (" + bound + " / amax))",
       [q](const FoundCode& c) { return to_type(kq::Element::bfloat16, c.x * (c.amax == 0.0f ? 0.0f : q / c.amax)); },
       2},
  };
  if (element != kq::Element::float32) {
    all.push_back({"T(x / scale)", [element](const FoundCode& c) { return to_type(element, c.x / c.scale); }, 1});
    all.push_back({"T(x * T(1 / scale))",
                   [element](const FoundCode& c) { return to_type(element, c.x * to_type(element, 1.0f / c.scale)); },
                   2});
  }
  return all;
}

enum class Rounding : std::uint8_t { to_even, toward_zero, away_from_zero_at_ties };
enum class Nan : std::uint8_t { nan_or_zero, largest, least };

struct Conversion {
  std::string text;
  Rounding rounding;
  Nan nan;
  bool overflow_is_nan;  ///< e4m3fn: above 464
  int parts;
};

std::vector<Conversion> conversions(const kq::Request& r) {
  std::vector<Conversion> all;
  const bool is_int8 = r.format == kq::Format::int8;
  const bool can_overflow = r.format == kq::Format::fp8_e4m3fn;
  for (const auto& [rounding, rounding_text] :
       {std::pair(Rounding::to_even, ""), std::pair(Rounding::toward_zero, ", rounded toward 0"),
        std::pair(Rounding::away_from_zero_at_ties, ", ties away from 0")}) {
    for (const auto& [nan, nan_text] :
         {std::pair(Nan::nan_or_zero, is_int8 ? ", NaN: 0" : ""), std::pair(Nan::largest, ", NaN: the largest"),
          std::pair(Nan::least, ", NaN: the least")}) {
      if (nan != Nan::nan_or_zero && kq::code_bits(r.format) == 4) continue;  // it is the largest anyway
      for (const bool overflow : {false, true}) {
        if (overflow && !can_overflow) continue;
        const int parts =
            (rounding != Rounding::to_even ? 1 : 0) + (nan != Nan::nan_or_zero ? 1 : 0) + (overflow ? 1 : 0);
        all.push_back({std::string(rounding_text) + nan_text + (overflow ? ", above 464: NaN" : ""), rounding, nan,
                       overflow, parts});
      }
    }
  }
  return all;
}

std::uint8_t int8_code(float v, const Conversion& how, float bound) {
  if (std::isnan(v)) v = how.nan == Nan::nan_or_zero ? 0.0f : (how.nan == Nan::largest ? bound : -bound - 1.0f);
  v = std::clamp(v, -bound - 1.0f, bound);
  if (how.rounding == Rounding::to_even) v = std::nearbyint(v);
  if (how.rounding == Rounding::toward_zero) v = std::trunc(v);
  if (how.rounding == Rounding::away_from_zero_at_ties) v = std::round(v);
  return static_cast<std::uint8_t>(static_cast<std::int8_t>(v));
}

template <class Format>
std::uint8_t fp8_code(float v, float x, const Conversion& how, float bound) {
  if (std::isnan(v) && how.nan != Nan::nan_or_zero) v = how.nan == Nan::largest ? bound : -bound;
  if (how.overflow_is_nan && std::fabs(v) > 464.0f) v = std::numeric_limits<float>::quiet_NaN();
  std::uint8_t code = Format::encode(v, std::isnan(v) ? x : v, bound);
  if (std::isnan(v) || how.rounding == Rounding::to_even) return code;
  const float magnitude = std::min(std::fabs(v), bound);
  const auto value = [](std::uint8_t c) { return std::fabs(Format::decode(c)); };
  if (how.rounding == Rounding::toward_zero) {
    if (value(code) > magnitude) --code;  // the magnitude is the code's low bits
  } else if (value(code) < magnitude && magnitude < bound) {
    const auto next = static_cast<std::uint8_t>(code + 1);
    if (value(next) - magnitude == magnitude - value(code)) code = next;
  }
  return code;
}

std::uint8_t code_of(const kq::Request& r, float v, float x, const Conversion& how) {
  std::uint8_t code = 0;
  kq::with_any_format(r.format, [&](auto format) {
    using Format = decltype(format);
    if constexpr (Format::is_integer) {
      code = int8_code(v, how, r.qmax);
    } else {
      code = fp8_code<Format>(v, x, how, r.qmax);
    }
  });
  return code;
}

}  // namespace

bool same_scale(float a, float b) {
  return kq::float_bits(a) == kq::float_bits(b) || (std::isnan(a) && std::isnan(b));
}

float decoded(kq::Format format, std::uint8_t code) {
  float value = 0.0f;
  kq::with_any_format(format, [&](auto f) {
    using Format = decltype(f);
    value = static_cast<float>(Format::decode(static_cast<typename Format::Code>(code)));
  });
  return value;
}

bool same_code(kq::Format format, std::uint8_t a, std::uint8_t b) {
  if (a == b) return true;
  return kq::is_fp8(format) && std::isnan(decoded(format, a)) && std::isnan(decoded(format, b));
}

std::vector<FormulaFit> fit_scales(const kq::Request& r, const std::vector<FoundScale>& scales, float tensor_scale) {
  std::vector<ScoredFit> fits;
  const std::vector<ScaleStep> floors = floors_of_amax(r.element);
  const std::vector<ScaleStep> divisions = quotients(r);
  const std::vector<LastStep> lasts = last_steps(r);
  std::vector<ScaleStep> powers = {{"{}", [](float v) { return v; }, 0}};
  if (r.scale_format == kq::ScaleFormat::e4m3) {
    powers = e4m3_roundings(r, tensor_scale);
  } else if (r.scale_format != kq::ScaleFormat::float32) {
    powers = roundings(r);
  }
  for (const bool counts_nan : {false, true}) {
    for (const ScaleStep& floor : floors) {
      for (const ScaleStep& division : divisions) {
        for (const LastStep& last : lasts) {
          for (const ScaleStep& power : powers) {
            std::size_t right = 0;
            for (const FoundScale& found : scales) {
              float scale = std::numeric_limits<float>::quiet_NaN();
              if (!counts_nan || !found.span.has_nan) {
                const float amax = found.span.amax;
                scale = power.apply(last.apply(amax, division.apply(floor.apply(amax))));
              }
              right += same_scale(scale, found.scale) ? 1 : 0;
            }
            const std::string text =
                around(power.text, around(last.text, around(division.text, around(floor.text, "amax"))));
            const int parts = floor.parts + division.parts + last.parts + power.parts + (counts_nan ? 1 : 0);
            fits.push_back({{text + (counts_nan ? "; NaN counts in amax" : ""), right, scales.size()}, parts});
          }
        }
      }
    }
  }
  return best_first(std::move(fits));
}

std::vector<FormulaFit> fit_codes(const kq::Request& r, const std::vector<FoundCode>& codes, float tensor_scale) {
  std::vector<ScoredFit> fits;
  for (const Scaling& scaling : scalings(r, tensor_scale)) {
    for (const Conversion& how : conversions(r)) {
      std::size_t right = 0;
      for (const FoundCode& c : codes) {
        right += same_code(r.format, code_of(r, scaling.apply(c), c.x, how), c.code) ? 1 : 0;
      }
      fits.push_back({{scaling.text + how.text, right, codes.size()}, scaling.parts + how.parts});
    }
  }
  return best_first(std::move(fits));
}

}  // namespace kqbench
