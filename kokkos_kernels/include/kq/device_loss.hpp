// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Whether Kokkos can still be ended in good order.

#include <Kokkos_Core.hpp>

namespace kq {

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
