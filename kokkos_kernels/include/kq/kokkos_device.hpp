// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What whoever starts Kokkos must know of the device that it was built for: its name here, how many there are, an
/// instance on a stream of the device's runtime, and whether Kokkos can still be ended in good order. Callers ask
/// nowhere else which device it is.

#include <Kokkos_Core.hpp>
#include <string_view>

namespace kq {

template <class Space>
inline constexpr bool is_cuda = requires(Space space) {
  space.cuda_stream();
};
template <class Space>
inline constexpr bool is_hip = requires(Space space) {
  space.hip_stream();
};

/// The backend that an execution space works on.
template <class Space>
inline constexpr std::string_view backend_of = is_cuda<Space> ? "cuda" : (is_hip<Space> ? "hip" : "host");

template <class Space>
inline constexpr bool has_streams = backend_of<Space> != "host";

/// The execution space on a stream of the device's runtime: a cudaStream_t or hipStream_t; a host has none.
template <class Space>
Space space_on([[maybe_unused]] void* stream) {
  if constexpr (is_cuda<Space>) {
    return Space(static_cast<decltype(Space().cuda_stream())>(stream));
  } else if constexpr (is_hip<Space>) {
    return Space(static_cast<decltype(Space().hip_stream())>(stream));
  } else {
    return Space();
  }
}

/// How many devices the runtime finds, 0 also where there is no driver; 0 for a host. Kokkos::num_devices() ends the
/// program where there is none. No device is an answer: it does not stay behind as the runtime's last error.
inline int device_count() {
  int count = 0;
#if defined(KOKKOS_ENABLE_CUDA)
  if (cudaGetDeviceCount(&count) != cudaSuccess) count = 0;
  static_cast<void>(cudaGetLastError());
#elif defined(KOKKOS_ENABLE_HIP)
  if (hipGetDeviceCount(&count) != hipSuccess) count = 0;
  static_cast<void>(hipGetLastError());
#endif
  return count;
}

/// Whether Kokkos's device has failed for the rest of the process's life, as it has after an illegal address. Then
/// Kokkos::finalize, and the end of an instance of its own, abort the process: leave both to the process's end, so that
/// its exit status is kept. Waits for the device, and makes it the thread's current one. Kokkos is initialized.
inline bool device_is_lost() {
#if defined(KOKKOS_ENABLE_CUDA)
  return cudaSetDevice(Kokkos::DefaultExecutionSpace().cuda_device()) != cudaSuccess ||
         cudaDeviceSynchronize() != cudaSuccess;
#elif defined(KOKKOS_ENABLE_HIP)
  return hipSetDevice(Kokkos::DefaultExecutionSpace().hip_device()) != hipSuccess ||
         hipDeviceSynchronize() != hipSuccess;
#else
  return false;
#endif
}

}  // namespace kq
