// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Devices of a kind, held against each other: which of them is slower or faster than the others, and what its clocks,
/// power and temperature say about it.

#include <compare>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "bench/results/canary.hpp"
#include "bench/results/ratio.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// A device of the fleet.
struct FleetDevice {
  std::string host;
  std::string id;    ///< Context::device_id; "rank 2" of a device that has none
  std::string name;  ///< "NVIDIA H200"
  std::string node;  ///< as the job names its host
  std::optional<double> power_cap_watts;

  std::string text() const;  ///< "gpu017 GPU-8c8c1a3c-…": host and id
};

/// Readings after a row; absent where the device does not tell.
struct Readings {
  std::optional<double> core_mhz, memory_mhz, power_watts, temperature_celsius;
};

/// What all of an operation's devices have in common; ordered by these.
struct FleetWork {
  std::string device;    ///< the model: unlike ones are no fleet
  std::string measured;  ///< Context::measured
  std::string backend, timing, launch, cache;
  kq::Request request;
  std::string impl;
  auto operator<=>(const FleetWork&) const = default;
};

/// A device at an operation.
struct FleetTime {
  std::size_t device = 0;  ///< position among the devices
  double median_us = 0.0;
  Ratio ratio;  ///< to the median over the devices, which is taken as given; above 1 is slower
  Verdict verdict = Verdict::ambiguous;
  bool outside = false;  ///< the ratio, whatever its interval, is not within the limit
  Readings readings;
};

struct FleetOperation {
  FleetWork work;
  double median_us = 0.0;            ///< over the devices
  double spread = 0.0;               ///< slowest / fastest - 1
  Readings readings;                 ///< their medians over the devices
  std::vector<FleetTime> times;      ///< by device
  std::vector<std::size_t> failed;   ///< devices whose output was wrong, so that they have no time
  std::vector<std::size_t> missing;  ///< devices that have another operation, but not this one
};

/// A device that is outside the limit at one operation or more, measured one way, by one implementation.
struct FleetOutlier {
  std::size_t device = 0;
  std::string impl;
  std::string measured;
  std::size_t slower = 0, faster = 0;  ///< operations outside the limit
  std::size_t operations = 0;          ///< that it was timed at
  Ratio ratio;                         ///< geometric mean over all of these
  Readings readings;                   ///< medians over them
  Readings fleet;                      ///< of the other devices
  std::vector<std::string> hints;      ///< what the readings say, a few words each
};

/// An operation that was measured in both ways.
struct TogetherAlone {
  std::size_t together = 0, alone = 0;  ///< positions among the operations
  std::size_t devices = 0;              ///< that were measured both ways
  double ratio = 1.0;                   ///< median over these: time together / time alone
  std::size_t slowest = 0;              ///< the device whose ratio is largest
  Ratio slowest_ratio;
};

/// A device is outside where nothing else is asked for: 5 % from the median.
inline constexpr double standard_fleet_limit = 0.05;

struct FleetSummary {
  double limit = standard_fleet_limit;
  std::vector<FleetDevice> devices;
  std::vector<FleetOperation> operations;  ///< of two devices or more
  std::vector<FleetOutlier> outliers;      ///< furthest from 1 first
  std::vector<TogetherAlone> together_alone;
  std::vector<std::string> incomplete;  ///< files, or ranks of them, that lack rows, with what went wrong
  std::size_t files = 0;                ///< or ranks of files
  std::size_t lone_operations = 0;      ///< that one device alone was timed at
};

/// Takes result files one by one and keeps of them little more than a median a row, so that there may be thousands.
class Fleet {
 public:
  /// A file of one process (by_rank makes several of one that was gathered). Throws UsageError if a device's row of the
  /// same work, measured the same way, has been added before.
  void add(const NamedResult& file);

  /// `limit` is a fraction: with 0.05, ratios from 1 / 1.05 to 1.05 are within it.
  FleetSummary summary(double limit) const;

 private:
  struct Entry {
    std::string file;
    std::optional<Ratio> microseconds;  ///< the row's time, as a ratio to one microsecond; absent if it failed
    Readings readings;
  };
  std::size_t device_of(const NamedResult& file);

  std::vector<FleetDevice> devices_;
  std::map<std::pair<std::string, std::string>, std::size_t> positions_;  ///< by host and id
  std::map<FleetWork, std::map<std::size_t, Entry>> work_;
  std::vector<std::string> incomplete_;
  std::size_t files_ = 0;
};

}  // namespace kqbench
