// SPDX-License-Identifier: Apache-2.0
#include "bench/fleet/fleet_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <set>

#include "bench/results/csv.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/row_text.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using FleetJson = nlohmann::ordered_json;

/// "5 %".
std::string limit_text(const FleetSummary& summary) {
  return fmt::format("{:g} %", 100.0 * summary.limit);
}

std::string counted(std::size_t count, const char* what) {
  return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
}

std::string ratio_of(const Ratio& ratio) {
  return ratio.interval
             ? fmt::format("{:.3f} ({:.3f} - {:.3f})", ratio.value, ratio.interval->low, ratio.interval->high)
             : fmt::format("{:.3f}", ratio.value);
}

std::string title_of(const FleetWork& work) {
  Row row;
  row.timing = work.timing;
  row.launch = work.launch;
  row.cache = work.cache;
  return fmt::format("{} ({}{}), {}", work_text(work.request), protocol_text(row),
                     work.measured.empty() ? "" : ", " + work.measured, work.device);
}

std::size_t outside_count(const FleetOperation& operation) {
  return static_cast<std::size_t>(std::count_if(operation.times.begin(), operation.times.end(),
                                                [](const FleetTime& time) { return time.outside; }));
}

Grid operations_grid(const FleetSummary& summary) {
  Grid grid({{"shape", Align::right},
             {"impl", Align::left},
             {"devices", Align::right},
             {"median µs", Align::right},
             {"spread", Align::right},
             {"fastest", Align::right},
             {"slowest", Align::right},
             {"outside", Align::right},
             {"note", Align::left}});
  std::string title;
  for (const FleetOperation& operation : summary.operations) {
    const std::string now = title_of(operation.work);
    if (now != title) grid.begin_section(now);
    title = now;
    std::vector<std::string> notes;
    if (!operation.failed.empty()) notes.push_back(fmt::format("{} wrong", operation.failed.size()));
    if (!operation.missing.empty()) notes.push_back(fmt::format("{} missing", operation.missing.size()));
    const Cell note(fmt::format("{}", fmt::join(notes, ", ")), Paint::bad);
    if (operation.times.empty()) {
      grid.add({shape_text(operation.work.request), operation.work.impl, "0", "-", "-", "-", "-", "-", note});
      continue;
    }
    double fastest = operation.times.front().ratio.value;
    double slowest = fastest;
    for (const FleetTime& time : operation.times) {
      fastest = std::min(fastest, time.ratio.value);
      slowest = std::max(slowest, time.ratio.value);
    }
    const std::size_t outside = outside_count(operation);
    grid.add({shape_text(operation.work.request), operation.work.impl, fmt::to_string(operation.times.size()),
              microseconds_text(operation.median_us), fmt::format("{:.1f}%", 100.0 * operation.spread),
              fmt::format("{:.3f}", fastest), fmt::format("{:.3f}", slowest),
              Cell(fmt::to_string(outside), outside == 0 ? Paint::plain : Paint::warning), note});
  }
  return grid;
}

std::string outlier_line(const FleetSummary& summary, const FleetOutlier& outlier) {
  const FleetDevice& device = summary.devices[outlier.device];
  std::vector<std::string> counts;
  if (outlier.slower > 0) counts.push_back(fmt::format("{} slower", outlier.slower));
  if (outlier.faster > 0) counts.push_back(fmt::format("{} faster", outlier.faster));
  return fmt::format("{}{}: {}{}: {} of {}, geometric mean of all {}; {}", device.text(),
                     device.node == device.host ? "" : fmt::format(" (node {})", device.node), outlier.impl,
                     outlier.measured.empty() ? "" : " " + outlier.measured, fmt::join(counts, ", "),
                     counted(outlier.operations, "operation"), ratio_of(outlier.ratio), fmt::join(outlier.hints, "; "));
}

