// SPDX-License-Identifier: Apache-2.0

// Every implementation on every device that is present, against the reference: every scheme, format and element on
// ragged shapes, strided rows, misaligned addresses and adversarial data. Every run also checks that nothing around the
// outputs and the workspace was written.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "bench/tensors/stored_numbers.hpp"
#include "tests/support/host_tensors.hpp"
#include "tests/support/implementations.hpp"
#include "tests/support/printing.hpp"
#include "tests/support/requests.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {
namespace {

TEST(Devices, OfferEveryImplementation) {
  std::size_t devices = 0;
  for (const Backend& backend : backends()) {
    if (!backend.built || backend.device_count() == 0) continue;
    ++devices;
    const auto device = backend.open({});
    for (const char* const name : {"kokkos", "native"}) {
      EXPECT_EQ(device->why_missing(name), std::nullopt) << backend.name;
    }
    if (backend.name == "host") {
      EXPECT_EQ(device->why_missing("reference"), std::nullopt);
    }
  }
  EXPECT_GE(devices, 1u) << "the host is always there";
}

/// A scheme, by its name in kq::schemes(), and an element.
class EveryScheme : public ::testing::TestWithParam<std::tuple<kq::Scheme, kq::Element>> {
 protected:
  const kq::Scheme scheme_ = std::get<0>(GetParam());
  const kq::Element element_ = std::get<1>(GetParam());

  auto requests(std::int64_t num_tokens, std::int64_t hidden_size) const {
    return requests_of(scheme_, element_, num_tokens, hidden_size);
  }
};

constexpr std::int64_t ragged_sizes[] = {1, 7, 17, 1023, 1025, 5137};

TEST_P(EveryScheme, RaggedShapes) {
  std::uint64_t seed = 1;
  for (const std::int64_t hidden_size : ragged_sizes) {
    for (const std::int64_t num_tokens : {1, 3, 83}) {
      for (const kq::Request& request : requests(num_tokens, hidden_size)) {
        EXPECT_RIGHT(problem_of(request, seed++));
      }
    }
  }
}

// Rows of more vectors than most kernels hold: of 16-bit elements 1026, 2048, 2561 and 3585, of float twice as many.
TEST_P(EveryScheme, LongRows) {
  std::uint64_t seed = 500;
  for (const std::int64_t hidden_size : {8203, 16384, 20481, 28673}) {
    for (const kq::Request& request : requests(2, hidden_size)) {
      EXPECT_RIGHT(problem_of(request, seed++));
    }
  }
}

TEST_P(EveryScheme, AdversarialData) {
  std::uint64_t seed = 1000;
  for (const Fill fill : all_fills) {
    for (const std::int64_t hidden_size : ragged_sizes) {
      for (const kq::Request& request : requests(4, hidden_size)) {
        EXPECT_RIGHT(problem_of(request, seed++, fill));
      }
    }
  }
}

TEST_P(EveryScheme, RowsApart) {
  std::uint64_t seed = 2000;
  for (const std::int64_t hidden_size : ragged_sizes) {
    for (kq::Request request : requests(3, hidden_size)) {
      request.input_stride = hidden_size + 1;
      request.codes_stride = hidden_size + 5;
      EXPECT_RIGHT(problem_of(request, seed++));
      request.input_stride = 2 * hidden_size + 16;
      request.codes_stride = hidden_size;
      EXPECT_RIGHT(problem_of(request, seed++, Fill::specials));
    }
  }
}

TEST_P(EveryScheme, MisalignedAddresses) {
  // Elements, codes and scales may start at any multiple of their own size. 1024 would be vectors throughout.
  static constexpr Placement placements[] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1},  {1, 1, 1},
                                             {3, 5, 2}, {4, 8, 0}, {7, 15, 3}, {2, 6, 1}};
  std::uint64_t seed = 3000;
  for (const std::int64_t hidden_size : {7, 64, 1024, 1025}) {
    for (const kq::Request& request : requests(3, hidden_size)) {
      const Problem problem = problem_of(request, seed++);
      for (const Placement& placement : placements) {
        EXPECT_RIGHT(problem, placement);
      }
    }
  }
}

