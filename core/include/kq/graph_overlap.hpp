// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Overlapped launches in CUDA graphs: edges between two kernels that wait for their prerequisites
/// (kq/programmatic_launch.hpp) become programmatic ones, so that the second starts while the first one ends.

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

namespace kq {

/// An edge of a graph; nodes are known by their handles.
struct GraphEdge {
  const void* from;
  const void* to;
  bool full;  ///< `to` starts after the end of `from`: an ordinary edge, which nobody has changed yet
};

/// The indices of the edges that may become programmatic: full ones, each the only one out of a kernel that waits and
/// the only one into another. `waits` says of a node whether it is such a kernel.
std::vector<std::size_t> edges_to_overlap(std::span<const GraphEdge> edges,
                                          const std::function<bool(const void*)>& waits);

/// Makes those edges of a CUDA graph programmatic (`graph` is a cudaGraph_t or CUgraph that is not instantiated yet),
/// and says how many they were. Kernels are known by their names, and by having been compiled for compute capability
/// 9.0 or above: below, they cannot wait. Cooperative launches are left as they are, and so are the graphs of child
/// nodes. Throws std::runtime_error if the driver is missing, is older than 12.3, or refuses.
std::size_t overlap_launches(void* graph);

/// How many edges of a CUDA graph are not full ones: what is behind them may start before the end of what is in front.
/// 0 where the driver knows no such edges, being older than 12.3. Throws std::runtime_error if the driver refuses.
std::size_t programmatic_edges(void* graph);

}  // namespace kq