Grid together_grid(const FleetSummary& summary) {
  Grid grid({{"shape", Align::right},
             {"impl", Align::left},
             {"devices", Align::right},
             {"together µs", Align::right},
             {"alone µs", Align::right},
             {"ratio", Align::right},
             {"slowest", Align::right},
             {"device", Align::left}});
  std::string title;
  for (const TogetherAlone& both : summary.together_alone) {
    const FleetOperation& together = summary.operations[both.together];
    FleetWork work = together.work;
    work.measured.clear();
    const std::string now = title_of(work);
    if (now != title) grid.begin_section(now);
    title = now;
    grid.add({shape_text(work.request), work.impl, fmt::to_string(both.devices), microseconds_text(together.median_us),
              microseconds_text(summary.operations[both.alone].median_us), fmt::format("{:.3f}", both.ratio),
              ratio_of(both.slowest_ratio), summary.devices[both.slowest].text()});
  }
  return grid;
}

std::string headline(const FleetSummary& summary) {
  std::set<std::string> hosts;
  for (const FleetDevice& device : summary.devices) {
    hosts.insert(device.host);
  }
  return fmt::format("{} on {}, {} of two or more devices; limit {}", counted(summary.devices.size(), "device"),
                     counted(hosts.size(), "host"), counted(summary.operations.size(), "operation"),
                     limit_text(summary));
}

constexpr const char* explanation =
    "Ratios are a device's time to the median over the devices, above 1 is slower; the 95 % interval has what another "
    "run might give. spread: slowest / fastest - 1.";

/// What to know besides the tables, a line each.
std::vector<std::string> remarks_of(const FleetSummary& summary) {
  std::vector<std::string> remarks;
  if (summary.lone_operations > 0) {
    remarks.push_back(fmt::format("{} of one device alone left out.", counted(summary.lone_operations, "operation")));
  }
  for (const std::string& file : summary.incomplete) {
    remarks.push_back(fmt::format("{} is incomplete.", in_quotes(file)));
  }
  return remarks;
}

std::string outliers_title(const FleetSummary& summary) {
  return summary.outliers.empty() ? fmt::format("No device is outside {} of the median.", limit_text(summary))
                                  : fmt::format("Outside {} of the median:", limit_text(summary));
}

FleetJson optional_json(const std::optional<double>& value) {
  return value ? FleetJson(*value) : FleetJson(nullptr);
}

FleetJson readings_json(const Readings& readings) {
  return {{"core_mhz", optional_json(readings.core_mhz)},
          {"memory_mhz", optional_json(readings.memory_mhz)},
          {"power_watts", optional_json(readings.power_watts)},
          {"temperature_celsius", optional_json(readings.temperature_celsius)}};
}

FleetJson ratio_json(const Ratio& ratio) {
  return {{"value", ratio.value},
          {"ci95", ratio.interval ? FleetJson({ratio.interval->low, ratio.interval->high}) : FleetJson(nullptr)}};
}

FleetJson operation_json(const FleetOperation& operation) {
  const FleetWork& work = operation.work;
  FleetJson json = {{"operation", kq::operation_name(work.request)},
                    {"what", work_text(work.request)},
                    {"num_tokens", work.request.num_tokens},
                    {"hidden_size", work.request.hidden_size},
                    {"dtype", kq::to_string(work.request.element)},
                    {"quant_dtype", kq::to_string(work.request.format)},
                    {"impl", work.impl},
                    {"backend", work.backend},
                    {"device_name", work.device},
                    {"measured", work.measured},
                    {"timing", work.timing},
                    {"launch", work.launch},
                    {"cache", work.cache},
                    {"median_us", operation.times.empty() ? FleetJson(nullptr) : FleetJson(operation.median_us)},
                    {"spread", operation.times.empty() ? FleetJson(nullptr) : FleetJson(operation.spread)},
                    {"readings", readings_json(operation.readings)},
                    {"failed", operation.failed},
                    {"missing", operation.missing},
                    {"devices", FleetJson::array()}};
  for (const FleetTime& time : operation.times) {
    json["devices"].push_back({{"device", time.device},
                               {"median_us", time.median_us},
                               {"ratio", ratio_json(time.ratio)},
                               {"verdict", to_string(time.verdict)},
                               {"outside", time.outside},
                               {"readings", readings_json(time.readings)}});
  }
  return json;
}

std::string field(const std::optional<double>& value) {
  return value ? fmt::to_string(*value) : "";
}

}  // namespace

