// SPDX-License-Identifier: Apache-2.0

// The C interface held against the reference, on a host build: every scheme, format and element, strides included.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <latch>
#include <limits>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/random.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "capi/c_request.hpp"
#include "kq.h"
#include "kq/dequantize.hpp"
#include "kq/parameters.hpp"
#include "kq/request.hpp"
#include "tests/support/host_tensors.hpp"

namespace kqbench {
namespace {

constexpr std::byte padding{0xa5};

/// HostTensors of a request by way of the C interface; static scales and zero points are given in `outputs`.
void quantize(const kq::Request& request, const std::vector<std::byte>& input, HostTensors& outputs) {
  const kq_request r = kq::c::c_request(request);
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  ASSERT_EQ(kq_sizes(&r, &sizes), KQ_SUCCESS) << kq_last_error();
  ASSERT_EQ(sizes.input_bytes, input.size());
  outputs.codes.assign(sizes.codes_bytes, padding);
  outputs.scales.resize(sizes.scales_bytes);
  outputs.zero_points.resize(sizes.zero_points_bytes);
  std::vector<std::max_align_t> workspace(sizes.workspace_bytes / sizeof(std::max_align_t) + 1);
  kq_buffers b = KQ_BUFFERS_INIT;
  b.input = input.data();
  b.codes = outputs.codes.data();
  b.scales = outputs.scales.data();
  b.zero_points = kq::addresses(outputs).zero_points;
  b.workspace = workspace.data();
  b.workspace_bytes = sizes.workspace_bytes;
  ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
}

/// Every scheme with every format it serves and every element, ragged and with gaps between rows.
std::vector<kq::Request> all_requests() {
  std::vector<kq::Request> all;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::Format format : kq::formats()) {
      if (kq::code_bits(format) != 8 || !kq::serves(scheme, format)) continue;
      for (const kq::Element element : {kq::Element::half, kq::Element::bfloat16, kq::Element::float32}) {
        kq::Request request;
        request.element = element;
        request.format = format;
        request.granularity = scheme.granularity;
        request.static_scale = scheme.static_scale;
        request.asymmetric = scheme.asymmetric;
        request.group_size = kq::has_groups(scheme.granularity) ? 32 : 0;
        request.block_rows = scheme.granularity == kq::Granularity::block ? 2 : 0;
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

/// kq.h names its enumerators as the command line does, in capitals, and counts them as the library does.
TEST(Header, HasEveryNameAndItsValue) {
  std::ifstream file(KQ_HEADER);
  const std::string header{std::istreambuf_iterator<char>(file), {}};
  constexpr std::pair<const char*, const char*> enumerations[] = {
      {"quant_dtype", "KQ_"},         {"scale_format", "KQ_SCALE_"},
      {"scale_layout", "KQ_LAYOUT_"}, {"scale_rounding", "KQ_ROUNDING_"},
      {"dialect", "KQ_DIALECT_"},     {"producer", "KQ_PRODUCER_"}};
  for (const auto& [parameter, prefix] : enumerations) {
    int value = 0;
    for (std::string name : kq::parameter(parameter).names()) {
      for (char& c : name) {
        c = c == '-' || c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
      }
      const std::string enumerator = prefix + name + " = " + std::to_string(value++);
      EXPECT_NE(header.find(enumerator), std::string::npos) << enumerator;
    }
  }
}

TEST_F(CInterface, QuantizesBehindProducers) {
  for (const kq::ProducerFacts& facts : kq::producers()) {
    const kq::Producer producer = facts.producer;
    for (const kq::Granularity granularity : {kq::Granularity::token, kq::Granularity::tensor}) {
      SCOPED_TRACE(std::string(kq::to_string(producer)) + ", " + kq::to_string(granularity, 0));
      kq::Request request;
      request.element = kq::Element::bfloat16;
      request.format = kq::Format::fp8_e4m3fn;
      request.granularity = granularity;
      request.producer = producer;
      request.num_tokens = 5;
      request.hidden_size = 77;
      request = kq::resolved(request);
      HostTensors tensors = make_sources(request, 3);
      const HostTensors expected = reference(request, kq::addresses(tensors));

      const kq_request r = kq::c::c_request(request);
      kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
      ASSERT_EQ(kq_sizes(&r, &sizes), KQ_SUCCESS) << kq_last_error();
      EXPECT_EQ(sizes.input_bytes, tensors.input.size());
      EXPECT_EQ(sizes.weight_bytes, tensors.weight.size());
      EXPECT_EQ(sizes.residual_bytes, tensors.residual.size());
      tensors.codes.resize(sizes.codes_bytes);
      tensors.scales.resize(sizes.scales_bytes);
      tensors.residual_out.resize(sizes.residual_bytes);
      std::vector<std::max_align_t> workspace(sizes.workspace_bytes / sizeof(std::max_align_t) + 1);
      kq_buffers b = KQ_BUFFERS_INIT;
      b.input = tensors.input.data();
      b.codes = tensors.codes.data();
      b.scales = kq::addresses(tensors).scales;
      b.workspace = workspace.data();
      b.workspace_bytes = sizes.workspace_bytes;
      if (kq::has_norm(producer)) {
        EXPECT_EQ(kq_quantize(&r, &b, nullptr), KQ_INVALID_ARGUMENT);
        EXPECT_EQ(std::string_view(kq_last_error()).substr(0, 7), "weight:");
        b.weight = tensors.weight.data();
      }
      b.residual = tensors.residual.data();
      b.residual_out = tensors.residual_out.data();
      ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
      EXPECT_EQ(tensors.codes, expected.codes);
      EXPECT_EQ(tensors.scales, expected.scales);
      EXPECT_EQ(tensors.residual_out, expected.residual_out);
      if (!kq::has_residual(producer)) continue;
      // The sum in the residual's own place, but not a part of it.
      b.residual_out = tensors.residual.data() + 2;
      EXPECT_EQ(kq_quantize(&r, &b, nullptr), KQ_INVALID_ARGUMENT);
      b.residual_out = tensors.residual.data();
      ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
      EXPECT_EQ(tensors.residual, expected.residual_out);
      EXPECT_EQ(tensors.codes, expected.codes);
    }
  }
}

TEST_F(CInterface, GivesTheBytesOfTheReference) {
  for (const kq::Request& request : all_requests()) {
    SCOPED_TRACE(kq::operation_name(request) + ' ' + std::string(kq::to_string(request.format)) + ' ' +
                 std::string(kq::to_string(request.element)));
    const std::vector<std::byte> input = make_input(request, 3);
    const std::vector<float> scales(static_cast<std::size_t>(kq::num_scales(request)), 0.03f);
    const std::vector<std::int32_t> zero_points(scales.size(), 7);
    HostTensors outputs;
    if (request.static_scale) {
      const auto bytes = std::as_bytes(std::span(scales));
      outputs.scales.assign(bytes.begin(), bytes.end());
      if (request.asymmetric) outputs.zero_points = to_bytes(zero_points);
    }
    quantize(request, input, outputs);
    const HostTensors expected =
        reference(request, test::given(input.data(), scales.data(), zero_points.data()), padding);
    EXPECT_EQ(outputs.codes, expected.codes);
    EXPECT_EQ(outputs.scales, expected.scales);
    EXPECT_EQ(outputs.zero_points, expected.zero_points);

    const kq_request r = kq::c::c_request(request);
    kq_buffers b = KQ_BUFFERS_INIT;
    b.codes = outputs.codes.data();
    b.scales = outputs.scales.data();
    b.zero_points = kq::addresses(outputs).zero_points;
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
std::vector<float> dequantized(const kq::Request& request, const HostTensors& outputs) {
  const kq::Operands o = kq::addresses(outputs);
  std::vector<float> all(static_cast<std::size_t>(request.num_tokens * request.hidden_size));
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    kq::dequantize_row(request, {o.codes, o.scales, o.zero_points}, token, all.data() + token * request.hidden_size);
  }
  return all;
}

/// Different requests in each thread at any time, refused ones among them, in a process that has not called the library
/// before.
TEST_F(CInterface, ServesSeveralThreadsAtOnce) {
  struct Case {
    kq::Request request;
    std::vector<std::byte> input;
    HostTensors expected;
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
    made.expected = reference(request, test::given(made.input.data(), scales.data(), zero_points.data()), padding);
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
      kq_request refused = kq::c::c_request(mine.request);
      refused.element = 1000 * thread + static_cast<std::int32_t>(i) + 3;
      kq_buffers b = KQ_BUFFERS_INIT;
      EXPECT_EQ(kq_quantize(&refused, &b, nullptr), KQ_INVALID_ARGUMENT);
      const std::string message = kq_last_error();
      EXPECT_EQ(message, "element: must be KQ_HALF, KQ_BFLOAT16 or KQ_FLOAT32, not " + std::to_string(refused.element));

      HostTensors outputs;
      if (mine.request.static_scale) {
        outputs.scales = mine.expected.scales;
        outputs.zero_points = mine.expected.zero_points;
      }
      quantize(mine.request, mine.input, outputs);
      EXPECT_EQ(outputs.codes, mine.expected.codes);
      EXPECT_EQ(outputs.scales, mine.expected.scales);
      EXPECT_EQ(outputs.zero_points, mine.expected.zero_points);

      const kq_request r = kq::c::c_request(mine.request);
      b.codes = outputs.codes.data();
      b.scales = outputs.scales.data();
      b.zero_points = kq::addresses(outputs).zero_points;
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

TEST_F(CInterface, KeepsTheTextOfAFailureUntilTheNextFailure) {
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  kq_request request = kq::c::c_request(all_requests().front());
  request.reserved = 1;
  ASSERT_EQ(kq_sizes(&request, &sizes), KQ_INVALID_ARGUMENT);
  const char* const text = kq_last_error();
  EXPECT_STREQ(text, "reserved: must be 0");
  request.reserved = 0;
  ASSERT_EQ(kq_sizes(&request, &sizes), KQ_SUCCESS);
  EXPECT_STREQ(text, "reserved: must be 0");
  ASSERT_EQ(kq_sizes(nullptr, &sizes), KQ_INVALID_ARGUMENT);  // a longer text
  EXPECT_EQ(kq_last_error(), text) << "one address for as long as the thread lives";
  EXPECT_STREQ(text, "request: must not be NULL");
}

/// Every pair of tensors of which one is written, and the pairs that are only read.
TEST_F(CInterface, DoesNothingInPlace) {
  alignas(16) std::array<std::byte, 4096> memory{};
  kq_request r = KQ_REQUEST_INIT;  // a dynamic tensor scale of int8 codes with a zero point, which takes a workspace
  r.asymmetric = 1;
  r.num_tokens = 2;
  r.hidden_size = 16;
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  ASSERT_EQ(kq_sizes(&r, &sizes), KQ_SUCCESS) << kq_last_error();
  ASSERT_LT(sizes.workspace_bytes, 2048U);
  const auto at = [&](std::size_t offset) { return static_cast<void*>(memory.data() + offset); };
  kq_buffers apart = KQ_BUFFERS_INIT;
  apart.input = at(0);  // 64 bytes
  apart.codes = at(64);
  apart.scales = at(96);
  apart.zero_points = static_cast<std::int32_t*>(at(100));
  apart.workspace = at(112);
  apart.workspace_bytes = sizes.workspace_bytes;
  const auto answer = [&](const kq_buffers& b) {
    return kq_quantize(&r, &b, nullptr) == KQ_SUCCESS ? std::string() : std::string(kq_last_error());
  };
  const auto shared = [](const std::string& written, const std::string& other) {
    return written + ": shares memory with " + other + "; nothing is done in place, give it memory of its own";
  };
  EXPECT_EQ(answer(apart), "");
  kq_buffers b = apart;
  b.codes = at(63);
  EXPECT_EQ(answer(b), shared("codes", "input"));
  b = apart;
  b.scales = at(60);
  EXPECT_EQ(answer(b), shared("scales", "input"));
  b.scales = at(92);
  EXPECT_EQ(answer(b), shared("scales", "codes"));
  b = apart;
  b.zero_points = static_cast<std::int32_t*>(b.scales);
  EXPECT_EQ(answer(b), shared("zero_points", "scales"));
  b = apart;
  b.workspace = at(96);
  EXPECT_EQ(answer(b), shared("workspace", "scales"));
  b.workspace = at(0);
  EXPECT_EQ(answer(b), shared("workspace", "input"));

  alignas(4) std::array<float, 32> output{};
  std::memset(memory.data(), 0, memory.size());
  EXPECT_EQ(kq_dequantize(&r, &apart, output.data(), nullptr), KQ_SUCCESS);
  EXPECT_EQ(kq_dequantize(&r, &apart, static_cast<float*>(at(0)), nullptr), KQ_INVALID_ARGUMENT);
  EXPECT_EQ(kq_last_error(), shared("output", "codes"));

  r.static_scale = 1;  // scales and zero points are only read, like the input
  b = apart;
  b.scales = const_cast<void*>(b.input);
  b.zero_points = static_cast<std::int32_t*>(b.scales);
  EXPECT_EQ(answer(b), "");
}

TEST_F(CInterface, DequantizesWithoutAnInput) {
  kq_request r = KQ_REQUEST_INIT;
  r.granularity = KQ_TOKEN;
  r.num_tokens = 1;
  r.hidden_size = 2;
  r.element = -7;
  r.input_stride = -1;
  const std::array<std::int8_t, 2> codes{2, -3};
  const float scale = 0.5f;
  kq_buffers b = KQ_BUFFERS_INIT;
  b.input = reinterpret_cast<const void*>(1);
  b.codes = const_cast<std::int8_t*>(codes.data());
  b.scales = const_cast<float*>(&scale);
  b.workspace = reinterpret_cast<void*>(1);
  std::array<float, 2> output{};
  ASSERT_EQ(kq_dequantize(&r, &b, output.data(), nullptr), KQ_SUCCESS) << kq_last_error();
  EXPECT_EQ(output, (std::array{1.0f, -1.5f}));
}

/// A bound in memory gives the bytes of the reference with that number, whatever the request's place for it says of
/// none.
TEST_F(CInterface, ReadsABoundFromMemory) {
  kq::Request request;
  request.format = kq::Format::fp8_e4m3fn;
  request.granularity = kq::Granularity::token;
  request.num_tokens = 5;
  request.hidden_size = 77;
  request = kq::resolved(request);
  for (const kq::Dialect dialect : {kq::Dialect::kqbench, kq::Dialect::vllm_0_33_0}) {
    for (const float bound : {0.5f, 1e-45f, std::numeric_limits<float>::infinity()}) {
      request.dialect = dialect;
      request.scale_ub = bound;
      const std::vector<std::byte> input = make_input(request, 3);
      const HostTensors expected = reference(request, test::given(input.data()), padding);
      kq_request r = kq::c::c_request(request);
      HostTensors outputs = expected;
      outputs.codes.assign(outputs.codes.size(), padding);
      outputs.scales.assign(outputs.scales.size(), padding);
      kq_buffers b = KQ_BUFFERS_INIT;
      b.input = input.data();
      b.codes = outputs.codes.data();
      b.scales = outputs.scales.data();
      b.scale_ub = &bound;
      for (const float number : {0.0f, std::numeric_limits<float>::infinity()}) {
        r.scale_ub = number;
        ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
        EXPECT_EQ(outputs, expected);
      }
      b.struct_size = offsetof(kq_buffers, scale_ub);  // as callers of version 3 have it
      ASSERT_EQ(kq_quantize(&r, &b, nullptr), KQ_SUCCESS) << kq_last_error();
      EXPECT_EQ(outputs == expected, std::isinf(bound));
    }
  }
}

TEST_F(CInterface, RefusesABoundThatIsOfNoUse) {
  std::array<std::byte, 256> input{};
  std::array<std::byte, 128> codes{};
  alignas(4) std::array<std::byte, 64> memory{};
  kq_request r = KQ_REQUEST_INIT;
  r.format = KQ_FP8_E4M3FN;
  r.granularity = KQ_TOKEN;
  r.num_tokens = 2;
  r.hidden_size = 64;
  kq_buffers b = KQ_BUFFERS_INIT;
  b.input = input.data();
  b.codes = codes.data();
  b.scales = memory.data();
  const auto at = [&](std::size_t offset) { return reinterpret_cast<const float*>(memory.data() + offset); };
  const auto answer = [&](const kq_request& request) {
    return kq_quantize(&request, &b, nullptr) == KQ_SUCCESS ? std::string() : std::string(kq_last_error());
  };
  b.scale_ub = at(8);
  EXPECT_EQ(answer(r), "");
  kq_request other = r;
  other.scale_ub = 2.0f;
  EXPECT_EQ(answer(other), "scale_ub: must be a number of the request or a buffer, not both");
  other = r;
  other.granularity = KQ_CHANNEL;
  const std::string only_tokens = "scale_ub: only dynamic token scales of fp8 have an upper bound; leave it out";
  alignas(16) std::array<std::byte, 1 << 16> workspace{};
  std::array<float, 64> scales{};
  b.scales = scales.data();
  b.workspace = workspace.data();
  b.workspace_bytes = workspace.size();
  EXPECT_EQ(answer(other), only_tokens);
  other = r;
  other.format = KQ_INT8;
  EXPECT_EQ(answer(other), only_tokens);
  other = r;
  other.dialect = KQ_DIALECT_SGLANG_0_5_23;
  EXPECT_EQ(answer(other).substr(0, 38), "scale_ub: sglang-0.5.23 has no upper b");
  b.scale_ub = at(9);
  EXPECT_EQ(answer(r), "scale_ub: must be aligned to 4 bytes");
  b.scale_ub = scales.data() + 1;
  EXPECT_EQ(answer(r), "scales: shares memory with scale_ub; nothing is done in place, give it memory of its own");
}

/// An infinite bound is none, in every scheme, as kq::Request has it.
TEST_F(CInterface, TakesInfinityForNoUpperBound) {
  for (const kq::Request& request : all_requests()) {
    kq_request r = kq::c::c_request(request);
    kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
    r.scale_ub = std::numeric_limits<float>::infinity();
    EXPECT_EQ(kq_sizes(&r, &sizes), KQ_SUCCESS) << kq_last_error();
    r.scale_ub = -r.scale_ub;
    EXPECT_EQ(kq_sizes(&r, &sizes), KQ_INVALID_ARGUMENT);
    EXPECT_STREQ(kq_last_error(), "scale_ub: must be above 0, not -inf");
  }
}

}  // namespace
}  // namespace kqbench
