// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/problem.hpp"

#include <utility>

#include "bench/tensors/stored_numbers.hpp"

namespace kqbench {

HostTensors make_given(const kq::Request& request, HostTensors sources, const GivenScale& given) {
  if (!request.static_scale) return sources;
  const kq::Request quantizer = kq::quantizer_of(request);
  ScaleFinder finder(quantizer, given);
  if (finder.needs_data()) finder.add(quantizer, 0, reference_values(request, sources).data());
  const StaticScales found = finder.scales();
  sources.scales = scale_bytes(request, found.scales);
  sources.zero_points = to_bytes(found.zero_points);
  sources.global_scale = global_scale_bytes(request, found.global_scale);
  return sources;
}

Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given) {
  HostTensors sources;
  sources.input = std::move(input);
  return make_problem(request, std::move(sources), given);
}

Problem make_problem(const kq::Request& request, HostTensors sources, const GivenScale& given) {
  Problem problem;
  problem.request = kq::resolved(request);
  problem.given = make_given(problem.request, std::move(sources), given);
  problem.expected = reference(problem.request, kq::addresses(problem.given));
  return problem;
}

}  // namespace kqbench
