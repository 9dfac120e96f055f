// SPDX-License-Identifier: Apache-2.0
// vLLM's kernel for one scale per token, FP8, as vLLM launches it (dynamic_per_token_scaled_fp8_quant).
#include <algorithm>
#include <climits>
#include <cmath>

#include "kq_plugin.h"
#include "quantization/w8a8/fp8/common.cu"

static const char* why_not(const kq_request* r) {
  if (r->format != KQ_FP8_E4M3FN || r->qmax != 448.0f) return "only fp8_e4m3fn up to 448";
  if (r->granularity != KQ_TOKEN || r->static_scale) return "only dynamic token";
  if (r->producer != KQ_PRODUCER_NONE) return "no producers";
  if (!std::isinf(r->scale_ub)) return "no upper bound of scales, which vLLM has on the device";
  return r->hidden_size <= INT_MAX && r->num_tokens <= INT_MAX ? nullptr : "only sizes that an int holds";
}

template <class T>
static void launch(const kq_request* r, const kq_buffers* b, void* stream) {
  const auto threads = static_cast<unsigned>(std::min<int64_t>(r->hidden_size, 256));
  vllm::dynamic_per_token_scaled_fp8_quant_kernel_strided<T, c10::Float8_e4m3fn>
      <<<static_cast<unsigned>(r->num_tokens), threads, 0, static_cast<cudaStream_t>(stream)>>>(
          static_cast<c10::Float8_e4m3fn*>(b->codes), static_cast<float*>(b->scales), static_cast<const T*>(b->input),
          nullptr, static_cast<int>(r->hidden_size), r->input_stride, r->codes_stride);
}

static const char* enqueue(const kq_request* r, const kq_buffers* b, void* stream) {
  if (r->element == KQ_HALF) launch<c10::Half>(r, b, stream);
  if (r->element == KQ_BFLOAT16) launch<c10::BFloat16>(r, b, stream);
  if (r->element == KQ_FLOAT32) launch<float>(r, b, stream);
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin kernel = KQ_PLUGIN_INIT;
  kernel.name = "vllm";
  kernel.description = "vLLM 0.33.0, csrc/quantization/w8a8/fp8/common.cu";
  kernel.backend = "cuda";
  kernel.dialect = KQ_DIALECT_VLLM_0_33_0;
  kernel.why_not = why_not;
  kernel.enqueue = enqueue;
  return index == 0 ? &kernel : nullptr;
}
