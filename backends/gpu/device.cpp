// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/device.hpp"

#include <memory>
#include <stdexcept>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "backends/gpu/clocks.hpp"
#include "backends/gpu/exchange.hpp"
#include "backends/gpu/facts.hpp"
#include "backends/gpu/late_copy.hpp"
#include "backends/gpu/native.hpp"
#include "backends/gpu/ranges.hpp"
#include "backends/gpu/runtime.hpp"
#include "backends/gpu/stream.hpp"
#include "backends/kokkos/kokkos.hpp"
#include "kq/graph_overlap.hpp"

namespace kqbench::gpu {
namespace {

std::string in_gigabytes(std::uint64_t bytes) {
  const std::uint64_t tenths = bytes / 100'000'000;
  return std::to_string(tenths / 10) + '.' + std::to_string(tenths % 10) + " GB";
}

struct DestroyGraph {
  void operator()(KQ_GPU(Graph_t) graph) const { static_cast<void>(KQ_GPU(GraphDestroy)(graph)); }
};
/// What was recorded, which cannot be launched yet.
using RecordedGraph = std::unique_ptr<std::remove_pointer_t<KQ_GPU(Graph_t)>, DestroyGraph>;

class GpuGraph final : public Graph {
 public:
  GpuGraph(Stream stream, const RecordedGraph& recorded) : stream_(stream) {
    check(KQ_GPU(GraphInstantiateWithFlags)(&executable_, recorded.get(), 0), "making a graph of what was recorded");
  }
  ~GpuGraph() override { static_cast<void>(KQ_GPU(GraphExecDestroy)(executable_)); }
  GpuGraph(const GpuGraph&) = delete;
  GpuGraph& operator=(const GpuGraph&) = delete;

  void launch() override { check(KQ_GPU(GraphLaunch)(executable_, stream_), "launching a graph"); }

 private:
  Stream stream_;
  KQ_GPU(GraphExec_t) executable_ = nullptr;
};

class GpuEvent final : public Event {
 public:
  explicit GpuEvent(Stream stream) : stream_(stream) { check(KQ_GPU(EventCreate)(&event_), "making an event"); }
  ~GpuEvent() override { static_cast<void>(KQ_GPU(EventDestroy)(event_)); }
  GpuEvent(const GpuEvent&) = delete;
  GpuEvent& operator=(const GpuEvent&) = delete;

  void record() override { check(KQ_GPU(EventRecord)(event_, stream_), "recording an event"); }
  double microseconds_since(const Event& earlier) override {
    const auto& other = dynamic_cast<const GpuEvent&>(earlier);
    check(KQ_GPU(EventSynchronize)(event_), "waiting for an event");
    float milliseconds = 0.0f;
    check(KQ_GPU(EventElapsedTime)(&milliseconds, other.event_, event_), "reading the time between two events");
    return milliseconds * 1e3;
  }

 private:
  Stream stream_;
  KQ_GPU(Event_t) event_ = nullptr;
};

/// A stream of its own that does not wait for the default one.
class OwnStream {
 public:
  OwnStream() { check(KQ_GPU(StreamCreateWithFlags)(&stream_, KQ_GPU(StreamNonBlocking)), "making a stream"); }
  ~OwnStream() { static_cast<void>(KQ_GPU(StreamDestroy)(stream_)); }
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;

  operator Stream() const { return stream_; }

