// SPDX-License-Identifier: Apache-2.0
#include "bench/results/row_text.hpp"

#include <fmt/format.h>

#include "bench/measure/statistics.hpp"
#include "kq/parameters.hpp"

namespace kqbench {
namespace {

/// The limit of the stopping rule.
constexpr double narrow = 0.01;

double half_width(const TimeStatistics& time) {
  return relative_half_width({time.ci95_low, time.ci95_high}, time.median);
}

/// True if a parameter is what it is where it is not given.
bool is_usual(const kq::Parameter& parameter, const kq::Request& request) {
  kq::Request usual = request;
  parameter.set(usual, parameter.get(kq::Request()));
  return parameter.get(kq::resolved(usual)) == parameter.get(kq::resolved(request));
}

}  // namespace

std::string shape_text(const kq::Request& request) {
  return fmt::format("{}x{}", request.num_tokens, request.hidden_size);
}

std::string scheme_text(const kq::Request& request) {
  return fmt::format("{} {}", kq::operation_name(request), kq::to_string(request.format));
}

std::string work_text(const kq::Request& request) {
  std::string text = fmt::format("{} from {}", scheme_text(request), kq::to_string(request.element));
  for (const kq::Parameter& parameter : kq::parameters()) {
    const bool is_in_scheme = parameter.is_list || parameter.kind == kq::ParameterKind::flag;
    if (!is_in_scheme && parameter.name != "scale_stride" && !is_usual(parameter, request)) {
      text += fmt::format(", {} {}", parameter.name, kq::to_text(parameter.get(request)));
    }
  }
  return text;
}

std::string protocol_text(const Row& row) {
  if (row.timing == not_timed) return "not timed";
  const std::string launch = row.launch == "plain" ? "" : row.launch + " launches, ";
  return fmt::format("{} timing, {}{} cache", row.timing, launch, row.cache);
}

std::string microseconds_text(double microseconds) {
  return fmt::format("{:.3f}", microseconds);
}

Cell half_width_cell(const Row& row) {
  if (has_few_samples(row)) return {fmt::format("n={}", row.time_us->samples.size()), Paint::warning};
  const bool unsettled = is_unsettled(row);
  return {fmt::format("{:.1f}%{}", 100.0 * half_width(*row.time_us), unsettled ? "*" : ""),
          unsettled ? Paint::warning : Paint::plain};
}

std::string percent_text(const std::optional<double>& fraction) {
  return fraction ? fmt::format("{:.1f}%", 100.0 * *fraction) : "-";
}

std::string number_text(const std::optional<double>& value, int decimals) {
  return value ? fmt::format("{:.{}f}", *value, decimals) : "-";
}

Cell verdict_cell(const Row& row) {
  if (row.codes_checked && row.codes_checked->differ != 0) {
    return {fmt::format("{:.2g}% differ", 100.0 * static_cast<double>(row.codes_checked->differ) /
                                              static_cast<double>(row.codes_checked->compared)),
            Paint::warning};
  }
  if (is_unchecked(row)) return {"unchecked", Paint::warning};
  if (!row.verified) return {"FAILED", Paint::bad};
  if (row.suspect) return {"ok?", Paint::warning};
  if (row.clocks.dropped || row.drifted) return {"ok~", Paint::warning};
  return {"ok", Paint::good};
}

bool is_unsettled(const Row& row) {
  return row.time_us && row.stop != "interval" && half_width(*row.time_us) > narrow;
}

bool has_few_samples(const Row& row) {
  return row.time_us && row.time_us->samples.size() < least_samples;
}

bool is_unchecked(const Row& row) {
  return !row.verified && row.time_us && !row.codes_checked && row.failure.empty();
}

}  // namespace kqbench
