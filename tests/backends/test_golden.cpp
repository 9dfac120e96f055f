// SPDX-License-Identifier: Apache-2.0

// Every implementation against what vLLM's kernels were recorded to do (tests/golden): codes, scales and zero points,
// bit for bit.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "kq/request.hpp"
#include "tests/support/golden.hpp"
#include "tests/support/printing.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

template <class T>
std::vector<std::byte> bytes_of(const std::vector<T>& values) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A folder of recordings: "half_12x1024".
class Golden : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const std::string& folder = GetParam();
    const NpyArray input = golden_array(folder + "/input.npy");
    ASSERT_EQ(input.shape.size(), 2u);
    request_.num_tokens = input.shape[0];
    request_.hidden_size = input.shape[1];
    request_.element = *kq::parse_element(folder.substr(0, folder.find('_')));
    input_ = input.bytes;
    ASSERT_EQ(input_.size(), kq::input_bytes(request_));
  }

  static std::string path(const std::string& file) { return GetParam() + '/' + file + ".npy"; }

  /// A request on the folder's input, with the recorded codes.
  Problem recorded(kq::Format format, kq::Granularity granularity, const std::string& codes_file) const {
    Problem problem;
    problem.request = request_;
    problem.request.format = format;
    problem.request.granularity = granularity;
    problem.given.input = input_;
    problem.expected.codes = golden_array(path(codes_file)).bytes;
    return problem;
  }

  static void expect_recorded(Problem problem) {
    problem.request = kq::resolved(problem.request);
    ASSERT_EQ(kq::validate(problem.request), std::nullopt);
    ASSERT_EQ(problem.expected.codes.size(), kq::codes_bytes(problem.request));
    ASSERT_EQ(problem.expected.scales.size(), kq::scales_bytes(problem.request));
    EXPECT_RIGHT(problem);
  }

  static void expect_static(Problem problem, float scale) {
    problem.request.static_scale = true;
    problem.given.scales = bytes_of(std::vector<float>{scale});
    problem.expected.scales = problem.given.scales;
    expect_recorded(std::move(problem));
  }

  static void expect_dynamic(Problem problem, const std::string& scales_file) {
    problem.expected.scales = golden_array(path(scales_file)).bytes;
    expect_recorded(std::move(problem));
  }

  void expect_groups(std::int64_t group_size) const {
    const std::string name = "group" + std::to_string(group_size) + "_fp8";
    Problem problem = recorded(kq::Format::fp8_e4m3fn, kq::Granularity::group, name);
    problem.request.group_size = group_size;
    expect_dynamic(problem, name + "_scale");

    // Those scales, column by column.
    problem.request.scale_layout = kq::ScaleLayout::column;
    const auto rows = golden<float>(path(name + "_scale"));
    std::vector<float> columns(rows.size());
    const auto groups = static_cast<std::size_t>(kq::groups_per_row(problem.request));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      columns[i % groups * (rows.size() / groups) + i / groups] = rows[i];
    }
    problem.expected.scales = bytes_of(columns);
    expect_recorded(std::move(problem));
  }

  /// Only some folders have recordings of groups: those whose rows are whole numbers of them.
  bool has_groups() const { return request_.hidden_size % 128 == 0; }

  kq::Request request_;
  std::vector<std::byte> input_;
};

TEST_P(Golden, StaticTensor) {
  for (const auto& [name, scale] : {std::pair{"0.0123", 0.0123f}, std::pair{"1.7", 1.7f}}) {
    const std::string end = std::string("_scale") + name;
    expect_static(recorded(kq::Format::fp8_e4m3fn, kq::Granularity::tensor, "static_tensor_fp8" + end), scale);
    expect_static(recorded(kq::Format::int8, kq::Granularity::tensor, "static_tensor_int8" + end), scale);
  }
}

TEST_P(Golden, DynamicTensor) {
  expect_dynamic(recorded(kq::Format::fp8_e4m3fn, kq::Granularity::tensor, "dynamic_tensor_fp8"),
                 "dynamic_tensor_fp8_scale");
}

TEST_P(Golden, DynamicToken) {
  expect_dynamic(recorded(kq::Format::fp8_e4m3fn, kq::Granularity::token, "dynamic_token_fp8"),
                 "dynamic_token_fp8_scale");
  expect_dynamic(recorded(kq::Format::int8, kq::Granularity::token, "dynamic_token_int8"), "dynamic_token_int8_scale");
}

