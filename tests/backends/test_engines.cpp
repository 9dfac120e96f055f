// SPDX-License-Identifier: Apache-2.0

// Every implementation against what other engines were recorded to do in groups and blocks, where they have this
// project's arithmetic (tests/golden/README.md): codes and scales, bit for bit.

#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kq/element.hpp"
#include "kq/request.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

struct Recorded {
  kq::Element element;
  bool static_scale;
  std::int64_t rows;  ///< that share a scale
  std::int64_t columns;
  const char* input;
  const char* scales;
  const char* codes;
};

constexpr Recorded recorded[] = {
    {kq::Element::bfloat16, false, 1, 128, "inputs/bfloat16_15x384_d8355d",
     "aiter-e404860/bfloat16_15x384_int8fp8/group128_fp8_scale", "aiter-e404860/bfloat16_15x384_int8fp8/group128_fp8"},
    {kq::Element::float32, false, 1, 128, "inputs/float_15x384_f95227",
     "aiter-e404860/float_15x384_int8fp8/group128_fp8_scale", "aiter-e404860/float_15x384_int8fp8/group128_fp8"},
    {kq::Element::half, false, 1, 128, "inputs/half_15x384_b099cd",
     "aiter-e404860/half_15x384_int8fp8/group128_fp8_scale", "aiter-e404860/half_15x384_int8fp8/group128_fp8"},
    {kq::Element::float32, false, 1, 128, "inputs/float_15x384_6a7c7f",
     "compressed-tensors-0.20.1/float_15x384/group_fp8_scale", "compressed-tensors-0.20.1/float_15x384/group_fp8"},
    {kq::Element::bfloat16, true, 1, 128, "inputs/bfloat16_6x640_189e58", "inputs/static_1x128_scale_6x5_2f2666",
     "vllm-0.33.0/bfloat16_special_6x640/static_1x128"},
    {kq::Element::bfloat16, true, 128, 128, "inputs/bfloat16_128x256_f2335f", "inputs/static_128x128_scale_1x2_98891d",
     "vllm-0.33.0/bfloat16_static_128x256/static_128x128"},
    {kq::Element::bfloat16, true, 1, 128, "inputs/bfloat16_12x512_56182c", "inputs/static_1x128_scale_12x4_5137a4",
     "vllm-0.33.0/bfloat16_static_12x512/static_1x128"},
    {kq::Element::bfloat16, true, 1, 512, "inputs/bfloat16_12x512_56182c", "inputs/static_1xall_scale_12x1_3f437d",
     "vllm-0.33.0/bfloat16_static_12x512/static_1xall"},
    {kq::Element::bfloat16, true, 4, 256, "inputs/bfloat16_12x512_56182c", "inputs/static_4x256_scale_3x2_c348e1",
     "vllm-0.33.0/bfloat16_static_12x512/static_4x256"},
    {kq::Element::bfloat16, true, 12, 1, "inputs/bfloat16_12x512_56182c", "inputs/static_allx1_scale_1x512_44da6e",
     "vllm-0.33.0/bfloat16_static_12x512/static_allx1"},
    {kq::Element::bfloat16, true, 12, 128, "inputs/bfloat16_12x512_56182c", "inputs/static_allx128_scale_1x4_5ddd5a",
     "vllm-0.33.0/bfloat16_static_12x512/static_allx128"},
    {kq::Element::bfloat16, true, 12, 512, "inputs/bfloat16_12x512_56182c", "inputs/static_allxall_scale_1x1_d9b0b6",
     "vllm-0.33.0/bfloat16_static_12x512/static_allxall"},
    {kq::Element::float32, true, 1, 128, "inputs/float_6x640_a85ee0", "inputs/static_1x128_scale_6x5_fc08d2",
     "vllm-0.33.0/float_special_6x640/static_1x128"},
    {kq::Element::float32, true, 1, 128, "inputs/float_12x512_3117ff", "inputs/static_1x128_scale_12x4_008983",
     "vllm-0.33.0/float_static_12x512/static_1x128"},
    {kq::Element::float32, true, 4, 256, "inputs/float_12x512_3117ff", "inputs/static_4x256_scale_3x2_de33a4",
     "vllm-0.33.0/float_static_12x512/static_4x256"},
    {kq::Element::float32, true, 12, 128, "inputs/float_12x512_3117ff", "inputs/static_allx128_scale_1x4_9c58ce",
     "vllm-0.33.0/float_static_12x512/static_allx128"},
    {kq::Element::half, true, 1, 128, "inputs/half_6x640_7b3f22", "inputs/static_1x128_scale_6x5_aaa4ef",
     "vllm-0.33.0/half_special_6x640/static_1x128"},
    {kq::Element::half, true, 1, 128, "inputs/half_12x512_3015ed", "inputs/static_1x128_scale_12x4_2d51fb",
     "vllm-0.33.0/half_static_12x512/static_1x128"},
    {kq::Element::half, true, 4, 256, "inputs/half_12x512_3015ed", "inputs/static_4x256_scale_3x2_03eacf",
     "vllm-0.33.0/half_static_12x512/static_4x256"},
    {kq::Element::half, true, 12, 128, "inputs/half_12x512_3015ed", "inputs/static_allx128_scale_1x4_417063",
     "vllm-0.33.0/half_static_12x512/static_allx128"},
};

