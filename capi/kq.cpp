// SPDX-License-Identifier: Apache-2.0

// The C interface: checks the arguments and calls kq::enqueue on the execution-space instance of the stream.

#include "kq.h"

#include <Kokkos_Core.hpp>
#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <list>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "kq/architecture.hpp"
#include "kq/dialect.hpp"
#include "kq/graph_overlap.hpp"
#include "kq/kokkos_device.hpp"
#include "kq/parameters.hpp"
#include "kq/quantize.hpp"
#include "kq/request.hpp"
#include "versioned_struct.hpp"

namespace {

using Space = Kokkos::DefaultExecutionSpace;

constexpr bool has_streams = kq::has_streams<Space>;

using kq::c::reject;

/// What kq_last_error gives. Storing a message allocates nothing, so it works where memory has run out.
thread_local std::array<char, 1024> last_error{};

/// Makes one line of `message` and keeps it, without its end if it is too long.
void keep_error(std::string_view message) noexcept {
  constexpr std::string_view cut = "...";
  const bool fits = message.size() < last_error.size();
  const std::size_t size = fits ? message.size() : last_error.size() - 1 - cut.size();
  for (std::size_t i = 0; i < size; ++i) {
    last_error[i] = message[i] == '\n' || message[i] == '\r' ? ' ' : message[i];
  }
  char* end = last_error.data() + size;
  if (!fits) {
    std::memcpy(end, cut.data(), cut.size());
    end += cut.size();
  }
  *end = '\0';
}

/// Runs `work` and turns what it throws into a status and a message. A std::invalid_argument is the caller's fault, any
/// other exception the device's or the system's failure.
template <class Work>
kq_status guarded(const Work& work) noexcept {
  try {
    work();
    return KQ_SUCCESS;
  } catch (const std::invalid_argument& error) {
    keep_error(error.what());
    return KQ_INVALID_ARGUMENT;
  } catch (const std::bad_alloc&) {
    keep_error("out of memory");
    return KQ_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    keep_error(error.what());
    return KQ_DEVICE_ERROR;
  } catch (...) {
    keep_error("an unknown failure");
    return KQ_DEVICE_ERROR;
  }
}

// --- Kokkos and its instances -------------------------------------------------------------------------------------

std::mutex mutex;  // of everything in this section

/// The device this library started Kokkos on; -1 if it has not.
int started_device = -1;

void start(int device) {
  if (Kokkos::is_initialized()) return;
  // Kokkos ends the program if it is to start on a device that is not there, and, where there is none, if it is asked
  // how many there are.
  if (has_streams && kq::device_count() == 0) {
    throw std::runtime_error("no device or no driver was found; use a host build of this library");
  }
#if KOKKOS_VERSION >= 40000
  if (has_streams) {
    const int devices = Kokkos::num_devices();  // of those that KOKKOS_VISIBLE_DEVICES leaves
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

/// A stream as Kokkos sees it. Kokkos leaves it to its callers that one thread at a time launches on an instance.
struct Instance {
  explicit Instance(void* of) : stream(of), space(of == nullptr ? Space() : kq::space_on<Space>(of)) {}

  void* stream;
  Space space;
  std::mutex launching;
};

/// The instance for a stream, made when it is first seen: making one allocates, and may wait. A host has only one.
Instance& instance_for(void* stream) {
  if (!has_streams && stream != nullptr) reject("stream", "a host build has none; pass NULL");
  const std::lock_guard lock(mutex);
  start(0);
  // Never destroyed: when the program ends, the caller may have destroyed the streams already.
  static auto* const instances = new std::list<Instance>;
  for (Instance& instance : *instances) {
    if (instance.stream == stream) return instance;
  }
  return instances->emplace_back(stream);
}

// --- from C's structs -----------------------------------------------------------------------------------------------

// A struct of version 1.0 ended with the field that is named here.
template <class Last>
constexpr std::size_t size_up_to(std::size_t offset_of_last) {
  return offset_of_last + sizeof(Last);
}
constexpr std::size_t first_request = size_up_to<float>(offsetof(kq_request, scale_ub));
constexpr std::size_t first_buffers = size_up_to<std::size_t>(offsetof(kq_buffers, workspace_bytes));
constexpr std::size_t first_sizes = size_up_to<std::size_t>(offsetof(kq_buffer_sizes, workspace_bytes));

kq_request known_request(const kq_request* given) {
  return kq::c::from_caller(given, "request", first_request, "KQ_REQUEST_INIT");
}

kq_buffers known_buffers(const kq_buffers* given) {
  return kq::c::from_caller(given, "buffers", first_buffers, "KQ_BUFFERS_INIT");
}

template <class Names>
[[noreturn]] void reject_enumerator(std::int32_t value, const Names& names, std::string_view field) {
  std::string reason = "must be ";
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) reason += i + 1 == names.size() ? " or " : ", ";
    reason += names[i];
  }
  reject(std::string(field), reason + ", not " + std::to_string(value));
}

/// The enumerator with this value. `names` lists the enumerators from 0 on, as kq.h has them.
template <class Enum, std::size_t N>
Enum enumerator(std::int32_t value, const std::array<std::string_view, N>& names, const char* field) {
  if (value >= 0 && value < static_cast<std::int32_t>(N)) return static_cast<Enum>(value);
  reject_enumerator(value, names, field);
}

/// The enumerator with this value, of an enumeration that kq.h has with the same values: each is named as the command
/// line has it, in capitals behind `prefix`.
template <class Enum>
Enum enumerator(std::int32_t value, const char* prefix, const char* parameter) {
  constexpr std::int32_t most = std::numeric_limits<std::underlying_type_t<Enum>>::max();
  if (value >= 0 && value <= most && kq::to_string(static_cast<Enum>(value)) != kq::unknown_name) {
    return static_cast<Enum>(value);
  }
  std::vector<std::string> names = kq::parameter(parameter).names();
  for (std::string& name : names) {
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    name.insert(0, prefix);
  }
  reject_enumerator(value, names, kq::request_field(parameter));
}

constexpr std::array<std::string_view, 3> elements{"KQ_HALF", "KQ_BFLOAT16", "KQ_FLOAT32"};
constexpr std::array<std::string_view, 5> granularities{"KQ_TENSOR", "KQ_TOKEN", "KQ_CHANNEL", "KQ_GROUP", "KQ_BLOCK"};

/// kq::Dialect has the order of kq.h.
kq::Dialect dialect(std::int32_t value) {
  const auto known = static_cast<std::int32_t>(kq::dialects().size());
  if (value < 0 || value >= known) {
    reject("dialect",
           "must be one of KQ_DIALECT_*, 0 to " + std::to_string(known - 1) + ", not " + std::to_string(value));
  }
  return static_cast<kq::Dialect>(value);
}

bool truth(std::int32_t value, const char* field) {
  if (value != 0 && value != 1) reject(field, "must be 0 or 1, not " + std::to_string(value));
  return value == 1;
}

/// The request, valid and with its defaults filled in.
kq::Request request_from(const kq_request& r) {
  kq::Request request;
  request.element = enumerator<kq::Element>(r.element, elements, "element");
  request.format = enumerator<kq::Format>(r.format, "KQ_", "quant_dtype");
  request.granularity = enumerator<kq::Granularity>(r.granularity, granularities, "granularity");
  request.static_scale = truth(r.static_scale, "static_scale");
  request.asymmetric = truth(r.asymmetric, "asymmetric");
  request.scale_format = enumerator<kq::ScaleFormat>(r.scale_format, "KQ_SCALE_", "scale_format");
  request.scale_layout = enumerator<kq::ScaleLayout>(r.scale_layout, "KQ_LAYOUT_", "scale_layout");
  if (r.reserved != 0) reject("reserved", "must be 0");
  request.num_tokens = r.num_tokens;
  request.hidden_size = r.hidden_size;
  request.input_stride = r.input_stride;
  request.codes_stride = r.codes_stride;
  request.group_size = r.group_size;
  request.block_rows = r.block_rows;
  request.scale_stride = r.scale_stride;
  request.qmax = r.qmax;
  if (r.scale_ub != 0.0f) request.scale_ub = r.scale_ub;
  request.dialect = dialect(r.dialect);
  request.producer = enumerator<kq::Producer>(r.producer, "KQ_PRODUCER_", "producer");
  request.eps = r.eps;
  if (r.reserved2 != 0) reject("reserved2", "must be 0");
  request.residual_stride = r.residual_stride;
  request.scale_rounding = enumerator<kq::ScaleRounding>(r.scale_rounding, "KQ_ROUNDING_", "scale_rounding");
  request.global_scale = r.global_scale;
  if (const auto invalid = kq::validate(request))
    reject(std::string(kq::request_field(invalid->field)), invalid->reason);
  return kq::resolved(request);
}

/// Throws unless an address is given and aligned.
void require(const void* address, std::size_t alignment, const char* field) {
  if (address == nullptr) reject(field, "must not be NULL for this request");
  if (std::bit_cast<std::uintptr_t>(address) % alignment != 0) {
    reject(field, "must be aligned to " + std::to_string(alignment) + " bytes");
  }
}

/// The address of a bound that kernels read, or NULL. Throws where the request has one already or cannot have one.
const float* scale_ub_from(const kq::Request& request, const kq_buffers& given) {
  if (given.scale_ub == nullptr) return nullptr;
  require(given.scale_ub, alignof(float), "scale_ub");
  if (!std::isinf(request.scale_ub)) reject("scale_ub", "must be a number of the request or a buffer, not both");
  kq::Request bounded = request;
  bounded.scale_ub = 1.0f;
  if (const auto invalid = kq::validate(bounded)) reject(std::string(invalid->field), invalid->reason);
  if (request.granularity != kq::Granularity::token) reject("scale_ub", "only scales of tokens can have it in memory");
  return given.scale_ub;
}

/// The caller's tensors, those of the request required. Dequantizing has no use for what is only read by quantizing.
kq::Operands operands_from(const kq::Request& request, const kq_buffers& given, bool dequantizing) {
  kq::Operands all;
  all.input = given.input;
  all.codes = given.codes;
  all.scales = given.scales;
  all.zero_points = given.zero_points;
  all.global_scale = given.global_scale;
  all.weight = given.weight;
  all.residual = given.residual;
  all.residual_out = given.residual_out;
  kq::Operands operands;
  for (const kq::TensorSpec& tensor : kq::tensors(request)) {
    if (dequantizing && tensor.is_source) continue;
    require(tensor.get(all), tensor.element_bytes, tensor.name.data());
    tensor.set(operands, tensor.get(all));
  }
  return operands;
}

/// Sets the caller's workspace, if the request needs one, and says how many bytes of it.
std::size_t set_workspace(const kq::Request& request, const kq_buffers& given, const Space& space,
                          kq::Operands& operands) {
  const std::size_t bytes = request.num_tokens == 0 ? 0 : kq::workspace_bytes(space, request);
  if (bytes == 0) return 0;
  require(given.workspace, kq::detail::workspace_alignment, "workspace");
  if (given.workspace_bytes < bytes) {
    reject("workspace_bytes", "must be " + std::to_string(bytes) + " or more for this request, not " +
                                  std::to_string(given.workspace_bytes) + "; see kq_sizes");
  }
  operands.workspace = given.workspace;
  return bytes;
}

/// Of a request whose scales are found in parts.
kq::Request sharded_request(const kq_request& given) {
  kq::Request request = request_from(given);
  if (const auto invalid = kq::why_not_sharded(request)) reject(invalid->field, invalid->reason);
  return request;
}

std::size_t extremes_bytes(const kq::Request& request) {
  return static_cast<std::size_t>(kq::extremes_count(request)) * sizeof(float);
}

}  // namespace

