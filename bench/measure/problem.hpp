// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A request with data: what goes in, on the host, and what must come out.

#include <cstddef>
#include <vector>

#include "backends/backend.hpp"
#include "bench/tensors/scale_finder.hpp"
#include "kq/request.hpp"

namespace kqbench {

struct Problem {
  kq::Request request;   ///< resolved
  HostTensors given;     ///< what the request's tensors have that are read
  HostTensors expected;  ///< by kqbench::reference
};

/// Adds scales to what values are made of: what the request's tensors have that are read. Scales that are not given are
/// those that just hold the values' finite numbers: amax / qmax of each span, or kq::affine_scale for an asymmetric
/// scheme; a span of zeros gets scale 1. `request` is valid and resolved, and `sources` has its tensors that are
/// sources.
HostTensors make_given(const kq::Request& request, HostTensors sources, const GivenScale& given);

/// That, and what the reference makes of it. `request` is valid.
Problem make_problem(const kq::Request& request, HostTensors sources, const GivenScale& given);

/// Of a request without a producer: `input` has kq::input_bytes(request) bytes.
Problem make_problem(const kq::Request& request, std::vector<std::byte> input, const GivenScale& given);

}  // namespace kqbench
