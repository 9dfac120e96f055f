// SPDX-License-Identifier: Apache-2.0

// Engine by engine, and nothing shared between two engines but what they agree on: IEEE 754 operations, rounding to a
// type, and what a processor's conversions do. Each engine has a function for the scale and one for the code.

#include "backends/reference/dialects.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

namespace kqbench::reference_detail {
namespace {

using kq::Dialect;
using kq::Element;
using kq::Format;
using kq::Granularity;
using kq::Request;
using kq::ScaleFormat;

constexpr float infinity = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float smallest_normal = std::numeric_limits<float>::min();
constexpr float largest = std::numeric_limits<float>::max();
constexpr float S_MIN = 1.0f / (448.0f * 512.0f);

// --- arithmetic ------------------------------------------------------------------------------------------------------

/// The maximum of |x|, NaN if any x is.
float amax_with_nan(const Span& span) {
  return span.has_nan ? not_a_number : span.amax;
}

/// The larger of two; NaN if the first is.
float at_least(float v, float least) {
  return std::isnan(v) || v > least ? v : least;
}

/// A subnormal number as the processor takes it when it flushes them.
float flushed(float v) {
  return std::fabs(v) < smallest_normal ? std::copysign(0.0f, v) : v;
}

/// The biased exponent and the fraction of a float.
int exponent_field(float v) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &v, sizeof bits);
  return static_cast<int>(bits >> 23 & 0xffu);
}
std::uint32_t fraction_field(float v) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &v, sizeof bits);
  return bits & 0x7fffffu;
}

/// 2^(e - 127), of a biased exponent; infinity for 255.
float power_of_two(int e) {
  return e == 255 ? infinity : static_cast<float>(std::ldexp(1.0, e - 127));
}

/// ceil(log2 v), the logarithm rounded to float first.
float ceil_of_float_log2(float v) {
  return std::ceil(static_cast<float>(std::log2(static_cast<double>(v))));
}

// --- codes -----------------------------------------------------------------------------------------------------------

/// A product or quotient with the element's sign where it is NaN, of which the processor may have chosen another one.
struct Scaled {
  float value;
  bool negative;
  Scaled(float v, float x) : value(v), negative(std::signbit(std::isnan(v) ? x : v)) {}
};

float limit_of(const Request& r) {
  return kq::format_max(r.format);
}

/// A conversion that saturates; NaN stays NaN.
std::uint8_t saturated(const Request& r, const Fp8Encoder& fp8, Scaled v) {
  const float limit = limit_of(r);
  return fp8(std::isnan(v.value) ? v.value : std::clamp(v.value, -limit, limit), v.negative);
}

/// Saturated, but NaN becomes `number`.
std::uint8_t saturated_or(const Request& r, const Fp8Encoder& fp8, Scaled v, float number) {
  return std::isnan(v.value) ? saturated(r, fp8, Scaled(number, number)) : saturated(r, fp8, v);
}

/// PyTorch's cast to E4M3: NaN above 464, the middle between 448 and the number that would come next.
std::uint8_t torch_cast(const Request& r, const Fp8Encoder& fp8, Scaled v) {
  if (r.format == Format::fp8_e4m3fn && std::fabs(v.value) > 464.0f) v.value = not_a_number;
  return saturated(r, fp8, v);
}

/// Toward zero, within [-128, 127]; NaN becomes `number`.
std::uint8_t truncated_or(float v, int number) {
  const int code = std::isnan(v) ? number : static_cast<int>(std::trunc(std::clamp(v, -128.0f, 127.0f)));
  return static_cast<std::uint8_t>(code);
}

/// To nearest even, within [-128, 127]; NaN becomes 0.
std::uint8_t nearest_int8(float v) {
  return static_cast<std::uint8_t>(std::clamp(rne(v), -128, 127));
}

/// E2M1: a sign and the nearest of 0, 0.5, 1, 1.5, 2, 3, 4, 6, ties to even; NaN is the largest.
std::uint8_t e2m1(const Fp8Encoder& fp4, float v, bool negative) {
  return fp4(std::isnan(v) ? v : std::clamp(v, -6.0f, 6.0f), negative);
}