 private:
  Stream stream_ = nullptr;
};

/// An access policy window on a stream makes lines of the L2 persisting. They outlive any number of other accesses, so
/// that copies which are used in turn would be found there, and "cold" would not be. Only another library or a tool in
/// this process can have put one on `stream`: then nothing is timed. (Taking it back would make nothing true: after
/// cudaDeviceSetLimit and cudaCtxResetPersistingL2Cache each launch of every graph took 0.36 us longer on an H200.)
/// AMD's devices have no such lines.
void require_no_persisting_window(Stream stream) {
#if !KQ_GPU_HIP
  cudaStreamAttrValue window = {};
  if (cudaStreamGetAttribute(stream, cudaStreamAttributeAccessPolicyWindow, &window) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());  // a device without such windows
    return;
  }
  if (window.accessPolicyWindow.num_bytes == 0) return;
  throw DeviceError("another library in this process has put an access policy window of " +
                    std::to_string(window.accessPolicyWindow.num_bytes) +
                    " bytes on the stream that is timed, which keeps them in the L2; run without that library");
#else
  static_cast<void>(stream);
#endif
}

#if !KQ_GPU_HIP
/// function(), whose std::runtime_error becomes a DeviceError.
template <class Function>
auto as_device_error(const Function& function) {
  try {
    return function();
  } catch (const std::runtime_error& error) {
    throw DeviceError(error.what());
  }
}
#endif

class GpuDevice final : public Device {
 public:
  GpuDevice(const DeviceOptions& options, const Properties& properties)
      : info_(device_info(properties, options.index)),
        architecture_(10 * properties.major + properties.minor),
        pci_bus_id_(pci_bus_id(options.index)),
        missing_kokkos_(kokkos_missing(backend_name)) {
    if (!missing_kokkos_) {
      implementations_.push_back(make_kokkos_implementation(backend_name, options, static_cast<Stream>(stream_)));
    }
    implementations_.push_back(make_native_implementation(stream_, properties));
    synchronize();
  }

  const DeviceInfo& info() const override { return info_; }
  const std::vector<std::unique_ptr<Implementation>>& implementations() const override { return implementations_; }
  std::optional<std::string> why_missing(std::string_view implementation) const override {
    for (const auto& present : implementations_) {
      if (present->name() == implementation) return std::nullopt;
    }
    if (implementation == "kokkos") return missing_kokkos_;
    if (implementation == "reference") return "the reference runs on the host: --backend host";
    return "backend " + info_.backend + " has no implementation named so";
  }
  void add_implementation(std::unique_ptr<Implementation> implementation) override {
    implementations_.push_back(std::move(implementation));
  }
  void* stream_handle() const override { return static_cast<Stream>(stream_); }

  std::string make_exchange_id() override { return gpu::make_exchange_id(); }
  std::unique_ptr<Exchange> join_exchange(const std::string& id, int rank, int size) override {
    return gpu::join_exchange(id, rank, size, stream_);
  }

  void* allocate(std::size_t bytes) override {
    void* address = nullptr;
    const Status status = KQ_GPU(Malloc)(&address, bytes);
    if (status == KQ_GPU(Success)) return address;
    static_cast<void>(KQ_GPU(GetLastError)());  // reported here, not by whatever is called next
    throw DeviceError(failure(status, "allocating " + in_gigabytes(bytes) + ", with " +
                                          in_gigabytes(free_memory_bytes()) + " of " +
                                          in_gigabytes(info_.memory_bytes) + " free"));
  }
  void release(void* address) noexcept override { static_cast<void>(KQ_GPU(Free)(address)); }
  std::uint64_t free_memory_bytes() const override {
    std::size_t free = 0;
    std::size_t total = 0;
    check(KQ_GPU(MemGetInfo)(&free, &total), "asking for the free memory");
    return free;
  }

  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    check(KQ_GPU(MemcpyAsync)(to, from, bytes, KQ_GPU(MemcpyHostToDevice), stream_), "copying to the device");
    synchronize();
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    check(KQ_GPU(MemcpyAsync)(to, from, bytes, KQ_GPU(MemcpyDeviceToHost), stream_), "copying to the host");
    synchronize();
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    check(KQ_GPU(MemcpyAsync)(to, from, bytes, KQ_GPU(MemcpyDeviceToDevice), stream_), "copying on the device");
  }
  void fill(void* to, unsigned char value, std::size_t bytes) override {
    check(KQ_GPU(MemsetAsync)(to, value, bytes, stream_), "filling memory");
  }

  void synchronize() override { check(KQ_GPU(StreamSynchronize)(stream_), "waiting for the device"); }
  void synchronize_all() override { check(KQ_GPU(DeviceSynchronize)(), "waiting for the device"); }
  void before_measuring() override { require_no_persisting_window(stream_); }

