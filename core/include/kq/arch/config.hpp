// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The macros that every header of kq needs to compile for a host, a CUDA and a HIP device alike. Only the headers of
/// this folder ask which device a pass is for; kq/arch/arch.hpp offers what differs as functions of one name.

/// A function that is compiled for the host and for the device.
#if defined(__CUDACC__)
#define KQ_HOST_DEVICE __host__ __device__ __forceinline__
#elif defined(__HIPCC__)
#define KQ_HOST_DEVICE __host__ __device__ inline __attribute__((always_inline))
#else
#define KQ_HOST_DEVICE inline
#endif

/// Before a function that a host calls rarely, or whose callers should not grow by it. (Where devices are compiled for
/// too, KQ_HOST_DEVICE says the opposite.)
#if defined(__CUDACC__) || defined(__HIPCC__)
#define KQ_HOST_NOINLINE
#else
#define KQ_HOST_NOINLINE [[gnu::noinline]]
#endif

/// Which device this pass compiles for; none on a host.
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
#define KQ_DEVICE_ANY (KQ_DEVICE_CUDA || KQ_DEVICE_HIP)

/// Before a loop that indexes registers: device compilers unroll it whole, so that every index is a constant.
#if KQ_DEVICE_ANY
#define KQ_UNROLL _Pragma("unroll")
#else
#define KQ_UNROLL
#endif

/// Whether a host pass may use AVX with half conversions, and AVX2 with FMA. nvcc's host pass cannot parse their
/// headers; a pass for an AMD device sees the host's instruction set too.
#if defined(__AVX__) && defined(__F16C__) && !defined(__CUDACC__) && !KQ_DEVICE_HIP
#define KQ_HOST_F16C 1
#else
#define KQ_HOST_F16C 0
#endif
#if KQ_HOST_F16C && defined(__AVX2__) && defined(__FMA__)
#define KQ_HOST_AVX2 1
#else
#define KQ_HOST_AVX2 0
#endif

namespace kq::arch {

/// Whether this pass compiles for a device.
inline constexpr bool is_device = KQ_DEVICE_ANY;

/// Whether kernels are compiled that others can stand for, though slower: most of those for shapes of their own, and
/// those for a producer with a quantizer that few have. CI, which makes machine code for AMD's GPUs to run it in an
/// interpreter, leaves them out.
#if defined(KQ_FEWER_KERNELS)
inline constexpr bool all_kernels = false;
#else
inline constexpr bool all_kernels = true;
#endif

/// The second argument of __launch_bounds__ (and of Kokkos::LaunchBounds) by which a multiprocessor or compute unit can
/// hold `resident` threads at once, for teams of `threads`. CUDA counts teams, HIP waves of 64 on each of a compute
/// unit's four SIMDs.
constexpr int launch_bound(int threads, int resident) {
#if defined(__HIPCC__)
  return (resident > threads ? resident : threads) / 256;
#else
  return (resident + threads - 1) / threads;
#endif
}

}  // namespace kq::arch
