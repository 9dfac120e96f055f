// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The way back from codes to numbers, on the host: decode(code) * scale for fp8 and fp4 formats, (code - zero_point) *
/// scale for int8, in binary32. A scale of format e4m3 is first multiplied by that of the tensor. kq::dequantize of
/// kq/quantize.hpp is the same for Kokkos Views, on any device.

#include <cstdint>

#include "kq/request.hpp"

namespace kq {

/// What quantization made of a tensor, in host memory. `scales` is float, or uint8 for UE8M0 and E4M3,
/// num_scales(request) of them laid out as the request says; `zero_points` as many, null unless the scheme is
/// asymmetric; `global_scale` the tensor's, null unless the scale format is e4m3.
struct Quantized {
  const void* codes = nullptr;
  const void* scales = nullptr;
  const std::int32_t* zero_points = nullptr;
  const float* global_scale = nullptr;
};

/// The numbers one row (`token`) of codes stands for: hidden_size floats. The request is valid and resolved.
void dequantize_row(const Request& request, const Quantized& quantized, std::int64_t token, float* output);

}  // namespace kq
