// SPDX-License-Identifier: Apache-2.0

// A HIP runtime whose device is the interpreter: libamdhip64.so, with the functions that this project and hipcc's host
// code call. Memory is the host's and known byte by byte; a launch is over when it returns, so that streams and events
// have nothing to wait for; a graph is a list of work.

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#ifndef __HIP_PLATFORM_AMD__
#define __HIP_PLATFORM_AMD__ 1
#endif
#include <hip/hip_runtime_api.h>

#include "tests/amd/runtime/programs.hpp"
#include "tests/amd/runtime/runtime.hpp"

namespace kqbench::amd {
namespace {

using Work = std::function<hipError_t()>;
using Recording = std::vector<Work>;
using Clock = std::chrono::steady_clock;

/// A kernel or a variable: where its code is, and its name there.
struct Named {
  const void* bundle;
  std::string name;
};

struct Runtime {
  Memory memory;
  Programs programs;
  Options options;
  std::map<std::string, Counts> counts;
  std::map<const void*, Named> kernels;                          ///< by the address of the function on the host
  std::map<const void*, Named> variables;                        ///< by that of the variable
  std::map<hipStream_t, std::unique_ptr<Recording>> recordings;  ///< of streams that are captured
  hipError_t error = hipSuccess;                                 ///< of a launch, until somebody has asked
  std::string message;
};

Runtime& runtime() {
  static auto* const one = new Runtime;  // outlives what unregisters itself at the end
  return *one;
}

hipError_t failed(const std::exception& error) {
  runtime().message = error.what();
  runtime().error = hipErrorLaunchFailure;
  return hipErrorLaunchFailure;
}

/// Done at once, or added to what is recorded.
hipError_t enqueue(hipStream_t stream, Work work) {
  const auto recording = runtime().recordings.find(stream);
  if (recording == runtime().recordings.end()) return work();
  recording->second->push_back(std::move(work));
  return hipSuccess;
}

hipError_t launch(const void* function, dim3 groups, dim3 threads, void** arguments, std::size_t shared_bytes,
                  hipStream_t stream, bool together) try {
  Runtime& r = runtime();
  const auto named = r.kernels.find(function);
  if (named == r.kernels.end()) return hipErrorInvalidDeviceFunction;
  Program& program = r.programs.find(named->second.bundle, named->second.name, r.memory);
  const auto kernel = program.object().kernels().find(named->second.name);
  if (kernel == program.object().kernels().end()) throw std::runtime_error("no kernel " + named->second.name);
  Grid grid;
  grid.groups = {groups.x, groups.y, groups.z};
  grid.threads = {threads.x, threads.y, threads.z};
  grid.shared_bytes = shared_bytes;
  grid.together = together;
  if (threads.x * threads.y * threads.z > kernel->second.max_threads) return hipErrorInvalidConfiguration;
  auto segment = argument_segment(kernel->second, grid, arguments);
  return enqueue(stream, [&r, &program, &of = kernel->second, grid, segment = std::move(segment)] {
    try {
      const Counts more = run(program, of, grid, segment, r.memory, r.options);
      Counts& counts = r.counts[of.name];
      counts.launches += more.launches;
      counts.waves += more.waves;
      counts.instructions += more.instructions;
      return hipSuccess;
    } catch (const std::exception& error) {
      return failed(error);
    }
  });
} catch (const std::exception& error) {
  return failed(error);
}

hipError_t allocate(void** address, std::size_t bytes) {
  *address = std::aligned_alloc(4096, (bytes + 4096) / 4096 * 4096);
  if (*address == nullptr) return hipErrorOutOfMemory;
  runtime().memory.add(*address, bytes, true, "an allocation");
  return hipSuccess;
}

hipError_t release(void* address) {
  if (address == nullptr) return hipSuccess;
  runtime().memory.remove(address);
  std::free(address);
  return hipSuccess;
}

/// In every code object that has it.
std::vector<std::byte*> addresses_of(const void* variable) {
  const Named& named = runtime().variables.at(variable);
  return runtime().programs.variables(named.bundle, named.name, runtime().memory);
}

thread_local struct {
  dim3 groups;
  dim3 threads;
  std::size_t shared_bytes;
  hipStream_t stream;
} configuration;

struct Wrapper {
  std::uint32_t magic;
  std::uint32_t version;
  const void* bundle;
  void* unused;
};

}  // namespace

void set_options(const Options& options) {
  runtime().options = options;
}
std::map<std::string, Counts> take_counts() {
  return std::exchange(runtime().counts, {});
}
std::string emulated_target() {
  return runtime().programs.target();
}
int planted_faults() {
  return runtime().programs.faults();
}

}  // namespace kqbench::amd

