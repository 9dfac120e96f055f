// SPDX-License-Identifier: Apache-2.0
// A kernel for kqbench: one scale per token, int8 from bfloat16, as vLLM's dynamic_scaled_int8_quant gives them.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "kq_plugin.h"

static float to_float(std::uint16_t bfloat16) {
  return std::bit_cast<float>(std::uint32_t{bfloat16} << 16);
}

static void quantize(const std::uint16_t* x, std::int64_t size, std::int8_t* codes, float* scale) {
  float amax = 0.0f;
  for (std::int64_t i = 0; i < size; ++i) {
    const float magnitude = std::fabs(to_float(x[i]));
    if (magnitude > amax) amax = magnitude;  // which NaN is not
  }
  *scale = amax / 127.0f;
  const float inverse = amax == 0.0f ? 0.0f : 127.0f / amax;
  for (std::int64_t i = 0; i < size; ++i) {
    const float code = std::nearbyint(to_float(x[i]) * inverse);  // to nearest even
    codes[i] = std::isnan(code) ? 0 : static_cast<std::int8_t>(std::clamp(code, -128.0f, 127.0f));
  }
}

static const char* why_not(const kq_request* r) {
  if (r->element != KQ_BFLOAT16 || r->format != KQ_INT8) return "only int8 from bfloat16";
  if (r->granularity != KQ_TOKEN || r->static_scale || r->asymmetric) return "only dynamic token";
  if (r->producer != KQ_PRODUCER_NONE) return "no producers";
  return r->qmax == 127.0f ? nullptr : "only qmax 127";
}

static const char* enqueue(const kq_request* r, const kq_buffers* b, void*) {
  for (std::int64_t token = 0; token < r->num_tokens; ++token) {
    quantize(static_cast<const std::uint16_t*>(b->input) + token * r->input_stride, r->hidden_size,
             static_cast<std::int8_t*>(b->codes) + token * r->codes_stride, static_cast<float*>(b->scales) + token);
  }
  return nullptr;
}

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin mine = KQ_PLUGIN_INIT;
  mine.name = "mine";
  mine.description = "a loop over tokens, one thread";
  mine.backend = "host";
  mine.dialect = KQ_DIALECT_VLLM_0_33_0;
  mine.why_not = why_not;
  mine.enqueue = enqueue;
  return index == 0 ? &mine : nullptr;
}