void write_fleet_text(std::ostream& out, const FleetSummary& summary, bool color) {
  out << headline(summary) << '\n' << explanation << "\n\n";
  operations_grid(summary).write_text(out, color);
  out << '\n' << outliers_title(summary) << '\n';
  for (const FleetOutlier& outlier : summary.outliers) {
    out << "  " << outlier_line(summary, outlier) << '\n';
  }
  if (!summary.together_alone.empty()) {
    out << "\nTogether against alone: ratio above 1 is slower together.\n";
    together_grid(summary).write_text(out, color);
  }
  for (const std::string& remark : remarks_of(summary)) {
    out << remark << '\n';
  }
}

void write_fleet_markdown(std::ostream& out, const FleetSummary& summary) {
  out << headline(summary) << ". " << explanation << "\n\n";
  operations_grid(summary).write_markdown(out);
  out << '\n' << outliers_title(summary) << "\n\n";
  for (const FleetOutlier& outlier : summary.outliers) {
    out << "- " << markdown_text(outlier_line(summary, outlier)) << '\n';
  }
  if (!summary.together_alone.empty()) {
    out << "\n### Together against alone\n\n";
    together_grid(summary).write_markdown(out);
  }
  for (const std::string& remark : remarks_of(summary)) {
    out << "- " << markdown_text(remark) << '\n';
  }
}

void write_fleet_html(std::ostream& out, const FleetSummary& summary) {
  out << "<p class=\"soft\">" << html_text(headline(summary)) << ". " << html_text(explanation)
      << "</p>\n<div class=\"wide\">\n";
  operations_grid(summary).write_html(out);
  out << "</div>\n<p>" << html_text(outliers_title(summary)) << "</p>\n";
  if (!summary.outliers.empty()) {
    out << "<ul>\n";
    for (const FleetOutlier& outlier : summary.outliers) {
      out << "<li>" << html_text(outlier_line(summary, outlier)) << "</li>\n";
    }
    out << "</ul>\n";
  }
  if (!summary.together_alone.empty()) {
    out << "<h3>Together against alone</h3>\n<div class=\"wide\">\n";
    together_grid(summary).write_html(out);
    out << "</div>\n";
  }
  for (const std::string& remark : remarks_of(summary)) {
    out << "<p>" << html_text(remark) << "</p>\n";
  }
}

std::string fleet_csv(const FleetSummary& summary) {
  std::string csv = csv_line(
      {"operation", "dtype",     "quant_dtype", "num_tokens", "hidden_size", "impl",        "device_name",
       "measured",  "timing",    "launch",      "cache",      "host",        "node",        "device_id",
       "status",    "median_us", "fleet_us",    "spread",     "ratio",       "ci95_low",    "ci95_high",
       "verdict",   "outside",   "limit",       "core_mhz",   "memory_mhz",  "power_watts", "temperature_celsius"});
  for (const FleetOperation& operation : summary.operations) {
    const FleetWork& work = operation.work;
    const auto begin = [&](std::size_t position, const char* status) {
      const FleetDevice& device = summary.devices[position];
      return std::vector<std::string>{kq::operation_name(work.request),
                                      std::string(kq::to_string(work.request.element)),
                                      std::string(kq::to_string(work.request.format)),
                                      fmt::to_string(work.request.num_tokens),
                                      fmt::to_string(work.request.hidden_size),
                                      work.impl,
                                      work.device,
                                      work.measured,
                                      work.timing,
                                      work.launch,
                                      work.cache,
                                      device.host,
                                      device.node,
                                      device.id,
                                      status};
    };
    for (const FleetTime& time : operation.times) {
      std::vector<std::string> line = begin(time.device, "timed");
      const std::optional<Interval>& interval = time.ratio.interval;
      for (std::string& text : std::vector<std::string>{
               fmt::to_string(time.median_us), fmt::to_string(operation.median_us), fmt::to_string(operation.spread),
               fmt::to_string(time.ratio.value), interval ? fmt::to_string(interval->low) : "",
               interval ? fmt::to_string(interval->high) : "", to_string(time.verdict), fmt::to_string(time.outside),
               fmt::to_string(summary.limit), field(time.readings.core_mhz), field(time.readings.memory_mhz),
               field(time.readings.power_watts), field(time.readings.temperature_celsius)}) {
        line.push_back(std::move(text));
      }
      csv += csv_line(line);
    }
    const auto add_untimed = [&](const std::vector<std::size_t>& devices, const char* status) {
      for (const std::size_t device : devices) {
        std::vector<std::string> line = begin(device, status);
        line.resize(28);
        csv += csv_line(line);
      }
    };
    add_untimed(operation.failed, "failed");
    add_untimed(operation.missing, "missing");
  }
  return csv;
}

