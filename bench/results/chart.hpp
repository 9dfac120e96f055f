// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Charts as data, and as SVG by gnuplot.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bench/measure/statistics.hpp"

namespace kqbench {

struct ChartPoint {
  double x = 0.0;
  double y = 0.0;
  std::optional<Interval> interval;  ///< of y, or of x in a chart with categories; drawn as a bar
  std::string text = {};             ///< shown under the pointer
};

enum class Mark : std::uint8_t { points_and_lines, points, limit };  ///< a limit is a dashed line without points

struct ChartSeries {
  std::string name;
  int style = 0;  ///< colour and point, and the class "s<style>" of what is drawn; not used by a limit
  Mark mark = Mark::points;
  std::vector<ChartPoint> points;  ///< in the order in which lines join them
};

struct Chart {
  std::string title;  ///< for the page to show: it is not in the drawing
  std::string x_label, y_label;
  bool log_x = true;
  bool log_y = true;
  bool prefixes = true;                 ///< 1k, 1M at the x axis
  bool wide = false;                    ///< as wide as one with categories
  std::optional<double> y_low, y_high;  ///< ends of the axis; by the points where absent
  std::vector<std::string> categories;  ///< names of y = 0, 1, … from the top, in a wide chart; x is a ratio then
  std::vector<ChartSeries> series;
  std::vector<double> x_ticks = {};  ///< where the x axis has numbers; gnuplot chooses where empty
};

/// The charts as <svg> elements to be put into one HTML page, in the same order: black and grey in them (axes, text,
/// grid, limits) are for the page's style sheet to replace. Those without categories are of one size, and so are their
/// axes, so that they line up side by side. Throws SystemError if gnuplot is missing or fails.
std::vector<std::string> draw_svg(const std::vector<Chart>& charts);

}  // namespace kqbench
