// SPDX-License-Identifier: Apache-2.0
#include "bench/results/grid.hpp"

#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <string_view>

namespace kqbench {
namespace {

std::string padded(const std::string& text, std::size_t width, Align align) {
  const std::string spaces(width - std::min(width, display_width(text)), ' ');
  return align == Align::left ? text + spaces : spaces + text;
}

fmt::text_style style_of(Paint paint) {
  switch (paint) {
    case Paint::plain:
      return {};
    case Paint::good:
      return fmt::fg(fmt::terminal_color::green);
    case Paint::warning:
      return fmt::fg(fmt::terminal_color::yellow);
    case Paint::bad:
      return fmt::fg(fmt::terminal_color::red) | fmt::emphasis::bold;
  }
  return {};
}

std::string painted(const std::string& text, const fmt::text_style& style, bool color) {
  return color && (style.has_foreground() || style.has_emphasis()) ? fmt::format(style, "{}", text) : text;
}

/// " class="…"" of those that are not empty; nothing where all are.
std::string class_attribute(std::initializer_list<std::string> classes) {
  std::string joined;
  for (const std::string& name : classes) {
    if (!name.empty()) joined += (joined.empty() ? "" : " ") + name;
  }
  return joined.empty() ? "" : fmt::format(" class=\"{}\"", joined);
}

/// A <td> or <th>; `again`: it says what the one above says.
std::string html_cell(const char* element, const Cell& cell, Align align, bool again) {
  static constexpr const char* paints[] = {"", "good", "warning", "bad"};
  const std::string classes = class_attribute(
      {align == Align::right ? "number" : "", paints[static_cast<int>(cell.paint)], again ? "again" : ""});
  return fmt::format("<{0}{1}>{2}</{0}>", element, classes, html_text(cell.text));
}

}  // namespace

std::size_t display_width(const std::string& text) {
  const auto begins_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::string markdown_text(const std::string& text, std::string_view markup) {
  std::string escaped;
  for (const char c : text) {
    if (markup.find(c) != std::string_view::npos) escaped += '\\';
    escaped += c;
  }
  return escaped;
}

std::string html_text(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

void Grid::add(std::vector<Cell> line, std::string classes) {
  if (sections_.empty()) begin_section("");
  sections_.back().lines.push_back({std::move(line), std::move(classes)});
}

std::vector<std::size_t> Grid::widths() const {
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    widths.push_back(display_width(column.heading));
  }
  for (const Section& section : sections_) {
    for (const Line& line : section.lines) {
      for (std::size_t i = 0; i < line.cells.size(); ++i) {
        widths[i] = std::max(widths[i], display_width(line.cells[i].text));
      }
    }
  }
  return widths;
}

void Grid::write_text(std::ostream& out, bool color) const {
  const std::vector<std::size_t> width = widths();
  const auto write_line = [&](const std::vector<Cell>& line) {
    std::string text;
    std::size_t gap = 2;  // spaces owed before the next cell: none are left at a line's end
    for (std::size_t i = 0; i < line.size(); ++i) {
      const std::string cell = padded(line[i].text, width[i], columns_[i].align);
      const std::size_t first = cell.find_first_not_of(' ');
      if (first == std::string::npos) {
        gap += width[i] + 2;
        continue;
      }
      const std::size_t last = cell.find_last_not_of(' ') + 1;
      text += std::string(gap + first, ' ') + painted(cell.substr(first, last - first), style_of(line[i].paint), color);
      gap = cell.size() - last + 2;
    }
    out << text << '\n';
  };
  std::vector<Cell> headings;
  for (const Column& column : columns_) {
    headings.emplace_back(column.heading);
  }
  for (const Section& section : sections_) {
    if (&section != &sections_.front()) out << '\n';
    if (!section.title.empty()) out << painted(section.title, fmt::emphasis::bold, color) << '\n';
    write_line(headings);
    std::string above;
    for (Line line : section.lines) {
      const std::string first = line.cells[0].text;
      if (first == above) line.cells[0].text.clear();
      above = first;
      write_line(line.cells);
    }
  }
}

void Grid::write_markdown(std::ostream& out) const {
  for (const Section& section : sections_) {
    if (!section.title.empty()) out << "### " << markdown_text(section.title) << "\n\n";
    std::string heading = "|";
    std::string rule = "|";
    for (const Column& column : columns_) {
      heading += fmt::format(" {} |", markdown_text(column.heading));
      rule += column.align == Align::left ? " --- |" : " ---: |";
    }
    out << heading << '\n' << rule << '\n';
    for (const Line& line : section.lines) {
      std::string text = "|";
      for (const Cell& cell : line.cells) {
        text += fmt::format(" {} |", markdown_text(cell.text));
      }
      out << text << '\n';
    }
    out << '\n';
  }
}

void Grid::write_html(std::ostream& out) const {
  const auto write_line = [&](const char* element, const std::vector<Cell>& line, const std::string& classes,
                              bool more) {
    out << "<tr" << class_attribute({more ? "more" : "", classes}) << '>';
    for (std::size_t i = 0; i < line.size(); ++i) {
      out << html_cell(element, line[i], columns_[i].align, more && i == 0);
    }
    out << "</tr>\n";
  };
  std::vector<Cell> headings;
  for (const Column& column : columns_) {
    headings.emplace_back(column.heading);
  }
  for (const Section& section : sections_) {
    out << "<table" << class_attribute({section.classes}) << ">\n";
    if (!section.title.empty()) out << "<caption>" << html_text(section.title) << "</caption>\n";
    out << "<thead>";
    write_line("th", headings, {}, false);
    out << "</thead>\n<tbody>\n";
    std::string above;
    for (const Line& line : section.lines) {
      write_line("td", line.cells, line.classes, line.cells[0].text == above);
      above = line.cells[0].text;
    }
    out << "</tbody>\n</table>\n";
  }
}

}  // namespace kqbench
