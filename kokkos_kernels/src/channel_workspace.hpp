// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The workspace of dynamic channel scales: the maxima of each column, slab of rows by slab of rows. They lie behind
/// the slots of dynamic tensor scales, which may be asked for in the same workspace and must find those as they left
/// them.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kq/column_maxima.hpp"
#include "kq/execution_space.hpp"
#include "kq/reduce.hpp"
#include "kq/request.hpp"
#include "tensor_workspace.hpp"

namespace kq::detail {

/// [count, slabs, columns]: maximum k of a slab's column.
struct ColumnPartials {
  float* values;
  std::int64_t slabs;
  std::int64_t columns;

  KQ_HOST_DEVICE ColumnMaximaSlots at(std::int64_t slab, std::int64_t column) const {
    return {values + slab * columns + column, slabs * columns};
  }
};

/// Columns of a program, for whichever element: the fewest that a device's have.
inline constexpr std::int64_t least_strip = 32 * 4;

/// Slabs of rows: so many that every processor has work, but no fewer than 16 rows each, as a slab's maxima are written
/// and read once more.
template <class ExecutionSpace>
std::int64_t channel_slabs(const ExecutionSpace& space, const Request& r) {
  constexpr std::int64_t least_rows = 16;
  const std::int64_t wanted = on_host<ExecutionSpace> ? 4 * concurrency(space) : concurrency(space) / 32;
  const std::int64_t strips = std::max<std::int64_t>(1, (r.hidden_size + least_strip - 1) / least_strip);
  return std::clamp<std::int64_t>(wanted / strips, 1, std::max<std::int64_t>(1, r.num_tokens / least_rows));
}

template <class ExecutionSpace>
ColumnPartials column_partials(const ExecutionSpace& space, const Request& r, void* workspace) {
  return {partials_of(space, workspace), channel_slabs(space, r), r.hidden_size};
}

template <class ExecutionSpace>
std::size_t channel_workspace_bytes(const ExecutionSpace& space, const Request& r) {
  const int count = r.asymmetric ? MinMax::count : AbsMax::count;
  return static_cast<std::size_t>(GridReduceWorkspace::bytes(max_sharing(space))) +
         static_cast<std::size_t>(count * channel_slabs(space, r) * r.hidden_size) * sizeof(float);
}

}  // namespace kq::detail
