// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a result file says twice, held against itself: figures that follow from others in the file. A file that
/// contradicts itself was edited or mixed up, and none of its figures can be trusted.

#include <cstddef>
#include <optional>
#include <string>

#include "bench/results/result.hpp"

namespace kqbench {

/// Members that a file gives and a Row does not keep, because they follow from the rest.
struct DerivedMembers {
  std::optional<std::string> operation;   ///< kq::operation_name(request)
  std::optional<double> ci95_confidence;  ///< interval_confidence(samples)
};

/// The first member of a row that its other members do not bear out, in words; empty if all agree. Held against what
/// they follow from are: median, ci95, ci95_confidence, min and max (samples), rounds (between min and max),
/// repeatability (of two rounds or more, and no less than half of ci95), operation
/// and bytes (the request), gbps (bytes and median), ceiling_fraction (gbps and ceiling_gbps), verified (failure and
/// codes_checked), and that there are times at all where figures are given that follow from them. `suspect`, `drifted`
/// and `clocks.dropped` are held against the row's figures only where they are false: a row may be marked by a rule
/// that is not this version's.
///
/// A figure may be rounded: half a unit of its last printed digit, up to 0.05 % of it, is allowed.
std::string contradiction(const Row& row, const DerivedMembers& derived);

/// A row of a file, and what in it the other rows do not bear out.
struct Contradiction {
  std::size_t row = 0;
  std::string what;
};

/// The first of them; nothing if all agree. Held against native's row of the same work is time_ratio_to_native, the
/// median of the ratios of samples that were taken in turns, which may be rounded by 0.5 %, and time_ratio_ci95, whose
/// ends may be 1 % off. Without such a row of native the ratio is taken as it is. What the context says of all rows is
/// not held against them: a file may be put together from several runs.
std::optional<Contradiction> contradiction(const ResultFile& result);

}  // namespace kqbench