TEST_P(Golden, DynamicTokenAsymmetric) {
  const std::string name = "dynamic_token_int8_azp";
  Problem problem = recorded(kq::Format::int8, kq::Granularity::token, name);
  problem.request.asymmetric = true;
  const auto rows = golden<std::int32_t>(path(name + "_input_rows"));
  const auto row_bytes = static_cast<std::ptrdiff_t>(input_.size()) / request_.num_tokens;
  problem.request.num_tokens = static_cast<std::int64_t>(rows.size());
  problem.given.input.clear();
  for (const std::int32_t row : rows) {
    const auto begin = input_.begin() + row * row_bytes;
    problem.given.input.insert(problem.given.input.end(), begin, begin + row_bytes);
  }
  problem.expected.zero_points = golden_array(path(name + "_zero_point")).bytes;
  expect_dynamic(std::move(problem), name + "_scale");
}

TEST_P(Golden, Groups) {
  if (!has_groups()) {
    // Nothing recorded; a group that is short at the end of a row is tested in test_implementations.cpp.
    EXPECT_THROW(golden_array(path("group128_fp8")), std::runtime_error);
    return;
  }
  expect_groups(64);
  expect_groups(128);
}

INSTANTIATE_TEST_SUITE_P(Recorded, Golden,
                         ::testing::Values("half_12x1024", "half_7x1040", "bfloat16_12x1024", "bfloat16_7x1040",
                                           "float_12x1024", "float_7x1040"),
                         [](const auto& folder) { return folder.param; });

/// The recorded conversions, asked of whole kernels: under a static scale of 1 a code is its input's conversion, as the
/// device's own instructions make it.
class GoldenConversion : public ::testing::TestWithParam<kq::Format> {
 protected:
  static std::vector<std::byte> recorded_codes(kq::Element element) {
    const std::string format(kq::to_string(GetParam()).substr(4));  // "e4m3fn"
    return golden_array("convert/" + std::string(kq::to_string(element)) + "_to_" + format + ".npy").bytes;
  }

  static void expect_converted(kq::Element element, std::vector<std::byte> input, std::vector<std::byte> codes) {
    Problem problem;
    problem.request.element = element;
    problem.request.format = GetParam();
    problem.request.static_scale = true;
    problem.given.input = std::move(input);
    problem.given.scales = bytes_of(std::vector<float>{1.0f});
    problem.expected.codes = std::move(codes);
    problem.expected.scales = problem.given.scales;
    // Rows long enough for four codes a conversion, and rows of a single element.
    for (const std::int64_t hidden_size : {1024, 1}) {
      problem.request.hidden_size = hidden_size;
      problem.request.num_tokens = 65536 / hidden_size;
      Problem resolved = problem;
      resolved.request = kq::resolved(problem.request);
      ASSERT_EQ(resolved.given.input.size(), kq::input_bytes(resolved.request));
      ASSERT_EQ(resolved.expected.codes.size(), kq::codes_bytes(resolved.request));
      EXPECT_RIGHT(resolved);
    }
  }

  /// All bit patterns of a 16-bit element, in order.
  static std::vector<std::uint16_t> patterns() {
    std::vector<std::uint16_t> all(65536);
    std::iota(all.begin(), all.end(), std::uint16_t{0});
    return all;
  }
};

TEST_P(GoldenConversion, OfEveryHalf) {
  expect_converted(kq::Element::half, bytes_of(patterns()), recorded_codes(kq::Element::half));
}

TEST_P(GoldenConversion, OfEveryBfloat16) {
  expect_converted(kq::Element::bfloat16, bytes_of(patterns()), recorded_codes(kq::Element::bfloat16));
}

/// Floats are too many to record, but every bfloat16 is one.
TEST_P(GoldenConversion, OfEveryBfloat16AsAFloat) {
  std::vector<std::uint32_t> floats;
  for (const std::uint16_t bits : patterns()) {
    floats.push_back(std::uint32_t{bits} << 16);
  }
  expect_converted(kq::Element::float32, bytes_of(floats), recorded_codes(kq::Element::bfloat16));
}

INSTANTIATE_TEST_SUITE_P(To, GoldenConversion,
                         ::testing::Values(kq::Format::fp8_e4m3fn, kq::Format::fp8_e5m2, kq::Format::fp8_e4m3fnuz,
                                           kq::Format::fp8_e5m2fnuz),
                         [](const auto& format) { return std::string(kq::to_string(format.param)); });

}  // namespace
}  // namespace kqbench::test
