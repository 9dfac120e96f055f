// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The kernels' table: which file's function serves which schemes. CMake compiles every file once per element type
/// (KQ_ELEMENT), for each execution space of the library.

#include <algorithm>
#include <array>
#include <cstddef>

#include "channel_workspace.hpp"
#include "kq/execution_space.hpp"
#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "tensor_workspace.hpp"

namespace kq::detail {

/// Puts a request on an execution space. The request is valid and resolved.
template <class ExecutionSpace>
using Enqueue = void (*)(const ExecutionSpace& space, const Request& request, const Operands& buffers);

template <class Element, class ExecutionSpace>
void static_scale(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void static_group(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void dynamic_token(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void dynamic_tensor(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& request, const Operands& buffers);

template <class Element, class ExecutionSpace>
void dynamic_block(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void dynamic_channel(const ExecutionSpace& space, const Request& request, const Operands& buffers);

/// Groups and blocks of block formats on a device: MX's rounded exponents, and codes of four bits. dynamic_group,
/// dynamic_block and static_group hand these requests on.
template <class Element, class ExecutionSpace>
void dynamic_block_format(const ExecutionSpace& space, const Request& request, const Operands& buffers);
template <class Element, class ExecutionSpace>
void static_block_format(const ExecutionSpace& space, const Request& request, const Operands& buffers);
/// Enqueues the search for the tensor's amax, and returns where in the workspace it will be.
template <class Element, class ExecutionSpace>
const float* enqueue_tensor_amax(const ExecutionSpace& space, const Request& request, const Operands& buffers);

template <class ExecutionSpace>
struct KernelEntry {
  bool static_scale;
  Granularity granularity;
  Enqueue<ExecutionSpace> enqueue;
  std::size_t (*workspace_bytes)(const ExecutionSpace& space, const Request& request) = nullptr;  ///< null: 0
};

template <class Element, class ExecutionSpace>
inline constexpr std::array kernel_table = {
    KernelEntry<ExecutionSpace>{true, Granularity::tensor, static_scale<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{true, Granularity::token, static_scale<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{true, Granularity::channel, static_scale<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{true, Granularity::group, static_group<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{true, Granularity::block, static_group<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{false, Granularity::tensor, dynamic_tensor<Element, ExecutionSpace>,
                                tensor_workspace_bytes<ExecutionSpace>},
    KernelEntry<ExecutionSpace>{false, Granularity::token, dynamic_token<Element, ExecutionSpace>},
    KernelEntry<ExecutionSpace>{false, Granularity::group, dynamic_group<Element, ExecutionSpace>,
                                group_workspace_bytes<ExecutionSpace>},
    KernelEntry<ExecutionSpace>{false, Granularity::block, dynamic_block<Element, ExecutionSpace>,
                                group_workspace_bytes<ExecutionSpace>},
    KernelEntry<ExecutionSpace>{false, Granularity::channel, dynamic_channel<Element, ExecutionSpace>,
                                channel_workspace_bytes<ExecutionSpace>},
};

/// The entry for a request's scheme; there is one for every valid request.
template <class Element, class ExecutionSpace>
const KernelEntry<ExecutionSpace>& find_kernel(const Request& request) {
  const auto& table = kernel_table<Element, ExecutionSpace>;
  return *std::find_if(table.begin(), table.end(), [&](const KernelEntry<ExecutionSpace>& kernel) {
    return kernel.static_scale == request.static_scale && kernel.granularity == request.granularity;
  });
}

}  // namespace kq::detail

/// At the end of a kernel's file: its function for every execution space.
#define KQ_INSTANTIATE_KERNEL(function) KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_KERNEL_IN, function)
#define KQ_INSTANTIATE_KERNEL_IN(Space, function) \
  template void function<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&);
