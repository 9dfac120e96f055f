// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A device for tests: its memory is the test's, its time passes only when something is launched on it, and its
/// implementations do what the test says.

#include <array>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backends/backend.hpp"
#include "bench/measure/timer.hpp"

namespace kqbench::fake {

/// Time in microseconds, advanced by launches.
struct Time {
  double microseconds = 0.0;
  Clock clock() {
    return [this] { return microseconds * 1e-6; };
  }
};

class FakeDevice : public Device {
 public:
  explicit FakeDevice(bool queue = true) : queue_(queue) {
    info_.backend = queue ? "fake" : "fakehost";
    info_.name = "A device for tests";
    info_.cache_bytes = 4096;
    info_.memory_bytes = memory_bytes;
  }
  ~FakeDevice() override {
    for (void* block : blocks_)
      std::free(block);
  }

  /// Work on the stream: done at once, or noted if a graph is being recorded.
  void enqueue(std::function<void()> work) {
    if (recording_ != nullptr) {
      recording_->push_back(std::move(work));
    } else {
      work();
    }
  }

  const DeviceInfo& info() const override { return info_; }
  const std::vector<std::unique_ptr<Implementation>>& implementations() const override { return implementations_; }
  std::optional<std::string> why_missing(std::string_view) const override { return std::nullopt; }
  void add(std::unique_ptr<Implementation> implementation) { implementations_.push_back(std::move(implementation)); }

  void* allocate(std::size_t bytes) override {
    ++allocations;
    used_ += bytes;
    void* block = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
    blocks_.push_back(block);
    sizes_.push_back(bytes);
    return block;
  }
  void release(void* address) noexcept override {
    for (std::size_t i = 0; i < blocks_.size(); ++i) {
      if (blocks_[i] != address) continue;
      std::free(address);
      used_ -= sizes_[i];
      blocks_.erase(blocks_.begin() + static_cast<std::ptrdiff_t>(i));
      sizes_.erase(sizes_.begin() + static_cast<std::ptrdiff_t>(i));
      return;
    }
  }
  std::uint64_t free_memory_bytes() const override { return memory_bytes - used_; }
  void set_cache_bytes(std::uint64_t bytes) { info_.cache_bytes = bytes; }
  std::size_t blocks() const { return blocks_.size(); }

