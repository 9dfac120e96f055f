// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/ranges.hpp"

#include "backends/gpu/runtime.hpp"

#if KQ_GPU_HIP
#include "backends/gpu/library.hpp"
#else
#include <cuda_profiler_api.h>
#include <nvtx3/nvToolsExt.h>
#endif

namespace kqbench::gpu {

#if KQ_GPU_HIP

namespace {

// roctx, of rocprofiler-sdk (ROCm 6.2 on) or of roctracer before. Range functions return the nesting level. Only the
// newer one has pause and resume, which take a thread's number, 0 for all; profilers that start paused wait for resume.
struct Roctx {
  Library library{"librocprofiler-sdk-roctx.so.1", "librocprofiler-sdk-roctx.so", "libroctx64.so.4", "libroctx64.so"};
  int (*push)(const char*) = library.function<int(const char*)>("roctxRangePushA");
  int (*pop)() = library.function<int()>("roctxRangePop");
  int (*pause)(unsigned long) = library.function<int(unsigned long)>("roctxProfilerPause");
  int (*resume)(unsigned long) = library.function<int(unsigned long)>("roctxProfilerResume");
};

const Roctx& roctx() {
  static const Roctx functions;
  return functions;
}

}  // namespace

// hipProfilerStart and hipProfilerStop do nothing on AMD's platform and are deprecated there in favour of roctx.
void profiler_start() {
  if (roctx().resume != nullptr) roctx().resume(0);
}
void profiler_stop() {
  if (roctx().pause != nullptr) roctx().pause(0);
}
void push_range(const char* name) {
  if (roctx().push != nullptr) roctx().push(name);
}
void pop_range() {
  if (roctx().pop != nullptr) roctx().pop();
}

#else

void profiler_start() {
  check(cudaProfilerStart(), "starting the profiler");
}
void profiler_stop() {
  check(cudaProfilerStop(), "stopping the profiler");
}
void push_range(const char* name) {
  nvtxRangePushA(name);
}
void pop_range() {
  nvtxRangePop();
}

#endif

}  // namespace kqbench::gpu
