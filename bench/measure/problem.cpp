// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/problem.hpp"

#include <utility>

#include "bench/tensors/stored_numbers.hpp"

namespace kqbench {

Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given) {
  Problem problem;
  problem.request = kq::resolved(request);
  problem.given.input = std::move(input);
  if (problem.request.static_scale) {
    ScaleFinder finder(problem.request, given);
    if (finder.needs_data()) finder.add(problem.request, 0, problem.given.input.data());
    const StaticScales found = finder.scales();
    problem.given.scales = scale_bytes(problem.request, found.scales);
    problem.given.zero_points = to_bytes(found.zero_points);
  }
  problem.expected = reference(problem.request, kq::addresses(problem.given));
  return problem;
}

}  // namespace kqbench
