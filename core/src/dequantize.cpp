// SPDX-License-Identifier: Apache-2.0
#include "kq/dequantize.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"

namespace kq {
namespace {

using Table = std::array<float, 256>;

template <class Float>
constexpr Table numbers_of = [] {
  Table table{};
  for (unsigned code = 0; code < table.size(); ++code) {
    table[code] = Float::decode(static_cast<std::uint8_t>(code));
  }
  return table;
}();

/// What every floating-point code stands for; null for int8.
const Table* table_of(Format format) {
  const Table* table = nullptr;
  with_any_format(format, [&]<class Codes>(Codes) {
    if constexpr (!Codes::is_integer) table = &numbers_of<Codes>;
  });
  return table;
}

float scale_at(const Request& request, const Quantized& quantized, std::int64_t index) {
  const float scale = group_scale_at(quantized.scales, request.scale_format, index);
  return has_global_scale(request) ? scale * *quantized.global_scale : scale;
}

}  // namespace

void dequantize_row(const Request& request, const Quantized& quantized, std::int64_t token, float* output) {
  const auto* const codes =
      static_cast<const std::uint8_t*>(quantized.codes) + codes_row_bytes(request.format, token * request.codes_stride);
  const bool four_bits = code_bits(request.format) == 4;
  const Table* const table = table_of(request.format);
  const std::int64_t span = columns_per_scale(request);
  for (std::int64_t begin = 0; begin < request.hidden_size; begin += span) {
    const std::int64_t end = std::min(begin + span, request.hidden_size);
    const std::int64_t index = scale_index(request, token, begin);
    const float scale = scale_at(request, quantized, index);
    if (four_bits) {
      for (std::int64_t c = begin; c < end; ++c) {
        output[c] = (*table)[code_at<Fp4E2M1>(codes, c)] * scale;
      }
    } else if (table != nullptr) {
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
