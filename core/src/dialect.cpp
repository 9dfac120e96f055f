// SPDX-License-Identifier: Apache-2.0

#include "kq/dialect.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string>
#include <vector>

namespace kq {
namespace {

constexpr bool has_scale_ub = true;
constexpr bool no_scale_ub = false;
constexpr bool no_float = false;

constexpr DialectFacts facts_table[] = {
    {Dialect::kqbench, "kqbench", {}, "1", "this project's own arithmetic", has_scale_ub},
    {Dialect::vllm_0_33_0,
     "vllm-0.33.0",
     {"vllm-0.33", "vllm"},
     "0.33.0",
     "CUDA kernels: per_token_group_fp8_quant, scaled_fp8_quant, scaled_int8_quant",
     has_scale_ub},
    {Dialect::vllm_0_33_0_torch,
     "vllm-0.33.0-torch",
     {"vllm-0.33-torch", "vllm-torch"},
     "0.33.0",
     "PyTorch references: _mxfp8_e4m3_quantize_torch, ref_nvfp4_quant"},
    {Dialect::sglang_0_5_23,
     "sglang-0.5.23",
     {"sglang-0.5", "sglang"},
     "0.5.23",
     "CUDA kernels: per_token_group_quant_8bit, per_token_quant_fp8, per_tensor_quant_fp8; reciprocals correctly "
     "rounded"},
    {Dialect::deepgemm_54e2261,
     "deepgemm-54e2261",
     {"deepgemm", ""},
     "54e2261",
     "PyTorch: per_token_cast_to_fp8, per_block_cast_to_fp8, per_token_cast_to_fp4"},
    {Dialect::te_d0067d0,
     "te-d0067d0",
     {"te", ""},
     "d0067d0",
     "Transformer Engine's PyTorch references: BlockwiseQuantizerReference, NVFP4QuantizerRef"},
    {Dialect::te_kernels,
     "te-kernels",
     {},
     "d0067d0",
     "Transformer Engine's CUDA kernels: current scaling, 1x128 blocks; finite inputs"},
    {Dialect::flashinfer_trtllm_kernels,
     "flashinfer-trtllm-kernels",
     {"flashinfer-trtllm", "flashinfer"},
     "trtllm",
     "FlashInfer's CUDA kernels from TensorRT-LLM: invokePerTokenQuantization, fp8_1x128_cs; finite inputs",
     no_scale_ub,
     no_float},
    {Dialect::torchao_36027d8, "torchao-36027d8", {"torchao", ""}, "36027d8", "PyTorch: to_mx, nvfp4_quantize"},
    {Dialect::torchao_0_18_0, "torchao-0.18.0", {"torchao-0.18", ""}, "0.18.0", "PyTorch: to_mx, nvfp4_quantize"},
    {Dialect::aiter_e404860,
     "aiter-e404860",
     {"aiter", ""},
     "e404860",
     "PyTorch: pertoken_quant, per_tensor_quant, per_1x32_f8_scale_f8_quant, per_1x32_f4_quant"},
    {Dialect::compressed_tensors_0_20_1,
     "compressed-tensors-0.20.1",
     {"compressed-tensors-0.20", "compressed-tensors"},
     "0.20.1",
     "PyTorch: calculate_qparams, fake_quantize and quantize, in the element's type"},
};

constexpr unsigned bit(Format format) {
  return 1u << static_cast<unsigned>(format);
}
constexpr unsigned bit(ScaleFormat format) {
  return 1u << static_cast<unsigned>(format);
}

constexpr unsigned bit(ScaleRounding rounding) {
  return 1u << static_cast<unsigned>(rounding);
}

constexpr unsigned int8 = bit(Format::int8);
constexpr unsigned e4m3 = bit(Format::fp8_e4m3fn);
constexpr unsigned e4m3_e5m2 = e4m3 | bit(Format::fp8_e5m2);
constexpr unsigned fp4 = bit(Format::fp4_e2m1);
constexpr unsigned floats = bit(ScaleFormat::float32);
constexpr unsigned ue8m0_floats = bit(ScaleFormat::ue8m0_float32);
constexpr unsigned ue8m0_bytes = bit(ScaleFormat::ue8m0);
constexpr unsigned e4m3_bytes = bit(ScaleFormat::e4m3);
constexpr unsigned quotient = bit(ScaleRounding::quotient);
constexpr unsigned quotient_or_rceil = quotient | bit(ScaleRounding::rceil);
constexpr unsigned other_roundings = bit(ScaleRounding::floor) | bit(ScaleRounding::even) | bit(ScaleRounding::ceil);
constexpr unsigned four_over_six =
    bit(ScaleRounding::four_over_six_mae_448) | bit(ScaleRounding::four_over_six_mse_256);
constexpr unsigned any_ue8m0 = ue8m0_floats | ue8m0_bytes;

constexpr bool is_static = true;
constexpr bool is_dynamic = false;
constexpr bool symmetric = false;
constexpr bool asymmetric = true;
constexpr bool approximate = true;

// What the schemes of one engine have in common. In the formulas `up(v)` is the exponent of v's next power of two,
// exact powers stay; T(v) is v rounded to the element's type; `trunc` rounds toward 0.
constexpr std::string_view vllm_static_code = "fp8(sat(x * (1 / scale))), NaN: +448";
constexpr std::string_view vllm_static_differs = "NaN becomes +448; the code has the sign of the product";
constexpr std::string_view te_scale = "1 / m, m = qmax / amax, 1 where amax is 0";
constexpr std::string_view te_nvfp4_scale = "e4m3(min(amax * (g * (1/6)), FLT_MAX))";
constexpr std::string_view te_nvfp4_code = "e2m1(x * min(1 / (scale * (1/g)), FLT_MAX))";
constexpr std::string_view torchao_nvfp4_scale =
    "e4m3(clamp((amax / 6) / s, 2^-6, 448)), s = amax of the tensor / 2688";
constexpr std::string_view torchao_nvfp4_code = "e2m1(x * ((1 / s) / scale))";
constexpr std::string_view torchao_nvfp4_differs =
    "global_scale is s, which divides and is stored; the least scale of a block is 2^-6";
constexpr std::string_view ct_scale = "T(amax / 448), where that is 0 T's epsilon";
constexpr std::string_view ct_int8_scale = "T(amax / 127.5), where that is 0 T's epsilon";
constexpr std::string_view ct_code = "fp8(sat(T(T(x / scale) + 0)))";
constexpr std::string_view ct_int8_code = "rne(sat(T(x / scale)))";
constexpr std::string_view ct_differs = "every step is rounded to T, NaN counts in amax, -0 becomes 0";
constexpr std::string_view ct_int8_differs = "every step is rounded to T, amax is divided by 127.5";
constexpr std::string_view ct_affine_scale =
    "T(T(max(max, 0) - min(min, 0)) / 255), where that is 0 T's epsilon; zero point rne(sat(T(-128 - T(min / scale))))";
constexpr std::string_view ct_affine_code = "rne(sat(T(T(x / scale) + zero point)))";
constexpr std::string_view ct_affine_differs =
    "every step is rounded to T, the range always holds 0, the zero point saturates";

using G = Granularity;
using D = Dialect;
constexpr DialectScheme dialect_scheme_table[] = {
    {D::vllm_0_33_0, G::tensor, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::vllm_0_33_0, G::token, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::vllm_0_33_0, G::channel, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::vllm_0_33_0, G::group, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::vllm_0_33_0, G::block, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::vllm_0_33_0, G::tensor, is_dynamic, symmetric, e4m3, floats, "amax / 448",
     "fp8(sat(x * (1 / scale))), NaN: +448",
     "NaN becomes +448; a tensor of zeros has scale 0 and codes 0x7e; no least scale"},
    {D::vllm_0_33_0, G::token, is_dynamic, symmetric, e4m3, floats, "max(min(amax, scale_ub) / 448, 1 / (448 * 512))",
     "fp8(sat(x / scale)), NaN: +448", "NaN becomes +448"},
    {D::vllm_0_33_0, G::token, is_dynamic, symmetric, int8, floats, "amax / 127",
     "sat(rne(x * (127 / amax))), 0 where amax is 0", "no least scale"},
    {D::vllm_0_33_0, G::group, is_dynamic, symmetric, e4m3, floats, "max(amax, 1e-10) / 448",
     "fp8(sat(x * (1 / scale))), NaN: -448", "multiplies by the reciprocal where kqbench divides; NaN becomes -448"},
    {D::vllm_0_33_0, G::group, is_dynamic, symmetric, e4m3, any_ue8m0,
     "2^ceil(log2(max(max(amax, 1e-10) / 448, 1e-10)))", "fp8(sat(x * (1 / scale))), NaN: -448",
     "log2 is rounded to float; the scale is at least 2^-33; NaN becomes -448"},
    {D::vllm_0_33_0, G::group, is_dynamic, symmetric, int8, floats, "max(amax, 1e-10) / 127",
     "trunc(sat(x * (1 / scale))), NaN: -128", "truncates; multiplies by the reciprocal; NaN becomes -128"},
    {D::vllm_0_33_0, G::group, is_dynamic, symmetric, int8, any_ue8m0,
     "2^ceil(log2(max(max(amax, 1e-10) / 127, 1e-10)))", "trunc(sat(x * (1 / scale))), NaN: -128",
     "truncates; log2 is rounded to float; the scale is at least 2^-33; NaN becomes -128"},

    {D::vllm_0_33_0_torch, G::group, is_dynamic, symmetric, e4m3, ue8m0_bytes,
     "2^clamp(ceil(log2(max(amax, 2^-126) / 448)), -127, 127); NaN: 2^-127",
     "fp8(x / scale), above 464, and in a group with NaN: NaN",
     "log2 is rounded to float, so that a quotient just above a power of two stays there; no least amax of 1e-10"},
    {D::vllm_0_33_0_torch, G::group, is_dynamic, symmetric, fp4, e4m3_bytes, "e4m3(g * (amax * (1/6))), NaN above 464",
     "e2m1(x * (1 / (scale * (1/g)))), 0 where the product is 0", "scales do not saturate; -0 becomes 0"},

    {D::sglang_0_5_23, G::tensor, is_static, symmetric, e4m3, floats, "given", vllm_static_code, vllm_static_differs},
    {D::sglang_0_5_23, G::tensor, is_dynamic, symmetric, e4m3, floats, "amax / 448",
     "fp8(sat(x * (1 / scale))), NaN: +448",
     "NaN becomes +448; a tensor of zeros has scale 0 and codes 0x7e; no least scale"},
    {D::sglang_0_5_23, G::token, is_dynamic, symmetric, e4m3, floats, "amax * (1/448)",
     "fp8(sat(x * (1 / scale))), NaN: +448; subnormal numbers are 0",
     "multiplies by 1/448 and by the reciprocal; no least scale, so zeros have codes 0x7e; NaN becomes +448", quotient,
     approximate},
    {D::sglang_0_5_23, G::group, is_dynamic, symmetric, e4m3, floats, "max(amax, 1e-10) * (1/448)",
     "fp8(x * ((1 / max(amax, 1e-10)) * 448)), NaN: bfloat16 NaN, else +448; subnormal numbers are 0",
     "multiplies by 1/448 and by (1 / amax) * 448", quotient, approximate},
    {D::sglang_0_5_23, G::group, is_dynamic, symmetric, e4m3, ue8m0_bytes, "2^up(max(amax, 1e-10) * (1/448))",
     "fp8(T(x * T(1 / scale))), NaN: bfloat16 NaN, else +448", "in half a reciprocal above 65504 is infinite"},
    {D::sglang_0_5_23, G::group, is_dynamic, symmetric, int8, floats, "max(amax, 1e-10) * (1/127)",
     "trunc(sat(x * ((1 / max(amax, 1e-10)) * 127))), NaN: -128; subnormal numbers are 0",
     "truncates; multiplies by 1/127 and by (1 / amax) * 127; NaN becomes -128", quotient, approximate},

    {D::deepgemm_54e2261, G::group, is_dynamic, symmetric, e4m3, floats, "max(amax, 1e-4) / 448",
     "fp8(x * (1 / scale)), infinity: NaN", "the least amax is 1e-4; multiplies by the reciprocal; NaN counts in amax"},
    {D::deepgemm_54e2261, G::group, is_dynamic, symmetric, e4m3, any_ue8m0,
     "2^clamp(up(max(amax, 1e-4) / 448), -126, 127)", "fp8(x * (1 / scale)), infinity: NaN",
     "the least amax is 1e-4; NaN counts in amax"},
    {D::deepgemm_54e2261, G::block, is_dynamic, symmetric, e4m3, floats, "max(amax, 1e-4) / 448",
     "fp8(x * (1 / scale)), infinity: NaN", "the least amax is 1e-4; multiplies by the reciprocal; NaN counts in amax"},
    {D::deepgemm_54e2261, G::block, is_dynamic, symmetric, e4m3, any_ue8m0,
     "2^clamp(up(max(amax, 1e-4) / 448), -126, 127)", "fp8(x * (1 / scale)), infinity: NaN",
     "the least amax is 1e-4; NaN counts in amax"},

    {D::deepgemm_54e2261, G::group, is_dynamic, symmetric, fp4, ue8m0_bytes,
     "2^clamp(up(max(amax, 1e-4) / 6), -126, 127)", "e2m1(x * (1 / scale)), ties toward 0, NaN: 0",
     "ties go toward 0; no -0; the least amax is 1e-4"},

    {D::te_d0067d0, G::group, is_dynamic, symmetric, e4m3_e5m2, floats, te_scale, "fp8(sat(x * m))",
     "the scale is a reciprocal; no least amax; NaN counts in amax"},
    {D::te_d0067d0, G::group, is_dynamic, symmetric, e4m3_e5m2, ue8m0_floats,
     "1 / m, m = qmax / amax lowered to a power of two, 1 where amax is 0", "fp8(sat(x * m))",
     "no least amax; NaN counts in amax"},
    {D::te_d0067d0, G::block, is_dynamic, symmetric, e4m3_e5m2, floats, te_scale, "fp8(sat(x * m))",
     "the scale is a reciprocal; no least amax; NaN counts in amax"},
    {D::te_d0067d0, G::block, is_dynamic, symmetric, e4m3_e5m2, ue8m0_floats,
     "1 / m, m = qmax / amax lowered to a power of two, 1 where amax is 0", "fp8(sat(x * m))",
     "no least amax; NaN counts in amax"},

    {D::te_d0067d0, G::group, is_dynamic, symmetric, fp4, ue8m0_bytes,
     "2^clamp(ceil(log2(amax / 6)), -127, 127); NaN: NaN", "e2m1(x * (1 / scale))",
     "log2 is rounded to float; -0 becomes 0"},
    {D::te_d0067d0, G::group, is_dynamic, symmetric, fp4, e4m3_bytes, te_nvfp4_scale, te_nvfp4_code, "-0 becomes 0"},
    {D::te_d0067d0, G::group, is_dynamic, symmetric, fp4, e4m3_bytes,
     "e4m3(1.5 b) or e4m3(b), b = (amax / 6) * g, g = 6 E / amax of the tensor: the one with the lesser error, the "
     "latter of equal ones",
     te_nvfp4_code, "4 over 6: two scales are tried; global_scale is amax of the tensor; -0 becomes 0", four_over_six},
    {D::te_d0067d0, G::block, is_dynamic, symmetric, fp4, e4m3_bytes, te_nvfp4_scale, te_nvfp4_code, "-0 becomes 0"},

    {D::te_kernels, G::tensor, is_dynamic, symmetric, e4m3, floats, te_scale, "fp8(sat(x * m))",
     "the scale is a reciprocal; zeros have scale 1"},
    {D::te_kernels, G::group, is_dynamic, symmetric, e4m3, floats, te_scale, "fp8(sat(x * m))",
     "the scale is a reciprocal; zeros have scale 1"},

    {D::flashinfer_trtllm_kernels, G::token, is_dynamic, symmetric, e4m3, floats,
     "max(max(amax, T(1e-6)) / 448, 1 / (448 * 512))", "fp8(bfloat16(x * min(448 / max(amax, T(1e-6)), 448 * 512)))",
     "the product is rounded to bfloat16 first"},
    {D::flashinfer_trtllm_kernels, G::token, is_dynamic, symmetric, int8, floats, "max(amax, T(1e-6)) / 127",
     "sat(rne(x * (127 / max(amax, T(1e-6)))))", "the least amax is T(1e-6)"},
    {D::flashinfer_trtllm_kernels, G::group, is_dynamic, symmetric, e4m3, floats,
     "1 / m, m = 448 / amax, 1 where amax is 0", "fp8(sat(x * m))", "the scale is a reciprocal; zeros have scale 1"},

    {D::torchao_36027d8, G::group, is_dynamic, symmetric, e4m3_e5m2 | fp4, ue8m0_bytes,
     "2^up(amax * (1/qmax)), subnormal ones to nearest; NaN, infinity: NaN",
     "fp8(x * (1 / scale)), e2m1(x * (1 / scale))", "no least amax; NaN counts in amax; infinity makes all codes NaN",
     quotient_or_rceil},
    {D::torchao_36027d8, G::group, is_dynamic, symmetric, e4m3_e5m2 | fp4, ue8m0_bytes,
     "by its rounding, on amax's bits; NaN, infinity: NaN", "fp8(sat(x * (1 / scale))), e2m1(x * (1 / scale))",
     "nothing from kqbench's own", other_roundings},
    {D::torchao_36027d8, G::group, is_dynamic, symmetric, fp4, e4m3_bytes, torchao_nvfp4_scale, torchao_nvfp4_code,
     torchao_nvfp4_differs},
    {D::torchao_0_18_0, G::group, is_dynamic, symmetric, e4m3_e5m2 | fp4, ue8m0_bytes,
     "2^clamp(ceil(log2(amax / qmax)), -127, 127); NaN: NaN", "fp8(sat(x * (1 / scale))), scale 2^-127: fp8(x)",
     "log2 is rounded to float; no least amax; the least scale multiplies by 1; NaN counts in amax", quotient_or_rceil},
    {D::torchao_0_18_0, G::group, is_dynamic, symmetric, e4m3_e5m2 | fp4, ue8m0_bytes,
     "by its rounding, on amax's bits; NaN: NaN; infinity: 255 less the exponent of the largest number",
     "fp8(sat(x / max(scale, 2^-126))), e2m1(x / max(scale, 2^-126))",
     "infinity has an exponent; the least scale divides by 2^-126; under NaN numbers are 0", other_roundings},
    {D::torchao_0_18_0, G::group, is_dynamic, symmetric, fp4, e4m3_bytes, torchao_nvfp4_scale, torchao_nvfp4_code,
     torchao_nvfp4_differs},

    {D::aiter_e404860, G::tensor, is_dynamic, symmetric, e4m3, floats, "amax / 448", "fp8(x / scale)",
     "divides; a tensor of zeros has scale 0 and codes NaN; NaN counts in amax"},
    {D::aiter_e404860, G::token, is_dynamic, symmetric, e4m3, floats, "amax / 448, 1 where that is 0", "fp8(x / scale)",
     "no least scale; zeros have scale 1; NaN counts in amax"},
    {D::aiter_e404860, G::token, is_dynamic, symmetric, int8, floats, "amax / 127, 1 where that is 0",
     "trunc(x / scale)", "truncates; divides; zeros have scale 1"},
    {D::aiter_e404860, G::group, is_dynamic, symmetric, e4m3, floats, "amax / 448, 1 where that is 0", "fp8(x / scale)",
     "no least amax; zeros have scale 1; NaN counts in amax"},
    {D::aiter_e404860, G::group, is_dynamic, symmetric, int8, floats, "amax / 127, 1 where that is 0",
     "trunc(x / scale)", "truncates; zeros have scale 1"},
    {D::aiter_e404860, G::group, is_dynamic, symmetric, e4m3, ue8m0_bytes, "2^up(amax / 448); NaN, infinity: NaN",
     "fp8(x / scale)", "no least amax; NaN counts in amax; infinity makes all codes NaN", quotient_or_rceil},
    {D::aiter_e404860, G::group, is_dynamic, symmetric, fp4, ue8m0_bytes, "2^up(amax / 6); NaN, infinity: NaN",
     "e2m1(x / scale)", "a quotient that is subnormal goes up to 2^-126", quotient_or_rceil},
    {D::aiter_e404860, G::group, is_dynamic, symmetric, fp4, ue8m0_bytes,
     "by its rounding, on the bits of amax / 4; NaN, infinity: NaN", "e2m1(x / scale)",
     "ceil: a quotient that is subnormal goes up to 2^-126", other_roundings},

    {D::compressed_tensors_0_20_1, G::tensor, is_dynamic, symmetric, e4m3, floats, ct_scale, ct_code, ct_differs},
    {D::compressed_tensors_0_20_1, G::token, is_dynamic, symmetric, e4m3, floats, ct_scale, ct_code, ct_differs},
    {D::compressed_tensors_0_20_1, G::group, is_dynamic, symmetric, e4m3, floats, ct_scale, ct_code, ct_differs},
    {D::compressed_tensors_0_20_1, G::group, is_dynamic, symmetric, e4m3, ue8m0_floats,
     "T(2^(floor(log2(amax, rounded to 2 bits of mantissa, of T)) - 8)), 1 where that is 0",
     "fp8(sat(T(T(x / scale) + 0)))", "rounds amax to the nearest power of two, so that codes saturate"},
    {D::compressed_tensors_0_20_1, G::group, is_dynamic, symmetric, fp4, ue8m0_bytes,
     "T(2^(floor(log2(amax, rounded to 2 bits of mantissa, of T)) - 2)), 1 where that is 0", "e2m1(T(x / scale))",
     "rounds to T; -0 becomes 0; infinity and NaN: NaN"},
    {D::compressed_tensors_0_20_1, G::group, is_dynamic, symmetric, fp4, e4m3_bytes,
     "e4m3(g * T(amax / 6)), 0.125 where that is 0", "e2m1(x / (scale / g))",
     "amax / 6 is rounded to T; divides; zeros have scale 0.125; -0 becomes 0"},
    {D::compressed_tensors_0_20_1, G::block, is_dynamic, symmetric, e4m3, floats, ct_scale, ct_code, ct_differs},
    {D::compressed_tensors_0_20_1, G::tensor, is_dynamic, symmetric, int8, floats, ct_int8_scale, ct_int8_code,
     ct_int8_differs},
    {D::compressed_tensors_0_20_1, G::token, is_dynamic, symmetric, int8, floats, ct_int8_scale, ct_int8_code,
     ct_int8_differs},
    {D::compressed_tensors_0_20_1, G::group, is_dynamic, symmetric, int8, floats, ct_int8_scale, ct_int8_code,
     ct_int8_differs},
    {D::compressed_tensors_0_20_1, G::block, is_dynamic, symmetric, int8, floats, ct_int8_scale, ct_int8_code,
     ct_int8_differs},
    {D::compressed_tensors_0_20_1, G::tensor, is_dynamic, asymmetric, int8, floats, ct_affine_scale, ct_affine_code,
     ct_affine_differs},
    {D::compressed_tensors_0_20_1, G::token, is_dynamic, asymmetric, int8, floats, ct_affine_scale, ct_affine_code,
     ct_affine_differs},
};

const DialectFacts* find_facts(Dialect dialect) {
  for (const DialectFacts& facts : facts_table) {
    if (facts.dialect == dialect) return &facts;
  }
  return nullptr;
}

/// "static tensor", "dynamic token asymmetric".
std::string name_of(Granularity granularity, bool static_scale, bool has_zero_point) {
  std::string name = to_string(granularity, 0);
  if (const auto colon = name.find(':'); colon != std::string::npos) name.resize(colon);
  return (static_scale ? "static " : "dynamic ") + name + (has_zero_point ? " asymmetric" : "");
}

void add_once(std::vector<std::string>& words, const std::string& word) {
  if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

/// "a", "a or b", "a, b or c".
std::string alternatives(const std::vector<std::string>& words) {
  std::string list;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i != 0) list += i + 1 == words.size() ? " or " : ", ";
    list += words[i];
  }
  return list;
}

/// The dialects whose scales may have an upper bound, by their shortest names.
std::string names_with_bound() {
  std::vector<std::string> names;
  for (const DialectFacts& facts : facts_table) {
    if (!facts.has_scale_ub) continue;
    std::string_view shortest = facts.name;
    for (const std::string_view name : facts.short_names) {
      if (!name.empty() && name.size() < shortest.size()) shortest = name;
    }
    names.emplace_back(shortest);
  }
  return alternatives(names);
}

/// Adds the names of the enumerators whose bits are set.
template <class Enum>
void add_names(std::vector<std::string>& words, unsigned bits) {
  for (unsigned i = 0; bits >> i != 0; ++i) {
    if ((bits >> i & 1u) != 0) add_once(words, std::string(to_string(static_cast<Enum>(i))));
  }
}

/// Whether an engine has kernels of the request's producer and scheme, which the dialect has both of. How such a kernel
/// rounds is the ProducerForm of kq/producers.hpp.
bool has_fused(const Request& r) {
  const bool norms = has_norm(r.producer);
  if (!norms && r.producer != Producer::silu_mul) return false;
  switch (r.dialect) {
    case Dialect::vllm_0_33_0:
      if (r.static_scale) return r.granularity == Granularity::tensor;
      if (r.scale_format != ScaleFormat::float32) return false;
      return r.granularity == Granularity::group || (norms && r.granularity == Granularity::token);
    case Dialect::sglang_0_5_23:
      return !norms && !r.static_scale && r.granularity == Granularity::group && r.element != Element::float32;
    case Dialect::kqbench:
    case Dialect::vllm_0_33_0_torch:
    case Dialect::deepgemm_54e2261:
    case Dialect::te_d0067d0:
    case Dialect::te_kernels:
    case Dialect::flashinfer_trtllm_kernels:
    case Dialect::torchao_36027d8:
    case Dialect::torchao_0_18_0:
    case Dialect::aiter_e404860:
    case Dialect::compressed_tensors_0_20_1:
      break;
  }
  return false;
}

}  // namespace

