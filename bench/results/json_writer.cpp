// SPDX-License-Identifier: Apache-2.0
#include "bench/results/json_writer.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "bench/measure/statistics.hpp"
#include "bench/results/request_json.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

/// Text from a device or a shell may hold bytes that are no UTF-8: they become U+FFFD.
std::string dump(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

template <class Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// [low, high], or null.
Json interval(const std::optional<double>& low, const std::optional<double>& high) {
  return low && high ? Json({*low, *high}) : Json(nullptr);
}

Json clocks_json(const RowClocks& clocks) {
  return {{"core_mhz_before", or_null(clocks.core_mhz_before)},
          {"core_mhz_after", or_null(clocks.core_mhz_after)},
          {"memory_mhz_before", or_null(clocks.memory_mhz_before)},
          {"memory_mhz_after", or_null(clocks.memory_mhz_after)},
          {"power_watts", or_null(clocks.power_watts)},
          {"temperature_celsius", or_null(clocks.temperature_celsius)},
          {"dropped", clocks.dropped}};
}

void add_operation(Json& json, const kq::Request& request) {
  json["operation"] = kq::operation_name(request);
  add_request(json, request);
}

Json canary_json(const Canary& canary) {
  Json json = {{"peer", canary.peer}, {"impl", canary.impl}};
  add_operation(json, canary.request);
  json["timing"] = canary.timing;
  json["cache"] = canary.cache;
  json["median_us_before"] = canary.median_us_before;
  json["median_us_after"] = canary.median_us_after;
  json["launches_per_sample"] = canary.launches_per_sample;
  if (canary.kqbench_median_us) json["kqbench_median_us"] = *canary.kqbench_median_us;
  return json;
}

Json scalars_json(const Context& context) {
  return {{"program", context.program},
          {"version", context.version},
          {"commit", context.commit},
          {"build_type", context.build_type},
          {"compiler", context.compiler},
          {"device_compiler", context.device_compiler},
          {"device_architectures", context.device_architectures},
          {"host_architecture", context.host_architecture},
          {"libraries", context.libraries},
          {"implementations", context.implementations},
          {"backend", context.backend},
          {"device", context.device},
          {"device_id", context.device_id},
          {"architecture", context.architecture},
          {"driver", context.driver},
          {"runtime", context.runtime},
          {"memory_bytes", context.memory_bytes},
          {"cache_bytes", context.cache_bytes},
          {"compute_units", context.compute_units},
          {"power_cap_watts", or_null(context.power_cap_watts)},
          {"clocks", clocks_json(context.clocks)},
          {"ceilings_gbps", context.ceilings_gbps},
          {"host_cpu", context.host_cpu},
          {"host_threads", context.host_threads},
          {"host_threads_used", context.host_threads_used},
          {"operating_system", context.operating_system},
          {"time", context.time},
          {"command_line", context.command_line},
          {"host", context.host},
          {"node", context.node},
          {"launcher", context.launcher},
          {"rank", context.rank},
          {"size", context.size},
          {"measured", context.measured},
          {"seed", or_null(context.seed)}};
}

Json rank_json(const RankContext& rank) {
  return {{"rank", rank.rank},
          {"host", rank.host},
          {"node", rank.node},
          {"device", rank.device},
          {"device_id", rank.device_id},
          {"power_cap_watts", or_null(rank.power_cap_watts)},
          {"clocks", clocks_json(rank.clocks)},
          {"complete", rank.complete},
          {"failure", rank.failure}};
}

Json context_json(const Context& context) {
  Json json = scalars_json(context);
  for (const RankContext& rank : context.ranks) {
    json["ranks"].push_back(rank_json(rank));
  }
  for (const Canary& canary : context.canary) {
    json["canary"].push_back(canary_json(canary));
  }
  return json;
}

Json time_json(const TimeStatistics& time) {
  return {{"median", time.median},
          {"ci95", interval(time.ci95_low, time.ci95_high)},
          {"ci95_confidence", time.samples.empty() ? Json(nullptr) : Json(interval_confidence(time.samples.size()))},
          {"min", time.min},
          {"max", time.max},
          {"samples", time.samples},
          {"rounds", time.rounds},
          {"repeatability", or_null(time.repeatability)}};
}

Json row_json(const Row& row) {
  Json json = {{"impl", row.impl}, {"backend", row.backend}};
  if (row.rank) json["rank"] = *row.rank;
  add_operation(json, row.request);
  json["threads"] = or_null(row.threads);
  json["timing"] = row.timing;
  json["launch"] = row.launch;
  json["cache"] = row.cache;
  json["copies"] = row.copies;
  json["bytes_between_uses"] = row.bytes_between_uses;
  json["verified"] = row.verified;
  json["failure"] = row.failure;
  if (row.codes_checked) {
    json["codes_checked"] = {{"differ", row.codes_checked->differ}, {"compared", row.codes_checked->compared}};
  }
  json["stop"] = row.stop;
  json["bytes"] = row.bytes;
  json["gbps"] = row.gbps;
  json["ceiling_mix"] = row.ceiling_mix;
  json["ceiling_gbps"] = or_null(row.ceiling_gbps);
  json["ceiling_fraction"] = or_null(row.ceiling_fraction);
  json["time_ratio_to_native"] = or_null(row.time_ratio_to_native);
  json["time_ratio_ci95"] = interval(row.time_ratio_ci95_low, row.time_ratio_ci95_high);
  json["suspect"] = row.suspect;
  json["drifted"] = row.drifted;
  json["clocks"] = clocks_json(row.clocks);
  json["launches_per_sample"] = row.launches_per_sample;
  json["time_us"] = row.time_us ? time_json(*row.time_us) : Json(nullptr);
  return json;
}

/// A value of the outermost object, printed over several lines and indented by two.
std::string indented(const Json& value) {
  std::string text;
  for (const char c : dump(value, 2)) {
    text += c;
    if (c == '\n') text += "  ";
  }
  return text;
}

}  // namespace

std::string to_json(const ResultFile& result) {
  std::string text =
      fmt::format("{{\n  \"schema\": \"{}/{}\",\n  \"complete\": {},\n  \"setting\": {},\n  \"rows\": [",
                  result_schema_name, result_schema_version, result.complete, indented(context_json(result.context)));
  const char* separator = "\n    ";
  for (const Row& row : result.rows) {
    text += separator + dump(row_json(row), -1);
    separator = ",\n    ";
  }
  text += result.rows.empty() ? "]\n}\n" : "\n  ]\n}\n";
  return text;
}

}  // namespace kqbench
