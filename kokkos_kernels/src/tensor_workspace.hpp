// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The workspace of a dynamic tensor scale: the slots by which the programs of one launch reduce together, then the
/// partial results that the first of two launches leaves for the second.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kq/execution_space.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/request.hpp"
#include "tuning.hpp"

namespace kq::detail {

/// Programs of one launch: as many as run at once on a device that has nothing else to do.
template <class ExecutionSpace>
std::int64_t max_sharing(const ExecutionSpace& space) {
  return on_host<ExecutionSpace> ? 1 : CooperativePlan::teams_per_multiprocessor * multiprocessors(space);
}

/// Programs of the first of two launches: a whole device's worth of teams of 256, and no fewer on a host than keep its
/// threads busy.
template <class ExecutionSpace>
std::int64_t max_partials(const ExecutionSpace& space) {
  return on_host<ExecutionSpace> ? 4 * concurrency(space) : std::max<std::int64_t>(1, concurrency(space) / 256);
}

template <class ExecutionSpace>
GridReduceWorkspace grid_reduce_workspace(const ExecutionSpace& space, void* workspace) {
  return {static_cast<std::uint64_t*>(workspace), max_sharing(space)};
}

template <class ExecutionSpace>
float* partials_of(const ExecutionSpace& space, void* workspace) {
  return reinterpret_cast<float*>(static_cast<std::byte*>(workspace) + GridReduceWorkspace::bytes(max_sharing(space)));
}

template <class ExecutionSpace>
std::size_t tensor_workspace_bytes(const ExecutionSpace& space, const Request& /*request*/) {
  return static_cast<std::size_t>(GridReduceWorkspace::bytes(max_sharing(space))) +
         2 * sizeof(float) * static_cast<std::size_t>(max_partials(space));
}

/// Of groups and blocks whose scales are multiplied by one that is found from the tensor: behind the rest, the tensor's
/// amax.
template <class ExecutionSpace>
std::size_t group_workspace_bytes(const ExecutionSpace& space, const Request& r) {
  return finds_global_scale(r) ? tensor_workspace_bytes(space, r) + sizeof(float) : 0;
}
template <class ExecutionSpace>
float* tensor_amax_of(const ExecutionSpace& space, void* workspace) {
  return partials_of(space, workspace) + 2 * max_partials(space);
}

}  // namespace kq::detail