std::span<const DialectFacts> dialects() {
  return facts_table;
}

std::span<const DialectScheme> dialect_schemes(Dialect dialect) {
  const auto is_of = [&](const DialectScheme& scheme) { return scheme.dialect == dialect; };
  const auto* const first = std::find_if(std::begin(dialect_scheme_table), std::end(dialect_scheme_table), is_of);
  return {first, std::find_if_not(first, std::end(dialect_scheme_table), is_of)};
}

const DialectScheme* dialect_scheme(const Request& r) {
  for (const DialectScheme& scheme : dialect_schemes(r.dialect)) {
    if (scheme.granularity == r.granularity && scheme.static_scale == r.static_scale &&
        scheme.asymmetric == r.asymmetric && has_format(scheme, r.format) && has_scale_format(scheme, r.scale_format) &&
        has_scale_rounding(scheme, r.scale_rounding)) {
      return &scheme;
    }
  }
  return nullptr;
}

bool has_element(Dialect dialect, Element element) {
  const DialectFacts* const facts = find_facts(dialect);
  return facts != nullptr && (facts->has_float || element != Element::float32);
}

std::string scheme_name(const DialectScheme& scheme) {
  return name_of(scheme.granularity, scheme.static_scale, scheme.asymmetric);
}

bool has_format(const DialectScheme& scheme, Format format) {
  return (scheme.formats & bit(format)) != 0;
}

