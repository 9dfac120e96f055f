// SPDX-License-Identifier: Apache-2.0
#include "bench/results/chart.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>
#include <utility>

#include "bench/results/gnuplot.hpp"
#include "bench/results/grid.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

/// Seen on white and on black.
constexpr std::array<std::string_view, 8> colours = {"#2f80d0", "#d9822b", "#3a9a5c", "#c0508f",
                                                     "#8a6fd1", "#b5932f", "#2f9c9c", "#cc5a4f"};
constexpr std::array<int, 7> point_types = {7, 5, 9, 11, 13, 6, 4};

/// What gnuplot is to show under the pointer: which point it is. The page has the text (with_texts).
constexpr std::string_view point_mark = "kqbench point ";

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
  for (std::size_t i = 0; i < series.points.size(); ++i) {
    const ChartPoint& point = series.points[i];
    const Interval interval = point.interval.value_or(Interval{point.y, point.y});
    block +=
        fmt::format("{} {} {} {} \"{}{} {};\"\n", point.x, point.y, interval.low, interval.high, point_mark, index, i);
  }
  return block + "END\n";
}

bool has_intervals(const ChartSeries& series) {
  for (const ChartPoint& point : series.points) {
    if (point.interval) return true;
  }
  return false;
}

/// What is drawn of a series: lines, points with what is shown under the pointer, intervals.
std::vector<std::string> plot_clauses(std::size_t index, const ChartSeries& series, bool of_x) {
  const std::string data = fmt::format("$series{}", index);
  if (series.mark == Mark::limit) {
    return {fmt::format("{} using 1:2 with lines lw 1 dt (6,4) lc rgb 'black' title {}", data,
                        gnuplot_string(series.name))};
  }
  const auto style = static_cast<std::size_t>(series.style);
  const std::string_view colour = colours[style % colours.size()];
  std::vector<std::string> clauses;
  if (series.mark == Mark::points_and_lines) {
    clauses.push_back(fmt::format("{} using 1:2 with lines lw 1.5 lc rgb '{}' notitle", data, colour));
  }
  clauses.push_back(fmt::format("{} using 1:2:5 with labels hypertext point pt {} ps 0.6 lc rgb '{}' title {}", data,
                                point_types[style % point_types.size()], colour, gnuplot_string(series.name)));
  if (has_intervals(series)) {  // as plain strokes: the ends of error bars would hide the points
    clauses.push_back(fmt::format("{} using {} with vectors nohead lw 1 lc rgb '{}' notitle", data,
                                  of_x ? "3:2:($4-$3):(0)" : "1:3:(0):($4-$3)", colour));
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
    if (chart.categories.empty() && !chart.wide)
      layout.key_rows = std::max(layout.key_rows, rows_of_key(chart, layout));
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
  layout.height = layout.top() + (chart.categories.empty() ? 320 : std::max(60, 14 * lines)) + Layout::bottom;
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
  std::string commands = fmt::format(
      "set ytics ({}) scale 0\nset yrange [{}:-0.5]\nunset grid\nset grid xtics lc rgb 'gray'\nset format x '%g'\n"
      "set autoscale xfix\nset offsets graph 0.05, graph 0.05, 0, 0\n"
      "set xtics (0.01,0.02,0.05,0.1,0.2,0.3,0.5,0.7,0.85,1,1.2,1.5,2,3,5,7,10,15,20,30,50,100,200,500,1000)\n",
      names, static_cast<double>(categories.size()) - 0.5);
  for (std::size_t i = 1; i < categories.size(); ++i) {  // a line between one and the next
    commands += fmt::format("set arrow from graph 0, first {0} to graph 1, first {0} nohead lc rgb 'gray'\n",
                            static_cast<double>(i) - 0.5);
  }
  return commands;
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
  if (!chart.x_ticks.empty()) script += fmt::format("set xtics ({})\n", fmt::join(chart.x_ticks, ","));
  if (!chart.categories.empty()) script += category_commands(chart.categories);
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    script += data_block(i, chart.series[i]);
  }
  std::vector<std::string> clauses;
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    for (std::string& clause : plot_clauses(i, chart.series[i], !chart.categories.empty())) {
      clauses.push_back(std::move(clause));
    }
  }
  return script + fmt::format("plot {}\n", fmt::join(clauses, ", "));
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

/// Replaces what begins with `begin` and goes on to `end`, by what `replacement` makes of all of it.
template <class Replacement>
std::string replaced(const std::string& text, std::string_view begin, std::string_view end,
                     const Replacement& replacement) {
  std::string result;
  std::size_t done = 0;
  for (std::size_t from = 0; (from = text.find(begin, done)) != std::string::npos;) {
    const std::size_t to = text.find(end, from);
    if (to == std::string::npos) break;
    result.append(text, done, from - done);
    done = to + end.size();
    result += replacement(std::string_view(text).substr(from, done - from));
  }
  return result.append(text, done);
}

/// gnuplot's names of series under the pointer become classes of what is drawn, and its marks of points their texts.
/// Its own way to show those needs a script.
std::string with_texts(const std::string& svg, const Chart& chart) {
  std::vector<std::string> classes;  // one for each thing that is drawn
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const ChartSeries& series = chart.series[i];
    const std::string name = series.mark == Mark::limit ? "limit" : fmt::format("s{}", series.style);
    classes.insert(classes.end(), plot_clauses(i, series, !chart.categories.empty()).size(), name);
  }
  std::size_t drawn = 0;
  const std::string classed = replaced(svg, "<g id=\"chart", "</title>", [&](std::string_view element) {
    element = element.substr(0, element.find("<title>"));
    element.remove_prefix(element.find('"', sizeof("<g id=\"") - 1) + 1);  // gnuplot 6 has more attributes
    return fmt::format("<g class=\"{}\"{}", drawn < classes.size() ? classes[drawn++] : "", element);
  });
  const std::string nameless = replaced(classed, "<title>chart", "</title>", [](std::string_view) { return ""; });
  return replaced(nameless, "<g onmousemove=", "</title>", [&](std::string_view element) {
    const std::size_t mark = element.find(point_mark);
    std::size_t series = 0, point = 0;
    std::istringstream numbers(std::string(element.substr(std::min(element.size(), mark + point_mark.size()))));
    if (mark == std::string_view::npos || !(numbers >> series >> point) || series >= chart.series.size() ||
        point >= chart.series[series].points.size()) {
      return std::string("<g>");
    }
    return fmt::format("<g><title>{}</title>", html_text(chart.series[series].points[point].text));
  });
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
    const bool is_wide = charts[i].wide || !charts[i].categories.empty();
    script += script_of(charts[i], is_wide ? wide_layout(charts[i]) : common, name, files.back());
  }
  run_gnuplot(script + "unset output\n", folder);
  std::vector<std::string> elements;
  for (std::size_t i = 0; i < charts.size(); ++i) {
    elements.push_back(with_texts(svg_element(files[i]), charts[i]));
  }
  return elements;
}

}  // namespace kqbench
