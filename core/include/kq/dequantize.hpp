// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The way back from codes to numbers, on the host: decode(code) * scale for fp8 formats, (code - zero_point) * scale
/// for int8, in binary32. kq::dequantize of kq/quantize.hpp is the same for Kokkos Views, on any device.

#include <cstdint>

#include "kq/request.hpp"

namespace kq {

/// What quantization made of a tensor, in host memory. `scales` is float, or uint8 for UE8M0, num_scales(request) of
/// them laid out as the request says; `zero_points` as many, null unless the scheme is asymmetric.
struct Quantized {
  const void* codes = nullptr;
  const void* scales = nullptr;
  const std::int32_t* zero_points = nullptr;
};

/// The numbers one row (`token`) of codes stands for: hidden_size floats. The request is valid and resolved.
void dequantize_row(const Request& request, const Quantized& quantized, std::int64_t token, float* output);

}  // namespace kq
