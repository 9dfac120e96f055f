// SPDX-License-Identifier: Apache-2.0
#include "bench/results/report_charts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "bench/results/row_text.hpp"

namespace kqbench {
namespace {

/// A row with a time, and whose it is.
struct TimedRow {
  const Row* row = nullptr;
  std::size_t series = 0;  ///< position in SeriesNames
};

/// The series of all files in order of appearance: their position is their style in every chart.
class SeriesNames {
 public:
  explicit SeriesNames(bool with_letters) : with_letters_(with_letters) {}

  std::size_t position(const Series& series) {
    const auto found = std::find(series_.begin(), series_.end(), series);
    if (found != series_.end()) return static_cast<std::size_t>(found - series_.begin());
    series_.push_back(series);
    return series_.size() - 1;
  }
  std::size_t size() const { return series_.size(); }
  std::string name(std::size_t position) const {
    return with_letters_ ? label(series_[position]) : series_[position].impl;
  }

 private:
  bool with_letters_;
  std::vector<Series> series_;
};

std::vector<TimedRow> timed_rows(const std::vector<NamedResult>& files, SeriesNames& names) {
  std::vector<TimedRow> rows;
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (const Row& row : files[file].result.rows) {
      const std::size_t series = names.position({file, row.impl});
      if (row.time_us) rows.push_back({&row, series});
    }
  }
  return rows;
}

double bytes_of(const Row& row) {
  return static_cast<double>(row.bytes);
}

double elements_of(const Row& row) {
  return static_cast<double>(row.request.num_tokens) * static_cast<double>(row.request.hidden_size);
}

double elements_a_microsecond(const Row& row) {
  return elements_of(row) / row.time_us->median;
}

Interval interval_of(const TimeStatistics& time) {
  return {time.ci95_low, time.ci95_high};
}

/// Microseconds that the ceiling allows.
std::optional<double> least_time(const Row& row) {
  if (!row.ceiling_gbps || !(*row.ceiling_gbps > 0.0)) return std::nullopt;
  return bytes_of(row) / *row.ceiling_gbps * 1e-3;
}

/// A row's numbers: "A kokkos, dynamic token int8 from half, 4096x8192: 26.540 µs ± 0.2%, 3845.5 GB/s, …".
std::string point_text(const std::string& name, const Row& row) {
  std::string text =
      fmt::format("{}, {}, {}: {} µs ± {}, {:.1f} GB/s", name, work_text(row.request), shape_text(row.request),
                  microseconds_text(row.time_us->median), half_width_cell(row).text, row.gbps);
  if (row.ceiling_fraction) text += fmt::format(", {} of the ceiling", percent_text(row.ceiling_fraction));
  if (row.time_ratio_to_native) text += fmt::format(", {} of native's time", number_text(row.time_ratio_to_native, 3));
  return text;
}

using PointOf = std::function<std::optional<ChartPoint>(const Row& row)>;

/// A series of the chart for each of `names` that has points, from left to right.
void add_series(Chart& chart, const std::vector<TimedRow>& rows, const SeriesNames& names, Mark mark,
                const PointOf& point_of) {
  std::vector<ChartSeries> all(names.size());
  for (const TimedRow& timed : rows) {
    if (auto point = point_of(*timed.row)) {
      point->text = point_text(names.name(timed.series), *timed.row);
      all[timed.series].points.push_back(*std::move(point));
    }
  }
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].points.empty()) continue;
    all[i].name = names.name(i);
    all[i].style = static_cast<int>(i);
    all[i].mark = mark;
    std::stable_sort(all[i].points.begin(), all[i].points.end(),
                     [](const ChartPoint& a, const ChartPoint& b) { return a.x < b.x; });
    chart.series.push_back(std::move(all[i]));
  }
}

/// A horizontal line over the width of what is in the chart.
void add_level(Chart& chart, const std::string& name, double level) {
  double low = 0.0;
  double high = 0.0;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      low = low == 0.0 ? point.x : std::min(low, point.x);
      high = std::max(high, point.x);
    }
  }
  chart.series.push_back({name, 0, Mark::limit, {{low, level, {}}, {high, level, {}}}});
}