std::vector<float> floats_of(kq::Element element, const std::vector<std::byte>& bytes) {
  std::vector<float> values(bytes.size() / kq::element_size(element));
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (element == kq::Element::float32) {
      std::memcpy(&values[i], bytes.data() + i * sizeof(float), sizeof(float));
      continue;
    }
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + i * sizeof bits, sizeof bits);
    values[i] = element == kq::Element::half ? kq::to_float(kq::half{bits}) : kq::to_float(kq::bfloat16{bits});
  }
  return values;
}

/// The smallest granularity that has these blocks, so that all of them are met.
void set_granularity(kq::Request& r, std::int64_t rows, std::int64_t columns) {
  using kq::Granularity;
  if (columns == r.hidden_size) {
    r.granularity = rows == 1 ? Granularity::token : Granularity::tensor;
  } else if (columns == 1) {
    r.granularity = Granularity::channel;
  } else {
    r.granularity = rows == 1 ? Granularity::group : Granularity::block;
    r.group_size = columns;
    r.block_rows = rows == 1 ? 0 : rows;
  }
}

/// What this project does otherwise, on purpose, put in its place: NaN stays NaN (vLLM gives 448), -0 keeps its sign
/// (compressed-tensors adds 0), and the scale of zeros is 1e-10 / 448.
void set_differences(Problem& problem) {
  const kq::Request& r = problem.request;
  const std::vector<float> x = floats_of(r.element, problem.given.input);
  std::vector<bool> zeros(static_cast<std::size_t>(kq::num_scales(r)), true);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto token = static_cast<std::int64_t>(i) / r.hidden_size;
    const auto scale =
        static_cast<std::size_t>(kq::scale_index(r, token, static_cast<std::int64_t>(i) % r.hidden_size));
    if (x[i] != 0.0f) zeros[scale] = false;
    const bool negative = std::signbit(x[i]);
    if (std::isnan(x[i])) problem.expected.codes[i] = negative ? std::byte{0xff} : std::byte{0x7f};
    if (x[i] == 0.0f) problem.expected.codes[i] = negative ? std::byte{0x80} : std::byte{0x00};
  }
  for (std::size_t i = 0; i < zeros.size() && !r.static_scale; ++i) {
    const float least = 1e-10f / 448.0f;
    if (zeros[i]) std::memcpy(problem.expected.scales.data() + i * sizeof least, &least, sizeof least);
  }
}

TEST(Engines, GroupsAndBlocksComeOutAsRecorded) {
  for (const Recorded& c : recorded) {
    SCOPED_TRACE(c.codes);
    const auto file = [](const char* name) { return golden_array("engines/" + std::string(name) + ".npy"); };
    const NpyArray input = file(c.input);
    Problem problem;
    problem.request.element = c.element;
    problem.request.format = kq::Format::fp8_e4m3fn;
    problem.request.static_scale = c.static_scale;
    // The last row of dynamic ones has no number above 1e-10, which is the least amax here and not there.
    problem.request.num_tokens = input.shape.at(0) - (c.static_scale ? 0 : 1);
    problem.request.hidden_size = input.shape.at(1);
    set_granularity(problem.request, c.rows, c.columns);
    problem.request = kq::resolved(problem.request);
    ASSERT_EQ(kq::validate(problem.request), std::nullopt);
    const auto first = [](std::vector<std::byte> bytes, std::size_t size) {
      EXPECT_GE(bytes.size(), size);
      bytes.resize(size);
      return bytes;
    };
    problem.given.input = first(input.bytes, kq::input_bytes(problem.request));
    problem.expected.scales = first(file(c.scales).bytes, kq::scales_bytes(problem.request));
    if (c.static_scale) problem.given.scales = problem.expected.scales;
    problem.expected.codes = first(file(c.codes).bytes, kq::codes_bytes(problem.request));
    set_differences(problem);
    EXPECT_RIGHT(problem);
    // A group is a block of one row.
    if (problem.request.granularity == kq::Granularity::group) {
      problem.request.granularity = kq::Granularity::block;
      problem.request.block_rows = 1;
      EXPECT_RIGHT(problem);
    }
  }
}

}  // namespace
}  // namespace kqbench::test
