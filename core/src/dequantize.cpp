// SPDX-License-Identifier: Apache-2.0
#include "kq/dequantize.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "kq/format.hpp"
#include "kq/numerics.hpp"

namespace kq {
namespace {

using Table = std::array<float, 256>;

template <class Float8>
constexpr Table make_table() {
  Table table{};
  for (unsigned code = 0; code < table.size(); ++code) {
    table[code] = Float8::decode(static_cast<std::uint8_t>(code));
  }
  return table;
}

constexpr Table e4m3fn = make_table<Fp8E4M3Fn>();
constexpr Table e5m2 = make_table<Fp8E5M2>();
constexpr Table e4m3fnuz = make_table<Fp8E4M3Fnuz>();
constexpr Table e5m2fnuz = make_table<Fp8E5M2Fnuz>();

/// What every fp8 code stands for; null for int8.
const Table* table_of(Format format) {
  switch (format) {
    case Format::fp8_e4m3fn:
      return &e4m3fn;
    case Format::fp8_e5m2:
      return &e5m2;
    case Format::fp8_e4m3fnuz:
      return &e4m3fnuz;
    case Format::fp8_e5m2fnuz:
      return &e5m2fnuz;
    case Format::int8:
      return nullptr;
  }
  return nullptr;
}

float scale_at(const Request& request, const Quantized& quantized, std::int64_t index) {
  if (request.scale_format == ScaleFormat::ue8m0)
    return ue8m0_value(static_cast<const std::uint8_t*>(quantized.scales)[index]);
  return static_cast<const float*>(quantized.scales)[index];
}

}  // namespace

void dequantize_row(const Request& request, const Quantized& quantized, std::int64_t token, float* output) {
  const auto* const codes = static_cast<const std::uint8_t*>(quantized.codes) + token * request.codes_stride;
  const Table* const table = table_of(request.format);
  const std::int64_t span = columns_per_scale(request);
  for (std::int64_t begin = 0; begin < request.hidden_size; begin += span) {
    const std::int64_t end = std::min(begin + span, request.hidden_size);
    const std::int64_t index = scale_index(request, token, begin);
    const float scale = scale_at(request, quantized, index);
    if (table != nullptr) {
      for (std::int64_t c = begin; c < end; ++c) {
        output[c] = (*table)[codes[c]] * scale;
      }
    } else {
      const std::int64_t zero_point = request.asymmetric ? quantized.zero_points[index] : 0;
      for (std::int64_t c = begin; c < end; ++c) {
        output[c] = static_cast<float>(static_cast<std::int8_t>(codes[c]) - zero_point) * scale;
      }
    }
  }
}

}  // namespace kq