Chart time_chart(const std::vector<TimedRow>& rows, std::int64_t hidden_size, const SeriesNames& names) {
  Chart chart;
  chart.title = fmt::format("Time, hidden size {}", hidden_size);
  chart.x_label = "tokens";
  chart.y_label = "µs";
  std::map<double, double> limit;
  const auto of_this_size = [&](const Row& row) { return row.request.hidden_size == hidden_size; };
  add_series(chart, rows, names, Mark::points_and_lines, [&](const Row& row) -> std::optional<ChartPoint> {
    if (!of_this_size(row)) return std::nullopt;
    const auto tokens = static_cast<double>(row.request.num_tokens);
    if (const auto least = least_time(row)) limit[tokens] = *least;
    return ChartPoint{tokens, row.time_us->median, interval_of(*row.time_us)};
  });
  ChartSeries least{"memory's ceiling", 0, Mark::limit, {}};
  for (const auto& [tokens, microseconds] : limit) {
    least.points.push_back({tokens, microseconds, {}});
  }
  double lowest = std::numeric_limits<double>::infinity();
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      lowest = std::min(lowest, point.interval ? point.interval->low : point.y);
    }
  }
  // The decade below what was measured: the ceiling's line goes on down to where nothing else is.
  if (lowest > 0.0 && std::isfinite(lowest)) chart.y_low = std::pow(10.0, std::floor(std::log10(lowest)));
  if (least.points.size() > 1) chart.series.push_back(std::move(least));
  return chart;
}

std::optional<Chart> ceiling_chart(const std::vector<TimedRow>& rows, const SeriesNames& names) {
  Chart chart;
  chart.title = "Share of the memory's ceiling";
  chart.x_label = "bytes that must move";
  chart.y_label = "%";
  chart.log_y = false;
  chart.y_low = 0.0;
  add_series(chart, rows, names, Mark::points, [](const Row& row) -> std::optional<ChartPoint> {
    if (!row.ceiling_fraction) return std::nullopt;
    return ChartPoint{bytes_of(row), 100.0 * *row.ceiling_fraction, {}};
  });
  if (chart.series.empty()) return std::nullopt;
  chart.y_high = 105.0;
  for (const ChartSeries& series : chart.series) {
    for (const ChartPoint& point : series.points) {
      chart.y_high = std::max(*chart.y_high, point.y);
    }
  }
  add_level(chart, "ceiling", 100.0);
  return chart;
}

std::optional<Chart> ratio_chart(const std::vector<TimedRow>& rows, const SeriesNames& names) {
  Chart chart;
  chart.title = "Kokkos' time / native's, paired";
  chart.x_label = "bytes that must move";
  chart.y_label = "ratio";
  chart.log_y = false;
  double low = 1.0;  // gnuplot would leave out what the intervals reach
  double high = 1.0;
  add_series(chart, rows, names, Mark::points, [&](const Row& row) -> std::optional<ChartPoint> {
    if (row.impl != "kokkos" || !row.time_ratio_to_native) return std::nullopt;
    ChartPoint point{bytes_of(row), *row.time_ratio_to_native, {}};
    if (row.time_ratio_ci95_low && row.time_ratio_ci95_high) {
      point.interval = Interval{*row.time_ratio_ci95_low, *row.time_ratio_ci95_high};
    }
    low = std::min(low, point.interval ? point.interval->low : point.y);
    high = std::max(high, point.interval ? point.interval->high : point.y);
    return point;
  });
  if (chart.series.empty()) return std::nullopt;
  chart.y_low = low - 0.02;
  chart.y_high = high + 0.02;
  add_level(chart, "equally fast", 1.0);
  return chart;
}

SchemeCharts charts_of(const std::string& title, const std::vector<TimedRow>& rows, const SeriesNames& names) {
  SchemeCharts scheme{title, {}, rows.front().row, {}};
  std::set<std::int64_t> hidden_sizes;
  std::set<std::string> protocols;
  for (const TimedRow& timed : rows) {
    hidden_sizes.insert(timed.row->request.hidden_size);
    protocols.insert(protocol_text(*timed.row));
  }
  for (const std::string& protocol : protocols) {
    scheme.protocol += (scheme.protocol.empty() ? "" : "; ") + protocol;
  }
  if (auto chart = ceiling_chart(rows, names)) scheme.charts.push_back(std::move(*chart));
  if (auto chart = ratio_chart(rows, names)) scheme.charts.push_back(std::move(*chart));
  for (const std::int64_t hidden_size : hidden_sizes) {
    scheme.charts.push_back(time_chart(rows, hidden_size, names));
  }
  return scheme;
}

}  // namespace