std::string fleet_json(const FleetSummary& summary) {
  FleetJson json = {{"schema", "kqbench-fleet/1"},
                    {"limit", summary.limit},
                    {"devices", FleetJson::array()},
                    {"operations", FleetJson::array()},
                    {"outliers", FleetJson::array()},
                    {"together_alone", FleetJson::array()},
                    {"lone_operations", summary.lone_operations},
                    {"incomplete", summary.incomplete}};
  for (const FleetDevice& device : summary.devices) {
    json["devices"].push_back({{"host", device.host},
                               {"node", device.node},
                               {"device_id", device.id},
                               {"name", device.name},
                               {"power_cap_watts", optional_json(device.power_cap_watts)}});
  }
  for (const FleetOperation& operation : summary.operations) {
    json["operations"].push_back(operation_json(operation));
  }
  for (const FleetOutlier& outlier : summary.outliers) {
    json["outliers"].push_back({{"device", outlier.device},
                                {"impl", outlier.impl},
                                {"measured", outlier.measured},
                                {"slower", outlier.slower},
                                {"faster", outlier.faster},
                                {"operations", outlier.operations},
                                {"ratio", ratio_json(outlier.ratio)},
                                {"readings", readings_json(outlier.readings)},
                                {"others", readings_json(outlier.fleet)},
                                {"hints", outlier.hints}});
  }
  for (const TogetherAlone& both : summary.together_alone) {
    json["together_alone"].push_back({{"together", both.together},
                                      {"alone", both.alone},
                                      {"devices", both.devices},
                                      {"ratio", both.ratio},
                                      {"slowest", both.slowest},
                                      {"slowest_ratio", ratio_json(both.slowest_ratio)}});
  }
  return json.dump(1, ' ', false, FleetJson::error_handler_t::replace) + '\n';
}

std::string why_outside(const FleetSummary& summary) {
  std::size_t outside = 0, timed = 0, failed = 0, missing = 0;
  const FleetTime* worst = nullptr;
  const FleetOperation* where = nullptr;
  for (const FleetOperation& operation : summary.operations) {
    timed += operation.times.size();
    failed += operation.failed.size();
    missing += operation.missing.size();
    for (const FleetTime& time : operation.times) {
      if (!time.outside) continue;
      ++outside;
      const auto far = [](const FleetTime& one) { return std::max(one.ratio.value, 1.0 / one.ratio.value); };
      if (worst != nullptr && far(*worst) >= far(time)) continue;
      worst = &time;
      where = &operation;
    }
  }
  std::vector<std::string> reasons;
  if (worst != nullptr) {
    reasons.push_back(fmt::format("{} of {} outside {}, the furthest {}: {}, {}, {}, {}", outside,
                                  counted(timed, "ratio"), limit_text(summary), ratio_of(worst->ratio),
                                  summary.devices[worst->device].text(), where->work.impl,
                                  work_text(where->work.request), shape_text(where->work.request)));
  }
  if (failed > 0) reasons.push_back(fmt::format("{} wrong", counted(failed, "output")));
  if (missing > 0) reasons.push_back(fmt::format("{} missing", counted(missing, "row")));
  if (!summary.incomplete.empty()) {
    reasons.push_back(fmt::format("{} incomplete, the first {}", counted(summary.incomplete.size(), "file"),
                                  in_quotes(summary.incomplete.front())));
  }
  return fmt::format("{}", fmt::join(reasons, "; "));
}

}  // namespace kqbench
