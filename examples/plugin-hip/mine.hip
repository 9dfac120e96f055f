// SPDX-License-Identifier: Apache-2.0
// A kernel for kqbench: one scale per token, int8 from bfloat16, as vLLM's dynamic_scaled_int8_quant gives them.
#include <hip/hip_runtime.h>

#include <cstdint>

#include "kq_plugin.h"

constexpr int threads = 256;

__device__ float to_float(std::uint16_t bfloat16) {
  return __uint_as_float(static_cast<unsigned>(bfloat16) << 16);
}

__global__ void quantize(const std::uint16_t* x, long long x_stride, long long size, signed char* codes,
                         long long codes_stride, float* scales) {
  __shared__ float maxima[threads];
  x += blockIdx.x * x_stride;
  codes += blockIdx.x * codes_stride;
  float amax = 0.0f;
  for (long long i = threadIdx.x; i < size; i += threads) {
    const float magnitude = fabsf(to_float(x[i]));
    amax = magnitude > amax ? magnitude : amax;  // leaves NaN out, that signals too, of which fmaxf may make NaN
  }
  maxima[threadIdx.x] = amax;
  for (unsigned half = threads / 2; half > 0; half /= 2) {  // any width of waves
    __syncthreads();
    if (threadIdx.x < half) maxima[threadIdx.x] = fmaxf(maxima[threadIdx.x], maxima[threadIdx.x + half]);
  }
  __syncthreads();
  amax = maxima[0];
  if (threadIdx.x == 0) scales[blockIdx.x] = amax / 127.0f;
  const float inverse = amax == 0.0f ? 0.0f : 127.0f / amax;
  for (long long i = threadIdx.x; i < size; i += threads) {
    const float code = rintf(to_float(x[i]) * inverse);  // to nearest even
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
  quantize<<<static_cast<unsigned>(r->num_tokens), threads, 0, static_cast<hipStream_t>(stream)>>>(
      static_cast<const std::uint16_t*>(b->input), r->input_stride, r->hidden_size, static_cast<signed char*>(b->codes),
      r->codes_stride, static_cast<float*>(b->scales));
  const hipError_t error = hipGetLastError();
  return error == hipSuccess ? nullptr : hipGetErrorString(error);
}

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin mine = KQ_PLUGIN_INIT;
  mine.name = "mine";
  mine.description = "a block of 256 threads per token";
  mine.backend = "hip";
  mine.dialect = KQ_DIALECT_VLLM_0_33_0;
  mine.why_not = why_not;
  mine.enqueue = enqueue;
  return index == 0 ? &mine : nullptr;
}
