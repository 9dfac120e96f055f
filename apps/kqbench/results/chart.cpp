// SPDX-License-Identifier: Apache-2.0
#include "apps/kqbench/results/chart.hpp"

#include <fmt/format.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "apps/kqbench/errors.hpp"
#include "apps/kqbench/results/gnuplot.hpp"

namespace kqbench {
namespace {

/// Seen on white and on black.
constexpr std::array<std::string_view, 8> colours = {"#2f80d0", "#d9822b", "#3a9a5c", "#c0508f",
                                                     "#8a6fd1", "#b5932f", "#2f9c9c", "#cc5a4f"};
constexpr std::array<int, 7> point_types = {7, 5, 9, 11, 13, 6, 4};

/// A string of gnuplot's in which nothing has a meaning of its own.
std::string gnuplot_string(std::string_view text) {
  std::string string = "'";
  for (const char c : text) {
    string += c;
    if (c == '\'') string += c;
  }
  return string + '\'';
}

std::string data_block(std::size_t index, const ChartSeries& series) {
  std::string block = fmt::format("$series{} << END\n", index);
  for (const ChartPoint& point : series.points) {
    const Interval interval = point.interval.value_or(Interval{point.y, point.y});
    block += fmt::format("{} {} {} {}\n", point.x, point.y, interval.low, interval.high);
  }
  return block + "END\n";
}

bool has_intervals(const ChartSeries& series) {
  for (const ChartPoint& point : series.points) {
    if (point.interval) return true;
  }
  return false;
}

std::string plot_clauses(std::size_t index, const ChartSeries& series) {
  const std::string data = fmt::format("$series{}", index);
  if (series.mark == Mark::limit) {
    return fmt::format("{} using 1:2 with lines lw 1 dt (6,4) lc rgb 'black' title {}", data,
                       gnuplot_string(series.name));
  }
  const auto style = static_cast<std::size_t>(series.style);
  const std::string_view colour = colours[style % colours.size()];
  std::string clauses = fmt::format("{} using 1:2 with {} lw 1.5 pt {} ps 0.6 lc rgb '{}' title {}", data,
                                    series.mark == Mark::points ? "points" : "linespoints",
                                    point_types[style % point_types.size()], colour, gnuplot_string(series.name));
  if (has_intervals(series)) {  // as plain strokes: the ends of error bars would hide the points
    clauses += fmt::format(", {} using 1:3:(0):($4-$3) with vectors nohead lw 1 lc rgb '{}' notitle", data, colour);
  }
  return clauses;
}

std::string end_of_axis(const std::optional<double>& end) {
  return end ? fmt::to_string(*end) : "*";
}

std::string script_of(const Chart& chart, const std::string& name, const std::filesystem::path& file) {
  std::string script = fmt::format(
      "reset\n"
      "set terminal svg noenhanced size 460,350 font 'sans-serif,11' name '{}'\n"
      "set output {}\n"
      "set title {}\nset xlabel {}\nset ylabel {}\n"
      "set grid lc rgb 'gray'\nset key above left Left reverse samplen 2 maxrows 2\n"
      "set yrange [{}:{}]\n",
      name, gnuplot_string(file.string()), gnuplot_string(chart.title), gnuplot_string(chart.x_label),
      gnuplot_string(chart.y_label), end_of_axis(chart.y_low), end_of_axis(chart.y_high));
  if (chart.log_x) script += "set logscale x\n";
  if (chart.prefixes) script += "set format x '%.0s%c'\n";
  if (chart.log_y) script += "set logscale y\n";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    script += data_block(i, chart.series[i]);
  }
  script += "plot ";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    script += (i == 0 ? "" : ", ") + plot_clauses(i, chart.series[i]);
  }
  return script + "\n";
}

/// From the <svg> on: what is before is for a file of its own.
std::string svg_element(const std::filesystem::path& file) {
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  const std::size_t begin = text.find("<svg");
  if (begin == std::string::npos || text.find("</svg>") == std::string::npos) {
    throw SystemError("gnuplot: drew no chart; check that its svg terminal works, or take --format md");
  }
  return text.substr(begin);
}

}  // namespace

std::vector<std::string> draw_svg(const std::vector<Chart>& charts) {
  const TemporaryFolder folder;
  std::vector<std::filesystem::path> files;
  std::string script;
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const std::string name = fmt::format("chart{}", i + 1);
    files.push_back(folder.path() / (name + ".svg"));
    script += script_of(charts[i], name, files.back());
  }
  run_gnuplot(script + "unset output\n", folder);
  std::vector<std::string> elements;
  for (const std::filesystem::path& file : files) {
    elements.push_back(svg_element(file));
  }
  return elements;
}

}  // namespace kqbench
