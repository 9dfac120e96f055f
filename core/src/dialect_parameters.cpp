// SPDX-License-Identifier: Apache-2.0

#include "kq/dialect.hpp"
#include "kq/dialect_rules.hpp"

namespace kq {
namespace {

constexpr std::uint32_t minus_128 = 0xc3000000u;
constexpr std::uint32_t plus_448 = 0x43e00000u;
constexpr std::uint32_t minus_448 = 0xc3e00000u;
static_assert(bits_float(minus_128) == -128.0f && bits_float(plus_448) == 448.0f && bits_float(minus_448) == -448.0f);

/// PyTorch's cast to E4M3 on a CPU saturates up to here, the middle between 448 and the number that would come next.
constexpr float torch_limit = 464.0f;

/// vLLM's kernels of a producer and a quantizer in one.
void set_vllm_fused(const Request& r, DialectParameters& p) {
  const bool integer = r.format == Format::int8;
  const bool is_norm = has_norm(r.producer);
  p.least_scale = integer ? 0x1p-23f : min_fp8_scale;
  (is_norm ? p.most_amax : p.most_scale) = r.scale_ub;
  p.divides = !is_norm || (r.granularity == Granularity::token && !integer);
  if (!integer) p.otherwise = plus_448;
}

void set_vllm(const Request& r, DialectParameters& p) {
  if (r.producer != Producer::none) return set_vllm_fused(r, p);
  const bool integer = r.format == Format::int8;
  if (r.granularity == Granularity::group) {
    p.least_amax = min_group_amax;
    p.truncates = integer;
    p.otherwise = integer ? minus_128 : minus_448;
    if (r.scale_format != ScaleFormat::float32) {
      p.least_scale = 1e-10f;
      p.power = PowerOfTwo::up_float_log2;
    }
    return;
  }
  if (integer) {
    p.formula = ScaleFormula::ratio;
    return;
  }
  p.otherwise = plus_448;
  if (r.granularity == Granularity::token) {
    p.most_amax = r.scale_ub;
    p.least_scale = min_fp8_scale;
    p.divides = true;
  }
}

void set_sglang(const Request& r, DialectParameters& p) {
  const bool integer = r.format == Format::int8;
  p.otherwise = plus_448;
  if (r.granularity == Granularity::tensor) return;
  if (r.granularity == Granularity::token) {
    p.formula = ScaleFormula::flushed;
    return;
  }
  p.formula = ScaleFormula::amax_reciprocal;
  p.least_amax = min_group_amax;
  p.truncates = integer;
  if (r.scale_format != ScaleFormat::float32) p.power = PowerOfTwo::up;
  if (integer) {
    p.otherwise = minus_128;
  } else if (r.element == Element::bfloat16) {
    p.otherwise = DialectParameters().otherwise;
  }
}

void set_te(const Request& r, DialectParameters& p) {
  p.formula = ScaleFormula::inverse;
  p.nan_counts = r.dialect == Dialect::te_d0067d0;
  p.infinite_factor = detail::largest_float;
  if (r.granularity != Granularity::tensor) {
    if (r.element == Element::half) p.infinite_factor = detail::largest_of<half>;
    if (r.element == Element::bfloat16) p.infinite_factor = detail::largest_of<bfloat16>;
  }
  if (r.scale_format != ScaleFormat::float32) p.power = PowerOfTwo::down;
}

void set_flashinfer(const Request& r, DialectParameters& p) {
  if (r.granularity == Granularity::group) {
    p.formula = ScaleFormula::inverse;
    return;
  }
  p.formula = ScaleFormula::ratio;
  p.least_amax = r.element == Element::half ? detail::nearest<half>(1e-6f) : detail::nearest<bfloat16>(1e-6f);
  if (r.format == Format::int8) return;
  p.least_scale = min_fp8_scale;
  p.most_factor = 448.0f * 512.0f;
  p.rounding = Rounding::bfloat16;
}

/// The exponents of an MX rounding other than rceil, which all dialects have by a quotient.
void set_rounding(const Request& r, DialectParameters& p) {
  if (r.scale_rounding == ScaleRounding::rceil) return;
  p.scale_rounding = r.scale_rounding;
}

/// E4M3 scales under one of the tensor. An element below 0 keeps its sign, -0 does not.
void set_nvfp4(const Request& r, DialectParameters& p, ScaleFormula formula) {
  p.formula = formula;
  p.nan_counts = true;
  p.global_scale = r.global_scale;
  if (formula != ScaleFormula::nvfp4_quotient) p.addend = 0.0f;
}

void set_vllm_torch(const Request& r, DialectParameters& p) {
  if (has_global_scale(r)) return set_nvfp4(r, p, ScaleFormula::nvfp4_product);
  p.formula = ScaleFormula::exponent;
  p.power = PowerOfTwo::up_float_log2;
  p.nan_counts = true;
  p.least_amax = min_scale;
  p.limit = torch_limit;
  p.scale_of_nan = detail::power_of_two(0);
}

void set_deepgemm(const Request& r, DialectParameters& p) {
  p.nan_counts = true;
  p.least_amax = 1e-4f;
  if (r.scale_format != ScaleFormat::float32) p.power = PowerOfTwo::up_finite;
  if (r.format == Format::fp4_e2m1) {
    p.ties_to_zero = true;
    p.otherwise = 0;
  } else {
    p.limit = torch_limit;
  }
}

void set_torchao(const Request& r, DialectParameters& p) {
  if (has_global_scale(r)) return set_nvfp4(r, p, ScaleFormula::nvfp4_quotient);
  const bool is_main = r.dialect == Dialect::torchao_36027d8;
  p.formula = ScaleFormula::exponent;
  p.power = is_main ? PowerOfTwo::up_half : PowerOfTwo::up_float_log2;
  p.nan_counts = true;
  set_rounding(r, p);
  const bool by_quotient = p.scale_rounding == ScaleRounding::quotient;
  if (is_main) {
    if (r.format == Format::fp8_e4m3fn && by_quotient) p.limit = torch_limit;
    return;
  }
  p.factor_of_least = by_quotient ? 1.0f : 0x1p126f;
  if (by_quotient) return;
  p.infinity_is_number = true;
  p.factor_of_nan = 0.0f;
}

void set_te_fp4(const Request& r, DialectParameters& p) {
  if (has_global_scale(r)) return set_nvfp4(r, p, ScaleFormula::nvfp4);
  p.formula = ScaleFormula::exponent;
  p.power = PowerOfTwo::up_float_log2;
  p.nan_counts = true;
  p.addend = 0.0f;
}

void set_aiter(const Request& r, DialectParameters& p) {
  p.nan_counts = true;
  set_rounding(r, p);
  if (is_fp8(r.format)) p.limit = torch_limit;
  if (r.scale_format != ScaleFormat::float32) {
    p.formula = ScaleFormula::exponent;
    p.power = PowerOfTwo::up_any_bit;
    return;
  }
  p.divides = true;
  p.truncates = r.format == Format::int8;
  if (r.granularity != Granularity::tensor) p.scale_of_zero = 1.0f;
}

void set_compressed_tensors(const Request& r, DialectParameters& p) {
  p.divides = true;
  if (has_global_scale(r)) return set_nvfp4(r, p, ScaleFormula::nvfp4_in_type);
  p.nan_counts = true;
  if (r.format == Format::fp4_e2m1) p.addend = 0.0f;
  p.rounding = Rounding::element;
  if (r.scale_format != ScaleFormat::float32) {
    p.formula = ScaleFormula::in_type_mx;
  } else {
    p.formula = ScaleFormula::in_type;
    p.addend = 0.0f;
  }
}

}  // namespace

DialectParameters dialect_parameters(const Request& r) {
  DialectParameters p;
  if (r.format == Format::int8) p.otherwise = 0;  // NaN
  switch (r.dialect) {
    case Dialect::kqbench:
      break;
    case Dialect::vllm_0_33_0:
      set_vllm(r, p);
      break;
    case Dialect::vllm_0_33_0_torch:
      set_vllm_torch(r, p);
      break;
    case Dialect::sglang_0_5_23:
      set_sglang(r, p);
      break;
    case Dialect::deepgemm_54e2261:
      set_deepgemm(r, p);
      break;
    case Dialect::te_d0067d0:
    case Dialect::te_kernels:
      r.format == Format::fp4_e2m1 ? set_te_fp4(r, p) : set_te(r, p);
      break;
    case Dialect::flashinfer_trtllm_kernels:
      set_flashinfer(r, p);
      break;
    case Dialect::torchao_36027d8:
    case Dialect::torchao_0_18_0:
      set_torchao(r, p);
      break;
    case Dialect::aiter_e404860:
      set_aiter(r, p);
      break;
    case Dialect::compressed_tensors_0_20_1:
      set_compressed_tensors(r, p);
      break;
  }
  return p;
}

float global_scale_of(const Request& r, float tensor_amax) {
  // Of a tensor of zeros a number whose g is 1, as 0 would be none that is given.
  if (is_four_over_six(r)) return tensor_amax == 0.0f ? 6.0f * four_over_six_largest(r.scale_rounding) : tensor_amax;
  if (r.dialect == Dialect::kqbench) return nvfp4_global_scale(tensor_amax);
  DialectParameters p = dialect_parameters(r);
  p.tensor_amax = &tensor_amax;
  return nvfp4_global(p);
}

}  // namespace kq