extern "C" {

int kq_api_version(void) {
  return KQ_API_VERSION;
}

const char* kq_backend(void) {
  return kq::backend_of<Space>.data();  // a literal, which ends in 0
}

const char* kq_architecture(void) {
  return kq::compiled_architecture();
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
    const kq::Request request = request_from(known_request(given));
    kq_buffer_sizes found = kq::c::from_caller(sizes, "sizes", first_sizes, "KQ_BUFFER_SIZES_INIT");
    found.input_bytes = kq::input_bytes(request);
    found.codes_bytes = kq::codes_bytes(request);
    found.num_scales = kq::num_scales(request);
    found.scales_bytes = kq::scales_bytes(request);
    found.zero_points_bytes = kq::zero_points_bytes(request);
    for (const kq::TensorSpec& tensor : kq::tensors(request)) {
      if (tensor.name == "weight") found.weight_bytes = tensor.bytes();
      if (tensor.name == "residual") found.residual_bytes = tensor.bytes();
      if (tensor.name == "global_scale") found.global_scale_bytes = tensor.bytes();
    }
    if (!kq::why_not_sharded(request)) found.extremes_bytes = extremes_bytes(request);
    found.workspace_bytes = request.num_tokens == 0 ? 0 : kq::workspace_bytes(instance_for(nullptr).space, request);
    kq::c::to_caller(found, sizes);
  });
}

