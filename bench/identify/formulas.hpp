// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Formulas by their parts: how amax becomes a scale, and how an element becomes a code under a scale. Every
/// combination of parts is tried, so that a change of one part is found although no engine computes so.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "bench/identify/identify.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// What a scale is made from.
struct SpanFacts {
  float amax = 0.0f;  ///< NaN left out
  bool has_nan = false;
};

struct FoundScale {
  SpanFacts span;
  float scale;  ///< the sample's
};

struct FoundCode {
  float x;
  float scale;  ///< the sample's
  float amax;
  std::uint8_t code;
};

/// How many of the scales each formula gives, the best first; formulas with more parts come after shorter ones that
/// give as many. `request` says the formats of codes and scales and the element type. `tensor_scale`, "g" in a formula,
/// multiplies scales of format e4m3.
std::vector<FormulaFit> fit_scales(const kq::Request& request, const std::vector<FoundScale>& scales,
                                   float tensor_scale);

/// How many of the codes of a symmetric request each formula gives under the sample's scales, in that order.
std::vector<FormulaFit> fit_codes(const kq::Request& request, const std::vector<FoundCode>& codes, float tensor_scale);

/// Whether two scales have the same bits, or are both NaN.
bool same_scale(float a, float b);

/// The number that a code stands for.
float decoded(kq::Format format, std::uint8_t code);

/// Whether two codes are the same, or both NaN.
bool same_code(kq::Format format, std::uint8_t a, std::uint8_t b);

}  // namespace kqbench
