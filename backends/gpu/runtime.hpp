// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One source for two runtimes, whose names differ in a prefix: KQ_GPU(Malloc) is cudaMalloc or hipMalloc. The few
/// places where more than that differs ask KQ_GPU_HIP.

#if defined(__HIP__) || defined(__HIPCC__)
#include <hip/hip_runtime.h>
#define KQ_GPU(name) hip##name
#define KQ_GPU_HIP 1
#else
#include <cuda_runtime.h>
#define KQ_GPU(name) cuda##name
#define KQ_GPU_HIP 0
#endif

#include <string>

#include "backends/backend.hpp"

namespace kqbench::gpu {

using Stream = KQ_GPU(Stream_t);
using Status = KQ_GPU(Error_t);
#if KQ_GPU_HIP
using Properties = hipDeviceProp_t;
inline constexpr const char* backend_name = "hip";
inline constexpr const char* runtime_name = "HIP";
#else
using Properties = cudaDeviceProp;
inline constexpr const char* backend_name = "cuda";
inline constexpr const char* runtime_name = "CUDA";
#endif

/// The one-line message for a failure: "CUDA: copying 4096 bytes to the device: out of memory
/// (cudaErrorMemoryAllocation)".
std::string failure(Status status, const std::string& what);

/// Throws a DeviceError with that message unless `status` is a success.
inline void check(Status status, const char* what) {
  if (status != KQ_GPU(Success)) throw DeviceError(failure(status, what));
}

}  // namespace kqbench::gpu
