// SPDX-License-Identifier: Apache-2.0

// The C interface held against the reference, on a host build: every scheme, format and element, strides included.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <latch>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/random.hpp"
#include "kq.h"
#include "kq/dequantize.hpp"
#include "kq/request.hpp"

namespace kqbench {
namespace {

constexpr std::byte padding{0xa5};

kq_request to_c(const kq::Request& request) {
  kq_request r = KQ_REQUEST_INIT;
  r.element = static_cast<std::int32_t>(request.element);
  r.format = static_cast<std::int32_t>(request.format);
  r.granularity = static_cast<std::int32_t>(request.granularity);
  r.static_scale = request.static_scale ? 1 : 0;
  r.asymmetric = request.asymmetric ? 1 : 0;
  r.scale_format = static_cast<std::int32_t>(request.scale_format);
  r.scale_layout = static_cast<std::int32_t>(request.scale_layout);
  r.num_tokens = request.num_tokens;
  r.hidden_size = request.hidden_size;
  r.input_stride = request.input_stride;
  r.codes_stride = request.codes_stride;
  r.group_size = request.group_size;
  return r;
}

/// Outputs of a request by way of the C interface; static scales and zero points are given in `outputs`.
void quantize(const kq::Request& request, const std::vector<std::byte>& input, Outputs& outputs) {
  const kq_request r = to_c(request);
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  ASSERT_EQ(kq_sizes(&r, &sizes), KQ_SUCCESS) << kq_last_error();
  ASSERT_EQ(sizes.input_bytes, input.size());
  outputs.codes.assign(sizes.codes_bytes, padding);
  outputs.scales.resize(sizes.scales_bytes);
  outputs.zero_points.resize(sizes.zero_points_bytes / sizeof(std::int32_t));
  std::vector<std::max_align_t> workspace(sizes.workspace_bytes / sizeof(std::max_align_t) + 1);
  kq_buffers b = KQ_BUFFERS_INIT;
  b.input = input.data();
  b.codes = outputs.codes.data();
  b.scales = outputs.scales.data();
  b.zero_points = outputs.zero_points.data();
  b.workspace = workspace.data();
  b.workspace_bytes = sizes.workspace_bytes;
  ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
}

/// Every scheme with every format it serves and every element, ragged and with gaps between rows.
std::vector<kq::Request> all_requests() {
  std::vector<kq::Request> all;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::Format format : {kq::Format::int8, kq::Format::fp8_e4m3fn, kq::Format::fp8_e5m2,
                                    kq::Format::fp8_e4m3fnuz, kq::Format::fp8_e5m2fnuz}) {
      if (kq::is_fp8(format) ? !scheme.fp8 : !scheme.int8) continue;
      for (const kq::Element element : {kq::Element::half, kq::Element::bfloat16, kq::Element::float32}) {
        kq::Request request;
        request.element = element;
        request.format = format;
        request.granularity = scheme.granularity;
        request.static_scale = scheme.static_scale;
        request.asymmetric = scheme.asymmetric;
        request.group_size = scheme.granularity == kq::Granularity::group ? 32 : 0;
        request.num_tokens = 5;
        request.hidden_size = 77;
        request.input_stride = 80;
        request.codes_stride = 79;
        all.push_back(kq::resolved(request));
      }
    }
  }
  return all;
}

class CInterface : public testing::Test {
 protected:
  void SetUp() override {
    if (std::string_view(kq_backend()) != "host") GTEST_SKIP() << "the library works on " << kq_backend();
  }
};

TEST_F(CInterface, GivesTheBytesOfTheReference) {
  for (const kq::Request& request : all_requests()) {
    SCOPED_TRACE(kq::operation_name(request) + ' ' + std::string(kq::to_string(request.format)) + ' ' +
                 std::string(kq::to_string(request.element)));
    const std::vector<std::byte> input = make_input(request, 3);
    const std::vector<float> scales(static_cast<std::size_t>(kq::num_scales(request)), 0.03f);
    const std::vector<std::int32_t> zero_points(scales.size(), 7);
    Outputs outputs;
    if (request.static_scale) {
      const auto bytes = std::as_bytes(std::span(scales));
      outputs.scales.assign(bytes.begin(), bytes.end());
      if (request.asymmetric) outputs.zero_points = zero_points;
    }
    quantize(request, input, outputs);
    const Outputs expected = reference(request, input.data(), scales.data(), zero_points.data(), padding);
    EXPECT_EQ(outputs.codes, expected.codes);
    EXPECT_EQ(outputs.scales, expected.scales);
    EXPECT_EQ(outputs.zero_points, expected.zero_points);

    const kq_request r = to_c(request);
    kq_buffers b = KQ_BUFFERS_INIT;
    b.codes = outputs.codes.data();
    b.scales = outputs.scales.data();
    b.zero_points = outputs.zero_points.data();
    std::vector<float> back(static_cast<std::size_t>(request.num_tokens * request.hidden_size));
    ASSERT_EQ(kq_dequantize(&r, &b, back.data(), nullptr), KQ_SUCCESS) << kq_last_error();
    std::vector<float> row(static_cast<std::size_t>(request.hidden_size));
    for (std::int64_t token = 0; token < request.num_tokens; ++token) {
      kq::dequantize_row(request, {b.codes, b.scales, b.zero_points}, token, row.data());
      EXPECT_TRUE(std::equal(row.begin(), row.end(), back.begin() + token * request.hidden_size));
    }
  }
}