/// The sign bit only of numbers below 0: not of -0.
std::uint8_t e2m1_below(const Fp8Encoder& fp4, Scaled v) {
  return e2m1(fp4, v.value, v.negative && v.value != 0.0f);
}

std::uint8_t e2m1_keep(const Fp8Encoder& fp4, Scaled v) {
  return e2m1(fp4, v.value, v.negative);
}

// --- vLLM 0.33.0 -----------------------------------------------------------------------------------------------------

/// Kernels of a producer and a quantizer in one. What SiLU makes has the bound on its scale, not on its amax.
void set_vllm_fused_scale(const Request& r, Span& span) {
  const float least = r.format == Format::int8 ? 0x1p-23f : S_MIN;
  const float q = limit_of(r);
  if (kq::has_norm(r.producer)) {
    span.scale = std::max(std::min(span.amax, r.scale_ub) / q, least);
  } else {
    span.scale = std::max(std::min(span.amax / q, r.scale_ub), least);
  }
}

std::uint8_t vllm_fused_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  const bool integer = r.format == Format::int8;
  const bool divides = !kq::has_norm(r.producer) || (r.granularity == Granularity::token && !integer);
  const float v = divides ? x / span.scale : x * (1.0f / span.scale);
  return integer ? nearest_int8(v) : saturated_or(r, *fp8, Scaled(v, x), 448.0f);
}

void set_vllm_scale(const Request& r, Span& span) {
  if (r.producer != kq::Producer::none) return set_vllm_fused_scale(r, span);
  const float q = limit_of(r);
  if (r.granularity == Granularity::group) {
    span.scale = std::max(span.amax, 1e-10f) / q;
    if (r.scale_format != ScaleFormat::float32) {
      span.scale = std::exp2(ceil_of_float_log2(std::max(span.scale, 1e-10f)));
    }
    span.operand = 1.0f / span.scale;
  } else if (r.granularity == Granularity::tensor) {
    span.scale = span.amax / q;
    span.operand = 1.0f / span.scale;
  } else if (r.format == Format::int8) {
    span.scale = span.amax / q;
    span.operand = span.amax == 0.0f ? 0.0f : q / span.amax;
  } else {
    span.scale = std::max(std::min(span.amax, r.scale_ub) / q, S_MIN);
  }
}

std::uint8_t vllm_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  if (r.static_scale) return saturated_or(r, *fp8, Scaled(x * (1.0f / span.scale), x), 448.0f);
  if (r.producer != kq::Producer::none) return vllm_fused_code(r, fp8, x, span);
  if (r.granularity == Granularity::group) {
    const float v = x * span.operand;
    return r.format == Format::int8 ? truncated_or(v, -128) : saturated_or(r, *fp8, Scaled(v, x), -448.0f);
  }
  if (r.format == Format::int8) return nearest_int8(x * span.operand);
  const float v = r.granularity == Granularity::tensor ? x * span.operand : x / span.scale;
  return saturated_or(r, *fp8, Scaled(v, x), 448.0f);
}

void set_vllm_torch_scale(const Request& r, Span& span) {
  if (r.scale_format == ScaleFormat::e4m3) {
    const float v = span.global_scale * (amax_with_nan(span) * (1.0f / 6.0f));
    span.scale = v > 464.0f ? not_a_number : e4m3(v);
    const float t = span.scale * (1.0f / span.global_scale);
    span.operand = t == 0.0f ? 0.0f : 1.0f / t;
    return;
  }
  const float v = at_least(amax_with_nan(span), smallest_normal) / 448.0f;
  // The exponent of a block with NaN is stored as 0, but its codes are made with NaN.
  const int e = std::isnan(v) ? 0 : static_cast<int>(std::clamp(ceil_of_float_log2(v) + 127.0f, 0.0f, 254.0f));
  span.scale = power_of_two(e);
  span.operand = std::isnan(v) ? not_a_number : span.scale;
}

std::uint8_t vllm_torch_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  if (r.scale_format == ScaleFormat::e4m3) return e2m1_below(*fp8, Scaled(x * span.operand, x));
  return torch_cast(r, *fp8, Scaled(x / span.operand, x));
}

