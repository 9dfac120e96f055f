// SPDX-License-Identifier: Apache-2.0
#include "bench/results/contradictions.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <map>
#include <string_view>
#include <tuple>
#include <vector>

#include "bench/measure/statistics.hpp"
#include "bench/results/rows.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

constexpr double most_rounding = 0.0005;    // of a figure: three decimals, as tables have
constexpr double ratio_rounding = 0.005;    // of time_ratio_to_native
constexpr double arithmetic_error = 1e-9;   // of a figure: other programs may sum in another order
constexpr double interval_rounding = 0.01;  // of an end of time_ratio_ci95

/// Half a unit of the last digit of the shortest text that is this number.
double half_last_digit(double value) {
  char text[64];
  const auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::scientific);
  if (error != std::errc()) return 0.0;
  const std::string_view digits(text, static_cast<std::size_t>(end - text));  // d.ddde+xx
  const std::size_t exponent_at = digits.find('e');
  const std::size_t decimals = exponent_at < 2 ? 0 : exponent_at - 2;
  const int exponent = std::atoi(std::string(digits.substr(exponent_at + 1)).c_str());
  return 0.5 * std::pow(10.0, exponent - static_cast<int>(decimals));
}

/// How far a figure may be from the truth because it was rounded, as a fraction of it.
double rounding(double value, double most = most_rounding) {
  if (value == 0.0) return 0.0;
  return std::min(half_last_digit(value) / std::abs(value), most);
}

/// True if `given` is `derived`, which itself may be off by this fraction.
bool follows(double given, double derived, double derived_rounding = 0.0) {
  return std::abs(given - derived) <= (rounding(given) + derived_rounding + arithmetic_error) * std::abs(derived);
}

std::string differs(std::string_view what, double given, double derived, std::string_view from) {
  return fmt::format("{} is {}, and {} {:.10g}", what, given, from, derived);
}

std::string time_contradiction(const TimeStatistics& time, const DerivedMembers& derived) {
  if (time.samples.empty()) return "has a time and no samples that it is of";
  std::vector<double> sorted = time.samples;
  std::sort(sorted.begin(), sorted.end());
  const OrderRanks ranks = median_ranks(sorted.size());
  struct Figure {
    const char* name;
    double given, derived;
  };
  for (const Figure& figure : {Figure{"median", time.median, median(sorted)},
                               Figure{"the lower end of ci95", time.ci95_low, sorted[ranks.low]},
                               Figure{"the upper end of ci95", time.ci95_high, sorted[ranks.high]},
                               Figure{"min", time.min, sorted.front()}, Figure{"max", time.max, sorted.back()}}) {
    if (!follows(figure.given, figure.derived)) {
      return differs(figure.name, figure.given, figure.derived, "the samples give");
    }
  }
  if (derived.ci95_confidence && !follows(*derived.ci95_confidence, interval_confidence(sorted.size()))) {
    return differs("ci95_confidence", *derived.ci95_confidence, interval_confidence(sorted.size()),
                   fmt::format("{} samples give", sorted.size()));
  }
  for (const double round : time.rounds) {
    if (round < time.min || round > time.max) {
      return fmt::format("a round of {} is not between min {} and max {}", round, time.min, time.max);
    }
  }
  if (!time.repeatability) return "";
  if (time.rounds.size() < 2) return "repeatability is given, and there are no two rounds that it is of";
  const double half_width = relative_half_width({time.ci95_low, time.ci95_high}, time.median);
  if (*time.repeatability < half_width * (1.0 - most_rounding)) {
    return differs("repeatability", *time.repeatability, half_width, "the interval's half width is more,");
  }
  return "";
}

/// True if a clock was seen to fall by more than 5 % (ClockWatch).
bool fell(const std::optional<double>& before, const std::optional<double>& after) {
  return before && after && *after < 0.95 * *before;
}

std::string mark_contradiction(const Row& row) {
  const double surely_suspect = suspect_fraction * (1.0 + 2.0 * most_rounding);
  if (!row.suspect && row.cache == "cold" && row.ceiling_fraction.value_or(0.0) > surely_suspect) {
    return fmt::format("suspect is false, and {} of the ceiling with a cold cache is more than {}",
                       *row.ceiling_fraction, suspect_fraction);
  }
  if (!row.drifted && row.time_us && halves_differ(row.time_us->samples)) {
    return "drifted is false, and the first half of the samples differs from the second";
  }
  const RowClocks& clocks = row.clocks;
  if (!clocks.dropped && (fell(clocks.core_mhz_before, clocks.core_mhz_after) ||
                          fell(clocks.memory_mhz_before, clocks.memory_mhz_after))) {
    return "clocks.dropped is false, and a clock fell by more than 5 %";
  }
  return "";
}

