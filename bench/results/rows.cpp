// SPDX-License-Identifier: Apache-2.0
#include "bench/results/rows.hpp"

#include <algorithm>
#include <cmath>

namespace kqbench {
namespace {

RowClocks clocks_of(const ClockWatch& watch) {
  RowClocks clocks;
  clocks.core_mhz_before = watch.first().core_mhz;
  clocks.core_mhz_after = watch.last().core_mhz;
  clocks.memory_mhz_before = watch.first().memory_mhz;
  clocks.memory_mhz_after = watch.last().memory_mhz;
  clocks.power_watts = watch.last().power_watts;
  clocks.temperature_celsius = watch.last().temperature_celsius;
  clocks.dropped = watch.dropped();
  return clocks;
}

TimeStatistics statistics_of(const Measurement& measurement) {
  TimeStatistics statistics;
  statistics.median = measurement.median;
  statistics.ci95_low = measurement.interval.low;
  statistics.ci95_high = measurement.interval.high;
  const auto [min, max] = std::minmax_element(measurement.samples.begin(), measurement.samples.end());
  statistics.min = *min;
  statistics.max = *max;
  statistics.samples = measurement.samples;
  statistics.rounds = measurement.rounds;
  statistics.repeatability = measurement.repeatability;
  return statistics;
}

void add_times(Row& row, const Measurement& measurement, const kq::Traffic& traffic, const Ceilings& ceilings) {
  row.time_us = statistics_of(measurement);
  row.gbps = static_cast<double>(row.bytes) / measurement.median * 1e-3;
  const StreamMix mix = nearest_mix(traffic);
  row.ceiling_mix = to_string(mix);
  row.ceiling_gbps = ceilings.gbps(mix);
  if (row.ceiling_gbps) row.ceiling_fraction = row.gbps / *row.ceiling_gbps;
  if (measurement.ratio_to_native) {
    row.time_ratio_to_native = measurement.ratio_to_native->median;
    if (measurement.samples.size() >= least_samples) {
      row.time_ratio_ci95_low = measurement.ratio_to_native->interval.low;
      row.time_ratio_ci95_high = measurement.ratio_to_native->interval.high;
    }
  }
  row.suspect = row.cache == to_string(Cache::cold) && row.ceiling_fraction.value_or(0.0) > suspect_fraction;
  row.drifted = measurement.drifted;
}

}  // namespace

std::vector<Row> rows_of(const GroupMeasurement& group, const kq::Request& request, const std::string& backend,
                         Timing timing, Launch launch, const Ceilings& ceilings) {
  const kq::Traffic traffic = kq::minimal_traffic(request);
  std::vector<Row> rows;
  for (const Measurement& measurement : group.implementations) {
    if (!measurement.mismatch && measurement.samples.empty()) continue;
    Row row;
    row.request = kq::resolved(request);
    row.impl = measurement.implementation;
    row.backend = backend;
    row.threads = measurement.host_threads;
    row.bytes = traffic.total();
    row.timing = to_string(timing);
    row.launch = to_string(launch);
    row.cache = to_string(group.cache);
    row.copies = group.copies;
    row.bytes_between_uses = group.bytes_between_uses;
    row.verified = !measurement.mismatch;
    if (measurement.mismatch) {
      row.failure = measurement.mismatch->message();
    } else {
      row.launches_per_sample = group.launches_per_sample;
      row.stop = to_string(group.stop);
      row.clocks = clocks_of(group.clocks);
      add_times(row, measurement, traffic, ceilings);
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Row failed_row(const kq::Request& request, const std::string& implementation, const std::string& failure) {
  const kq::Traffic traffic = kq::minimal_traffic(request);
  Row row;
  row.request = kq::resolved(request);
  row.impl = implementation;
  row.bytes = traffic.total();
  row.failure = failure;
  return row;
}

}  // namespace kqbench