kq_status kq_quantize(const kq_request* given_request, const kq_buffers* given_buffers, void* stream) {
  return guarded([&] {
    const kq::Request request = request_from(known_request(given_request));
    const kq_buffers given = known_buffers(given_buffers);
    if (request.num_tokens == 0) return;  // whose addresses may be NULL
    kq::Operands operands = operands_from(request, given, false);
    operands.scale_ub = scale_ub_from(request, given);
    Instance& instance = instance_for(stream);
    const std::size_t workspace_bytes = set_workspace(request, given, instance.space, operands);
    kq::detail::require_apart(request, operands, workspace_bytes);
    const std::lock_guard lock(instance.launching);
    kq::enqueue(instance.space, request, operands);
  });
}

kq_status kq_find_extremes(const kq_request* given_request, const kq_buffers* given_buffers, float* extremes,
                           void* stream) {
  return guarded([&] {
    const kq::Request request = sharded_request(known_request(given_request));
    const kq_buffers given = known_buffers(given_buffers);
    if (extremes_bytes(request) == 0) return;  // of no tokens, whose addresses may be NULL
    require(extremes, alignof(float), "extremes");
    kq::Operands operands;
    std::vector<kq::TensorMemory> memory{{"extremes", kq::one_row(extremes, extremes_bytes(request)), true}};
    if (request.num_tokens > 0) {
      const kq::TensorSpec input = kq::tensors(request)[0];
      require(given.input, input.element_bytes, "input");
      operands.input = given.input;
      memory.push_back(kq::detail::memory_of(input, operands, false));
    }
    Instance& instance = instance_for(stream);
    const std::size_t workspace_bytes = set_workspace(request, given, instance.space, operands);
    memory.push_back({"workspace", kq::one_row(operands.workspace, workspace_bytes), true});
    if (const auto invalid = kq::find_overlap(memory)) reject(invalid->field, invalid->reason);
    const std::lock_guard lock(instance.launching);
    kq::find_extremes(instance.space, request, operands, extremes);
  });
}