  bool has_graphs() const override { return true; }
  std::unique_ptr<Graph> record(const std::function<void()>& enqueue_work) override {
    return std::make_unique<GpuGraph>(stream_, capture(enqueue_work));
  }
#if !KQ_GPU_HIP
  std::optional<std::string> why_no_overlap() const override {
    if (architecture_ >= 90) return std::nullopt;
    return "programmatic launches need compute capability 9.0; this device has " + std::to_string(architecture_ / 10) +
           '.' + std::to_string(architecture_ % 10);
  }
  std::unique_ptr<Graph> record_overlapped(const std::function<void()>& enqueue_work) override {
    if (const auto reason = why_no_overlap()) throw DeviceError(*reason);
    return std::make_unique<GpuGraph>(stream_, capture_overlapped(enqueue_work));
  }
  std::size_t count_overlapping(const std::function<void()>& enqueue_work, bool overlapped) override {
    const RecordedGraph recorded = overlapped ? capture_overlapped(enqueue_work) : capture(enqueue_work);
    return as_device_error([&] { return kq::programmatic_edges(recorded.get()); });
  }
  void enqueue_late_copy(void* to, const void* from, std::size_t bytes) override {
    gpu::enqueue_late_copy(stream_, to, from, bytes);
  }
#endif
  bool has_events() const override {
    return true;
  }
  std::unique_ptr<Event> make_event() override {
    return std::make_unique<GpuEvent>(stream_);
  }

  int stream_variants() const override {
    return gpu::stream_variants();
  }
  void enqueue_stream(StreamMix mix, int variant, const void* read, void* write, std::size_t bytes) override {
    gpu::enqueue_stream(stream_, mix, variant, read, write, bytes);
  }

  ClockReading read_clocks() const override {
    return gpu::read_clocks(pci_bus_id_);
  }

  void profiler_start() override {
    gpu::profiler_start();
  }
  void profiler_stop() override {
    gpu::profiler_stop();
  }
  void push_range(const char* name) override {
    gpu::push_range(name);
    push_kokkos_region(name);
  }
  void pop_range() override {
    pop_kokkos_region();
    gpu::pop_range();
  }

 private:
  RecordedGraph capture(const std::function<void()>& enqueue_work) {
    // Relaxed: what Kokkos asks the runtime besides its launches does not end the recording.
    check(KQ_GPU(StreamBeginCapture)(stream_, KQ_GPU(StreamCaptureModeRelaxed)), "starting to record a graph");
    KQ_GPU(Graph_t) recorded = nullptr;
    try {
      enqueue_work();
    } catch (...) {
      if (KQ_GPU(StreamEndCapture)(stream_, &recorded) == KQ_GPU(Success)) {
        static_cast<void>(KQ_GPU(GraphDestroy)(recorded));
      }
      throw;
    }
    check(KQ_GPU(StreamEndCapture)(stream_, &recorded), "recording a graph");
    return RecordedGraph(recorded);
  }
#if !KQ_GPU_HIP
  RecordedGraph capture_overlapped(const std::function<void()>& enqueue_work) {
    RecordedGraph recorded = capture(enqueue_work);
    as_device_error([&] { kq::overlap_launches(recorded.get()); });
    return recorded;
  }
#endif

  DeviceInfo info_;
  [[maybe_unused]] int architecture_;  ///< compute capability: 90 for 9.0
  std::string pci_bus_id_;
  std::optional<std::string> missing_kokkos_;
  OwnStream stream_;
  std::vector<std::unique_ptr<Implementation>> implementations_;  // after the stream they work on: gone before it
};

}  // namespace

std::unique_ptr<Device> open_device(const DeviceOptions& options) {
  if (options.index < 0 || options.index >= device_count()) {
    throw DeviceError(std::string("backend ") + backend_name + ": there is no device " + std::to_string(options.index) +
                      "; `kqbench list` shows what there is");
  }
  check(KQ_GPU(SetDevice)(options.index), "choosing the device");
  Properties properties;
  check(KQ_GPU(GetDeviceProperties)(&properties, options.index), "asking for the device's properties");
  return std::make_unique<GpuDevice>(options, properties);
}

}  // namespace kqbench::gpu