// --- SGLang 0.5.23 ---------------------------------------------------------------------------------------------------

void set_sglang_scale(const Request& r, Span& span) {
  const float q = limit_of(r);
  const float inverse_q = 1.0f / q;
  if (r.granularity == Granularity::tensor) {  // the kernel without fast math
    span.scale = span.amax / q;
    span.operand = 1.0f / span.scale;
    return;
  }
  if (r.granularity == Granularity::token) {
    span.scale = flushed(flushed(span.amax) * inverse_q);
    span.operand = flushed(1.0f / span.scale);
    return;
  }
  const float amax = std::max(flushed(span.amax), 1e-10f);
  span.scale = amax * inverse_q;
  if (r.scale_format == ScaleFormat::float32) {
    span.operand = flushed(1.0f / amax) * q;
    return;
  }
  const int e = exponent_field(span.scale) + (fraction_field(span.scale) != 0 ? 1 : 0);
  span.scale = power_of_two(e);
  // The multiplier's exponent field is made by subtraction, and wraps around into the sign for 255.
  span.operand = e == 255 ? -infinity : to_type(r.element, power_of_two(254 - e));
}

std::uint8_t sglang_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  if (r.static_scale) return saturated_or(r, *fp8, Scaled(x * (1.0f / span.scale), x), 448.0f);
  if (r.granularity == Granularity::tensor) return saturated_or(r, *fp8, Scaled(x * span.operand, x), 448.0f);
  float v = flushed(flushed(x) * span.operand);
  if (r.granularity == Granularity::token) return saturated_or(r, *fp8, Scaled(v, x), 448.0f);
  if (r.format == Format::int8) return truncated_or(v, -128);
  if (r.scale_format != ScaleFormat::float32) v = to_type(r.element, x * span.operand);
  return r.element == Element::bfloat16 ? saturated(r, *fp8, Scaled(v, x))
                                        : saturated_or(r, *fp8, Scaled(v, x), 448.0f);
}

// --- DeepGEMM --------------------------------------------------------------------------------------------------------

void set_deepgemm_scale(const Request& r, Span& span) {
  span.scale = at_least(amax_with_nan(span), 1e-4f) / limit_of(r);
  if (r.scale_format != ScaleFormat::float32) {
    const int e = exponent_field(span.scale) + (fraction_field(span.scale) != 0 ? 1 : 0);
    span.scale = power_of_two(std::clamp(e, 1, 254));
  }
  span.operand = 1.0f / span.scale;
}

/// Counts the thresholds below |v|, so that ties go toward 0 and NaN is 0.
std::uint8_t deepgemm_e2m1(float v) {
  int code = 0;
  for (const float threshold : {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f}) {
    if (std::fabs(v) > threshold) ++code;
  }
  return static_cast<std::uint8_t>(code != 0 && v < 0.0f ? 8 + code : code);
}

std::uint8_t deepgemm_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  if (r.format == Format::fp4_e2m1) return deepgemm_e2m1(x * span.operand);
  return torch_cast(r, *fp8, Scaled(x * span.operand, x));
}

// --- Transformer Engine ----------------------------------------------------------------------------------------------

float largest_of(Element type) {
  if (type == Element::half) return 65504.0f;
  if (type == Element::bfloat16) return 0x1.fep127f;
  return largest;
}

void set_te_fp4_scale(const Request& r, Span& span) {
  const float amax = amax_with_nan(span);
  if (r.scale_format == ScaleFormat::e4m3) {
    const float g = span.global_scale;
    span.scale = e4m3(at_most_largest(amax * (g * (1.0f / 6.0f))));
    span.operand = at_most_largest(1.0f / (span.scale * (1.0f / g)));
    return;
  }
  const float exponent = ceil_of_float_log2(amax / 6.0f);
  span.scale = std::isnan(exponent) ? exponent : std::exp2(std::clamp(exponent, -127.0f, 127.0f));
  span.operand = 1.0f / span.scale;
}

