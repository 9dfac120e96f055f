// SPDX-License-Identifier: Apache-2.0
#include "bench/fleet/fleet.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <tuple>
#include <utility>

#include "bench/measure/statistics.hpp"
#include "bench/results/row_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using Reading = std::optional<double> Readings::*;
constexpr Reading all_readings[] = {&Readings::core_mhz, &Readings::memory_mhz, &Readings::power_watts,
                                    &Readings::temperature_celsius};

/// Medians of those that tell, reading by reading.
Readings median_readings(const std::vector<const Readings*>& readings) {
  Readings medians;
  for (const Reading reading : all_readings) {
    std::vector<double> values;
    for (const Readings* one : readings) {
      if (one->*reading) values.push_back(*(one->*reading));
    }
    if (!values.empty()) medians.*reading = median(values);
  }
  return medians;
}

Ratio divided(const Ratio& ratio, double by) {
  Ratio result{ratio.value / by, std::nullopt, ratio.between_runs};
  if (ratio.interval) result.interval = {ratio.interval->low / by, ratio.interval->high / by};
  return result;
}

double distance(const Ratio& ratio) {
  return std::abs(std::log(ratio.value));
}

/// What an outlier's readings say beside those of the others: differences that a load does not explain.
std::vector<std::string> hints_of(const FleetOutlier& outlier, const std::optional<double>& power_cap_watts) {
  const Readings& own = outlier.readings;
  const Readings& others = outlier.fleet;
  std::vector<std::string> hints;
  const auto clock = [&](const char* name, Reading reading) {
    if (!(own.*reading) || !(others.*reading) || *(others.*reading) <= 0.0) return;
    const double change = *(own.*reading) / *(others.*reading) - 1.0;
    if (std::abs(change) < 0.02) return;
    hints.push_back(fmt::format("{} clock {:.0f} MHz, {:.0f} % {} the others'", name, *(own.*reading),
                                100.0 * std::abs(change), change < 0.0 ? "below" : "above"));
  };
  clock("core", &Readings::core_mhz);
  clock("memory", &Readings::memory_mhz);
  if (own.power_watts && power_cap_watts && *own.power_watts >= 0.97 * *power_cap_watts) {
    hints.push_back(fmt::format("power {:.0f} W, at its cap of {:.0f} W", *own.power_watts, *power_cap_watts));
  } else if (own.power_watts && others.power_watts &&
             std::abs(*own.power_watts / std::max(1.0, *others.power_watts) - 1.0) >= 0.1) {
    hints.push_back(fmt::format("power {:.0f} W, the others' {:.0f} W", *own.power_watts, *others.power_watts));
  }
  if (own.temperature_celsius && others.temperature_celsius &&
      std::abs(*own.temperature_celsius - *others.temperature_celsius) >= 8.0) {
    hints.push_back(
        fmt::format("{:.0f} °C, the others' {:.0f} °C", *own.temperature_celsius, *others.temperature_celsius));
  }
  if (!hints.empty()) return hints;
  const bool told = own.core_mhz || own.power_watts || own.temperature_celsius;
  return {told ? "clocks, power and temperature are as the others'" : "it tells no clocks, power or temperature"};
}

/// Whose row of whose implementation, measured in which way.
using OutlierKey = std::tuple<std::size_t, std::string, std::string>;

std::vector<FleetOutlier> outliers_of(const FleetSummary& summary) {
  struct Seen {
    std::vector<Ratio> ratios;
    std::vector<const Readings*> readings, fleet;
    std::size_t slower = 0, faster = 0;
  };
  std::map<OutlierKey, Seen> all;
  for (const FleetOperation& operation : summary.operations) {
    for (const FleetTime& time : operation.times) {
      Seen& seen = all[{time.device, operation.work.impl, operation.work.measured}];
      seen.ratios.push_back(time.ratio);
      seen.readings.push_back(&time.readings);
      seen.fleet.push_back(&operation.readings);
      if (time.outside) ++(time.ratio.value > 1.0 ? seen.slower : seen.faster);
    }
  }
  std::vector<FleetOutlier> outliers;
  for (const auto& [key, seen] : all) {
    if (seen.slower + seen.faster == 0) continue;
    FleetOutlier outlier;
    std::tie(outlier.device, outlier.impl, outlier.measured) = key;
    outlier.slower = seen.slower;
    outlier.faster = seen.faster;
    outlier.operations = seen.ratios.size();
    outlier.ratio = geometric_mean(seen.ratios);
    outlier.readings = median_readings(seen.readings);
    outlier.fleet = median_readings(seen.fleet);
    outlier.hints = hints_of(outlier, summary.devices[outlier.device].power_cap_watts);
    outliers.push_back(std::move(outlier));
  }
  std::stable_sort(outliers.begin(), outliers.end(),
                   [](const FleetOutlier& a, const FleetOutlier& b) { return distance(a.ratio) > distance(b.ratio); });
  return outliers;
}

}  // namespace

std::string FleetDevice::text() const {
  return host.empty() ? id : host + ' ' + id;
}

