// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The small interface between whatever runs a request and everything above it.
///
/// A Backend is a kind of machine part (host, cuda, hip) that this program was built for. Opening it gives a Device:
/// its memory, one stream of work, and a clock. A Device knows the Implementations that can serve a request on it:
/// "kokkos", "native", on the host "reference", and what a plug-in adds. registry.cpp has a line for each backend, the
/// build an option; CONTRIBUTING.md lists what else a new one takes.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "kq/request.hpp"
#include "kq/tensors.hpp"

namespace kqbench {

/// The device or the system failed (exit status 3). The message is one line: what, where, what to do.
class DeviceError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Device addresses of one request's tensors, and a workspace of Implementation::workspace_bytes(request) bytes for
/// this implementation alone. Every address is aligned to 256 bytes unless a test says otherwise.
using kq::HostTensors;
using kq::Operands;

/// Code that serves requests on one device, on that device's stream.
class Implementation {
 public:
  virtual ~Implementation() = default;

  virtual std::string_view name() const = 0;    ///< "kokkos", "native", "reference", a plug-in's
  virtual std::string description() const = 0;  ///< "Kokkos 3.4.1, Serial", for `list` and the result's context

  /// Why this request cannot be served here, in one line; nothing if it can. The request is valid.
  virtual std::optional<std::string> unsupported_reason(const kq::Request& request) const = 0;

  /// Bytes of scratch memory one launch needs; 0 for most.
  virtual std::size_t workspace_bytes(const kq::Request& request) const = 0;

  /// Threads of the host that share the work of a launch; nothing where a device does the work.
  virtual std::optional<int> host_threads() const { return std::nullopt; }

  /// Bytes that input and codes must be aligned to, where that is more than their elements.
  virtual std::size_t alignment() const { return 1; }

  /// Why its launches may not overlap (Device::record_overlapped), in one line; nothing if they may.
  virtual std::optional<std::string> why_no_overlap() const { return std::nullopt; }

  /// Puts one quantization on the device's stream and returns without waiting. Allocates nothing, may be captured.
  /// The request is valid, resolved (kq::resolved) and not refused.
  virtual void enqueue(const kq::Request& request, const Operands& operands) = 0;

  // A tensor in parts (kq::find_extremes): the request is of this device's part.

  /// Bytes of the extremes of such a request; nothing if this implementation does not serve it.
  virtual std::optional<std::size_t> extremes_bytes(const kq::Request& /*request*/) const { return std::nullopt; }
  virtual void enqueue_find_extremes(const kq::Request& /*request*/, const Operands& /*operands*/,
                                     float* /*extremes*/) {}
  virtual void enqueue_by_extremes(const kq::Request& /*request*/, const Operands& /*operands*/,
                                   const float* /*extremes*/) {}
};

/// The processes of a job, each with a device, that combine numbers between their devices.
class Exchange {
 public:
  virtual ~Exchange() = default;
  virtual std::string description() const = 0;  ///< "NCCL 2.28.9"
  /// Replaces each of `count` floats in the device's memory by the greatest that any process has there, none of them
  /// NaN; on the device's stream, in the order of the calls, and may be captured. All processes must call it alike.
  virtual void enqueue_max(float* values, std::size_t count) = 0;
};

/// Work recorded once and launched many times (a CUDA or HIP graph).
class Graph {
 public:
  virtual ~Graph() = default;
  virtual void launch() = 0;  ///< on the device's stream; asynchronous
};

/// A moment on the device's stream.
class Event {
 public:
  virtual ~Event() = default;
  virtual void record() = 0;
  /// Microseconds from `earlier` to this one; waits for this one to have happened.
  virtual double microseconds_since(const Event& earlier) = 0;
};

/// What a ceiling is measured with: one streaming pass over memory, by read:write ratio in bytes.
enum class StreamMix : std::uint8_t { read_only, write_only, copy, read2_write1, read4_write1 };

/// Facts about a device, as far as it tells them; printed and stored, never computed with but for cache_bytes.
struct DeviceInfo {
  std::string backend;       ///< "cuda"
  std::string name;          ///< "NVIDIA H200", or the processor's name
  std::string id;            ///< of this one: its UUID, "GPU-8c8c1a3c-…", or PCI address; empty where it has none
  std::string architecture;  ///< "sm_90", "gfx942", "x86-64-v3"
  std::string driver;        ///< version, empty where there is none
  std::string runtime;       ///< "CUDA 13.0", "HIP 7.0", "g++ 12.2.0"
  std::uint64_t memory_bytes = 0;
  std::uint64_t cache_bytes = 0;  ///< last level
  int compute_units = 0;          ///< multiprocessors, compute units or threads in use
  bool host_memory = false;       ///< its memory is the host's: what one takes, the other lacks
};

/// Readings of a moment; nothing where the device or its management library does not tell.
struct ClockReading {
  std::optional<double> core_mhz;
  std::optional<double> memory_mhz;
  std::optional<double> power_watts;
  std::optional<double> power_cap_watts;
  std::optional<double> temperature_celsius;
};

class Device {
 public:
  virtual ~Device() = default;

  virtual const DeviceInfo& info() const = 0;
  virtual const std::vector<std::unique_ptr<Implementation>>& implementations() const = 0;
  /// Why an implementation named so is missing here ("built without Kokkos CUDA"); nothing if it is not missing.
  virtual std::optional<std::string> why_missing(std::string_view implementation) const = 0;

