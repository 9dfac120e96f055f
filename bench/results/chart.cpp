// SPDX-License-Identifier: Apache-2.0
#include "bench/results/chart.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

#include "bench/results/gnuplot.hpp"
#include "bench/results/grid.hpp"
#include "bench/support/errors.hpp"

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

std::string plot_clauses(std::size_t index, const ChartSeries& series, bool of_x) {
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
    clauses += fmt::format(", {} using {} with vectors nohead lw 1 lc rgb '{}' notitle", data,
                           of_x ? "3:2:($4-$3):(0)" : "1:3:(0):($4-$3)", colour);
  }
  return clauses;
}

std::string end_of_axis(const std::optional<double>& end) {
  return end ? fmt::to_string(*end) : "*";
}

/// Where things are, in pixels: gnuplot would place the axes of each chart by the width of its own labels.
struct Layout {
  int width = 460;
  int height = 0;
  int left = 58;
  int key_rows = 1;

  static constexpr int key_row_height = 17;
  static constexpr int right = 14;
  static constexpr int bottom = 44;
  int top() const { return 8 + key_rows * key_row_height; }
};

/// Wide enough for a text of gnuplot's size.
int text_width(const std::string& text) {
  return static_cast<int>(6.6 * static_cast<double>(display_width(text)));
}

int rows_of_key(const Chart& chart, const Layout& layout) {
  int widest = 1;
  for (const ChartSeries& series : chart.series) {
    widest = std::max(widest, text_width(series.name) + 45);
  }
  const int columns = std::max(1, (layout.width - layout.left) / widest);
  return (static_cast<int>(chart.series.size()) + columns - 1) / columns;
}

/// Of all charts without categories.
Layout common_layout(const std::vector<Chart>& charts) {
  Layout layout;
  for (const Chart& chart : charts) {
    if (chart.categories.empty()) layout.key_rows = std::max(layout.key_rows, rows_of_key(chart, layout));
  }
  layout.height = 290 + layout.top();
  return layout;
}

Layout wide_layout(const Chart& chart) {
  Layout layout;
  layout.width = 940;
  for (const std::string& name : chart.categories) {
    layout.left = std::max(layout.left, text_width(name) + 16);
  }
  layout.key_rows = rows_of_key(chart, layout);
  const int lines = static_cast<int>(chart.categories.size() * chart.series.size());
  layout.height = layout.top() + std::max(60, 14 * lines) + Layout::bottom;
  return layout;
}

std::string layout_commands(const Layout& layout) {
  const double width = layout.width;
  const double height = layout.height;
  return fmt::format(
      "set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\n"
      "set bmargin at screen {:.4f}\nset tmargin at screen {:.4f}\n"
      "set key at screen {:.4f}, screen {:.4f} left top vertical maxrows {} Left reverse samplen 2 width -1\n",
      layout.left / width, 1.0 - Layout::right / width, Layout::bottom / height, 1.0 - layout.top() / height,
      (layout.left - 8) / width, 1.0 - 4.0 / height, layout.key_rows);
}

std::string category_commands(const std::vector<std::string>& categories) {
  std::string names;
  for (std::size_t i = 0; i < categories.size(); ++i) {
    names += fmt::format("{}{} {}", i == 0 ? "" : ", ", gnuplot_string(categories[i]), i);
  }
  return fmt::format(
      "set ytics ({}) scale 0\nset yrange [{}:-0.5]\nunset grid\nset grid xtics lc rgb 'gray'\nset format x '%g'\n"
      "set autoscale xfix\nset offsets graph 0.05, graph 0.05, 0, 0\n"
      "set xtics (0.01,0.02,0.05,0.1,0.2,0.3,0.5,0.7,0.85,1,1.2,1.5,2,3,5,7,10,15,20,30,50,100,200,500,1000)\n",
      names, static_cast<double>(categories.size()) - 0.5);
}

std::string script_of(const Chart& chart, const Layout& layout, const std::string& name,
                      const std::filesystem::path& file) {
  std::string script = fmt::format(
      "reset\n"
      "set terminal svg noenhanced size {},{} font 'sans-serif,11' name '{}'\n"
      "set output {}\n"
      "set xlabel {} offset 0,0.4\nset label 1 {} at screen {:.4f}, graph 0.5 center rotate\n"
      "set grid lc rgb 'gray'\nset yrange [{}:{}]\n",
      layout.width, layout.height, name, gnuplot_string(file.string()), gnuplot_string(chart.x_label),
      gnuplot_string(chart.y_label), 12.0 / layout.width, end_of_axis(chart.y_low), end_of_axis(chart.y_high));
  script += layout_commands(layout);
  if (chart.log_x) script += "set logscale x\n";
  if (chart.prefixes) script += "set format x '%.0s%c'\n";
  if (chart.log_y) script += "set logscale y\n";
  if (!chart.categories.empty()) script += category_commands(chart.categories);
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    script += data_block(i, chart.series[i]);
  }
  script += "plot ";
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    script += (i == 0 ? "" : ", ") + plot_clauses(i, chart.series[i], !chart.categories.empty());
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
  const Layout common = common_layout(charts);
  std::vector<std::filesystem::path> files;
  std::string script;
  for (std::size_t i = 0; i < charts.size(); ++i) {
    const std::string name = fmt::format("chart{}", i + 1);
    files.push_back(folder.path() / (name + ".svg"));
    const bool is_wide = !charts[i].categories.empty();
    script += script_of(charts[i], is_wide ? wide_layout(charts[i]) : common, name, files.back());
  }
  run_gnuplot(script + "unset output\n", folder);
  std::vector<std::string> elements;
  for (const std::filesystem::path& file : files) {
    elements.push_back(svg_element(file));
  }
  return elements;
}

}  // namespace kqbench
