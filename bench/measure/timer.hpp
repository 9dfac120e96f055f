// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How long a launch takes, by three clocks. Every result names the one it comes from.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include "backends/backend.hpp"

namespace kqbench {

enum class Timing : std::uint8_t {
  graph,   ///< device time of a launch: many are recorded in a graph, whose replay is timed by device events
  stream,  ///< device time and launch overhead: many are put on the stream between two device events
  wall     ///< host time of many launches and of the synchronization at the end
};
std::string_view to_string(Timing timing);
std::optional<Timing> parse_timing(std::string_view name);

/// How recorded launches follow each other.
enum class Launch : std::uint8_t {
  plain,      ///< each after the end of the one before
  overlapped  ///< each may start while the one before ends: programmatic dependent launch
};
std::string_view to_string(Launch launch);
std::optional<Launch> parse_launch(std::string_view name);

/// Seconds from some fixed moment on, never going back. Tests bring their own.
using Clock = std::function<double()>;
Clock steady_clock();

/// What a sampler times: one implementation at work on copies in turn.
struct Work {
  std::function<std::int64_t()> enqueue_next;  ///< puts one launch on the stream, says which copy it works on
  std::function<void(std::int64_t)> launched;  ///< called for every launch that really ran, graph replays' too
};

/// Puts so many launches on the stream.
void launch(const Work& work, std::int64_t times);

/// Takes samples, each the mean time of a fixed number of launches.
class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual double sample() = 0;  ///< microseconds a launch; positive. Throws DeviceError if the clock makes no sense.
  std::int64_t launches() const { return launches_; }  ///< timed in one sample

 protected:
  explicit Sampler(std::int64_t launches) : launches_(launches) {}
  double per_launch(double microseconds) const;

 private:
  std::int64_t launches_;
};

/// True for a device that works through a queue on its own time, false for one (a host) on which every launch is done
/// when it returns.
bool has_queue(const Device& device);

/// Whether the device can be timed so; if not, why, in one line.
std::optional<std::string> why_not(Timing timing, const Device& device);

/// Whether the device can be timed so with launches of this kind; if not, why, in one line.
std::optional<std::string> why_not(Launch launch, Timing timing, const Device& device);

std::unique_ptr<Sampler> make_sampler(Timing timing, Device& device, Work work, std::int64_t launches,
                                      const Clock& clock, Launch launch = Launch::plain);

}  // namespace kqbench
