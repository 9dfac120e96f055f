// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Runs a problem on a candidate and says what is wrong with what it left behind, in words that help to find out why.

#include <optional>
#include <string>

#include "bench/measure/problem.hpp"
#include "tests/support/implementations.hpp"

namespace kqbench::test {

/// How far each tensor lies behind an address aligned to 256 bytes, counted in its own elements.
struct Placement {
  int input = 0;
  int codes = 0;
  int scales = 0;  ///< zero points, too

  bool operator==(const Placement&) const = default;
};

/// "half to fp8_e4m3fn, dynamic token, 3 x 17, rows 20 and 17 apart"
std::string describe(const kq::Request& request);

/// Nothing if the candidate leaves exactly the expected codes, scales and zero points, and has written nothing around
/// them nor around its workspace; a bounded scale (scale_ub) is tried as a number and in the device's memory. Otherwise
/// who was wrong, at which request, and the first wrong byte with the input and the scale behind it.
std::optional<std::string> run(const Candidate& candidate, const Problem& problem, const Placement& placement = {});

/// The first complaint of any candidate.
std::optional<std::string> run_all(const Problem& problem, const Placement& placement = {});

}  // namespace kqbench::test

/// Expects the problem to come out right on every candidate: EXPECT_RIGHT(problem) or EXPECT_RIGHT(problem, placement).
#define EXPECT_RIGHT(...)                                                                          \
  do {                                                                                             \
    if (const auto complaint = ::kqbench::test::run_all(__VA_ARGS__)) ADD_FAILURE() << *complaint; \
  } while (false)