bool has_scale_format(const DialectScheme& scheme, ScaleFormat format) {
  return (scheme.scale_formats & bit(format)) != 0;
}

bool has_scale_rounding(const DialectScheme& scheme, ScaleRounding rounding) {
  return (scheme.roundings & bit(rounding)) != 0;
}

std::optional<InvalidField> validate_dialect(const Request& r) {
  const DialectFacts* const facts = find_facts(r.dialect);
  if (facts == nullptr) return InvalidField{"dialect", "no such dialect"};
  if (r.dialect == Dialect::kqbench) return std::nullopt;

  const std::string name(facts->name);
  const std::string wanted = name_of(r.granularity, r.static_scale, r.asymmetric);
  std::vector<std::string> others;
  std::vector<std::string> formats;
  std::vector<std::string> scale_formats;
  std::vector<std::string> roundings;
  for (const DialectScheme& scheme : dialect_schemes(r.dialect)) {
    const std::string other = scheme_name(scheme);
    add_once(others, other);
    if (other != wanted) continue;
    add_names<Format>(formats, scheme.formats);
    if (!has_format(scheme, r.format)) continue;
    add_names<ScaleFormat>(scale_formats, scheme.scale_formats);
    if (!has_scale_format(scheme, r.scale_format)) continue;
    add_names<ScaleRounding>(roundings, scheme.roundings);
  }
  const std::string codes(to_string(r.format));
  if (formats.empty()) {
    return InvalidField{"dialect",
                        name + " has no " + wanted + " scales; take " + alternatives(others) + ", or another dialect"};
  }
  if (scale_formats.empty()) {
    return InvalidField{"dialect", name + " has no " + codes + " codes with " + wanted + " scales; take " +
                                       alternatives(formats) + ", or another dialect"};
  }
  if (!roundings.empty() && dialect_scheme(r) == nullptr) {
    return InvalidField{"scale_rounding", name + " has no " + std::string(to_string(r.scale_rounding)) +
                                              " scales; take " + alternatives(roundings) + ", or another dialect"};
  }
  if (dialect_scheme(r) == nullptr) {
    return InvalidField{"dialect", name + " has no " + std::string(to_string(r.scale_format)) + " scales for " +
                                       wanted + ' ' + codes + "; take scale_format " + alternatives(scale_formats) +
                                       ", or another dialect"};
  }
  if (r.producer != Producer::none && !has_fused(r)) {
    return InvalidField{"producer", name + " has no kernel of " + std::string(to_string(r.producer)) + " and " +
                                        wanted + " scales; take none, or dialect kqbench"};
  }
  if (!has_element(r.dialect, r.element)) {
    return InvalidField{"dialect", name + " has no kernels for float; take half or bfloat16, or another dialect"};
  }
  if (r.qmax != 0.0f && r.qmax != format_max(r.format)) {
    return InvalidField{"qmax", name + " has bounds of its own; leave qmax out, or take dialect kqbench"};
  }
  if (!facts->has_scale_ub && !std::isinf(r.scale_ub)) {
    return InvalidField{"scale_ub", name + " has no upper bound; leave it out, or take dialect " + names_with_bound()};
  }
  return std::nullopt;
}

std::string_view to_string(Dialect dialect) {
  const DialectFacts* const facts = find_facts(dialect);
  return facts == nullptr ? unknown_name : facts->name;
}

std::optional<Dialect> parse_dialect(std::string_view name) {
  if (name.empty()) return std::nullopt;
  for (const DialectFacts& facts : facts_table) {
    if (facts.name == name) return facts.dialect;
    for (const std::string_view short_name : facts.short_names) {
      if (short_name == name) return facts.dialect;
    }
  }
  return std::nullopt;
}

}  // namespace kq
