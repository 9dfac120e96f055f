// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Data for a request: input with every kind of number in it, given scales, and a comparison of what comes out.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "kq/element.hpp"
#include "kq/request.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench::testing {

/// Input, and scales and zero points where the request has them given.
using TestData = kq::HostTensors;

inline void put(const kq::Request& r, std::vector<std::byte>& input, std::int64_t index, float value) {
  const auto place = input.data() + static_cast<std::size_t>(index) * kq::element_size(r.element);
  if (r.element == kq::Element::half) {
    const kq::half x = kq::to_half(value);
    std::memcpy(place, &x, sizeof x);
  } else if (r.element == kq::Element::bfloat16) {
    const kq::bfloat16 x = kq::to_bfloat16(value);
    std::memcpy(place, &x, sizeof x);
  } else {
    std::memcpy(place, &value, sizeof value);
  }
}

/// A tensor of exactly these values, one row after the other. The gaps of a strided input are NaN, which would show.
inline std::vector<std::byte> make_input(const kq::Request& request, const std::vector<float>& values) {
  const kq::Request r = kq::resolved(request);
  std::vector<std::byte> input(kq::input_bytes(r), std::byte{0xff});
  for (std::int64_t t = 0; t < r.num_tokens; ++t) {
    for (std::int64_t c = 0; c < r.hidden_size; ++c) {
      put(r, input, t * r.input_stride + c, values[static_cast<std::size_t>(t * r.hidden_size + c)]);
    }
  }
  return input;
}

/// What a random tensor is made of.
enum class Kind { normal, adversarial };

/// A tensor's values, row by row. Mostly numbers of the size activations have. Adversarial: in some rows NaN,
/// infinities, zeros of both signs, subnormals and the largest numbers too, and some rows that are constant or all
/// zero.
inline std::vector<float> make_values(std::int64_t num_tokens, std::int64_t hidden_size, Kind kind,
                                      std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const auto uniform = [&] { return static_cast<float>(random() >> 40) * 0x1p-23f - 1.0f; };  // [-1, 1)
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float nan = std::numeric_limits<float>::quiet_NaN();
  const float special[] = {nan,        -nan,     inf,         -inf,     0.0f,      -0.0f,    0x1p-149f,
                           -0x1p-140f, 0x1p-24f, -0x1.8p-15f, 65504.0f, -65504.0f, 3.38e38f, -3.38e38f,
                           0.5f,       -1.5f,    2.5f,        448.0f,   -464.0f};
  std::vector<float> values;
  values.reserve(static_cast<std::size_t>(num_tokens * hidden_size));
  for (std::int64_t t = 0; t < num_tokens; ++t) {
    const std::uint64_t mood = kind == Kind::normal ? 9 : random() % 10;
    const float constant = special[random() % std::size(special)];
    for (std::int64_t c = 0; c < hidden_size; ++c) {
      float value = uniform() * uniform() * 8.0f;
      if (mood == 0) value = constant;
      if (mood == 1) value = 0.0f;
      if (mood == 2 && random() % 8 == 0) value = special[random() % std::size(special)];
      if (mood == 3 && random() % 4 == 0) value = special[random() % 2];
      if (mood == 4) value = std::ldexp(uniform(), static_cast<int>(random() % 60) - 40);
      if (mood == 5) value = std::ldexp(uniform(), -130);
      values.push_back(value);
    }
  }
  return values;
}

/// These values as the request's input, with scales and zero points where it has them given.
inline TestData make_data(const kq::Request& request, const std::vector<float>& values, std::uint64_t seed) {
  const kq::Request r = kq::resolved(request);
  TestData data;
  data.input = make_input(r, values);
  if (r.static_scale) {
    std::mt19937_64 random(seed);
    data.scales.resize(kq::scales_bytes(r));
    std::vector<std::int32_t> zero_points;
    for (std::size_t i = 0; i < static_cast<std::size_t>(kq::stored_scales(r)); ++i) {
      const bool power_of_two = r.scale_format != kq::ScaleFormat::float32;
      const float fraction = power_of_two ? 1.0f : 1.0f + static_cast<float>(random() >> 41) * 0x1p-23f;  // [1, 2)
      const auto exponent = static_cast<int>(random() % 8) - 8;
      const float scale = std::ldexp(fraction, exponent);
      if (kq::scale_size(r) == 1) {
        data.scales[i] = static_cast<std::byte>(exponent + 127);
      } else {
        std::memcpy(data.scales.data() + i * sizeof scale, &scale, sizeof scale);
      }
      if (r.asymmetric) zero_points.push_back(static_cast<std::int32_t>(random() % 300) - 150);
    }
    data.zero_points = to_bytes(zero_points);
  }
  return data;
}

inline TestData make_data(const kq::Request& request, Kind kind, std::uint64_t seed) {
  return make_data(request, make_values(request.num_tokens, request.hidden_size, kind, seed), seed);
}

/// What an implementation makes of a request, on a device whose memory is the host's. The outputs are poisoned first.
inline HostTensors run(Implementation& implementation, const kq::Request& request, const TestData& data,
                       std::byte padding = std::byte{0xa5}) {
  const kq::Request r = kq::resolved(request);
  HostTensors outputs = data;
  for (const kq::TensorSpec& tensor : kq::tensors(r)) {
    if (tensor.is_written) (outputs.*tensor.on_host).assign(tensor.bytes(), padding);
  }
  std::vector<std::max_align_t> workspace(implementation.workspace_bytes(r) / sizeof(std::max_align_t) + 1);
  Operands operands = kq::addresses(outputs);
  operands.workspace = workspace.data();
  implementation.enqueue(r, operands);
  return outputs;
}

inline HostTensors expected(const kq::Request& request, const TestData& data, std::byte padding = std::byte{0xa5}) {
  return reference(request, kq::addresses(data), padding);
}

/// The first difference between two byte strings, as "byte 17 of 64: 0x7f, not 0x00"; empty if there is none.
inline std::string first_difference(const std::vector<std::byte>& actual, const std::vector<std::byte>& wanted) {
  if (actual == wanted) return {};
  if (actual.size() != wanted.size()) return "sizes differ";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (actual[i] != wanted[i]) {
      char text[96];
      std::snprintf(text, sizeof text, "byte %zu of %zu: 0x%02x, not 0x%02x", i, actual.size(),
                    static_cast<unsigned>(actual[i]), static_cast<unsigned>(wanted[i]));
      return text;
    }
  }
  return {};
}

/// A request in words, for a failing test.
inline std::string describe(const kq::Request& r) {
  return kq::operation_name(r) + ' ' + std::string(kq::to_string(r.element)) + " to " +
         std::string(kq::to_string(r.format)) + ", " + std::to_string(r.num_tokens) + 'x' +
         std::to_string(r.hidden_size) + ", strides " + std::to_string(r.input_stride) + ' ' +
         std::to_string(r.codes_stride) + ", qmax " + std::to_string(r.qmax);
}

/// Expects the same bytes, padding included.
inline void expect_outputs(const kq::Request& request, const HostTensors& actual, const HostTensors& wanted) {
  EXPECT_EQ(first_difference(actual.scales, wanted.scales), "") << "scales of " << describe(request);
  EXPECT_EQ(actual.zero_points, wanted.zero_points) << "zero points of " << describe(request);
  EXPECT_EQ(first_difference(actual.codes, wanted.codes), "") << "codes of " << describe(request);
}

}  // namespace kqbench::testing
