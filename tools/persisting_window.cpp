// SPDX-License-Identifier: Apache-2.0

/// \file
/// Somebody else in the process, for tools/check_on_gpu's step `persisting`: a library that CUDA's driver loads at its
/// start (CUDA_INJECTION64_PATH). Whenever the program has allocated 32 MB or more, it raises the L2's share for
/// persisting lines to what the device allows, puts an access policy window over that memory on every stream, and adds
/// a line to the file KQ_WINDOW_LOG.
///
///     g++ -shared -fPIC -I<cuda>/include tools/persisting_window.cpp -o window.so -L<cuda>/lib64 -lcupti -lcuda

#include <cuda.h>
#include <cupti.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

constexpr std::size_t least_bytes = std::size_t{32} << 20;

std::vector<CUstream> streams;
bool is_working = false;  // what is called below is reported here, too

int attribute(CUdevice_attribute which) {
  CUdevice device = 0;
  int value = 0;
  if (cuCtxGetDevice(&device) != CUDA_SUCCESS || cuDeviceGetAttribute(&value, which, device) != CUDA_SUCCESS) return 0;
  return value;
}

void set_windows(CUdeviceptr base, std::size_t bytes) {
  const auto lines = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE));
  const auto most = static_cast<std::size_t>(attribute(CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE));
  const CUresult limited = cuCtxSetLimit(CU_LIMIT_PERSISTING_L2_CACHE_SIZE, lines);
  CUstreamAttrValue value = {};
  value.accessPolicyWindow.base_ptr = reinterpret_cast<void*>(base);
  value.accessPolicyWindow.num_bytes = std::min(bytes, most);
  value.accessPolicyWindow.hitRatio =
      std::min(1.0f, static_cast<float>(lines) / static_cast<float>(value.accessPolicyWindow.num_bytes));
  value.accessPolicyWindow.hitProp = CU_ACCESS_PROPERTY_PERSISTING;
  value.accessPolicyWindow.missProp = CU_ACCESS_PROPERTY_STREAMING;
  std::size_t set = 0;
  for (CUstream stream : streams) {
    set += cuStreamSetAttribute(stream, CU_STREAM_ATTRIBUTE_ACCESS_POLICY_WINDOW, &value) == CUDA_SUCCESS;
  }
  std::FILE* const log = std::fopen(std::getenv("KQ_WINDOW_LOG"), "a");
  std::fprintf(log, "%zu of %zu bytes; %zu bytes may persist, status %d; set on %zu of %zu streams\n",
               value.accessPolicyWindow.num_bytes, bytes, lines, static_cast<int>(limited), set, streams.size());
  std::fclose(log);
}

void CUPTIAPI called(void*, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
  if (domain != CUPTI_CB_DOMAIN_DRIVER_API || is_working) return;
  const auto* call = static_cast<const CUpti_CallbackData*>(data);
  if (call->callbackSite != CUPTI_API_EXIT || *static_cast<CUresult*>(call->functionReturnValue) != CUDA_SUCCESS)
    return;
  is_working = true;
  if (id == CUPTI_DRIVER_TRACE_CBID_cuStreamCreate) {
    streams.push_back(*static_cast<const cuStreamCreate_params*>(call->functionParams)->phStream);
  } else if (id == CUPTI_DRIVER_TRACE_CBID_cuStreamCreateWithPriority) {
    streams.push_back(*static_cast<const cuStreamCreateWithPriority_params*>(call->functionParams)->phStream);
  } else if (id == CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2) {
    const auto* allocated = static_cast<const cuMemAlloc_v2_params*>(call->functionParams);
    if (allocated->bytesize >= least_bytes) set_windows(*allocated->dptr, allocated->bytesize);
  }
  is_working = false;
}

}  // namespace

extern "C" int InitializeInjection() {
  CUpti_SubscriberHandle subscriber = nullptr;
  if (cuptiSubscribe(&subscriber, called, nullptr) != CUPTI_SUCCESS) return 0;
  for (const CUpti_CallbackId id :
       {CUPTI_DRIVER_TRACE_CBID_cuStreamCreate, CUPTI_DRIVER_TRACE_CBID_cuStreamCreateWithPriority,
        CUPTI_DRIVER_TRACE_CBID_cuMemAlloc_v2}) {
    if (cuptiEnableCallback(1, subscriber, CUPTI_CB_DOMAIN_DRIVER_API, id) != CUPTI_SUCCESS) return 0;
  }
  return 1;
}