void set_te_scale(const Request& r, Span& span) {
  if (r.format == Format::fp4_e2m1) return set_te_fp4_scale(r, span);
  const bool is_reference = r.dialect == Dialect::te_d0067d0;
  const float amax = is_reference ? amax_with_nan(span) : span.amax;
  span.operand = limit_of(r) / amax;
  if (amax == 0.0f) span.operand = 1.0f;
  if (std::isinf(span.operand)) span.operand = r.granularity == Granularity::tensor ? largest : largest_of(r.element);
  if (r.scale_format != ScaleFormat::float32) {
    const int e = exponent_field(span.operand);
    span.operand = std::isnan(span.operand) ? 0.5f : e == 0 ? 0.0f : power_of_two(e);
  }
  span.scale = 1.0f / span.operand;
}

/// "4 over 6": E, the largest number that scales are made for.
float te_largest_scale(const Request& r) {
  return r.scale_rounding == kq::ScaleRounding::four_over_six_mse_256 ? 256.0f : 448.0f;
}

/// Sets the scale and operand of one of the two candidates: `v` is what its scale is rounded from.
void set_te_candidate(Span& span, float g, float v) {
  span.scale = e4m3(v);
  span.operand = at_most_largest(1.0f / (span.scale * (1.0f / g)));
}

/// The sum of the errors that a candidate leaves.
float te_error(const Request& r, const Span& span, const std::vector<float>& elements) {
  static const Fp8Encoder fp4(Format::fp4_e2m1);
  float sum = 0.0f;
  for (const float x : elements) {
    const std::uint8_t code = e2m1_below(fp4, Scaled(x * span.operand, x));
    const auto q = static_cast<float>(decode(definition(Format::fp4_e2m1), code));
    const float product = q * span.scale;
    const float value = product * span.global_scale / (te_largest_scale(r) * 6.0f);
    const float difference = value - x;
    const float squared = difference * difference;
    sum += r.scale_rounding == kq::ScaleRounding::four_over_six_mse_256 ? squared : std::fabs(difference);
  }
  return sum;
}

/// The tensor's amax; of a tensor of zeros 6 E, so that its g is 1.
float te_global_scale(const Request& r, float amax) {
  return amax == 0.0f ? te_largest_scale(r) * 6.0f : amax;
}

float te_g(const Request& r, float amax) {
  return std::min(te_largest_scale(r) * 6.0f / amax, largest);
}

std::uint8_t te_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  if (r.format == Format::fp4_e2m1) return e2m1_below(*fp8, Scaled(x * span.operand, x));
  return saturated(r, *fp8, Scaled(x * span.operand, x));
}

// --- FlashInfer's kernels from TensorRT-LLM --------------------------------------------------------------------------

void set_flashinfer_scale(const Request& r, Span& span) {
  const float q = limit_of(r);
  if (r.granularity == Granularity::group) {
    span.operand = span.amax == 0.0f ? 1.0f : q / span.amax;
    span.scale = 1.0f / span.operand;
    return;
  }
  const float amax = std::max(span.amax, to_type(r.element, 1e-6f));
  span.scale = amax / q;
  span.operand = q / amax;
  if (r.format == Format::int8) return;
  span.scale = std::max(span.scale, S_MIN);
  span.operand = std::min(span.operand, 448.0f * 512.0f);
}

std::uint8_t flashinfer_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  const float v = x * span.operand;
  if (r.format == Format::int8) return nearest_int8(v);
  return saturated(r, *fp8, Scaled(r.granularity == Granularity::token ? to_type(Element::bfloat16, v) : v, x));
}

// --- torchao ---------------------------------------------------------------------------------------------------------

/// Both versions: `global_scale` is s, a divisor.
void set_torchao_nvfp4_scale(Span& span) {
  const float s = span.global_scale;
  const float v = amax_with_nan(span) / 6.0f / s;
  span.scale = e4m3(at_least(v, 0x1p-6f));
  span.operand = 1.0f / s / span.scale;
}

/// The exponent of a format's largest number.
int torchao_p(const Request& r) {
  return std::ilogb(limit_of(r));
}

