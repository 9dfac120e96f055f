// SPDX-License-Identifier: Apache-2.0

// The hand-written host code against the reference.

#include <gtest/gtest.h>

#include <initializer_list>
#include <memory>
#include <vector>

#include "backends/host/native.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "tests/backends/operands.hpp"
#include "tests/support/exhaustive.hpp"

namespace kqbench::testing {
namespace {

using kq::Element;
using kq::Format;
using kq::Granularity;
using kq::Request;
using kq::ScaleFormat;
using kq::ScaleLayout;
using test::sanitized;

constexpr Element elements[] = {Element::half, Element::bfloat16, Element::float32};

/// Every scheme that a format has, with each way to store a group's scales, for one element type and shape.
std::vector<Request> requests(Element element, std::int64_t num_tokens, std::int64_t hidden_size) {
  std::vector<Request> all;
  for (const Format format : test::byte_formats()) {
    for (const kq::Scheme& scheme : kq::schemes()) {
      if (!kq::serves(scheme, format)) continue;
      Request r = test::row_request(scheme, element, format, num_tokens, hidden_size);
      if (!kq::has_groups(scheme.granularity)) {
        all.push_back(r);
        continue;
      }
      for (const ScaleFormat scale_format : {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0}) {
        for (const ScaleLayout layout :
             {ScaleLayout::row, ScaleLayout::column, ScaleLayout::column_aligned, ScaleLayout::packed}) {
          if (layout == ScaleLayout::packed && scale_format != ScaleFormat::ue8m0) continue;
          r.group_size = layout == ScaleLayout::row ? 128 : 48;
          r.block_rows = scheme.granularity == Granularity::block ? (layout == ScaleLayout::column ? 2 : 7) : 0;
          r.scale_format = scale_format;
          r.scale_layout = layout;
          all.push_back(r);
        }
      }
    }
  }
  return all;
}

class NativeHost : public ::testing::Test {
 protected:
  /// One thread, and several: more than some tests have rows.
  void expect_as_reference(const Request& request, const TestData& data) const {
    const HostTensors wanted = expected(request, data);
    for (const int threads : {1, 3}) {
      SCOPED_TRACE(std::to_string(threads) + " threads");
      expect_outputs(request, run(*make_native_host_implementation(threads), request, data), wanted);
    }
  }
};

TEST_F(NativeHost, GivesTheReferencesBytesOnRaggedShapes) {
  std::uint64_t seed = 0;
  for (const Element element : elements) {
    for (const std::int64_t hidden_size : {1, 7, 17, 1023, 1025, 5137}) {
      for (const std::int64_t num_tokens : {1, 3, sanitized || hidden_size > 2000 ? 19 : 83}) {
        ++seed;
        const auto values = make_values(num_tokens, hidden_size, Kind::adversarial, seed);
        for (const Request& r : requests(element, num_tokens, hidden_size)) {
          expect_as_reference(r, make_data(r, values, seed));
        }
      }
    }
  }
}

TEST_F(NativeHost, KeepsWhatLiesBetweenStridedRows) {
  std::uint64_t seed = 1000;
  for (const Element element : elements) {
    for (Request r : requests(element, 5, 200)) {
      r.input_stride = 217;
      r.codes_stride = 203;
      expect_as_reference(r, make_data(r, Kind::adversarial, ++seed));
      r.codes_stride = 0;
      expect_as_reference(r, make_data(r, Kind::normal, ++seed));
    }
  }
}

TEST_F(NativeHost, KeepsToAnotherBound) {
  std::uint64_t seed = 2000;
  for (const Element element : elements) {
    for (Request r : requests(element, 4, 300)) {
      r.qmax = r.format == Format::int8 ? 7.0f : 200.5f;
      expect_as_reference(r, make_data(r, Kind::adversarial, ++seed));
      r.qmax = r.format == Format::int8 ? 1.0f : 0.3f;
      expect_as_reference(r, make_data(r, Kind::adversarial, ++seed));
    }
  }
}

TEST_F(NativeHost, KeepsToTheScalesUpperBound) {
  for (const Element element : elements) {
    Request r;
    r.element = element;
    r.format = Format::fp8_e4m3fn;
    r.granularity = Granularity::token;
    r.num_tokens = 9;
    r.hidden_size = 70;
    r.scale_ub = 1.25f;
    expect_as_reference(r, make_data(r, Kind::adversarial, 3000));
  }
}

TEST_F(NativeHost, TakesZeroPointsOfAnySize) {
  for (const Element element : elements) {
    Request r;
    r.element = element;
    r.granularity = Granularity::token;
    r.static_scale = true;
    r.asymmetric = true;
    r.num_tokens = 8;
    r.hidden_size = 300;
    TestData data = make_data(r, Kind::adversarial, 4000);
    data.zero_points =
        to_bytes(std::vector<std::int32_t>{INT32_MIN, INT32_MAX, 0, -128, (1 << 21) - 1, 1 << 21, -(1 << 21), 1 << 24});
    expect_as_reference(r, data);
  }
}

}  // namespace
}  // namespace kqbench::testing
