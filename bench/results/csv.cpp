// SPDX-License-Identifier: Apache-2.0
#include "bench/results/csv.hpp"

#include <fmt/format.h>

#include <array>
#include <cmath>

#include "bench/measure/statistics.hpp"

namespace kqbench {
namespace {

std::string quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string text = "\"";
  for (const char c : field) {
    if (c == '"') text += '"';
    text += c;
  }
  return text + '"';
}

std::string text(const std::optional<double>& value) {
  return value ? fmt::format("{}", *value) : "";
}

std::string text_of(double TimeStatistics::*member, const Row& row) {
  return row.time_us ? fmt::format("{}", (*row.time_us).*member) : "";
}

struct Field {
  const char* name;
  std::string (*text)(const Row& row);
};

constexpr std::array fields = {
    Field{"impl", [](const Row& r) { return r.impl; }},
    Field{"backend", [](const Row& r) { return r.backend; }},
    Field{"operation", [](const Row& r) { return kq::operation_name(r.request); }},
    Field{"num_tokens", [](const Row& r) { return fmt::to_string(r.request.num_tokens); }},
    Field{"hidden_size", [](const Row& r) { return fmt::to_string(r.request.hidden_size); }},
    Field{"dtype", [](const Row& r) { return std::string(kq::to_string(r.request.element)); }},
    Field{"quant_dtype", [](const Row& r) { return std::string(kq::to_string(r.request.format)); }},
    Field{"static_scale", [](const Row& r) { return fmt::to_string(r.request.static_scale); }},
    Field{
        "granularity",
        [](const Row& r) { return kq::to_string(r.request.granularity, r.request.group_size, r.request.block_rows); }},
    Field{"asymmetric", [](const Row& r) { return fmt::to_string(r.request.asymmetric); }},
    Field{"scale_format", [](const Row& r) { return std::string(kq::to_string(r.request.scale_format)); }},
    Field{"scale_layout", [](const Row& r) { return std::string(kq::to_string(r.request.scale_layout)); }},
    Field{"input_stride", [](const Row& r) { return fmt::to_string(r.request.input_stride); }},
    Field{"codes_stride", [](const Row& r) { return fmt::to_string(r.request.codes_stride); }},
    Field{"qmax", [](const Row& r) { return fmt::to_string(r.request.qmax); }},
    Field{"scale_ub",
          [](const Row& r) { return std::isfinite(r.request.scale_ub) ? fmt::to_string(r.request.scale_ub) : ""; }},
    Field{"threads", [](const Row& r) { return r.threads ? fmt::to_string(*r.threads) : ""; }},
    Field{"timing", [](const Row& r) { return r.timing; }},
    Field{"cache", [](const Row& r) { return r.cache; }},
    Field{"copies", [](const Row& r) { return fmt::to_string(r.copies); }},
    Field{"bytes_between_uses", [](const Row& r) { return fmt::to_string(r.bytes_between_uses); }},
    Field{"median_us", [](const Row& r) { return text_of(&TimeStatistics::median, r); }},
    Field{"ci95_low_us", [](const Row& r) { return text_of(&TimeStatistics::ci95_low, r); }},
    Field{"ci95_high_us", [](const Row& r) { return text_of(&TimeStatistics::ci95_high, r); }},
    Field{"ci95_confidence",
          [](const Row& r) {
            return r.time_us && !r.time_us->samples.empty()
                       ? fmt::to_string(interval_confidence(r.time_us->samples.size()))
                       : "";
          }},
    Field{"min_us", [](const Row& r) { return text_of(&TimeStatistics::min, r); }},
    Field{"max_us", [](const Row& r) { return text_of(&TimeStatistics::max, r); }},
    Field{"num_samples", [](const Row& r) { return fmt::to_string(r.time_us ? r.time_us->samples.size() : 0); }},
    Field{"repeatability", [](const Row& r) { return r.time_us ? text(r.time_us->repeatability) : ""; }},
    Field{"launches_per_sample", [](const Row& r) { return fmt::to_string(r.launches_per_sample); }},
    Field{"stop", [](const Row& r) { return r.stop; }},
    Field{"bytes", [](const Row& r) { return fmt::to_string(r.bytes); }},
    Field{"gbps", [](const Row& r) { return r.time_us ? fmt::to_string(r.gbps) : ""; }},
    Field{"ceiling_mix", [](const Row& r) { return r.ceiling_mix; }},
    Field{"ceiling_gbps", [](const Row& r) { return text(r.ceiling_gbps); }},
    Field{"ceiling_fraction", [](const Row& r) { return text(r.ceiling_fraction); }},
    Field{"time_ratio_to_native", [](const Row& r) { return text(r.time_ratio_to_native); }},
    Field{"time_ratio_ci95_low", [](const Row& r) { return text(r.time_ratio_ci95_low); }},
    Field{"time_ratio_ci95_high", [](const Row& r) { return text(r.time_ratio_ci95_high); }},
    Field{"verified", [](const Row& r) { return fmt::to_string(r.verified); }},
    Field{"codes_differ", [](const Row& r) { return r.codes_checked ? fmt::to_string(r.codes_checked->differ) : ""; }},
    Field{"codes_compared",
          [](const Row& r) { return r.codes_checked ? fmt::to_string(r.codes_checked->compared) : ""; }},
    Field{"suspect", [](const Row& r) { return fmt::to_string(r.suspect); }},
    Field{"drifted", [](const Row& r) { return fmt::to_string(r.drifted); }},
    Field{"clock_dropped", [](const Row& r) { return fmt::to_string(r.clocks.dropped); }},
    Field{"failure", [](const Row& r) { return r.failure; }},
};

}  // namespace

std::string csv_line(const std::vector<std::string>& line) {
  std::string text;
  for (const std::string& field : line) {
    if (&field != &line.front()) text += ',';
    text += quoted(field);
  }
  return text + '\n';
}

std::string to_csv(const ResultFile& result) {
  std::vector<std::string> line;
  for (const Field& field : fields) {
    line.emplace_back(field.name);
  }
  std::string csv = csv_line(line);
  for (const Row& row : result.rows) {
    line.clear();
    for (const Field& field : fields) {
      line.push_back(field.text(row));
    }
    csv += csv_line(line);
  }
  return csv;
}

}  // namespace kqbench
