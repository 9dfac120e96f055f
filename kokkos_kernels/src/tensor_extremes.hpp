// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The first of two launches for a scale of the whole tensor: what every program finds in its part.

#include <cstdint>

#include "kq/reduce.hpp"

namespace kq::detail {

/// Where the first launch leaves what the second combines: the k-th of `count` programs' maxima begin at k * count.
struct Partials {
  float* values;
  std::int64_t count;
};

/// program_id: every program_count-th slice, starting with its own.
template <class Slices, class Rule>
struct TensorExtremes {
  Slices slices;
  Partials partials;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    Maxima<typename Rule::Reduction> maxima;
    for (auto slice = program.id(); slice < slices.num_slices(); slice += program.count()) {
      maxima.add(program.partial(Rule::reduction, program.load(slices.input_slice(slice))));
    }
    maxima = program.reduce(maxima);
    for (int k = 0; k < Rule::Reduction::count; ++k) {
      program.store(partials.values + k * partials.count + program.id(), maxima.value[k]);
    }
  }
};

}  // namespace kq::detail
