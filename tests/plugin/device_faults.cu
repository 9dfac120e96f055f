// SPDX-License-Identifier: Apache-2.0

// A plug-in of CUDA kernels with a fault each, for one scale a token, E4M3 from bfloat16: the same ten as faults.cpp
// has for a host, two of which a host has not; and kernels whose launches overlap. "right" and "waits" have none.

#include <cuda_bf16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "capi/kq_plugin.h"

namespace {

enum class Fault {
  none,
  unwritten_tail,
  race,
  wrong_rounding,
  swapped_scale_layout,
  out_of_bounds,
  wrong_stream,
  hidden_synchronization,
  reads_behind,
  reciprocal,
  nan_dropped,
  wild_pointer,
  waits,           // this one and those behind it: launches that overlap; this one has no fault
  does_not_wait,   // and says that it does
  unmarked,        // waits, but its kernel's name does not say so
  launches_early,  // though nobody has asked for launches that overlap
};

/// What the name of a kernel contains that waits for the launch in front of it.
struct WaitsForPrerequisites {};
template <Fault fault>
using Mark = std::conditional_t<fault == Fault::waits || fault == Fault::does_not_wait, WaitsForPrerequisites, void>;

constexpr int group = 64;
constexpr float top = 448.0f;
constexpr long long late_cycles = 100000;  ///< of the race: far longer than a warp needs for what it does meanwhile

__device__ unsigned char encode(float v, Fault fault) {
  if (isnan(v)) return fault == Fault::nan_dropped ? 0x7e : (signbit(v) ? 0xff : 0x7f);
  if (fault == Fault::wrong_rounding) v *= 1.0f + 0x1p-20f;  // half a step: away from zero, not to even
  return __nv_cvt_float_to_fp8(fminf(fmaxf(v, -top), top), __NV_SATFINITE, __NV_E4M3);
}

/// A group for each block of 64 threads.
template <Fault fault, class = Mark<fault>>
__global__ void quantize(kq_request r, kq_buffers b, long long groups) {
#if __CUDA_ARCH__ >= 900
  if (fault == Fault::waits || fault == Fault::unmarked) cudaGridDependencySynchronize();
#endif
  __shared__ float values[group];
  const long long token = blockIdx.x / groups;
  const long long g = blockIdx.x % groups;
  const long long channel = g * group + threadIdx.x;
  const bool inside = channel < r.hidden_size;
  const auto* x = static_cast<const __nv_bfloat16*>(b.input) + token * r.input_stride + channel;
  const float value = inside ? __bfloat162float(*x) : 0.0f;
  if (fault == Fault::race) {  // the second warp is late, and the first one does not wait for it
    values[threadIdx.x] = 0.0f;
    __syncthreads();
    const long long begin = clock64();
    while (threadIdx.x >= 32 && clock64() - begin < late_cycles) {
    }
  }
  values[threadIdx.x] = isnan(value) ? 0.0f : fabsf(value);
  if (fault != Fault::race) __syncthreads();
  float amax = 1e-10f;
  for (int i = 0; i < group; ++i)
    amax = fmaxf(amax, static_cast<volatile float*>(values)[i]);
  const float scale = __fdiv_rn(amax, top);
  auto* const scales = static_cast<float*>(b.scales);
  if (threadIdx.x == 0) {
    scales[fault == Fault::swapped_scale_layout ? g * r.num_tokens + token : token * groups + g] = scale;
  }
  auto* const codes = static_cast<unsigned char*>(b.codes);
  const long long place = token * r.codes_stride + channel;
  const bool last = token + 1 == r.num_tokens && channel + 1 == r.hidden_size;
  if (inside && !(fault == Fault::unwritten_tail && last)) {
    const float v = fault == Fault::reciprocal ? __fmul_rn(value, __fdiv_rn(1.0f, scale)) : __fdiv_rn(value, scale);
    codes[place] = encode(isnan(v) ? copysignf(v, value) : v, fault);
  }
  if (fault == Fault::out_of_bounds && last) codes[place + 1] = 0;
  if (fault == Fault::reads_behind && last && __bfloat162float(x[1]) == 1.25f) codes[place] = 0;
  if (fault == Fault::wild_pointer && last) *reinterpret_cast<volatile int*>(16) = 1;
}

template <Fault fault>
const char* enqueue(const kq_request* r, const kq_buffers* b, void* stream) {
  const long long groups = (r->hidden_size + group - 1) / group;
  const auto blocks = static_cast<unsigned>(groups * r->num_tokens);
  const auto on = fault == Fault::wrong_stream ? cudaStreamLegacy : static_cast<cudaStream_t>(stream);
  cudaLaunchAttribute early{};
  early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  early.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t launch{};
  launch.gridDim = dim3(blocks);
  launch.blockDim = dim3(group);
  launch.stream = on;
  launch.attrs = &early;
  launch.numAttrs = fault == Fault::launches_early ? 1 : 0;
  cudaError_t error = cudaLaunchKernelEx(&launch, quantize<fault>, *r, *b, groups);
  if (fault == Fault::hidden_synchronization && error == cudaSuccess) error = cudaStreamSynchronize(on);
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

const char* why_not(const kq_request* r) {
  const bool is_served = r->element == KQ_BFLOAT16 && r->format == KQ_FP8_E4M3FN && r->granularity == KQ_GROUP &&
                         r->group_size == group && r->static_scale == 0 && r->scale_format == KQ_SCALE_FLOAT &&
                         r->scale_layout == KQ_LAYOUT_ROW && r->producer == KQ_PRODUCER_NONE && r->qmax == top;
  return is_served ? nullptr : "only dynamic group:64, fp8_e4m3fn from bfloat16, float scales in rows";
}

struct Named {
  const char* name;
  const char* (*enqueue)(const kq_request*, const kq_buffers*, void*);
  int waits_for_prerequisites = 0;
};

constexpr Named planted[] = {
    {"right", enqueue<Fault::none>},
    {"unwritten_tail", enqueue<Fault::unwritten_tail>},
    {"race", enqueue<Fault::race>},
    {"wrong_rounding", enqueue<Fault::wrong_rounding>},
    {"swapped_scale_layout", enqueue<Fault::swapped_scale_layout>},
    {"out_of_bounds", enqueue<Fault::out_of_bounds>},
    {"wrong_stream", enqueue<Fault::wrong_stream>},
    {"hidden_synchronization", enqueue<Fault::hidden_synchronization>},
    {"reads_behind", enqueue<Fault::reads_behind>},
    {"reciprocal", enqueue<Fault::reciprocal>},
    {"nan_dropped", enqueue<Fault::nan_dropped>},
    {"wild_pointer", enqueue<Fault::wild_pointer>},
    {"waits", enqueue<Fault::waits>, 1},
    {"does_not_wait", enqueue<Fault::does_not_wait>, 1},
    {"unmarked", enqueue<Fault::unmarked>, 1},
    {"launches_early", enqueue<Fault::launches_early>},
};
constexpr int count = static_cast<int>(sizeof planted / sizeof planted[0]);

}  // namespace

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin kernels[count];
  for (int i = 0; i < count; ++i) {
    kernels[i] = KQ_PLUGIN_INIT;
    kernels[i].name = planted[i].name;
    kernels[i].description = "for tests";
    kernels[i].backend = "cuda";
    kernels[i].why_not = why_not;
    kernels[i].waits_for_prerequisites = planted[i].waits_for_prerequisites;
    kernels[i].enqueue = planted[i].enqueue;
  }
  return index < count ? &kernels[index] : nullptr;
}
