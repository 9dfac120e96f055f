// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/problem.hpp"

#include <utility>

namespace kqbench {

Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given) {
  Problem problem;
  problem.request = kq::resolved(request);
  problem.input = std::move(input);
  if (problem.request.static_scale) {
    ScaleFinder finder(problem.request, given);
    if (finder.needs_data()) finder.add(problem.request, 0, problem.input.data());
    StaticScales found = finder.scales();
    problem.scales = scale_bytes(problem.request, found.scales);
    problem.zero_points = std::move(found.zero_points);
  }
  problem.expected =
      reference(problem.request, problem.input.data(), problem.scales.data(), problem.zero_points.data());
  return problem;
}

}  // namespace kqbench
