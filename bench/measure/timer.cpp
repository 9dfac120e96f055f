// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/timer.hpp"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace kqbench {
namespace {

/// The replay that is timed is preceded by one that is not: while that keeps the device busy, the host enqueues the
/// first event and the second replay, so neither the host's time for a launch nor the device's first wake-up is in
/// between the events.
class GraphSampler : public Sampler {
 public:
  GraphSampler(Device& device, Work work, std::int64_t launches, Launch launch)
      : Sampler(launches), work_(std::move(work)), begin_(device.make_event()), end_(device.make_event()) {
    const auto enqueue_all = [this, launches] {
      for (std::int64_t i = 0; i < launches; ++i) {
        copies_.push_back(work_.enqueue_next());
      }
    };
    graph_ = launch == Launch::overlapped ? device.record_overlapped(enqueue_all) : device.record(enqueue_all);
  }

  double sample() override {
    graph_->launch();
    begin_->record();
    graph_->launch();
    end_->record();
    for (int replay = 0; replay < 2; ++replay) {
      for (const std::int64_t copy : copies_) {
        work_.launched(copy);
      }
    }
    return per_launch(end_->microseconds_since(*begin_));
  }

 private:
  Work work_;
  std::vector<std::int64_t> copies_;  ///< in the order in which a replay uses them
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
  std::unique_ptr<Graph> graph_;
};

class StreamSampler : public Sampler {
 public:
  StreamSampler(Device& device, Work work, std::int64_t launches)
      : Sampler(launches), work_(std::move(work)), begin_(device.make_event()), end_(device.make_event()) {}

  double sample() override {
    begin_->record();
    launch(work_, launches());
    end_->record();
    return per_launch(end_->microseconds_since(*begin_));
  }

 private:
  Work work_;
  std::unique_ptr<Event> begin_;
  std::unique_ptr<Event> end_;
};

class WallSampler : public Sampler {
 public:
  WallSampler(Device& device, Work work, std::int64_t launches, Clock clock)
      : Sampler(launches), device_(device), work_(std::move(work)), clock_(std::move(clock)) {}

  double sample() override {
    device_.synchronize();
    const double begin = clock_();
    launch(work_, launches());
    device_.synchronize();
    return per_launch((clock_() - begin) * 1e6);
  }

 private:
  Device& device_;
  Work work_;
  Clock clock_;
};

}  // namespace

void launch(const Work& work, std::int64_t times) {
  for (std::int64_t i = 0; i < times; ++i) {
    work.launched(work.enqueue_next());
  }
}

std::string_view to_string(Timing timing) {
  switch (timing) {
    case Timing::graph:
      return "graph";
    case Timing::stream:
      return "stream";
    case Timing::wall:
      return "wall";
  }
  return "";
}

std::optional<Timing> parse_timing(std::string_view name) {
  for (const Timing timing : {Timing::graph, Timing::stream, Timing::wall}) {
    if (name == to_string(timing)) return timing;
  }
  return std::nullopt;
}

std::string_view to_string(Launch launch) {
  return launch == Launch::overlapped ? "overlapped" : "plain";
}

std::optional<Launch> parse_launch(std::string_view name) {
  for (const Launch launch : {Launch::plain, Launch::overlapped}) {
    if (name == to_string(launch)) return launch;
  }
  return std::nullopt;
}

Clock steady_clock() {
  return [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
}

double Sampler::per_launch(double microseconds) const {
  if (!(microseconds > 0.0)) {
    throw DeviceError("timing failed: the clock says that " + std::to_string(launches_) + " launches took " +
                      std::to_string(microseconds) + " us; try --timing wall, or a larger shape");
  }
  return microseconds / static_cast<double>(launches_);
}

// Whoever can record launches for later has a queue.
bool has_queue(const Device& device) {
  return device.has_graphs();
}

std::optional<std::string> why_not(Timing timing, const Device& device) {
  const bool possible =
      timing == Timing::wall || (device.has_events() && (timing != Timing::graph || device.has_graphs()));
  if (possible) return std::nullopt;
  return "the " + device.info().backend + " backend has no " + (timing == Timing::graph ? "graphs" : "device events") +
         "; use --timing wall";
}

std::optional<std::string> why_not(Launch launch, Timing timing, const Device& device) {
  if (launch == Launch::plain) return std::nullopt;
  if (timing != Timing::graph) return "overlapped launches are recorded in a graph; use --timing graph";
  return device.why_no_overlap();
}

std::unique_ptr<Sampler> make_sampler(Timing timing, Device& device, Work work, std::int64_t launches,
                                      const Clock& clock, Launch launch) {
  switch (timing) {
    case Timing::graph:
      return std::make_unique<GraphSampler>(device, std::move(work), launches, launch);
    case Timing::stream:
      return std::make_unique<StreamSampler>(device, std::move(work), launches);
    case Timing::wall:
      break;
  }
  return std::make_unique<WallSampler>(device, std::move(work), launches, clock);
}

}  // namespace kqbench