std::vector<SchemeCharts> scheme_charts(const std::vector<NamedResult>& files) {
  SeriesNames names(files.size() > 1);
  std::vector<std::pair<std::string, std::vector<TimedRow>>> schemes;
  for (const TimedRow& timed : timed_rows(files, names)) {
    const std::string title = work_text(timed.row->request);
    const auto same = [&](const auto& scheme) {
      const Row& first = *scheme.second.front().row;
      return scheme.first == title && first.timing == timed.row->timing && first.launch == timed.row->launch;
    };
    auto scheme = std::find_if(schemes.begin(), schemes.end(), same);
    if (scheme == schemes.end()) scheme = schemes.insert(scheme, {title, {}});
    scheme->second.push_back(timed);
  }
  std::vector<SchemeCharts> all;
  for (const auto& [title, rows] : schemes) {
    all.push_back(charts_of(title, rows, names));
  }
  return all;
}

std::optional<Chart> summary_chart(const std::vector<NamedResult>& files, const Comparison& comparison) {
  SeriesNames names(files.size() > 1);
  timed_rows(files, names);  // so that a series looks as in the other charts
  Chart chart;
  chart.title = "Time as a multiple of the baseline's: the geometric mean of each scheme's shapes";
  chart.x_label = "times the baseline's time (left is faster)";
  chart.prefixes = false;
  chart.log_y = false;
  std::set<std::string> baselines;
  std::map<std::size_t, ChartSeries> all;
  for (const SchemeSummary& summary : comparison.summary) {
    if (!summary.series) continue;  // the fastest peer is one of the others
    baselines.insert(names.name(names.position(summary.baseline)));
    if (chart.categories.empty() || chart.categories.back() != summary.scheme) {
      chart.categories.push_back(summary.scheme);
    }
    const std::size_t position = names.position(*summary.series);
    ChartSeries& series = all[position];
    series.name = names.name(position);
    series.style = static_cast<int>(position);
    series.points.push_back({summary.ratio.value, static_cast<double>(chart.categories.size()) - 1.0,
                             summary.ratio.interval,
                             fmt::format("{}, {}: {:.3f}", series.name, summary.scheme, summary.ratio.value)});
  }
  if (all.empty()) return std::nullopt;
  double offset = 0.15 * (static_cast<double>(all.size()) - 1.0) / -2.0;  // so that none hides another
  for (auto& [position, series] : all) {
    for (ChartPoint& point : series.points) {
      point.y += offset;
    }
    offset += 0.15;
    chart.series.push_back(std::move(series));
  }
  chart.series.push_back({baselines.size() == 1 ? *baselines.begin() + ", the baseline" : "its baseline",
                          0,
                          Mark::limit,
                          {{1.0, -0.5, {}}, {1.0, static_cast<double>(chart.categories.size()) - 0.5, {}}}});
  return chart;
}

std::optional<Chart> roofline(const std::vector<NamedResult>& files) {
  SeriesNames names(files.size() > 1);
  std::map<std::string, double> roofs;  // by device
  for (const NamedResult& file : files) {
    for (const Row& row : file.result.rows) {
      if (!row.time_us || !row.ceiling_gbps) continue;
      double& roof = roofs[file.result.context.device];
      roof = std::max(roof, *row.ceiling_gbps);
    }
  }
  if (roofs.empty()) return std::nullopt;
  std::map<std::pair<std::size_t, std::string>, TimedRow> fastest;
  for (const TimedRow& timed : timed_rows(files, names)) {
    const Row& row = *timed.row;
    const auto [known, is_new] = fastest.emplace(std::pair(timed.series, work_text(row.request)), timed);
    if (!is_new && elements_a_microsecond(row) > elements_a_microsecond(*known->second.row)) known->second = timed;
  }
  std::vector<TimedRow> rows;
  for (const auto& [work, timed] : fastest) {
    rows.push_back(timed);
  }
  Chart chart;
  chart.title = "Roofline: the fastest shape of each scheme";
  chart.wide = true;
  chart.x_label = "elements a byte moved";
  chart.y_label = "10^9 elements a second";
  chart.prefixes = false;
  chart.x_ticks = {0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0};
  add_series(chart, rows, names, Mark::points, [](const Row& row) -> std::optional<ChartPoint> {
    return ChartPoint{elements_of(row) / bytes_of(row), elements_a_microsecond(row) * 1e-3, {}};
  });
  for (const auto& [device, roof] : roofs) {
    ChartSeries limit{fmt::format("{}, {:.0f} GB/s", roofs.size() == 1 ? "ceiling" : device, roof), 0, Mark::limit, {}};
    for (const double intensity : {0.1, 1.0}) {  // float and half to codes are 0.2 and 0.33
      limit.points.push_back({intensity, intensity * roof, {}});
    }
    chart.series.push_back(std::move(limit));
  }
  return chart;
}

}  // namespace kqbench
