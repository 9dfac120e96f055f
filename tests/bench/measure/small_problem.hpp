// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "bench/measure/problem.hpp"
#include "bench/tensors/random.hpp"

namespace kqbench::fake {

/// Dynamic token int8 of 4 rows of 64 halves.
inline Problem small_problem() {
  kq::Request request;
  request.granularity = kq::Granularity::token;
  request.num_tokens = 4;
  request.hidden_size = 64;
  return make_problem(request, make_input(request, 7), {});
}

}  // namespace kqbench::fake
