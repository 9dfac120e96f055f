// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/problem.hpp"

#include <utility>

#include "bench/tensors/stored_numbers.hpp"

namespace kqbench {

Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given) {
  HostTensors sources;
  sources.input = std::move(input);
  return make_problem(request, std::move(sources), given);
}

Problem make_problem(const kq::Request& request, HostTensors sources, const GivenScale& given) {
  Problem problem;
  problem.request = kq::resolved(request);
  problem.given = std::move(sources);
  if (problem.request.static_scale) {
    const kq::Request quantizer = kq::quantizer_of(problem.request);
    ScaleFinder finder(quantizer, given);
    if (finder.needs_data()) finder.add(quantizer, 0, reference_values(problem.request, problem.given).data());
    const StaticScales found = finder.scales();
    problem.given.scales = scale_bytes(problem.request, found.scales);
    problem.given.zero_points = to_bytes(found.zero_points);
  }
  problem.expected = reference(problem.request, kq::addresses(problem.given));
  return problem;
}

}  // namespace kqbench