using namespace kqbench::amd;

extern "C" {

// --- what hipcc's host code calls ------------------------------------------------------------------------------------

void** __hipRegisterFatBinary(const void* data) {
  return static_cast<void**>(const_cast<void*>(static_cast<const Wrapper*>(data)->bundle));
}
void __hipUnregisterFatBinary(void**) {}
void __hipRegisterFunction(void** bundle, const void* function, char*, const char* name, unsigned, void*, void*, dim3*,
                           dim3*, int*) {
  runtime().kernels[function] = {bundle, name};
}
void __hipRegisterVar(void** bundle, void* variable, char*, char* name, int, std::size_t, int, int) {
  runtime().variables[variable] = {bundle, name};
}
hipError_t __hipPushCallConfiguration(dim3 groups, dim3 threads, std::size_t shared_bytes, hipStream_t stream) {
  configuration = {groups, threads, shared_bytes, stream};
  return hipSuccess;
}
hipError_t __hipPopCallConfiguration(dim3* groups, dim3* threads, std::size_t* shared_bytes, hipStream_t* stream) {
  *groups = configuration.groups;
  *threads = configuration.threads;
  *shared_bytes = configuration.shared_bytes;
  *stream = configuration.stream;
  return hipSuccess;
}

// --- launches --------------------------------------------------------------------------------------------------------

hipError_t hipLaunchKernel(const void* function, dim3 groups, dim3 threads, void** arguments, std::size_t shared_bytes,
                           hipStream_t stream) {
  return launch(function, groups, threads, arguments, shared_bytes, stream, false);
}
hipError_t hipLaunchCooperativeKernel(const void* function, dim3 groups, dim3 threads, void** arguments,
                                      unsigned shared_bytes, hipStream_t stream) {
  return launch(function, groups, threads, arguments, shared_bytes, stream, true);
}
hipError_t hipFuncSetAttribute(const void*, hipFuncAttribute, int) {
  return hipSuccess;
}
hipError_t hipFuncSetCacheConfig(const void*, hipFuncCache_t) {
  return hipSuccess;
}
hipError_t hipFuncGetAttributes(hipFuncAttributes* attributes, const void* function) try {
  Runtime& r = runtime();
  const Named& named = r.kernels.at(function);
  const Kernel& kernel = r.programs.find(named.bundle, named.name, r.memory).object().kernels().at(named.name);
  *attributes = {};
  attributes->numRegs = static_cast<int>(kernel.registers);
  attributes->sharedSizeBytes = kernel.shared_bytes;
  attributes->localSizeBytes = kernel.private_bytes;
  attributes->maxThreadsPerBlock = static_cast<int>(kernel.max_threads);
  attributes->maxDynamicSharedSizeBytes = static_cast<int>(65536 - kernel.shared_bytes);
  return hipSuccess;
} catch (const std::exception& error) {
  return failed(error);
}

// --- errors ----------------------------------------------------------------------------------------------------------

hipError_t hipGetLastError() {
  return std::exchange(runtime().error, hipSuccess);
}
hipError_t hipPeekAtLastError() {
  return runtime().error;
}
const char* hipGetErrorString(hipError_t error) {
  return error == hipErrorLaunchFailure ? runtime().message.c_str() : "an error of the stand-in runtime";
}
const char* hipGetErrorName(hipError_t error) {
  return error == hipErrorLaunchFailure ? "hipErrorLaunchFailure" : "hipErrorUnknown";
}

// --- the device ------------------------------------------------------------------------------------------------------

hipError_t hipInit(unsigned) {
  return hipSuccess;
}
hipError_t hipGetDeviceCount(int* count) {
  *count = 1;
  return hipSuccess;
}
hipError_t hipSetDevice(int) {
  return hipSuccess;
}
hipError_t hipGetDevice(int* device) {
  *device = 0;
  return hipSuccess;
}
hipError_t hipDeviceSynchronize() {
  return std::exchange(runtime().error, hipSuccess);
}
hipError_t hipGetDeviceProperties(hipDeviceProp_t* p, int) {
  *p = {};
  const std::string target = runtime().programs.target();
  std::strcpy(p->name, "interpreter");
  std::strcpy(p->gcnArchName, target.c_str());
  p->totalGlobalMem = std::size_t{8} << 30;
  p->sharedMemPerBlock = p->maxSharedMemoryPerMultiProcessor = 65536;
  p->regsPerBlock = 65536;
  p->warpSize = target_of(target).wave64 ? 64 : 32;
  p->maxThreadsPerBlock = 1024;
  p->maxThreadsPerMultiProcessor = 2048;
  for (int i = 0; i < 3; ++i) {
    p->maxThreadsDim[i] = 1024;
    p->maxGridSize[i] = 2147483647;
  }
  p->multiProcessorCount = 2;
  p->clockRate = p->memoryClockRate = 1'000'000;
  p->memoryBusWidth = 4096;
  p->l2CacheSize = 4 << 20;
  p->major = 9;
  p->canMapHostMemory = p->managedMemory = p->unifiedAddressing = p->concurrentKernels = 1;
  return hipSuccess;
}
hipError_t hipDeviceGetAttribute(int* value, hipDeviceAttribute_t attribute, int) {
  *value = 0;
  if (attribute == hipDeviceAttributeWarpSize) *value = target_of(runtime().programs.target()).wave64 ? 64 : 32;
  if (attribute == hipDeviceAttributeMultiprocessorCount) *value = 2;
  return hipSuccess;
}
hipError_t hipDeviceGetPCIBusId(char* id, int size, int) {
  std::snprintf(id, static_cast<std::size_t>(size), "0000:00:00.0");
  return hipSuccess;
}
hipError_t hipRuntimeGetVersion(int* version) {
  *version = HIP_VERSION;
  return hipSuccess;
}
hipError_t hipDriverGetVersion(int* version) {
  return hipRuntimeGetVersion(version);
}

// --- memory ----------------------------------------------------------------------------------------------------------

hipError_t hipMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = std::size_t{7} << 30;
  *total = std::size_t{8} << 30;
  return hipSuccess;
}
hipError_t hipMalloc(void** address, std::size_t bytes) {
  return allocate(address, bytes);
}
hipError_t hipMallocAsync(void** address, std::size_t bytes, hipStream_t) {
  return allocate(address, bytes);
}
hipError_t hipMallocManaged(void** address, std::size_t bytes, unsigned) {
  return allocate(address, bytes);
}
hipError_t hipHostMalloc(void** address, std::size_t bytes, unsigned) {
  return allocate(address, bytes);
}
hipError_t hipFree(void* address) {
  return release(address);
}
hipError_t hipFreeAsync(void* address, hipStream_t) {
  return release(address);
}
hipError_t hipHostFree(void* address) {
  return release(address);
}
hipError_t hipMemcpyAsync(void* to, const void* from, std::size_t bytes, hipMemcpyKind, hipStream_t stream) {
  return enqueue(stream, [=] {
    std::memmove(to, from, bytes);
    return hipSuccess;
  });
}
hipError_t hipMemcpy(void* to, const void* from, std::size_t bytes, hipMemcpyKind) {
  std::memmove(to, from, bytes);
  return hipSuccess;
}
hipError_t hipMemsetAsync(void* to, int value, std::size_t bytes, hipStream_t stream) {
  return enqueue(stream, [=] {
    std::memset(to, value, bytes);
    return hipSuccess;
  });
}
hipError_t hipMemset(void* to, int value, std::size_t bytes) {
  std::memset(to, value, bytes);
  return hipSuccess;
}
hipError_t hipGetSymbolAddress(void** address, const void* variable) {
  *address = addresses_of(variable).front();
  return hipSuccess;
}
hipError_t hipMemcpyToSymbolAsync(const void* variable, const void* from, std::size_t bytes, std::size_t offset,
                                  hipMemcpyKind, hipStream_t stream) {
  return enqueue(stream, [=, to = addresses_of(variable)] {
    for (std::byte* const one : to) {
      std::memcpy(one + offset, from, bytes);
    }
    return hipSuccess;
  });
}
hipError_t hipMemcpyToSymbol(const void* variable, const void* from, std::size_t bytes, std::size_t offset,
                             hipMemcpyKind kind) {
  return hipMemcpyToSymbolAsync(variable, from, bytes, offset, kind, nullptr);
}