/// FLOOR, EVEN and CEIL: the biased exponent of amax, less p, before it is limited; amax as its bits say, infinity too.
int torchao_exponent(const Request& r, float amax) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &amax, sizeof bits);
  const int mantissa = definition(r.format).mantissa_bits;
  if (r.scale_rounding == kq::ScaleRounding::even) bits += std::uint32_t{1} << (22 - mantissa);
  const int up = r.scale_rounding == kq::ScaleRounding::ceil && (bits & 0x7fffffu) != 0 ? 1 : 0;
  return static_cast<int>(bits >> 23 & 0xffu) + up - torchao_p(r);
}

bool torchao_rounds_up(const Request& r) {
  return r.scale_rounding == kq::ScaleRounding::quotient || r.scale_rounding == kq::ScaleRounding::rceil;
}

void set_torchao_main_scale(const Request& r, Span& span) {
  if (r.scale_format == ScaleFormat::e4m3) return set_torchao_nvfp4_scale(span);
  if (!torchao_rounds_up(r)) {
    const float amax = amax_with_nan(span);
    const int exponent = torchao_exponent(r, amax);
    const bool overflows = r.scale_rounding == kq::ScaleRounding::even && exponent + torchao_p(r) == 255;
    const bool is_number = std::isfinite(amax) && !overflows;
    const int e = std::clamp(exponent, 0, 255);
    span.scale = is_number ? power_of_two(e) : not_a_number;
    span.operand = is_number ? power_of_two(254 - e) : not_a_number;
    return;
  }
  const float v = amax_with_nan(span) * (1.0f / limit_of(r));
  int e = exponent_field(v);
  if (e == 0) {
    e = fraction_field(v) > 0x400000u ? 1 : 0;
  } else if (e < 255) {
    e += fraction_field(v) != 0 ? 1 : 0;
  }
  span.scale = e == 255 ? not_a_number : power_of_two(e);
  span.operand = e == 255 ? not_a_number : power_of_two(254 - e);
}

void set_torchao_0_18_scale(const Request& r, Span& span) {
  if (r.scale_format == ScaleFormat::e4m3) return set_torchao_nvfp4_scale(span);
  if (!torchao_rounds_up(r)) {
    const float amax = amax_with_nan(span);
    const int e = std::clamp(torchao_exponent(r, amax), 0, 255);
    span.scale = std::isnan(amax) ? not_a_number : power_of_two(e);
    span.operand = std::max(power_of_two(e), smallest_normal);  // a divisor
    if (std::isnan(amax)) span.operand = infinity;
    return;
  }
  const float v = amax_with_nan(span) / limit_of(r);
  if (std::isnan(v)) {
    span.scale = span.operand = not_a_number;
    return;
  }
  const int e = static_cast<int>(std::clamp(ceil_of_float_log2(v), -127.0f, 127.0f)) + 127;
  span.scale = power_of_two(e);
  span.operand = e == 0 ? 1.0f : power_of_two(254 - e);
}

std::uint8_t torchao_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  const bool divides =
      r.dialect == Dialect::torchao_0_18_0 && r.scale_format != ScaleFormat::e4m3 && !torchao_rounds_up(r);
  const Scaled v(divides ? x / span.operand : x * span.operand, x);
  if (r.format == Format::fp4_e2m1) return e2m1_keep(*fp8, v);
  const bool saturates = r.dialect == Dialect::torchao_0_18_0 || !torchao_rounds_up(r);
  return saturates ? saturated(r, *fp8, v) : torch_cast(r, *fp8, v);
}

// --- AITER -----------------------------------------------------------------------------------------------------------

/// The exponent of amax / 2^p, by its rounding, of amax's bits.
void set_aiter_fp4_scale(const Request& r, Span& span) {
  float amax = amax_with_nan(span);
  if (r.scale_rounding == kq::ScaleRounding::even && !std::isnan(amax)) {
    std::uint32_t bits = 0;
    std::memcpy(&bits, &amax, sizeof bits);
    bits = (bits + 0x200000u) & 0xff800000u;
    std::memcpy(&amax, &bits, sizeof bits);
  }
  const float v = amax / (torchao_rounds_up(r) ? 6.0f : 4.0f);
  int e = exponent_field(v);
  const bool up = torchao_rounds_up(r) || r.scale_rounding == kq::ScaleRounding::ceil;
  if (up && e < 255 && fraction_field(v) != 0) ++e;
  span.scale = e == 255 ? not_a_number : power_of_two(e);
}

