// SPDX-License-Identifier: Apache-2.0

// Thin: checks what came through plain C, and hands it to kq::enqueue on an execution-space instance for the stream.

#include "kq.h"

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kq/device_loss.hpp"
#include "kq/quantize.hpp"
#include "kq/request.hpp"

namespace {

using Space = Kokkos::DefaultExecutionSpace;

template <class S>
constexpr bool is_cuda = requires(S space) {
  space.cuda_stream();
};
template <class S>
constexpr bool is_hip = requires(S space) {
  space.hip_stream();
};
constexpr bool has_streams = is_cuda<Space> || is_hip<Space>;

thread_local std::string last_error;

/// What the caller got wrong; everything else that is thrown is the device's or the system's failure.
[[noreturn]] void reject(const std::string& field, const std::string& reason) {
  throw std::invalid_argument(field + ": " + reason);
}

/// Runs `work` and turns what it throws into a status and a message.
template <class Work>
kq_status guarded(const Work& work) noexcept {
  try {
    work();
    return KQ_SUCCESS;
  } catch (const std::invalid_argument& error) {
    last_error = error.what();
    return KQ_INVALID_ARGUMENT;
  } catch (const std::bad_alloc&) {
    last_error = "out of memory";
    return KQ_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    last_error = error.what();
    std::replace(last_error.begin(), last_error.end(), '\n', ' ');
    return KQ_DEVICE_ERROR;
  }
}

// --- Kokkos and its instances -------------------------------------------------------------------------------------

std::mutex mutex;  // of everything in this section

/// The device this library started Kokkos on; -1 if it has not.
int started_device = -1;

void start(int device) {
  if (Kokkos::is_initialized()) return;
#if KOKKOS_VERSION >= 40000
  if (has_streams) {
    // Kokkos ends the program over a device that is not there.
    const int devices = Kokkos::num_devices();
    if (devices == 0) throw std::runtime_error("no device or no driver was found; use a host build of this library");
    if (device >= devices) reject("device", "there are " + std::to_string(devices) + ", counted from 0");
  }
#endif
#if KOKKOS_VERSION >= 30700
  Kokkos::InitializationSettings settings;
  settings.set_disable_warnings(true);  // advice about OpenMP's variables: stderr is the caller's
  if (has_streams) settings.set_device_id(device);
#else
  Kokkos::InitArguments settings;
  settings.disable_warnings = true;
  if (has_streams) settings.device_id = device;
#endif
  Kokkos::initialize(settings);
  started_device = device;
  std::atexit([] {
    if (Kokkos::is_initialized() && !kq::device_is_lost()) Kokkos::finalize();
  });
}

template <class S>
S make_instance(void* stream) {
  if constexpr (is_cuda<S>) {
    return S(static_cast<decltype(S().cuda_stream())>(stream));
  } else if constexpr (is_hip<S>) {
    return S(static_cast<decltype(S().hip_stream())>(stream));
  } else {
    return S();
  }
}

/// The execution-space instance for a stream, made when it is first seen: making one allocates, and may wait.
Space instance_for(void* stream) {
  if (!has_streams && stream != nullptr) reject("stream", "a host build has none; pass NULL");
  const std::lock_guard lock(mutex);
  start(0);
  if (stream == nullptr) return Space();
  // Never destroyed: when the program ends, the caller may have destroyed the streams already.
  struct Instance {
    void* stream;
    Space space;
  };
  static auto* const instances = new std::vector<Instance>;
  const auto found = std::ranges::find(*instances, stream, &Instance::stream);
  if (found != instances->end()) return found->space;
  return instances->emplace_back(Instance{stream, make_instance<Space>(stream)}).space;
}

/// Held while something is launched. A host's threads are Kokkos's for one launch at a time, and older versions, 3.4
/// among them, leave that to their callers. On a device, streams are apart.
std::unique_lock<std::mutex> launching() {
  static std::mutex launches;
  return has_streams ? std::unique_lock<std::mutex>() : std::unique_lock(launches);
}

// --- from C's structs -----------------------------------------------------------------------------------------------

/// A caller's struct as this library knows it. A caller with a newer header may hand over a longer one, as long as what
/// this library does not know of is zero.
template <class Struct>
Struct known_part(const Struct* given, const char* name) {
  if (given == nullptr) reject(name, "must not be NULL");
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  constexpr std::size_t longest = 4096;  // more is no size but memory that was never set, and is not read
  if (size < sizeof(Struct) || size > longest) reject(name, "struct_size is not set; begin with its _INIT macro");
  const auto* const bytes = reinterpret_cast<const unsigned char*>(given);
  if (std::any_of(bytes + sizeof(Struct), bytes + size, [](unsigned char byte) { return byte != 0; })) {
    reject(name, "asks for more than this library knows; install a newer one");
  }
  return *given;
}

template <class Enum>
Enum enumerator(std::int32_t value, Enum last, const char* field) {
  if (value < 0 || value > static_cast<std::int32_t>(last)) {
    reject(field, std::to_string(value) + " is no value of it; see kq.h");
  }
  return static_cast<Enum>(value);
}

bool truth(std::int32_t value, const char* field) {
  if (value != 0 && value != 1) reject(field, "must be 0 or 1, not " + std::to_string(value));
  return value == 1;
}

/// Valid and resolved.
kq::Request request_from(const kq_request* given) {
  const kq_request r = known_part(given, "request");
  kq::Request request;
  request.element = enumerator(r.element, kq::Element::float32, "element");
  request.format = enumerator(r.format, kq::Format::fp8_e5m2fnuz, "format");
  request.granularity = enumerator(r.granularity, kq::Granularity::group, "granularity");
  request.static_scale = truth(r.static_scale, "static_scale");
  request.asymmetric = truth(r.asymmetric, "asymmetric");
  request.scale_format = enumerator(r.scale_format, kq::ScaleFormat::ue8m0, "scale_format");
  request.scale_layout = enumerator(r.scale_layout, kq::ScaleLayout::column, "scale_layout");
  if (r.reserved != 0) reject("reserved", "must be 0");
  request.num_tokens = r.num_tokens;
  request.hidden_size = r.hidden_size;
  request.input_stride = r.input_stride;
  request.codes_stride = r.codes_stride;
  request.group_size = r.group_size;
  request.qmax = r.qmax;
  if (r.scale_ub != 0.0f) request.scale_ub = r.scale_ub;
  if (const auto invalid = kq::validate(request)) reject(invalid->field, invalid->reason);
  return kq::resolved(request);
}

/// An address that is there and aligned.
void require(const void* address, std::size_t alignment, const char* field) {
  if (address == nullptr) reject(field, "must not be NULL for this request");
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0) {
    reject(field, "must be aligned to " + std::to_string(alignment) + " bytes");
  }
}

