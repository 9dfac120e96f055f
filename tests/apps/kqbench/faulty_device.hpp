// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A device that fails when a test wants it to, in front of a real one.

#include <array>
#include <csignal>
#include <cstddef>
#include <memory>
#include <new>
#include <optional>
#include <ostream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "backends/backend.hpp"

namespace kqbench::test {

/// Which call fails. What is recorded fails at its beginning or at its end.
enum class Fault {
  allocation,
  launch,
  synchronization,
  copy,
  recording,
  graph_launch,
  event_creation,
  event_record,
  event_time
};

inline std::string fault_name(Fault fault) {
  constexpr std::array<const char*, 9> names{"Allocation",  "Launch",        "Synchronization", "Copy",     "Recording",
                                             "GraphLaunch", "EventCreation", "EventRecord",     "EventTime"};
  return names.at(static_cast<std::size_t>(fault));
}
inline void PrintTo(Fault fault, std::ostream* out) {
  *out << fault_name(fault);
}

/// What it throws; or nothing, but a signal comes.
enum class Thrown { device_error, runtime_error, bad_alloc, signal };

/// When one does, and what became of it. It outlives the device.
struct FaultPlan {
  Fault fault = Fault::launch;
  Thrown thrown = Thrown::device_error;
  int moment = 0;         ///< the first call of that kind after so many allocations and copies fails
  int position = -1;      ///< if not negative, this call of that kind fails instead, counted from 0
  bool is_final = false;  ///< every call of any kind fails from then on, as after the loss of a device

  /// Allocations and copies so far. Unlike launches, whose number is a matter of the machine's speed, they are the same
  /// in every run of a command line.
  int progress = 0;
  int calls = 0;  ///< of the kind that fails
  int failures = 0;
  int work_after = 0;  ///< attempted since the first failure: launches, recordings and events
  int live_allocations = 0;
  int live_handles = 0;  ///< graphs and events

  /// Throws if this call is to fail.
  void pass(Fault call, const char* message) {
    const bool is_work = call != Fault::allocation && call != Fault::synchronization && call != Fault::copy;
    if (failures > 0 && is_work) ++work_after;
    const bool fails = failures > 0 ? is_final : call == fault && is_due();
    if (call == fault) ++calls;
    if (call == Fault::allocation || call == Fault::copy) ++progress;
    if (!fails) return;
    ++failures;
    switch (thrown) {
      case Thrown::device_error:
        throw DeviceError(message);
      case Thrown::runtime_error:
        throw std::runtime_error(message);
      case Thrown::bad_alloc:
        throw std::bad_alloc();
      case Thrown::signal:
        std::raise(SIGTERM);
    }
  }

 private:
  bool is_due() const { return position < 0 ? progress >= moment : calls == position; }
};

class FaultyImplementation : public Implementation {
 public:
  FaultyImplementation(Implementation& real, FaultPlan& plan) : real_(real), plan_(plan) {}
  std::string_view name() const override { return real_.name(); }
  std::string description() const override { return real_.description(); }
  std::optional<std::string> unsupported_reason(const kq::Request& request) const override {
    return real_.unsupported_reason(request);
  }
  std::size_t workspace_bytes(const kq::Request& request) const override { return real_.workspace_bytes(request); }
  void enqueue(const kq::Request& request, const Operands& operands) override {
    plan_.pass(Fault::launch, "launching a kernel failed: an unspecified launch failure");
    real_.enqueue(request, operands);
  }

 private:
  Implementation& real_;
  FaultPlan& plan_;
};

class FaultyGraph : public Graph {
 public:
  FaultyGraph(std::unique_ptr<Graph> real, FaultPlan& plan) : real_(std::move(real)), plan_(plan) {
    ++plan_.live_handles;
  }
  ~FaultyGraph() override { --plan_.live_handles; }
  void launch() override {
    plan_.pass(Fault::graph_launch, "launching a graph: an illegal memory access was encountered");
    real_->launch();
  }

