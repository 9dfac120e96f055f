// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Which dialect, scheme and scale layout gave these bytes; and where none did, the nearest one, what differs from it,
/// and which formulas give what was found.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/identify/sample.hpp"
#include "bench/requests/sweep.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// How far a sample is from what a request gives. Two NaN codes are the same: their sign is the processor's.
struct SampleDifference {
  std::size_t codes = 0;  ///< that differ
  std::size_t codes_compared = 0;
  std::size_t scales = 0;  ///< of dynamic schemes; zero points count with their scale
  std::size_t scales_compared = 0;

  bool none() const { return codes == 0 && scales == 0; }
};

struct SampleMatch {
  kq::Request request;  ///< of the whole sample, with its dialect and scale layout
  SampleDifference difference;
  /// The engine computes codes with an approximate instruction: some of them may be one step off, and no scale.
  bool is_approximate = false;
};

/// Codes that differ from the nearest request's, by what is special about them; each counts once, in this order.
struct DifferentCodes {
  std::array<std::size_t, 4> by_steps{};  ///< 1, 2, 3 and more steps of the format; the other sign, or NaN
  std::size_t of_zero_spans = 0;
  std::size_t of_nan_or_infinity = 0;
  std::size_t of_different_scales = 0;
  std::size_t of_subnormal_scales = 0;
  std::size_t at_rounding_boundaries = 0;  ///< x / scale is within 4 units in the last place of the middle of two codes
  std::size_t in_short_groups = 0;         ///< the last group of a row, where it is short
  std::size_t elsewhere = 0;
};

/// A formula that was tried in place of the nearest dialect's.
struct FormulaFit {
  std::string formula;
  std::size_t right = 0;
  std::size_t of = 0;
  bool explains_all() const { return right == of; }
};

struct WrongCode {
  std::int64_t token = 0;
  std::int64_t channel = 0;
  std::uint32_t input_bits = 0;
  float input = 0.0f;
  float scale = 0.0f;  ///< the sample's
  std::uint8_t found = 0;
  std::uint8_t nearest = 0;  ///< what the nearest request gives
};

struct WrongScale {
  std::int64_t index = 0;  ///< in memory, counted in scales
  float amax = 0.0f;       ///< of the span; NaN left out
  float found = 0.0f;
  float nearest = 0.0f;
};

struct Identification {
  /// Dynamic schemes that give exactly these bytes (or, where an engine is approximate, nearly), or else static ones.
  std::vector<SampleMatch> matches;
  // The rest only where there is no match:
  std::optional<SampleMatch> nearest;
  std::vector<kq::Dialect> dialects_of_scales;  ///< that give all scales, in the nearest request's scheme
  std::vector<kq::Dialect> dialects_of_codes;   ///< that give all codes
  DifferentCodes different_codes;
  std::vector<FormulaFit> scale_formulas;  ///< the nearest dialect's own first where it is among those tried; best next
  std::vector<FormulaFit> code_formulas;   ///< under the sample's own scales
  std::vector<WrongCode> first_codes;
  std::vector<WrongScale> first_scales;
  /// What gives these bytes once the two codes of each byte are swapped; none but for codes of four bits.
  std::vector<SampleMatch> matches_of_swapped_halves;
  std::int64_t rows_looked_at = 0;  ///< by all but `matches`: the first rows, where the sample is large
};

/// `restriction` has the values of parameters that are known; others are found. Throws UsageError where no scheme has
/// so many scales.
Identification identify(const Sample& sample, const Sweep& restriction);

}  // namespace kqbench
