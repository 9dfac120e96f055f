// SPDX-License-Identifier: Apache-2.0
// A kernel for kqbench: one scale per token, int8 from bfloat16, as vLLM's dynamic_scaled_int8_quant gives them.
#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "kq_plugin.h"

constexpr int threads = 256;

__global__ void quantize(const __nv_bfloat16* x, long long x_stride, long long size, signed char* codes,
                         long long codes_stride, float* scales) {
  __shared__ float warps[threads / 32];
  x += blockIdx.x * x_stride;
  codes += blockIdx.x * codes_stride;
  float amax = 0.0f;
  for (long long i = threadIdx.x; i < size; i += threads)
    amax = fmaxf(amax, fabsf(__bfloat162float(x[i])));  // fmaxf leaves NaN out
  for (int lane = 16; lane > 0; lane /= 2)
    amax = fmaxf(amax, __shfl_xor_sync(0xffffffffu, amax, lane));
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = amax;
  __syncthreads();
  for (int warp = 0; warp < threads / 32; ++warp)
    amax = fmaxf(amax, warps[warp]);
  if (threadIdx.x == 0) scales[blockIdx.x] = __fdiv_rn(amax, 127.0f);
  const float inverse = amax == 0.0f ? 0.0f : __fdiv_rn(127.0f, amax);
  for (long long i = threadIdx.x; i < size; i += threads) {
    const float code = rintf(__fmul_rn(__bfloat162float(x[i]), inverse));  // to nearest even
    codes[i] = isnan(code) ? 0 : static_cast<signed char>(fminf(fmaxf(code, -128.0f), 127.0f));
  }
}

static const char* why_not(const kq_request* r) {
  if (r->element != KQ_BFLOAT16 || r->format != KQ_INT8) return "only int8 from bfloat16";
  if (r->granularity != KQ_TOKEN || r->static_scale || r->asymmetric) return "only dynamic token";
  if (r->producer != KQ_PRODUCER_NONE) return "no producers";
  return r->qmax == 127.0f ? nullptr : "only qmax 127";
}

static const char* enqueue(const kq_request* r, const kq_buffers* b, void* stream) {
  quantize<<<static_cast<unsigned>(r->num_tokens), threads, 0, static_cast<cudaStream_t>(stream)>>>(
      static_cast<const __nv_bfloat16*>(b->input), r->input_stride, r->hidden_size, static_cast<signed char*>(b->codes),
      r->codes_stride, static_cast<float*>(b->scales));
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin mine = KQ_PLUGIN_INIT;
  mine.name = "mine";
  mine.description = "a block of 256 threads per token";
  mine.backend = "cuda";
  mine.dialect = KQ_DIALECT_VLLM_0_33_0;
  mine.why_not = why_not;
  mine.enqueue = enqueue;
  return index == 0 ? &mine : nullptr;
}
