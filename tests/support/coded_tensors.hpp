// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes to dequantize: every code of every format under every scheme, with scales and zero points of all kinds.

#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "kq/request.hpp"

namespace kqbench::test {

/// A tensor as quantization leaves it, on the host.
struct CodedTensor {
  kq::Request request;              ///< resolved
  std::vector<std::uint8_t> codes;  ///< kq::codes_bytes(request); the bits of an int8 code
  std::vector<std::byte> scales;    ///< kq::scales_bytes(request)
  std::vector<std::int32_t> zero_points;
};

/// The scheme's requests for a [7, 300] tensor: with groups, the last of which is short, each scale format and layout.
inline std::vector<kq::Request> requests_to_dequantize(const kq::Scheme& scheme) {
  std::vector<kq::Request> requests;
  for (const kq::Format format : kq::formats()) {
    if (kq::code_bits(format) != 8 || !kq::serves(scheme, format)) continue;
    kq::Request request;
    request.format = format;
    request.granularity = scheme.granularity;
    request.static_scale = scheme.static_scale;
    request.asymmetric = scheme.asymmetric;
    request.num_tokens = 7;
    request.hidden_size = 300;
    if (!kq::has_groups(scheme.granularity)) {
      requests.push_back(request);
      continue;
    }
    request.group_size = 16;
    for (const auto scale_format : {kq::ScaleFormat::float32, kq::ScaleFormat::ue8m0_float32, kq::ScaleFormat::ue8m0}) {
      for (const auto layout :
           {kq::ScaleLayout::row, kq::ScaleLayout::column, kq::ScaleLayout::column_aligned, kq::ScaleLayout::packed}) {
        request.scale_format = scale_format;
        request.scale_layout = layout;
        request.block_rows = scheme.granularity == kq::Granularity::block ? 3 : 0;
        request.scale_stride = layout == kq::ScaleLayout::column ? kq::scale_rows(request) + 2 : 0;
        if (!kq::validate(request)) requests.push_back(request);
      }
    }
  }
  return requests;
}

/// All of them: in each, every row has all 256 codes. Between them, every scale of the list below (all 256 exponents
/// for UE8M0) is met by a scheme of one scale, too; every other tensor has its rows apart.
inline std::vector<CodedTensor> coded_tensors() {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr float least = std::numeric_limits<float>::denorm_min();
  const float scales[] = {1.0f, 0.0123f, 1.7f, 0x1p-120f, 0x1.234p-130f, least, 0x1.fedp+120f, 0.0f, infinity};
  // Zero points that int8 has, that round when subtracted, and that would wrap.
  const std::int32_t zero_points[] = {0,
                                      -128,
                                      127,
                                      5,
                                      (1 << 24) + 1,
                                      -(1 << 24) - 3,
                                      std::numeric_limits<std::int32_t>::min(),
                                      std::numeric_limits<std::int32_t>::max()};
  std::vector<CodedTensor> tensors;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::Request& request : requests_to_dequantize(scheme)) {
      for (std::size_t first = 0; first < std::size(scales); ++first) {
        CodedTensor tensor;
        tensor.request = request;
        tensor.request.codes_stride = first % 2 == 0 ? 0 : request.hidden_size + 5;
        tensor.request = kq::resolved(tensor.request);
        const kq::Request& r = tensor.request;
        tensor.codes.resize(kq::codes_bytes(r));
        for (std::size_t i = 0; i < tensor.codes.size(); ++i) {
          const auto stride = static_cast<std::size_t>(r.codes_stride);
          tensor.codes[i] = static_cast<std::uint8_t>(i % stride + 37 * (i / stride));
        }
        tensor.scales.resize(kq::scales_bytes(r));
        const auto count = static_cast<std::size_t>(kq::stored_scales(r));
        for (std::size_t i = 0; i < count; ++i) {
          if (kq::scale_size(r) == 1) {
            tensor.scales[i] = static_cast<std::byte>(first * count + i);
          } else {
            std::memcpy(&tensor.scales[i * sizeof(float)], &scales[(first + i) % std::size(scales)], sizeof(float));
          }
          if (r.asymmetric) tensor.zero_points.push_back(zero_points[(first + i) % std::size(zero_points)]);
        }
        tensors.push_back(std::move(tensor));
      }
    }
  }
  return tensors;
}

/// Where a dequantization is not the expected one, in words; empty if nowhere. Any NaN is as good as another.
inline std::string difference(const CodedTensor& tensor, const std::vector<float>& found,
                              const std::vector<float>& expected) {
  const kq::Request& r = tensor.request;
  const std::string what = std::string(kq::to_string(r.format)) + ", " + kq::operation_name(r) + ": ";
  if (found.size() != expected.size()) return what + std::to_string(found.size()) + " values";
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (std::isnan(found[i]) && std::isnan(expected[i])) continue;
    if (std::bit_cast<std::uint32_t>(found[i]) == std::bit_cast<std::uint32_t>(expected[i])) continue;
    const std::size_t token = i / static_cast<std::size_t>(r.hidden_size);
    const std::size_t channel = i % static_cast<std::size_t>(r.hidden_size);
    char text[160];
    std::snprintf(text, sizeof text, "output[token %zu, channel %zu] is %a and must be %a; code 0x%02x", token, channel,
                  static_cast<double>(found[i]), static_cast<double>(expected[i]),
                  tensor.codes[token * static_cast<std::size_t>(r.codes_stride) + channel]);
    return what + text;
  }
  return {};
}

}  // namespace kqbench::test
