// SPDX-License-Identifier: Apache-2.0

// What the library of a Kokkos that was built for HIP gives its headers, on the stand-in's device, where there is only
// a Kokkos for the host: instances of the execution space and what a launch asks of them. What no launch here asks for
// is not defined, so that a program that needs it does not link; Kokkos::Serial is there by name alone.

#include <Kokkos_Core.hpp>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include "backends/backend.hpp"

namespace desul::Impl {

// No kernel here takes desul's locks: on the stand-in's device these addresses are errors.
std::int32_t* HIP_SPACE_ATOMIC_LOCKS_DEVICE_h = nullptr;
std::int32_t* HIP_SPACE_ATOMIC_LOCKS_NODE_h = nullptr;

}  // namespace desul::Impl

namespace Kokkos {
namespace Impl {

// --- errors ----------------------------------------------------------------------------------------------------------

void hip_internal_error_throw(hipError_t error, const char* call, const char*, int) {
  throw kqbench::DeviceError(std::string(call) + ": " + hipGetErrorString(error));
}
void hip_internal_error_abort(hipError_t error, const char* call, const char* file, int line) {
  hip_internal_error_throw(error, call, file, line);  // whose case is named then
}

// --- instances -------------------------------------------------------------------------------------------------------

int HIPInternal::m_maxThreadsPerSM = 2048;
hipDeviceProp_t HIPInternal::m_deviceProp = [] {
  hipDeviceProp_t properties{};
  KOKKOS_IMPL_HIP_SAFE_CALL(hipGetDeviceProperties(&properties, 0));
  return properties;
}();
std::map<int, unsigned long*> HIPInternal::constantMemHostStaging;
std::map<int, SharedResourceLock> HIPInternal::constantMemReusable;

HIPInternal::HIPInternal(hipStream_t stream) : m_hipDev(0), m_stream(stream) {
  unsigned long*& staging = constantMemHostStaging[m_hipDev];
  if (staging != nullptr) return;
  void* memory = nullptr;
  KOKKOS_IMPL_HIP_SAFE_CALL(hipHostMalloc(&memory, HIPTraits::ConstantMemoryUsage, hipHostMallocDefault));
  staging = static_cast<unsigned long*>(memory);
  constantMemReusable[m_hipDev].initialize();
}
HIPInternal::~HIPInternal() = default;

int HIPInternal::verify_is_initialized(const char*) const {
  return 1;
}
int HIPInternal::concurrency() {
  return m_maxThreadsPerSM * m_deviceProp.multiProcessorCount;
}
std::uint32_t HIPInternal::impl_get_instance_id() const noexcept {
  return m_instance_id;
}
void HIPInternal::fence(const std::string&) const {
  KOKKOS_IMPL_HIP_SAFE_CALL(hipStreamSynchronize(m_stream));
}
void HIPInternal::fence() const {
  fence("");
}

// Scratch memory outside of a multiprocessor: none here.
int HIPInternal::acquire_team_scratch_space() {
  return 0;
}
void* HIPInternal::resize_team_scratch_space(int, std::int64_t bytes, bool) {
  if (bytes > 0) throw std::runtime_error("the stand-in for Kokkos has no scratch memory of level 1");
  return nullptr;
}
void HIPInternal::release_team_scratch_space(int) {}

}  // namespace Impl

HIP::HIP(hipStream_t stream, Impl::ManageStream) : m_space_instance(new Impl::HIPInternal(stream)) {}
HIP::HIP() : HIP(nullptr, Impl::ManageStream::no) {}
HIP::~HIP() = default;

int HIP::concurrency() const {
  return Impl::HIPInternal::concurrency();
}
int HIP::hip_device() const {
  return impl_internal_space_instance()->m_hipDev;
}
const hipDeviceProp_t& HIP::hip_device_prop() {
  return Impl::HIPInternal::m_deviceProp;
}
hipStream_t HIP::hip_stream() const {
  return impl_internal_space_instance()->m_stream;
}
std::uint32_t HIP::impl_instance_id() const noexcept {
  return impl_internal_space_instance()->impl_get_instance_id();
}
void HIP::fence(const std::string& name) const {
  impl_internal_space_instance()->fence(name);
}

// --- the host's space, whose kernels the objects have, too -----------------------------------------------------------

namespace {

[[noreturn]] void no_host_kernels() {
  std::cerr << "the stand-in for Kokkos runs nothing on the host\n";
  std::abort();
}

}  // namespace

Serial::Serial() {
  no_host_kernels();
}
Serial::~Serial() = default;
Impl::SerialInternal::~SerialInternal() = default;
void Impl::SerialInternal::resize_thread_team_data(std::size_t, std::size_t, std::size_t, std::size_t) {
  no_host_kernels();
}

}  // namespace Kokkos
