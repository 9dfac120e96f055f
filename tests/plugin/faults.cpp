// SPDX-License-Identifier: Apache-2.0

// A plug-in of kernels with a fault each, for dynamic groups, E4M3 from float: what is made of an element, or where it
// goes, is wrong in one place. "right" has none.

#include <algorithm>
#include <atomic>
#include <cfenv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <stdexcept>
#include <thread>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "capi/kq_plugin.h"
#include "kq/format.hpp"

namespace {

using Code = std::uint8_t;

enum class Fault {
  none,
  unwritten_tail,
  race,
  wrong_rounding,
  swapped_scale_layout,
  out_of_bounds,
  reads_behind,
  reciprocal,
  nan_dropped,
  writes_input,
  far_out_of_bounds,
  workspace,
  large_workspace,
  largest_workspace,
  bad_pointer,
  abort,
  exit,
  exception,
  failure,
  silent_failure,
  rounding_mode,
  flushes_subnormals,
  in_why_not,
  now_and_then
};

/// What a kernel works on.
struct Call {
  const kq_request& r;
  const float* input;
  Code* codes;
  float* scales;
  std::int64_t groups;  ///< of a row
};

constexpr float top = 448.0f;

/// As compilers' options for fast arithmetic do it, and never undo.
void flush_subnormals() {
#if defined(__x86_64__)
  _mm_setcsr(_mm_getcsr() | 0x8040u);
#endif
}

/// A number of E4M3 with a step too few or too many where the rest is half a step: away from zero, not to even.
Code encode_half_up(float v, float x) {
  const Code nearest = kq::Fp8E4M3Fn::encode(v, x);
  const float half_up = std::fabs(v) * (1.0f + 0x1p-20f);
  return std::isfinite(v) && half_up < top ? kq::Fp8E4M3Fn::encode(std::copysign(half_up, x), x) : nearest;
}

template <Fault fault>
void group(const Call& call, std::int64_t token, std::int64_t g, float& scale) {
  const std::int64_t first = g * call.r.group_size;
  const std::int64_t end = std::min(first + call.r.group_size, call.r.hidden_size);
  const float* const x = call.input + token * call.r.input_stride;
  float amax = 1e-10f;
  for (std::int64_t i = first; i < end; ++i)
    amax = std::fabs(x[i]) > amax ? std::fabs(x[i]) : amax;  // NaN is not above it
  scale = amax / top;
  if constexpr (fault == Fault::race) std::this_thread::yield();
  const bool by_columns = fault == Fault::swapped_scale_layout;
  call.scales[by_columns ? g * call.r.num_tokens + token : token * call.groups + g] = scale;
  Code* const codes = call.codes + token * call.r.codes_stride;
  for (std::int64_t i = first; i < end; ++i) {
    const float v = fault == Fault::reciprocal ? x[i] * (1.0f / scale) : x[i] / scale;
    const float bounded = std::isnan(v) ? v : std::clamp(v, -top, top);
    codes[i] = fault == Fault::wrong_rounding ? encode_half_up(bounded, x[i]) : kq::Fp8E4M3Fn::encode(bounded, x[i]);
    if (fault == Fault::nan_dropped && std::isnan(v)) codes[i] = kq::Fp8E4M3Fn::encode(top, x[i]);
  }
}

/// Half of the tokens; `scale` is where each group's scale is kept for its codes.
template <Fault fault>
void tokens(const Call& call, std::int64_t first, std::int64_t step, float& scale) {
  for (std::int64_t token = first; token < call.r.num_tokens; token += step) {
    for (std::int64_t g = 0; g < call.groups; ++g) {
      group<fault>(call, token, g, scale);
    }
  }
}

template <Fault fault>
void quantize(const Call& call) {
  float scale = 0.0f;
  if constexpr (fault == Fault::race) {  // two threads, and one place for the scale
    std::thread other([&] { tokens<fault>(call, 1, 2, scale); });
    tokens<fault>(call, 0, 2, scale);
    other.join();
  } else {
    tokens<fault>(call, 0, 1, scale);
  }
}

/// Hidden from the compiler, which knows better than to do as it is told.
template <class T>
T* hidden(T* address) {
  volatile auto kept = reinterpret_cast<std::uintptr_t>(address);
  return reinterpret_cast<T*>(kept);
}

/// As good as null, which sanitizers would see.
volatile char* nowhere() {
  return hidden(reinterpret_cast<volatile char*>(16));
}

template <Fault fault>
const char* enqueue(const kq_request* r, const kq_buffers* b, void* /*stream*/) {
  const Call call{*r, static_cast<const float*>(b->input), static_cast<Code*>(b->codes), static_cast<float*>(b->scales),
                  (r->hidden_size + r->group_size - 1) / r->group_size};
  const std::int64_t codes_end = (r->num_tokens - 1) * r->codes_stride + r->hidden_size;
  const std::int64_t input_end = (r->num_tokens - 1) * r->input_stride + r->hidden_size;
  volatile float read = 0.0f;
  switch (fault) {
    case Fault::unwritten_tail: {
      const Code before = call.codes[codes_end - 1];
      quantize<fault>(call);
      call.codes[codes_end - 1] = before;
      return nullptr;
    }
    case Fault::out_of_bounds:
      quantize<fault>(call);
      hidden(call.codes)[codes_end] = 0;
      return nullptr;
    case Fault::far_out_of_bounds:
      hidden(call.scales)[-3] = 0.0f;
      break;
    case Fault::reads_behind:
      read = hidden(call.input)[input_end];
      break;
    case Fault::writes_input:
      *const_cast<float*>(hidden(call.input)) = 1.0f;
      break;
    case Fault::workspace:
      hidden(static_cast<char*>(b->workspace))[b->workspace_bytes] = 1;
      break;
    case Fault::bad_pointer:
      *nowhere() = 1;
      break;
    case Fault::abort:
      std::abort();
    case Fault::exit:
      std::_Exit(7);
    case Fault::exception:
      throw std::runtime_error("no kernel for this\nat all");
    case Fault::failure:
      return "no kernel image is available";
    case Fault::silent_failure:
      return "";
    case Fault::rounding_mode:
      std::fesetround(FE_DOWNWARD);
      break;
    case Fault::flushes_subnormals:
      flush_subnormals();
      break;
    case Fault::now_and_then: {
      static std::atomic<int> calls{0};
      quantize<fault>(call);
      if (++calls % 4 == 0) call.codes[0] = static_cast<Code>(call.codes[0] ^ 1);
      return nullptr;
    }
    default:
      break;
  }
  static_cast<void>(read);
  quantize<fault>(call);
  return nullptr;
}

const char* why_not(const kq_request* r) {
  const bool is_served = r->element == KQ_FLOAT32 && r->format == KQ_FP8_E4M3FN && r->granularity == KQ_GROUP &&
                         r->static_scale == 0 && r->scale_format == KQ_SCALE_FLOAT &&
                         r->scale_layout == KQ_LAYOUT_ROW && r->producer == KQ_PRODUCER_NONE && r->qmax == top;
  return is_served ? nullptr : "only dynamic groups, fp8_e4m3fn from float, float scales in rows";
}

const char* why_not_with_a_crash(const kq_request* r) {
  if (r->num_tokens == 6) *nowhere() = 1;
  return why_not(r);
}

size_t workspace_bytes(const kq_request*) {
  return 512;
}

size_t large_workspace_bytes(const kq_request*) {
  return std::size_t{1} << 50;
}

size_t largest_workspace_bytes(const kq_request* r) {
  return r->num_tokens == 6 ? SIZE_MAX : 0;
}

struct Named {
  const char* name;
  Fault fault;
  const char* (*enqueue)(const kq_request*, const kq_buffers*, void*);
};

template <Fault fault>
constexpr Named named(const char* name) {
  return {name, fault, enqueue<fault>};
}

constexpr Named all[] = {
    named<Fault::none>("right"),
    named<Fault::unwritten_tail>("unwritten_tail"),
    named<Fault::race>("race"),
    named<Fault::wrong_rounding>("wrong_rounding"),
    named<Fault::swapped_scale_layout>("swapped_scale_layout"),
    named<Fault::out_of_bounds>("out_of_bounds"),
    named<Fault::reads_behind>("reads_behind"),
    named<Fault::reciprocal>("reciprocal"),
    named<Fault::nan_dropped>("nan_dropped"),
    named<Fault::writes_input>("writes_input"),
    named<Fault::far_out_of_bounds>("far_out_of_bounds"),
    named<Fault::workspace>("workspace"),
    named<Fault::large_workspace>("large_workspace"),
    named<Fault::largest_workspace>("largest_workspace"),
    named<Fault::bad_pointer>("bad_pointer"),
    named<Fault::abort>("abort"),
    named<Fault::exit>("exit"),
    named<Fault::exception>("exception"),
    named<Fault::failure>("failure"),
    named<Fault::silent_failure>("silent_failure"),
    named<Fault::rounding_mode>("rounding_mode"),
    named<Fault::flushes_subnormals>("flushes_subnormals"),
    named<Fault::in_why_not>("in_why_not"),
    named<Fault::now_and_then>("now_and_then"),
    named<Fault::swapped_scale_layout>("swapped_too"),
};
constexpr int count = static_cast<int>(std::size(all));

kq_plugin describe(const Named& one) {
  kq_plugin kernel = KQ_PLUGIN_INIT;
  kernel.name = one.name;
  kernel.description = "for tests";
  kernel.backend = "host";
  kernel.why_not = one.fault == Fault::in_why_not ? why_not_with_a_crash : why_not;
  if (one.fault == Fault::workspace) kernel.workspace_bytes = workspace_bytes;
  if (one.fault == Fault::large_workspace) kernel.workspace_bytes = large_workspace_bytes;
  if (one.fault == Fault::largest_workspace) kernel.workspace_bytes = largest_workspace_bytes;
  kernel.enqueue = one.enqueue;
  return kernel;
}

}  // namespace

extern "C" const kq_plugin* kq_plugin_at(int index) {
  static kq_plugin kernels[count];
  for (int i = 0; i < count; ++i)
    kernels[i] = describe(all[i]);
  return index < count ? &kernels[index] : nullptr;
}