TEST_P(EveryScheme, OtherBounds) {
  std::uint64_t seed = 4000;
  for (const float share : {0.5f, 0.007f}) {
    for (kq::Request request : requests(3, 300)) {
      const float qmax = share * kq::format_max(request.format);
      request.qmax =
          request.format == kq::Format::int8 ? std::max(1.0f, static_cast<float>(static_cast<int>(qmax))) : qmax;
      for (const Fill fill : {Fill::normal, Fill::specials, Fill::extremes}) {
        EXPECT_RIGHT(problem_of(request, seed++, fill));
      }
    }
  }
}

/// Makes every third element NaN that signals, of either sign: conversions make such NaN quiet, and some processors'
/// maxima of it and of a number are NaN.
Problem with_signalling_nans(const kq::Request& request, std::uint64_t seed) {
  Problem problem = problem_of(request, seed);
  const std::uint32_t signalling = request.element == kq::Element::half       ? 0x7c01
                                   : request.element == kq::Element::bfloat16 ? 0x7f81
                                                                              : 0x7f800001;
  const std::size_t size = kq::element_size(request.element);
  std::vector<std::byte>& input = problem.given.input;
  for (std::size_t i = 1; (i + 1) * size <= input.size(); i += 3) {
    std::memcpy(&input[i * size], &signalling, size);  // little-endian
    if (i % 2 == 0) input[(i + 1) * size - 1] |= std::byte{0x80};
  }
  problem.expected = reference(problem.request, kq::addresses(problem.given));
  return problem;
}

TEST_P(EveryScheme, NanThatSignalsHidesNoNumber) {
  std::uint64_t seed = 8000;
  for (const std::int64_t hidden_size : {8, 65, 1024, 20481}) {
    for (const kq::Request& request : requests(3, hidden_size)) {
      EXPECT_RIGHT(with_signalling_nans(request, seed++));
    }
  }
}

TEST(BlockFormats, NanThatSignalsHidesNoNumber) {
  std::uint64_t seed = 9000;
  for (const kq::Element element : all_elements) {
    for (const std::int64_t hidden_size : {96, 1060}) {
      for (const kq::Request& request : block_format_requests(element, 5, hidden_size)) {
        EXPECT_RIGHT(with_signalling_nans(request, seed++));
      }
    }
  }
}

/// FP4 of tensors that one program holds, that a few do, and, on a device, that all hold a part of and read the rest of
/// again. Of the last, a lane takes two chunks where the tensor's scale is given.
TEST(BlockFormats, Fp4OfWholeTensors) {
  struct Shape {
    std::int64_t tokens, hidden;
  };
  std::vector<Shape> shapes{{1, 1024}, {3, 1024}, {8, 4096}};
  const auto on_a_device = [](const Candidate& candidate) { return !candidate.device->info().host_memory; };
  if (std::any_of(candidates().begin(), candidates().end(), on_a_device)) shapes.push_back({4096, 4096});
  std::uint64_t seed = 9500;
  for (const auto& [tokens, hidden] : shapes) {
    for (const kq::Element element : all_elements) {
      EXPECT_RIGHT(problem_of(mxfp4_request(element, tokens, hidden), ++seed, Fill::specials));
      EXPECT_RIGHT(problem_of(nvfp4_request(element, tokens, hidden), ++seed, Fill::normal));
      EXPECT_RIGHT(problem_of(nvfp4_request(element, tokens, hidden, 700.0f), ++seed, Fill::nans));
    }
  }
}

std::string name_of(const ::testing::TestParamInfo<EveryScheme::ParamType>& info) {
  std::string name =
      std::string(std::get<0>(info.param).name) + ' ' + std::string(kq::to_string(std::get<1>(info.param)));
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, EveryScheme,
                         ::testing::Combine(::testing::ValuesIn(kq::schemes().begin(), kq::schemes().end()),
                                            ::testing::ValuesIn(all_elements)),
                         name_of);

/// A tensor without tokens is no error, and nothing is written for it: not a scale either.
TEST_P(EveryScheme, NoTokens) {
  for (const std::int64_t hidden_size : {1, 64, 5137}) {
    for (const kq::Request& request : requests(0, hidden_size)) {
      EXPECT_RIGHT(problem_of(request, 1));
      EXPECT_EQ(kq::num_scales(request), 0);
    }
  }
}