std::size_t Fleet::device_of(const NamedResult& file) {
  const Context& context = file.result.context;
  FleetDevice device{context.host, context.device_id, context.device, context.node, context.power_cap_watts};
  if (device.id.empty()) device.id = context.size > 1 ? fmt::format("rank {}", context.rank) : context.device;
  const auto [found, is_new] = positions_.try_emplace({device.host, device.id}, devices_.size());
  if (is_new) devices_.push_back(std::move(device));
  return found->second;
}

void Fleet::add(const NamedResult& file) {
  ++files_;
  const Context& context = file.result.context;
  const std::size_t device = device_of(file);
  if (!file.result.complete) incomplete_.push_back(file.name);
  for (const Row& row : file.result.rows) {
    FleetWork work{context.device, context.measured, row.backend, row.timing,
                   row.launch,     row.cache,        row.request, row.impl};
    Entry entry{file.name,
                row.time_us ? std::optional(ratio_to(row, 1.0)) : std::nullopt,
                {row.clocks.core_mhz_after, row.clocks.memory_mhz_after, row.clocks.power_watts,
                 row.clocks.temperature_celsius}};
    const auto [found, is_new] = work_[std::move(work)].try_emplace(device, std::move(entry));
    if (is_new) continue;
    throw UsageError(
        fmt::format("{}: has {}, {}, {} of {}, and so has {}; give one file of each device and way of "
                    "measuring",
                    in_quotes(file.name), row.impl, work_text(row.request), shape_text(row.request),
                    devices_[device].text(), in_quotes(found->second.file)));
  }
}

FleetSummary Fleet::summary(double limit) const {
  FleetSummary summary;
  summary.limit = limit;
  summary.devices = devices_;
  summary.incomplete = incomplete_;
  summary.files = files_;
  // What is missing is what another device of the model has, of that implementation and way of measuring.
  const auto kind = [](const FleetWork& work) {
    return std::tuple(work.device, work.impl, work.backend, work.measured);
  };
  std::map<decltype(kind(FleetWork())), std::set<std::size_t>> present;
  for (const auto& [work, entries] : work_) {
    for (const auto& [device, entry] : entries) {
      present[kind(work)].insert(device);
    }
  }
  for (const auto& [work, entries] : work_) {
    FleetOperation operation;
    operation.work = work;
    std::vector<double> medians;
    for (const auto& [device, entry] : entries) {
      if (!entry.microseconds) {
        operation.failed.push_back(device);
        continue;
      }
      medians.push_back(entry.microseconds->value);
      operation.times.push_back({device, medians.back(), {}, Verdict::ambiguous, false, entry.readings});
    }
    if (present[kind(work)].size() < 2) {
      ++summary.lone_operations;
      continue;
    }
    for (const std::size_t device : present[kind(work)]) {
      if (!entries.contains(device)) operation.missing.push_back(device);
    }
    if (!medians.empty()) {
      operation.median_us = median(medians);
      const auto [fastest, slowest] = std::minmax_element(medians.begin(), medians.end());
      operation.spread = *slowest / *fastest - 1.0;
    }
    std::vector<const Readings*> readings;
    for (FleetTime& time : operation.times) {
      time.ratio = divided(*entries.at(time.device).microseconds, operation.median_us);
      time.verdict = time.ratio.verdict(limit);
      time.outside = time.ratio.value > 1.0 + limit || time.ratio.value < 1.0 / (1.0 + limit);
      readings.push_back(&time.readings);
    }
    operation.readings = median_readings(readings);
    summary.operations.push_back(std::move(operation));
  }
  summary.outliers = outliers_of(summary);

  std::map<FleetWork, std::size_t> alone;  // without the way of measuring
  for (std::size_t i = 0; i < summary.operations.size(); ++i) {
    FleetWork work = summary.operations[i].work;
    if (std::exchange(work.measured, "") == "alone") alone.emplace(std::move(work), i);
  }
  for (std::size_t i = 0; i < summary.operations.size(); ++i) {
    FleetWork work = summary.operations[i].work;
    if (std::exchange(work.measured, "") != "together") continue;
    const auto other = alone.find(work);
    if (other == alone.end()) continue;
    TogetherAlone both{i, other->second, 0, 1.0, 0, {}};
    const auto& together_entries = work_.at(summary.operations[i].work);
    const auto& alone_entries = work_.at(summary.operations[both.alone].work);
    std::vector<double> ratios;
    for (const auto& [device, entry] : together_entries) {
      const auto found = alone_entries.find(device);
      if (found == alone_entries.end() || !entry.microseconds || !found->second.microseconds) continue;
      const Ratio ratio = quotient(*entry.microseconds, *found->second.microseconds);
      if (ratios.empty() || ratio.value > both.slowest_ratio.value) {
        both.slowest = device;
        both.slowest_ratio = ratio;
      }
      ratios.push_back(ratio.value);
    }
    both.devices = ratios.size();
    if (ratios.empty()) continue;
    both.ratio = median(ratios);
    summary.together_alone.push_back(both);
  }
  return summary;
}

}  // namespace kqbench
