// SPDX-License-Identifier: Apache-2.0

#include "backends/host/host.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/host/memory.hpp"
#include "backends/host/native.hpp"
#include "backends/host/processor.hpp"
#include "backends/host/stream.hpp"
#include "backends/host/threads.hpp"
#include "backends/kokkos/kokkos.hpp"
#include "backends/reference/reference.hpp"
#include "kq/architecture.hpp"

namespace kqbench {
namespace {

/// The host does its work when it is enqueued, so a moment on its stream is a moment.
class HostEvent final : public Event {
 public:
  void record() override { moment_ = Clock::now(); }
  double microseconds_since(const Event& earlier) override {
    const auto& other = dynamic_cast<const HostEvent&>(earlier);
    return std::chrono::duration<double, std::micro>(moment_ - other.moment_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point moment_;
};

/// As many threads as asked for, or as Kokkos uses, so that the two are compared like with like.
int choose_threads(const DeviceOptions& options) {
  if (options.host_threads < 0) throw DeviceError("host threads: must be 1 or more");
  if (!has_threads && options.host_threads > 1) {
    throw DeviceError("host threads: this program was built without OpenMP and has one thread");
  }
  if (options.host_threads > 0) return options.host_threads;
  if (!has_threads || kokkos_missing("host")) return 1;
  return std::max(1, kokkos_host_concurrency(options));
}

std::string compiler() {
#if defined(__clang__)
  return "clang " + std::to_string(__clang_major__) + '.' + std::to_string(__clang_minor__) + '.' +
         std::to_string(__clang_patchlevel__);
#elif defined(__GNUC__)
  return std::string("g++ ") + __VERSION__;
#else
  return "unknown compiler";
#endif
}

class HostDevice final : public Device {
 public:
  explicit HostDevice(const DeviceOptions& options) : threads_(choose_threads(options)) {
    info_.backend = "host";
    info_.name = processor_name();
    info_.architecture = processor_architecture();
    info_.runtime = compiler();
    info_.memory_bytes = memory_total_bytes();
    info_.cache_bytes = last_level_cache_bytes();
    info_.compute_units = threads_;
    info_.host_memory = true;
    kokkos_missing_ = kokkos_missing("host");
    if (!kokkos_missing_) implementations_.push_back(make_kokkos_implementation("host", options, nullptr));
    implementations_.push_back(make_native_host_implementation(threads_));
    implementations_.push_back(make_reference_implementation(threads_));
  }

  const DeviceInfo& info() const override { return info_; }
  const std::vector<std::unique_ptr<Implementation>>& implementations() const override { return implementations_; }
  std::optional<std::string> why_missing(std::string_view implementation) const override {
    for (const auto& present : implementations_) {
      if (present->name() == implementation) return std::nullopt;
    }
    if (implementation == "kokkos") return kokkos_missing_;
    return "backend host has no implementation named so";
  }
  void add_implementation(std::unique_ptr<Implementation> implementation) override {
    implementations_.push_back(std::move(implementation));
  }

  void* allocate(std::size_t bytes) override {
    void* const address = allocate_host_memory(bytes);
    fill(address, 0, bytes);  // every page near the thread that will work on it
    return address;
  }
  void release(void* address) noexcept override { release_host_memory(address); }
  std::uint64_t free_memory_bytes() const override { return memory_available_bytes(); }

  void copy_to_device(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override { copy(to, from, bytes); }
  void fill(void* to, unsigned char value, std::size_t bytes) override {
    for_each_part(
        bytes, [&](std::size_t begin, std::size_t size) { std::memset(static_cast<char*>(to) + begin, value, size); });
  }

  void synchronize() override {}

  bool has_graphs() const override { return false; }
  std::unique_ptr<Graph> record(const std::function<void()>&) override {
    throw DeviceError("the host has no graphs; time with wall or stream");
  }
  bool has_events() const override { return true; }
  std::unique_ptr<Event> make_event() override { return std::make_unique<HostEvent>(); }

  int stream_variants() const override { return host_stream_variants(); }
  void enqueue_stream(StreamMix mix, int variant, const void* read, void* write, std::size_t bytes) override {
    host_stream(mix, variant, threads_, read, write, bytes);
  }

  ClockReading read_clocks() const override {
    ClockReading reading;
    reading.core_mhz = processor_mhz();
    return reading;
  }

  void profiler_start() override {}
  void profiler_stop() override {}
  void push_range(const char* name) override { push_kokkos_region(name); }
  void pop_range() override { pop_kokkos_region(); }

 private:
  /// work(begin, size) for each thread's part of `bytes` bytes, of whole pages.
  template <class Work>
  void for_each_part(std::size_t bytes, const Work& work) const {
    constexpr std::size_t page = 4096;
    const int parts = bytes < 16 * page ? 1 : threads_;
    in_parallel(parts, [&](int part) {
      const Slice slice = slice_of(static_cast<std::int64_t>(bytes), part, parts, page);
      if (slice.begin < slice.end) {
        work(static_cast<std::size_t>(slice.begin), static_cast<std::size_t>(slice.end - slice.begin));
      }
    });
  }

  void copy(void* to, const void* from, std::size_t bytes) const {
    for_each_part(bytes, [&](std::size_t begin, std::size_t size) {
      std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin, size);
    });
  }

  int threads_;
  DeviceInfo info_;
  std::optional<std::string> kokkos_missing_;
  std::vector<std::unique_ptr<Implementation>> implementations_;
};

std::unique_ptr<Device> open_host(const DeviceOptions& options) {
  if (const auto mismatch = architecture_mismatch(kq::compiled_architecture(), processor_architecture())) {
    throw DeviceError("backend host: " + *mismatch);
  }
  if (options.index != 0) {
    throw DeviceError("backend host has one device, 0; there is no device " + std::to_string(options.index));
  }
  return std::make_unique<HostDevice>(options);
}

}  // namespace

Backend host_backend() {
  Backend backend;
  backend.name = "host";
  backend.built = true;
  backend.version = compiler() + ", " + kq::compiled_architecture();
  backend.device_count = [] { return 1; };
  backend.device_name = [](int) { return processor_name(); };
  backend.open = open_host;
  return backend;
}

}  // namespace kqbench