  void copy_to_device(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override { std::memcpy(to, from, bytes); }
  void fill(void* to, unsigned char value, std::size_t bytes) override { std::memset(to, value, bytes); }
  void synchronize() override {}
  void before_measuring() override { journal.emplace_back("before measuring"); }

  bool has_graphs() const override { return queue_; }
  std::unique_ptr<Graph> record(const std::function<void()>& enqueue_work) override {
    auto graph = std::make_unique<FakeGraph>();
    recording_ = &graph->work;
    try {
      enqueue_work();
    } catch (...) {
      recording_ = nullptr;
      throw;
    }
    recording_ = nullptr;
    return graph;
  }
  std::optional<std::string> why_no_overlap() const override {
    return overlaps ? std::nullopt : std::optional<std::string>("launches of this fake do not overlap");
  }
  std::unique_ptr<Graph> record_overlapped(const std::function<void()>& enqueue_work) override {
    journal.emplace_back("overlapped");
    return record(enqueue_work);
  }
  bool has_events() const override { return queue_; }
  std::unique_ptr<Event> make_event() override { return std::make_unique<FakeEvent>(time); }

  int stream_variants() const override { return static_cast<int>(stream_microseconds.size()); }
  void enqueue_stream(StreamMix mix, int variant, const void*, void*, std::size_t) override {
    ++stream_passes[static_cast<std::size_t>(mix)];
    enqueue([this, variant] { time.microseconds += stream_microseconds[static_cast<std::size_t>(variant)]; });
  }

  ClockReading read_clocks() const override { return clocks(); }

  void profiler_start() override { journal.emplace_back("start"); }
  void profiler_stop() override { journal.emplace_back("stop"); }
  void push_range(const char* name) override { journal.emplace_back(std::string("push ") + name); }
  void pop_range() override { journal.emplace_back("pop"); }

  static constexpr std::uint64_t memory_bytes = std::uint64_t{64} << 20;

  Time time;
  std::function<ClockReading()> clocks = [] { return ClockReading{}; };
  std::vector<double> stream_microseconds = {100.0};  ///< of a pass, by variant
  std::array<int, 5> stream_passes{};
  std::vector<std::string> journal;  ///< launches and what profilers see, in order
  bool overlaps = false;             ///< whether launches can be recorded so
  std::vector<const void*> inputs;   ///< of every launch on the device, in order
  int allocations = 0;

 private:
  struct FakeGraph : Graph {
    std::vector<std::function<void()>> work;
    void launch() override {
      for (const auto& piece : work)
        piece();
    }
  };

  struct FakeEvent : Event {
    explicit FakeEvent(const Time& device_time) : now(device_time) {}
    void record() override { at = now.microseconds; }
    double microseconds_since(const Event& earlier) override { return at - static_cast<const FakeEvent&>(earlier).at; }
    const Time& now;
    double at = 0.0;
  };

  bool queue_;
  DeviceInfo info_;
  std::vector<std::unique_ptr<Implementation>> implementations_;
  std::vector<std::function<void()>>* recording_ = nullptr;
  std::vector<void*> blocks_;
  std::vector<std::size_t> sizes_;
  std::uint64_t used_ = 0;
};

/// An implementation that does as it is told. `launch` counts its runs from 0.
class FakeImplementation : public Implementation {
 public:
  using Body = std::function<void(const kq::Request&, const Operands&, std::int64_t launch)>;

  FakeImplementation(FakeDevice& device, std::string name, Body body)
      : device_(device), name_(std::move(name)), body_(std::move(body)) {}

  std::string_view name() const override { return name_; }
  std::string description() const override { return "for tests"; }
  std::optional<std::string> unsupported_reason(const kq::Request&) const override { return std::nullopt; }
  std::size_t workspace_bytes(const kq::Request&) const override { return 64; }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    device_.enqueue([this, request, operands] {
      device_.journal.push_back("launch " + name_);
      body_(request, operands, launches_);
      device_.time.microseconds += microseconds(launches_);
      device_.inputs.push_back(operands.input);
      ++launches_;
    });
  }
  std::int64_t launches() const { return launches_; }

  std::function<double(std::int64_t)> microseconds = [](std::int64_t) { return 10.0; };

 private:
  FakeDevice& device_;
  std::string name_;
  Body body_;
  std::int64_t launches_ = 0;
};

/// What a right implementation does, by way of the reference, whose last answer is kept: a measurement asks the same
/// many thousand times.
inline void quantize_rightly(const kq::Request& request, const Operands& operands, std::int64_t /*launch*/) {
  static kq::Request asked;
  static std::vector<std::byte> given;
  static HostTensors outputs;
  const auto* const input = static_cast<const std::byte*>(operands.input);
  const std::size_t bytes = kq::input_bytes(request);
  if (request.static_scale || request != asked || given.size() != bytes ||
      std::memcmp(given.data(), input, bytes) != 0) {
    asked = request;
    given.assign(input, input + bytes);
    outputs = reference(request, operands);
  }
  const auto row = static_cast<std::size_t>(request.hidden_size);
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    const auto offset = static_cast<std::size_t>(token * request.codes_stride);
    std::memcpy(static_cast<std::byte*>(operands.codes) + offset, outputs.codes.data() + offset, row);
  }
  if (request.static_scale) return;
  std::memcpy(operands.scales, outputs.scales.data(), kq::scales_bytes(request));
  if (request.asymmetric) {
    std::memcpy(operands.zero_points, outputs.zero_points.data(), kq::zero_points_bytes(request));
  }
}

}  // namespace kqbench::fake