// --- streams, events, graphs -----------------------------------------------------------------------------------------

hipError_t hipStreamCreateWithFlags(hipStream_t* stream, unsigned) {
  *stream = reinterpret_cast<hipStream_t>(new char);
  return hipSuccess;
}
hipError_t hipStreamCreate(hipStream_t* stream) {
  return hipStreamCreateWithFlags(stream, 0);
}
hipError_t hipStreamDestroy(hipStream_t stream) {
  delete reinterpret_cast<char*>(stream);
  return hipSuccess;
}
hipError_t hipStreamSynchronize(hipStream_t) {
  return std::exchange(runtime().error, hipSuccess);
}
hipError_t hipStreamGetDevice(hipStream_t, hipDevice_t* device) {
  *device = 0;
  return hipSuccess;
}
hipError_t hipStreamWaitEvent(hipStream_t, hipEvent_t, unsigned) {
  return hipSuccess;
}
hipError_t hipStreamBeginCapture(hipStream_t stream, hipStreamCaptureMode) {
  runtime().recordings[stream] = std::make_unique<Recording>();
  return hipSuccess;
}
hipError_t hipStreamIsCapturing(hipStream_t stream, hipStreamCaptureStatus* status) {
  *status = runtime().recordings.contains(stream) ? hipStreamCaptureStatusActive : hipStreamCaptureStatusNone;
  return hipSuccess;
}
hipError_t hipStreamEndCapture(hipStream_t stream, hipGraph_t* graph) {
  *graph = reinterpret_cast<hipGraph_t>(runtime().recordings.at(stream).release());
  runtime().recordings.erase(stream);
  return hipSuccess;
}
hipError_t hipGraphInstantiateWithFlags(hipGraphExec_t* executable, hipGraph_t graph, unsigned long long) {
  *executable = reinterpret_cast<hipGraphExec_t>(new Recording(*reinterpret_cast<Recording*>(graph)));
  return hipSuccess;
}
hipError_t hipGraphInstantiate(hipGraphExec_t* executable, hipGraph_t graph, hipGraphNode_t*, char*, std::size_t) {
  return hipGraphInstantiateWithFlags(executable, graph, 0);
}
hipError_t hipGraphLaunch(hipGraphExec_t executable, hipStream_t) {
  for (const Work& work : *reinterpret_cast<Recording*>(executable)) {
    if (const hipError_t error = work(); error != hipSuccess) return error;
  }
  return hipSuccess;
}
hipError_t hipGraphExecDestroy(hipGraphExec_t executable) {
  delete reinterpret_cast<Recording*>(executable);
  return hipSuccess;
}
hipError_t hipGraphDestroy(hipGraph_t graph) {
  delete reinterpret_cast<Recording*>(graph);
  return hipSuccess;
}
hipError_t hipEventCreateWithFlags(hipEvent_t* event, unsigned) {
  *event = reinterpret_cast<hipEvent_t>(new Clock::time_point);
  return hipSuccess;
}
hipError_t hipEventCreate(hipEvent_t* event) {
  return hipEventCreateWithFlags(event, 0);
}
hipError_t hipEventDestroy(hipEvent_t event) {
  delete reinterpret_cast<Clock::time_point*>(event);
  return hipSuccess;
}
hipError_t hipEventRecord(hipEvent_t event, hipStream_t) {
  *reinterpret_cast<Clock::time_point*>(event) = Clock::now();
  return hipSuccess;
}
hipError_t hipEventSynchronize(hipEvent_t) {
  return hipSuccess;
}
hipError_t hipEventElapsedTime(float* milliseconds, hipEvent_t begin, hipEvent_t end) {
  const auto time = *reinterpret_cast<Clock::time_point*>(end) - *reinterpret_cast<Clock::time_point*>(begin);
  *milliseconds = std::chrono::duration<float, std::milli>(time).count();
  return hipSuccess;
}
}
