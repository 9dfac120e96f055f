// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What every header of kq needs to compile for a host, a CUDA and a HIP device alike. No Kokkos here: the native
/// backends include these headers too.

/// A function that is compiled for the host and for the device.
#if defined(__CUDACC__)
#define KQ_HOST_DEVICE __host__ __device__ __forceinline__
#elif defined(__HIPCC__)
#define KQ_HOST_DEVICE __host__ __device__ inline __attribute__((always_inline))
#else
#define KQ_HOST_DEVICE inline
#endif

/// Device passes, by vendor. Only the format, element and tile headers may look at these.
#if defined(__CUDA_ARCH__)
#define KQ_DEVICE_CUDA 1
#else
#define KQ_DEVICE_CUDA 0
#endif
#if defined(__HIP_DEVICE_COMPILE__) && __HIP_DEVICE_COMPILE__
#define KQ_DEVICE_HIP 1
#else
#define KQ_DEVICE_HIP 0
#endif

/// Before a loop that indexes registers: device compilers unroll it whole, so that every index is a constant.
#if KQ_DEVICE_CUDA || KQ_DEVICE_HIP
#define KQ_UNROLL _Pragma("unroll")
#else
#define KQ_UNROLL
#endif