std::string verified_contradiction(const Row& row) {
  if (!row.verified) return "";
  if (!row.time_us) return "is verified but has no time";
  if (!row.failure.empty()) return "is verified but has a failure, " + in_quotes(row.failure);
  if (row.codes_checked && row.codes_checked->differ != 0) return "is verified but has codes that differ";
  return "";
}

/// Of a row without a time: figures that follow from one.
std::string timeless_contradiction(const Row& row) {
  if (row.gbps != 0.0) return "gbps is given without a time";
  if (row.ceiling_fraction) return "ceiling_fraction is given without a time";
  if (row.time_ratio_to_native || row.time_ratio_ci95_low) return "time_ratio_to_native is given without a time";
  return "";
}

std::string rate_contradiction(const Row& row) {
  if (!row.time_us) return timeless_contradiction(row);
  const double gbps = static_cast<double>(row.bytes) / row.time_us->median * 1e-3;
  if (!follows(row.gbps, gbps, rounding(row.time_us->median))) {
    return differs("gbps", row.gbps, gbps, "bytes / median gives");
  }
  if (!row.ceiling_fraction) return "";
  if (!row.ceiling_gbps || *row.ceiling_gbps == 0.0) return "ceiling_fraction is given without a ceiling";
  const double fraction = row.gbps / *row.ceiling_gbps;
  if (!follows(*row.ceiling_fraction, fraction, rounding(row.gbps) + rounding(*row.ceiling_gbps))) {
    return differs("ceiling_fraction", *row.ceiling_fraction, fraction, "gbps / ceiling_gbps gives");
  }
  return "";
}

std::string request_contradiction(const Row& row, const DerivedMembers& derived) {
  if (derived.operation && *derived.operation != kq::operation_name(row.request)) {
    return fmt::format("operation is {}, and the row's members say {}", in_quotes(*derived.operation),
                       in_quotes(kq::operation_name(row.request)));
  }
  const kq::Traffic traffic = kq::minimal_traffic(row.request);
  if (row.bytes != traffic.total()) {
    return fmt::format("bytes is {}, and this shape has {}", row.bytes, traffic.total());
  }
  return "";
}

/// The ratio to native that the samples of two rows give.
std::string ratio_contradiction(const Row& row, const Row& native) {
  const std::vector<double>& samples = row.time_us->samples;
  const std::vector<double>& natives = native.time_us->samples;
  const double given = *row.time_ratio_to_native;
  if (samples.size() != natives.size()) {
    return fmt::format("time_ratio_to_native is of samples taken in turns, and this row has {} and native's {}",
                       samples.size(), natives.size());
  }
  const PairedRatio paired = paired_ratio(samples, natives);
  if (!follows(given, paired.median, rounding(given, ratio_rounding))) {
    return differs("time_ratio_to_native", given, paired.median, "the samples of this row and native's give");
  }
  if (!row.time_ratio_ci95_low || !row.time_ratio_ci95_high) return "";
  const auto far = [](double end, double derived) { return std::abs(end / derived - 1.0) > interval_rounding; };
  if (far(*row.time_ratio_ci95_low, paired.interval.low) || far(*row.time_ratio_ci95_high, paired.interval.high)) {
    return fmt::format("time_ratio_ci95 is [{}, {}], and the samples of this row and native's give [{:.10g}, {:.10g}]",
                       *row.time_ratio_ci95_low, *row.time_ratio_ci95_high, paired.interval.low, paired.interval.high);
  }
  return "";
}

/// Rows that were measured together.
using Group = std::tuple<kq::Request, std::optional<int>, std::string, std::string, std::string, std::string>;

Group group_of(const Row& row) {
  return {row.request, row.rank, row.backend, row.timing, row.launch, row.cache};
}

}  // namespace

std::string contradiction(const Row& row, const DerivedMembers& derived) {
  std::string what = verified_contradiction(row);
  if (what.empty()) what = request_contradiction(row, derived);
  if (what.empty() && row.time_us) what = time_contradiction(*row.time_us, derived);
  if (what.empty()) what = rate_contradiction(row);
  if (what.empty()) what = mark_contradiction(row);
  return what;
}

std::optional<Contradiction> contradiction(const ResultFile& result) {
  std::multimap<Group, const Row*> natives;
  for (const Row& row : result.rows) {
    if (row.impl == "native" && row.time_us) natives.emplace(group_of(row), &row);
  }
  for (std::size_t i = 0; i < result.rows.size(); ++i) {
    const Row& row = result.rows[i];
    if (!row.time_us || !row.time_ratio_to_native) continue;
    std::string what;
    const auto [first, last] = natives.equal_range(group_of(row));
    for (auto native = first; native != last; ++native) {
      what = ratio_contradiction(row, *native->second);
      if (what.empty()) break;
    }
    if (!what.empty()) return Contradiction{i, std::move(what)};
  }
  return std::nullopt;
}

}  // namespace kqbench