void set_aiter_scale(const Request& r, Span& span) {
  if (r.format == Format::fp4_e2m1) return set_aiter_fp4_scale(r, span);
  span.scale = amax_with_nan(span) / limit_of(r);
  if (r.scale_format != ScaleFormat::float32) {
    int e = exponent_field(span.scale);
    if (e < 255) e += fraction_field(span.scale) != 0 ? 1 : 0;
    span.scale = e == 255 ? not_a_number : power_of_two(e);
  } else if (r.granularity != Granularity::tensor && span.scale == 0.0f) {
    span.scale = 1.0f;
  }
}

std::uint8_t aiter_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  const float v = x / span.scale;
  if (r.format == Format::fp4_e2m1) return e2m1_keep(*fp8, Scaled(v, x));
  return r.format == Format::int8 ? truncated_or(v, 0) : torch_cast(r, *fp8, Scaled(v, x));
}

// --- compressed-tensors 0.20.1: everything in T ----------------------------------------------------------------------

float epsilon_of(Element type) {
  return type == Element::half ? 0x1p-10f : type == Element::bfloat16 ? 0x1p-7f : 0x1p-23f;
}

/// The power of two of an MX block: 2^(floor(log2 a) - p), a being amax in T, rounded to one bit of mantissa on its
/// bits.
float compressed_tensors_mx_scale(Element type, float amax, int p) {
  if (std::isnan(amax) || std::isinf(amax)) return infinity;
  const int least_exponent = type == Element::half ? -14 : -126;
  const int most_exponent = type == Element::half ? 15 : 127;
  // From 1.75 times a power of two on the next one counts; bits of a subnormal number are 0 or the least normal one.
  int exponent = amax == 0.0f ? least_exponent - 1 : std::max(std::ilogb(amax), least_exponent - 1);
  if (exponent >= least_exponent ? amax >= std::ldexp(1.75f, exponent) : amax >= std::ldexp(0.75f, least_exponent)) {
    ++exponent;
  }
  if (exponent > most_exponent) return infinity;
  const int e = exponent < least_exponent ? 0 : std::clamp(exponent + 127 - p, 0, 255);
  const float scale = to_type(type, power_of_two(e));
  return scale == 0.0f ? 1.0f : scale;
}

void set_compressed_tensors_scale(const Request& r, Span& span) {
  const auto T = [&](float v) { return to_type(r.element, v); };
  if (r.scale_format == ScaleFormat::e4m3) {
    span.scale = e4m3(span.global_scale * T(amax_with_nan(span) / 6.0f));
    if (span.scale == 0.0f) span.scale = 0.125f;
    span.operand = span.scale / span.global_scale;
  } else if (r.asymmetric) {
    const float min = std::min(span.min, 0.0f);
    const float max = std::max(span.max, 0.0f);
    span.scale = T(T(max - min) / 255.0f);
    const float zero_point = T(-128.0f - T(min / span.scale));
    span.zero_point = std::isnan(zero_point) ? 0 : rne(std::clamp(zero_point, -128.0f, 127.0f));
    if (span.scale == 0.0f) span.scale = epsilon_of(r.element);
  } else if (r.scale_format != ScaleFormat::float32) {
    span.scale = compressed_tensors_mx_scale(r.element, amax_with_nan(span), std::ilogb(limit_of(r)));
  } else {
    span.scale = T(amax_with_nan(span) / (r.format == Format::int8 ? 127.5f : 448.0f));
    if (span.scale == 0.0f) span.scale = epsilon_of(r.element);
  }
}

