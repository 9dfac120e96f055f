// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The execution spaces that the library is built for, and what Kokkos has no common name for. Headers of kernels
/// ask nowhere else which device Kokkos was built for.

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace kq::detail {

using DeviceSpace = Kokkos::DefaultExecutionSpace;    ///< a GPU's, where Kokkos was built for one
using HostSpace = Kokkos::DefaultHostExecutionSpace;  ///< the same one where it was not

template <class ExecutionSpace>
inline constexpr bool on_host = Kokkos::SpaceAccessibility<ExecutionSpace, Kokkos::HostSpace>::accessible;

template <class ExecutionSpace>
inline constexpr bool is_built_for = std::is_same_v<ExecutionSpace, HostSpace> ||
                                     (std::is_same_v<ExecutionSpace, DeviceSpace> && !on_host<DeviceSpace>);

/// Threads that run at once.
template <class ExecutionSpace>
std::int64_t concurrency([[maybe_unused]] const ExecutionSpace& space) {
#if KOKKOS_VERSION >= 40000
  return std::max(1, space.concurrency());
#else
  return std::max(1, ExecutionSpace::concurrency());
#endif
}

/// Multiprocessors (compute units) of a device. Kokkos counts the threads that they can hold, 2048 each or fewer.
template <class ExecutionSpace>
std::int64_t multiprocessors(const ExecutionSpace& space) {
  return std::max<std::int64_t>(1, concurrency(space) / 2048);
}

/// Scratch (shared) memory of a multiprocessor in bytes.
template <class ExecutionSpace>
std::int64_t scratch_of_multiprocessor([[maybe_unused]] const ExecutionSpace& space) {
#if defined(KOKKOS_ENABLE_CUDA)
  return static_cast<std::int64_t>(space.cuda_device_prop().sharedMemPerMultiprocessor);
#elif defined(KOKKOS_ENABLE_HIP)
  return static_cast<std::int64_t>(space.hip_device_prop().maxSharedMemoryPerMultiProcessor);
#else
  return std::int64_t{64} << 10;
#endif
}

/// Bytes that a part of a team's scratch memory may lose by being aligned to 16: on HIP a team's memory begins 8 bytes
/// behind a multiple of 16, and Kokkos gives a null pointer where the aligned part does not fit.
#if defined(KOKKOS_ENABLE_HIP)
inline constexpr int room_to_align_scratch = 16;
#else
inline constexpr int room_to_align_scratch = 0;
#endif

}  // namespace kq::detail

/// macro(Space, argument) for every execution space that the library is built for.
#if defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP)
#define KQ_FOR_EACH_SPACE(macro, argument) \
  macro(::kq::detail::HostSpace, argument) macro(::kq::detail::DeviceSpace, argument)
#else
#define KQ_FOR_EACH_SPACE(macro, argument) macro(::kq::detail::HostSpace, argument)
#endif