/// Scales in a device's memory may be anything. The formula holds for all of them.
TEST(StaticScale, MayBeAnything) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  constexpr float no_number = std::numeric_limits<float>::quiet_NaN();
  constexpr float magnitudes[] = {0.0f,       0x1p-149f,  0x1.8p-128f, 0x1p-126f, 0.75f,
                                  0x1.8p126f, 0x1.8p127f, inf,         no_number};
  std::vector<float> scales;
  for (const float magnitude : magnitudes) {
    scales.push_back(magnitude);
    scales.push_back(-magnitude);
  }
  // NaN with more bits than one, of which the second signals.
  scales.push_back(std::bit_cast<float>(0x7fc0fffcu));
  scales.push_back(std::bit_cast<float>(0x7f80fe03u));
  std::uint64_t seed = 7000;
  const auto expect_right = [&](kq::Request request, Fill fill, const std::vector<float>& given) {
    Problem problem = problem_of(request, seed++, fill);
    problem.given.scales = scale_bytes(problem.request, given);
    problem.given.zero_points = to_bytes(std::vector<std::int32_t>(request.asymmetric ? given.size() : 0, 5));
    problem.expected = reference(problem.request, kq::addresses(problem.given));
    EXPECT_RIGHT(problem);
  };
  for (const kq::Scheme& scheme : kq::schemes()) {
    if (!scheme.static_scale) continue;
    for (const kq::Element element : all_elements) {
      for (const Fill fill : {Fill::normal, Fill::specials, Fill::nans, Fill::every_size}) {
        for (const kq::Request& request : requests_of(scheme, element, std::ssize(scales), 66)) {
          if (request.granularity == kq::Granularity::token) expect_right(request, fill, scales);
          std::vector<float> of_columns;
          for (std::size_t i = 0; i < 66; ++i) {
            of_columns.push_back(scales[(i + seed) % scales.size()]);
          }
          if (request.granularity == kq::Granularity::channel) expect_right(request, fill, of_columns);
          if (kq::has_groups(request.granularity) && request.scale_format == kq::ScaleFormat::float32) {
            std::vector<float> of_groups;
            for (std::int64_t i = 0; i < kq::stored_scales(request); ++i) {
              of_groups.push_back(scales[(static_cast<std::size_t>(i) + seed) % scales.size()]);
            }
            expect_right(request, fill, of_groups);
          }
        }
        if (scheme.granularity != kq::Granularity::tensor) continue;
        for (const kq::Request& request : requests_of(scheme, element, 3, 66)) {
          for (const float scale : scales) {
            expect_right(request, fill, {scale});
          }
        }
      }
    }
  }
}

TEST(DynamicToken, KeepsToTheScalesUpperBound) {
  std::uint64_t seed = 5000;
  for (const kq::Element element : all_elements) {
    for (const kq::Format format : byte_formats()) {
      if (!kq::is_fp8(format)) continue;
      for (const float scale_ub : {2.0f, 1e-3f, 1e-30f, 1e-45f, 1e30f}) {
        kq::Request request;
        request.element = element;
        request.format = format;
        request.granularity = kq::Granularity::token;
        request.num_tokens = 9;
        request.hidden_size = 257;
        request.scale_ub = scale_ub;
        EXPECT_RIGHT(problem_of(request, seed++));
        EXPECT_RIGHT(problem_of(request, seed++, Fill::specials));
        EXPECT_RIGHT(problem_of(request, seed++, Fill::nans));
        EXPECT_RIGHT(problem_of(request, seed++, Fill::tiny));
      }
    }
  }
}

/// Zero points near and beyond everything a float or an int32 sum can hold.
TEST(StaticAsymmetric, TakesZeroPointsOfAnySize) {
  const std::int32_t zero_points[] = {INT32_MIN, INT32_MAX, 0, -128, (1 << 21) - 1, 1 << 21, -(1 << 21), 1 << 24};
  std::uint64_t seed = 6000;
  for (const kq::Element element : all_elements) {
    for (const Fill fill : all_fills) {
      kq::Request request;
      request.element = element;
      request.granularity = kq::Granularity::token;
      request.static_scale = true;
      request.asymmetric = true;
      request.num_tokens = std::ssize(zero_points);
      request.hidden_size = 301;
      Problem problem = problem_of(request, seed++, fill);
      problem.given.zero_points = to_bytes(std::vector<std::int32_t>(std::begin(zero_points), std::end(zero_points)));
      problem.expected = reference(problem.request, kq::addresses(problem.given));
      EXPECT_RIGHT(problem);
    }
  }
}

}  // namespace
}  // namespace kqbench::test
