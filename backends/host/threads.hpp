// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The host backend's threads: OpenMP's, so that they are the same that Kokkos OpenMP uses; one without OpenMP.

#include <algorithm>
#include <cstdint>
#if defined(_OPENMP)
#include <omp.h>
#endif

namespace kqbench {

/// Whether more than one thread can be had.
#if defined(_OPENMP)
inline constexpr bool has_threads = true;
#else
inline constexpr bool has_threads = false;
#endif

/// Consecutive items of a larger number of them.
struct Slice {
  std::int64_t begin;
  std::int64_t end;
};

/// Part `index` of `parts` nearly equal ones of [0, count), all of them multiples of `unit` but the last.
inline Slice slice_of(std::int64_t count, std::int64_t index, std::int64_t parts, std::int64_t unit = 1) {
  const std::int64_t units = (count + unit - 1) / unit;
  const std::int64_t each = units / parts;
  const std::int64_t longer = units % parts;  // the first ones get one unit more
  const std::int64_t begin = index * each + std::min(index, longer);
  const std::int64_t end = begin + each + (index < longer ? 1 : 0);
  return {std::min(begin * unit, count), std::min(end * unit, count)};
}

/// Calls work(part) for every part in [0, parts), as far as possible each on a thread of its own, and waits for them.
template <class Work>
void in_parallel(int parts, const Work& work) {
#if defined(_OPENMP)
  if (parts > 1) {
#pragma omp parallel num_threads(parts)
    for (int part = omp_get_thread_num(); part < parts; part += omp_get_num_threads()) {
      work(part);
    }
    return;
  }
#endif
  for (int part = 0; part < parts; ++part) {
    work(part);
  }
}

}  // namespace kqbench