kq_status kq_quantize_by_extremes(const kq_request* given_request, const kq_buffers* given_buffers,
                                  const float* extremes, void* stream) {
  return guarded([&] {
    const kq::Request request = sharded_request(known_request(given_request));
    const kq_buffers given = known_buffers(given_buffers);
    if (request.num_tokens == 0) return;  // whose addresses may be NULL
    kq::Operands operands = operands_from(request, given, false);
    operands.scale_ub = scale_ub_from(request, given);
    require(extremes, alignof(float), "extremes");
    kq::detail::require_apart(request, operands, 0,
                              {{"extremes", kq::one_row(extremes, extremes_bytes(request)), false}});
    Instance& instance = instance_for(stream);
    const std::lock_guard lock(instance.launching);
    kq::quantize_by_extremes(instance.space, request, operands, extremes);
  });
}

kq_status kq_dequantize(const kq_request* given_request, const kq_buffers* given_buffers, float* output, void* stream) {
  return guarded([&] {
    kq_request given = known_request(given_request);
    given.element = KQ_FLOAT32;  // the output's; there is no input
    given.input_stride = 0;
    given.producer = KQ_PRODUCER_NONE;
    given.eps = 0.0f;
    given.residual_stride = 0;
    const kq::Request request = request_from(given);
    if (request.num_tokens == 0) return;  // whose addresses may be NULL
    const kq::Operands operands = operands_from(request, known_buffers(given_buffers), true);
    require(output, alignof(float), "output");
    kq::detail::require_apart(request, operands, output);
    Instance& instance = instance_for(stream);
    const std::lock_guard lock(instance.launching);
    kq::enqueue_dequantize(instance.space, request, operands, output);
  });
}

kq_status kq_overlap_graph(void* graph, size_t* overlapped) {
  return guarded([&] {
    if (!kq::is_cuda<Space>) {
      reject("graph", std::string("only CUDA has programmatic launches; this library works on ") + kq_backend());
    }
    if (graph == nullptr) reject("graph", "must not be NULL");
    const std::size_t changed = kq::overlap_launches(graph);
    if (overlapped != nullptr) *overlapped = changed;
  });
}

const char* kq_last_error(void) {
  return last_error.data();
}

}  // extern "C"
