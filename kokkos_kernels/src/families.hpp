// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The kernel families, one source file each, and how they are instantiated: CMake compiles every family once per
/// element type (KQ_ELEMENT), for Kokkos's default execution space and, where it is another, its default host one.

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kq/element.hpp"
#include "kq/quantize.hpp"
#include "kq/request.hpp"

namespace kq::detail {

template <class Element, class ExecutionSpace>
void static_scale(const ExecutionSpace& space, const Request& request, const Buffers& buffers);

template <class Element, class ExecutionSpace>
void dynamic_token(const ExecutionSpace& space, const Request& request, const Buffers& buffers);

template <class Element, class ExecutionSpace>
void dynamic_tensor(const ExecutionSpace& space, const Request& request, const Buffers& buffers);

template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& request, const Buffers& buffers);

using DeviceSpace = Kokkos::DefaultExecutionSpace;
using HostSpace = Kokkos::DefaultHostExecutionSpace;
inline constexpr bool host_is_device = std::is_same_v<DeviceSpace, HostSpace>;

}  // namespace kq::detail

#define KQ_INSTANTIATE_FAMILY_FOR(family, Space) \
  template void family<KQ_ELEMENT, Space>(const Space&, const Request&, const Buffers&);

#if defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP)
#define KQ_INSTANTIATE_FAMILY(family)            \
  KQ_INSTANTIATE_FAMILY_FOR(family, DeviceSpace) \
  KQ_INSTANTIATE_FAMILY_FOR(family, HostSpace)
#else
#define KQ_INSTANTIATE_FAMILY(family) KQ_INSTANTIATE_FAMILY_FOR(family, HostSpace)
#endif