std::uint8_t compressed_tensors_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  const auto T = [&](float v) { return to_type(r.element, v); };
  if (r.scale_format == ScaleFormat::e4m3) return e2m1_below(*fp8, Scaled(x / span.operand, x));
  const float quotient = T(x / span.scale);
  if (r.format == Format::fp4_e2m1) return e2m1_below(*fp8, Scaled(quotient, x));
  if (r.format == Format::int8) {
    const float sum = T(quotient + static_cast<float>(span.zero_point));
    return nearest_int8(std::isnan(sum) ? sum : std::clamp(sum, -128.0f, 127.0f));
  }
  const bool adds_zero = r.scale_format == ScaleFormat::float32;
  return saturated(r, *fp8, Scaled(adds_zero ? quotient + 0.0f : quotient, x));
}

}  // namespace

float dialect_global_scale(const Request& r, float amax) {
  if (kq::is_four_over_six(r)) return te_global_scale(r, amax);
  if (r.dialect == Dialect::torchao_36027d8 || r.dialect == Dialect::torchao_0_18_0) {
    return amax == 0.0f ? 1.0f : amax / 2688.0f;
  }
  if (r.dialect == Dialect::compressed_tensors_0_20_1) return 2688.0f / std::max(amax, smallest_normal);
  return amax == 0.0f ? 1.0f : std::min(2688.0f / amax, largest);
}

float dialect_tensor_scale(const Request& r, float global_scale) {
  if (kq::is_four_over_six(r)) return 1.0f / te_g(r, global_scale);
  const bool divides = r.dialect == Dialect::torchao_36027d8 || r.dialect == Dialect::torchao_0_18_0;
  return divides ? global_scale : 1.0f / global_scale;
}

void choose_dialect_scale(const Request& r, Span& span, const std::vector<float>& elements) {
  const float g = te_g(r, span.global_scale);
  const float b = amax_with_nan(span) / 6.0f * g;
  Span four = span;
  Span six = span;
  set_te_candidate(four, g, b * 1.5f);
  set_te_candidate(six, g, b);
  span = te_error(r, four, elements) < te_error(r, six, elements) ? four : six;
}

void set_dialect_scale(const Request& r, Span& span) {
  switch (r.dialect) {
    case Dialect::kqbench:
      return;
    case Dialect::vllm_0_33_0:
      return set_vllm_scale(r, span);
    case Dialect::vllm_0_33_0_torch:
      return set_vllm_torch_scale(r, span);
    case Dialect::sglang_0_5_23:
      return set_sglang_scale(r, span);
    case Dialect::deepgemm_54e2261:
      return set_deepgemm_scale(r, span);
    case Dialect::te_d0067d0:
    case Dialect::te_kernels:
      return set_te_scale(r, span);
    case Dialect::flashinfer_trtllm_kernels:
      return set_flashinfer_scale(r, span);
    case Dialect::torchao_36027d8:
      return set_torchao_main_scale(r, span);
    case Dialect::torchao_0_18_0:
      return set_torchao_0_18_scale(r, span);
    case Dialect::aiter_e404860:
      return set_aiter_scale(r, span);
    case Dialect::compressed_tensors_0_20_1:
      return set_compressed_tensors_scale(r, span);
  }
}

std::uint8_t dialect_code(const Request& r, const Fp8Encoder* fp8, float x, const Span& span) {
  switch (r.dialect) {
    case Dialect::kqbench:
      break;
    case Dialect::vllm_0_33_0:
      return vllm_code(r, fp8, x, span);
    case Dialect::vllm_0_33_0_torch:
      return vllm_torch_code(r, fp8, x, span);
    case Dialect::sglang_0_5_23:
      return sglang_code(r, fp8, x, span);
    case Dialect::deepgemm_54e2261:
      return deepgemm_code(r, fp8, x, span);
    case Dialect::te_d0067d0:
    case Dialect::te_kernels:
      return te_code(r, fp8, x, span);
    case Dialect::flashinfer_trtllm_kernels:
      return flashinfer_code(r, fp8, x, span);
    case Dialect::torchao_36027d8:
    case Dialect::torchao_0_18_0:
      return torchao_code(r, fp8, x, span);
    case Dialect::aiter_e404860:
      return aiter_code(r, fp8, x, span);
    case Dialect::compressed_tensors_0_20_1:
      return compressed_tensors_code(r, fp8, x, span);
  }
  return 0;
}

}  // namespace kqbench::reference_detail
