// SPDX-License-Identifier: Apache-2.0
#include "bench/results/csv.hpp"

#include <fmt/format.h>

#include <array>

#include "bench/measure/statistics.hpp"
#include "kq/parameters.hpp"

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

// The columns before those of the request's parameters, and after them.
constexpr std::array fields_before_request = {
    Field{"impl", [](const Row& r) { return r.impl; }},
    Field{"backend", [](const Row& r) { return r.backend; }},
    Field{"operation", [](const Row& r) { return kq::operation_name(r.request); }},
};

constexpr std::array fields_after_request = {
    Field{"threads", [](const Row& r) { return r.threads ? fmt::to_string(*r.threads) : ""; }},
    Field{"timing", [](const Row& r) { return r.timing; }},
    Field{"launch", [](const Row& r) { return r.launch; }},
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
    Field{"rank", [](const Row& r) { return r.rank ? fmt::to_string(*r.rank) : ""; }},
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
  const auto add_all = [&](const auto& fields, const auto& text) {
    for (const auto& field : fields)
      line.push_back(text(field));
  };
  const auto name = [](const auto& field) { return std::string(field.name); };
  add_all(fields_before_request, name);
  add_all(kq::parameters(), name);
  add_all(fields_after_request, name);
  std::string csv = csv_line(line);
  for (const Row& row : result.rows) {
    const auto text = [&](const Field& field) { return field.text(row); };
    line.clear();
    add_all(fields_before_request, text);
    add_all(kq::parameters(), [&](const kq::Parameter& p) { return kq::to_text(p.get(row.request)); });
    add_all(fields_after_request, text);
    csv += csv_line(line);
  }
  return csv;
}

}  // namespace kqbench