 private:
  std::unique_ptr<Graph> real_;
  FaultPlan& plan_;
};

class FaultyEvent : public Event {
 public:
  FaultyEvent(std::unique_ptr<Event> real, FaultPlan& plan) : real_(std::move(real)), plan_(plan) {
    ++plan_.live_handles;
  }
  ~FaultyEvent() override { --plan_.live_handles; }
  void record() override {
    plan_.pass(Fault::event_record, "recording an event: an illegal memory access was encountered");
    real_->record();
  }
  double microseconds_since(const Event& earlier) override {
    plan_.pass(Fault::event_time, "waiting for an event: an illegal memory access was encountered");
    return real_->microseconds_since(*dynamic_cast<const FaultyEvent&>(earlier).real_);
  }

 private:
  std::unique_ptr<Event> real_;
  FaultPlan& plan_;
};

class FaultyDevice : public Device {
 public:
  FaultyDevice(std::unique_ptr<Device> real, FaultPlan& plan) : real_(std::move(real)), plan_(plan) {
    for (const auto& implementation : real_->implementations()) {
      implementations_.push_back(std::make_unique<FaultyImplementation>(*implementation, plan));
    }
  }

  const DeviceInfo& info() const override { return real_->info(); }
  const std::vector<std::unique_ptr<Implementation>>& implementations() const override { return implementations_; }
  std::optional<std::string> why_missing(std::string_view name) const override { return real_->why_missing(name); }

  void* allocate(std::size_t bytes) override {
    plan_.pass(Fault::allocation, "out of device memory: 1024 bytes wanted, 0 there");
    void* const address = real_->allocate(bytes);
    ++plan_.live_allocations;
    return address;
  }
  void release(void* address) noexcept override {
    if (address != nullptr) --plan_.live_allocations;
    real_->release(address);
  }
  std::uint64_t free_memory_bytes() const override { return real_->free_memory_bytes(); }

  void copy_to_device(void* to, const void* from, std::size_t bytes) override {
    pass_copy();
    real_->copy_to_device(to, from, bytes);
  }
  void copy_to_host(void* to, const void* from, std::size_t bytes) override {
    pass_copy();
    real_->copy_to_host(to, from, bytes);
  }
  void copy_on_device(void* to, const void* from, std::size_t bytes) override {
    pass_copy();
    real_->copy_on_device(to, from, bytes);
  }
  void fill(void* to, unsigned char value, std::size_t bytes) override {
    pass_copy();
    real_->fill(to, value, bytes);
  }
  void synchronize() override {
    plan_.pass(Fault::synchronization, "the device was lost");
    real_->synchronize();
  }

  bool has_graphs() const override { return real_->has_graphs(); }
  std::unique_ptr<Graph> record(const std::function<void()>& work) override {
    plan_.pass(Fault::recording, "starting to record a graph: an illegal memory access was encountered");
    std::unique_ptr<Graph> graph = real_->record(work);
    plan_.pass(Fault::recording, "recording a graph: an illegal memory access was encountered");
    return std::make_unique<FaultyGraph>(std::move(graph), plan_);
  }
  bool has_events() const override { return real_->has_events(); }
  std::unique_ptr<Event> make_event() override {
    plan_.pass(Fault::event_creation, "making an event: an illegal memory access was encountered");
    return std::make_unique<FaultyEvent>(real_->make_event(), plan_);
  }
  int stream_variants() const override { return real_->stream_variants(); }
  void enqueue_stream(StreamMix mix, int variant, const void* read, void* write, std::size_t bytes) override {
    plan_.pass(Fault::launch, "launching a kernel failed: an unspecified launch failure");
    real_->enqueue_stream(mix, variant, read, write, bytes);
  }
  ClockReading read_clocks() const override { return real_->read_clocks(); }
  void profiler_start() override { real_->profiler_start(); }
  void profiler_stop() override { real_->profiler_stop(); }
  void push_range(const char* name) override { real_->push_range(name); }
  void pop_range() override { real_->pop_range(); }

 private:
  void pass_copy() { plan_.pass(Fault::copy, "copying failed: an illegal memory access was encountered"); }

  std::unique_ptr<Device> real_;
  FaultPlan& plan_;
  std::vector<std::unique_ptr<Implementation>> implementations_;
};

}  // namespace kqbench::test
