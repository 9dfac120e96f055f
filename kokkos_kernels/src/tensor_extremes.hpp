// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The launches that find a whole tensor's extremes: of every program's part, and of all parts.

#include <cstdint>

#include "kq/reduce.hpp"

namespace kq::detail {

/// Where the first launch leaves what the second combines: the k-th of `count` programs' maxima begin at k * count.
struct Partials {
  float* values;
  std::int64_t count;
};

/// program_id: every program_count-th slice, starting with its own.
template <class Slices, class Reduction>
struct TensorExtremes {
  Slices slices;
  Partials partials;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    Maxima<Reduction> maxima;
    for (auto slice = program.id(); slice < slices.num_slices(); slice += program.count()) {
      maxima.add(program.partial(Reduction{}, program.load(slices.input_slice(slice))));
    }
    maxima = program.reduce(maxima);
    for (int k = 0; k < Reduction::count; ++k) {
      program.store(partials.values + k * partials.count + program.id(), maxima.value[k]);
    }
  }
};

/// One program: of the partial results that TensorExtremes has left, the extremes.
template <class Reduction>
struct CombinePartials {
  Partials partials;
  float* extremes;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto maxima = program.reduce_maxima(Reduction{}, partials.values, partials.count);
    for (int k = 0; k < Reduction::count; ++k) {
      program.store(extremes + k, maxima.value[k]);
    }
  }
};

}  // namespace kq::detail
