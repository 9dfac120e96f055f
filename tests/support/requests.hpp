// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Requests and problems to try: every one there is of a scheme, and random ones.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/measure/problem.hpp"
#include "bench/tensors/random.hpp"
#include "kq/request.hpp"
#include "tests/support/run.hpp"

namespace kqbench::test {

inline constexpr kq::Element all_elements[] = {kq::Element::half, kq::Element::bfloat16, kq::Element::float32};

/// The formats whose codes have a byte each.
inline std::vector<kq::Format> byte_formats() {
  std::vector<kq::Format> formats;
  for (const kq::Format format : kq::formats()) {
    if (kq::code_bits(format) == 8) formats.push_back(format);
  }
  return formats;
}

/// A request as a row of a table of schemes (kq::Scheme, kq::DialectScheme) says, contiguous, everything else at its
/// default; groups have no size yet.
template <class Scheme>
kq::Request row_request(const Scheme& scheme, kq::Element element, kq::Format format, std::int64_t num_tokens,
                        std::int64_t hidden_size) {
  kq::Request request;
  request.element = element;
  request.format = format;
  request.granularity = scheme.granularity;
  request.static_scale = scheme.static_scale;
  request.asymmetric = scheme.asymmetric;
  request.num_tokens = num_tokens;
  request.hidden_size = hidden_size;
  return request;
}

/// A request of a scheme, contiguous, everything else at its default; groups of 128.
kq::Request request_of(const kq::Scheme& scheme, kq::Element element, kq::Format format, std::int64_t num_tokens,
                       std::int64_t hidden_size);

/// One request for every format that the scheme serves. For groups three each, with different sizes, scale formats and
/// layouts.
std::vector<kq::Request> requests_of(const kq::Scheme& scheme, kq::Element element, std::int64_t num_tokens,
                                     std::int64_t hidden_size);

/// One request for every scheme, format and scale format of every dialect but kqbench's own, with different sizes of
/// groups and layouts.
std::vector<kq::Request> dialect_requests(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size);

/// A contiguous request of MXFP4, its scales rounded by rceil, and one of NVFP4 with a scale of the tensor: a given
/// one, or its own where that is 0.
kq::Request mxfp4_request(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size);
kq::Request nvfp4_request(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size,
                          float global_scale = 0.0f);

/// Requests of block formats: every rounding of MX's scales for each of its formats, NVFP4's scales with a given scale
/// of the tensor and with its own, and given scales; with different sizes of groups and layouts.
std::vector<kq::Request> block_format_requests(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size);

/// A problem with given scales that suit the data.
Problem problem_of(const kq::Request& request, std::uint64_t seed, Fill fill = Fill::normal);

/// A problem of these very values, row by row, converted to the request's element (they should survive that). `scale`
/// and `zero_point` are for static schemes.
Problem problem_of(const kq::Request& request, const std::vector<float>& values, float scale = 1.0f,
                   std::int32_t zero_point = 0);

/// A whole random case: any scheme, format, element, shape, strides, bounds, scales, placement and filling. It follows
/// from the seed alone.
struct RandomCase {
  kq::Request request;
  Placement placement;
  Fill fill = Fill::normal;
  /// How given scales and zero points are chosen.
  enum class Scales : std::uint8_t { fitting, moderate, any } scales = Scales::fitting;
  std::uint64_t seed = 0;  ///< of the data
};
RandomCase random_case(std::uint64_t seed);

/// The data of a case, and what the reference makes of them.
Problem make_problem(const RandomCase& random);

/// What is wrong with a case; nothing if it comes out right.
using Verdict = std::function<std::optional<std::string>(const RandomCase&)>;

/// A case that fails, made as small and plain as can be while it still does.
struct Failure {
  RandomCase smallest;
  std::string complaint;
};

/// Nothing if the case comes out right.
std::optional<Failure> find_failure(const RandomCase& random, const Verdict& verdict);

}  // namespace kqbench::test