/// What kq_dequantize must give.
std::vector<float> dequantized(const kq::Request& request, const Outputs& outputs) {
  std::vector<float> all(static_cast<std::size_t>(request.num_tokens * request.hidden_size));
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    kq::dequantize_row(request, {outputs.codes.data(), outputs.scales.data(), outputs.zero_points.data()}, token,
                       all.data() + token * request.hidden_size);
  }
  return all;
}

/// Different requests in each thread at any time, refused ones among them, in a process that has not called the library
/// before.
TEST_F(CInterface, ServesSeveralThreadsAtOnce) {
  struct Case {
    kq::Request request;
    std::vector<std::byte> input;
    Outputs expected;
    std::vector<float> back;
  };
  constexpr float scale = 0.03f;
  std::vector<Case> cases;
  for (kq::Request request : all_requests()) {
    request.num_tokens = 3 + std::ssize(cases) % 5;
    const auto num_scales = static_cast<std::size_t>(kq::num_scales(request));
    const std::vector<float> scales(num_scales, scale);
    const std::vector<std::int32_t> zero_points(num_scales, 7);
    Case made{request, make_input(request, cases.size()), {}, {}};
    made.expected = reference(request, made.input.data(), scales.data(), zero_points.data(), padding);
    made.back = dequantized(request, made.expected);
    cases.push_back(std::move(made));
  }

  constexpr int num_threads = 4;
  std::latch all_are_there(num_threads);
  const auto work = [&](int thread) {
    all_are_there.arrive_and_wait();
    EXPECT_STREQ(kq_last_error(), "");
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const Case& mine = cases[(i + static_cast<std::size_t>(thread) * cases.size() / num_threads) % cases.size()];
      SCOPED_TRACE(kq::operation_name(mine.request) + " in thread " + std::to_string(thread));
      kq_request refused = to_c(mine.request);
      refused.element = 1000 * thread + static_cast<std::int32_t>(i) + 3;
      kq_buffers b = KQ_BUFFERS_INIT;
      EXPECT_EQ(kq_quantize(&refused, &b, nullptr), KQ_INVALID_ARGUMENT);
      const std::string message = kq_last_error();
      EXPECT_EQ(message, "element: " + std::to_string(refused.element) + " is no value of it; see kq.h");

      Outputs outputs;
      if (mine.request.static_scale) {
        outputs.scales = mine.expected.scales;
        outputs.zero_points = mine.expected.zero_points;
      }
      quantize(mine.request, mine.input, outputs);
      EXPECT_EQ(outputs.codes, mine.expected.codes);
      EXPECT_EQ(outputs.scales, mine.expected.scales);
      EXPECT_EQ(outputs.zero_points, mine.expected.zero_points);

      const kq_request r = to_c(mine.request);
      b.codes = outputs.codes.data();
      b.scales = outputs.scales.data();
      b.zero_points = outputs.zero_points.data();
      std::vector<float> back(mine.back.size());
      EXPECT_EQ(kq_dequantize(&r, &b, back.data(), nullptr), KQ_SUCCESS);
      EXPECT_EQ(std::memcmp(back.data(), mine.back.data(), back.size() * sizeof(float)), 0);  // NaN is itself
      EXPECT_EQ(kq_last_error(), message) << "of this thread's last failure";
    }
  };
  std::vector<std::thread> threads;
  for (int thread = 0; thread < num_threads; ++thread) {
    threads.emplace_back(work, thread);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST_F(CInterface, KeepsEachThreadsMessageApart) {
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  ASSERT_EQ(kq_sizes(nullptr, &sizes), KQ_INVALID_ARGUMENT);
  std::string elsewhere = "not looked at";
  std::thread([&] { elsewhere = kq_last_error(); }).join();
  EXPECT_EQ(elsewhere, "");
  EXPECT_NE(std::string(kq_last_error()), "");
}

}  // namespace
}  // namespace kqbench