/// What quantizing and its way back have in common.
kq::Buffers outputs_from(const kq::Request& request, const kq_buffers& given) {
  require(given.codes, 1, "codes");
  require(given.scales, kq::scale_size(request), "scales");
  if (request.asymmetric) require(given.zero_points, alignof(std::int32_t), "zero_points");
  kq::Buffers buffers;
  buffers.codes = given.codes;
  buffers.scales = given.scales;
  buffers.zero_points = request.asymmetric ? given.zero_points : nullptr;
  return buffers;
}

}  // namespace

extern "C" {

int kq_api_version(void) {
  return KQ_API_VERSION;
}

const char* kq_backend(void) {
  return is_cuda<Space> ? "cuda" : (is_hip<Space> ? "hip" : "host");
}

kq_status kq_initialize(int device) {
  return guarded([&] {
    if (device < 0) reject("device", "must be 0 or more, not " + std::to_string(device));
    const std::lock_guard lock(mutex);
    if (has_streams && started_device >= 0 && started_device != device) {
      reject("device", "this process already works on device " + std::to_string(started_device) +
                           "; use another process for device " + std::to_string(device));
    }
    start(device);
  });
}

kq_status kq_prepare_stream(void* stream) {
  return guarded([&] { instance_for(stream); });
}

kq_status kq_sizes(const kq_request* given, kq_buffer_sizes* sizes) {
  return guarded([&] {
    const kq::Request request = request_from(given);
    kq_buffer_sizes found = known_part(sizes, "sizes");
    found.input_bytes = kq::input_bytes(request);
    found.codes_bytes = kq::codes_bytes(request);
    found.num_scales = kq::num_scales(request);
    found.scales_bytes = kq::scales_bytes(request);
    found.zero_points_bytes = kq::zero_points_bytes(request);
    found.workspace_bytes = request.num_tokens == 0 ? 0 : kq::workspace_bytes(instance_for(nullptr), request);
    *sizes = found;
  });
}

kq_status kq_quantize(const kq_request* given_request, const kq_buffers* given_buffers, void* stream) {
  return guarded([&] {
    const kq::Request request = request_from(given_request);
    const kq_buffers given = known_part(given_buffers, "buffers");
    if (request.num_tokens == 0) return;  // whose addresses may be NULL
    kq::Buffers buffers = outputs_from(request, given);
    require(given.input, kq::element_size(request.element), "input");
    buffers.input = given.input;
    const Space space = instance_for(stream);
    if (const std::size_t needed = kq::workspace_bytes(space, request); needed > 0) {
      require(given.workspace, 16, "workspace");
      if (given.workspace_bytes < needed) {
        reject("workspace_bytes", "this request needs " + std::to_string(needed) + ", see kq_sizes");
      }
      buffers.workspace = given.workspace;
    }
    const auto lock = launching();
    kq::enqueue(space, request, buffers);
  });
}

kq_status kq_dequantize(const kq_request* given_request, const kq_buffers* given_buffers, float* output, void* stream) {
  return guarded([&] {
    const kq::Request request = request_from(given_request);
    const kq_buffers given = known_part(given_buffers, "buffers");
    if (request.num_tokens == 0) return;  // whose addresses may be NULL
    const kq::Buffers buffers = outputs_from(request, given);
    require(output, alignof(float), "output");
    const Space space = instance_for(stream);
    const auto lock = launching();
    kq::enqueue_dequantize(space, request, buffers, output);
  });
}

const char* kq_last_error(void) {
  return last_error.c_str();
}

}  // extern "C"