  /// Adds one that was made elsewhere, a plug-in's (backends/plugin).
  virtual void add_implementation(std::unique_ptr<Implementation> /*implementation*/) {
    throw DeviceError("backend " + info().backend + " takes no plug-ins");
  }
  /// The stream that work is put on, as the device's runtime knows it: cudaStream_t, hipStream_t; null on a host.
  virtual void* stream_handle() const { return nullptr; }

  /// Plain device memory, aligned to 256 bytes at least. Throws DeviceError naming the bytes wanted and there.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void release(void* address) noexcept = 0;
  virtual std::uint64_t free_memory_bytes() const = 0;

  // Copies and fills are ordered on the stream; those that touch host memory return when it may be reused.
  virtual void copy_to_device(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_to_host(void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy_on_device(void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill(void* to, unsigned char value, std::size_t bytes) = 0;

  virtual void synchronize() = 0;  ///< waits for the stream; throws DeviceError if anything on it failed
  /// Waits for all streams, those of other libraries too; throws DeviceError if anything on them failed.
  virtual void synchronize_all() { synchronize(); }

  /// Before something is measured. Throws DeviceError if another library in the process has asked for something that
  /// would keep bytes in a cache however much is touched in between.
  virtual void before_measuring() {}

  virtual bool has_graphs() const = 0;
  virtual std::unique_ptr<Graph> record(const std::function<void()>& enqueue_work) = 0;
  /// Why record_overlapped() is not possible here, in one line; nothing if it is.
  virtual std::optional<std::string> why_no_overlap() const { return "only CUDA has programmatic launches"; }
  /// As record(), but each launch may start while the one in front of it ends (programmatic dependent launch).
  virtual std::unique_ptr<Graph> record_overlapped(const std::function<void()>& /*enqueue_work*/) {
    throw DeviceError(why_no_overlap().value_or(""));
  }
  /// Records work as record() does or, if `overlapped`, as record_overlapped() does, and counts the launches that may
  /// start before the one in front of them has ended.
  virtual std::size_t count_overlapping(const std::function<void()>& /*enqueue_work*/, bool /*overlapped*/) {
    return 0;
  }
  /// A copy in the device's memory that lets the next launch start at once, if launches overlap, and writes long after
  /// that. Where record_overlapped() is possible.
  virtual void enqueue_late_copy(void* /*to*/, const void* /*from*/, std::size_t /*bytes*/) {
    throw DeviceError(why_no_overlap().value_or(""));
  }
  virtual bool has_events() const = 0;
  virtual std::unique_ptr<Event> make_event() = 0;

  /// One pass of a streaming kernel over `bytes` in total, reads and writes together in the mix's ratio, from `read` to
  /// `write` (each at least `bytes` long); `variant` in [0, stream_variants()) chooses the launch shape.
  virtual int stream_variants() const = 0;
  virtual void enqueue_stream(StreamMix mix, int variant, const void* read, void* write, std::size_t bytes) = 0;

  virtual ClockReading read_clocks() const = 0;

  /// Makes the id that process 0 of a job gives to the others, for join_exchange. Throws DeviceError where this backend
  /// has no exchange of its own: on a host.
  virtual std::string make_exchange_id() { throw DeviceError("backend " + info().backend + " has no exchange"); }
  /// Waits for all processes of the job.
  virtual std::unique_ptr<Exchange> join_exchange(const std::string& /*id*/, int /*rank*/, int /*size*/) {
    throw DeviceError("backend " + info().backend + " has no exchange");
  }

  // For profilers: collection between start and stop, and named ranges (NVTX, roctx). No-ops where there is none.
  virtual void profiler_start() = 0;
  virtual void profiler_stop() = 0;
  virtual void push_range(const char* name) = 0;
  virtual void pop_range() = 0;
};

struct DeviceOptions {
  int index = 0;         ///< which of the backend's devices
  int host_threads = 0;  ///< host backend: threads of native code and, where it can, Kokkos; 0: as many as Kokkos uses
};

/// One kind of device this program may have been built for.
struct Backend {
  std::string_view name;              ///< "cuda", "hip", "host"
  bool built;                         ///< compiled into this program
  std::string version;                ///< what it was compiled with: "CUDA 13.0", empty if not built
  std::function<int()> device_count;  ///< 0 if there is no device or no driver; never throws
  std::function<std::string(int)> device_name;
  std::function<std::unique_ptr<Device>(const DeviceOptions&)> open;  ///< throws DeviceError
};

/// Every backend known to the source, best first (cuda, hip, host), built or not.
const std::vector<Backend>& backends();

/// Their names, for messages: "cuda, hip, host".
std::string backend_names();

/// The backend of that name, or nothing.
const Backend* find_backend(std::string_view name);

/// The first built backend that has a device; the host always has one.
const Backend& best_backend();

/// The judge: what the request must give, bit for bit, computed on the host without any of the code under test. `given`
/// has the addresses of what is read, on the host; what is written is returned, and of what is read the scales and zero
/// points of a static scheme. Bytes that no number is written to keep `padding`: code positions between hidden_size and
/// codes_stride, scales between the columns of scale layout column.
HostTensors reference(const kq::Request& request, const Operands& given, std::byte padding = std::byte{0xa5});

/// The values that the reference quantizes, [num_tokens, hidden_size] elements of kq::value_element: what the request's
/// producer makes, or the input. Those of an input lie kq::quantizer_of(request).input_stride apart.
std::vector<std::byte> reference_values(const kq::Request& request, const HostTensors& sources);

}  // namespace kqbench
