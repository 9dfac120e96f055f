// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Cells in lines and columns, under titles: laid out for a terminal, or as Markdown.

#include <cstdint>
#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

namespace kqbench {

/// How a cell stands out where colour is wanted.
enum class Paint : std::uint8_t { plain, good, warning, bad };

struct Cell {
  std::string text;  ///< UTF-8, no line breaks
  Paint paint = Paint::plain;

  Cell() = default;
  Cell(std::string words, Paint how = Paint::plain) : text(std::move(words)), paint(how) {}
  Cell(const char* words) : text(words) {}
};

enum class Align : std::uint8_t { left, right };

struct Column {
  std::string heading;
  Align align = Align::left;
};

class Grid {
 public:
  explicit Grid(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// Lines added from now on stand under this title.
  /// `classes`: of its table in HTML.
  void begin_section(std::string title, std::string classes = {}) {
    sections_.push_back({std::move(title), std::move(classes), {}});
  }

  /// As many cells as there are columns. A first cell equal to the one above is left out of text, and is of class
  /// "again" in HTML. `classes`: of the line in HTML.
  void add(std::vector<Cell> line, std::string classes = {});

  bool empty() const { return sections_.empty(); }

  /// Columns have one width throughout, so that sections can be compared.
  void write_text(std::ostream& out, bool color) const;
  void write_markdown(std::ostream& out) const;

  /// Each section a <table> with its title as caption; paints are classes "good", "warning", "bad"; a line whose
  /// first cell is that of the one above is of class "more", and that cell of class "again".
  void write_html(std::ostream& out) const;

 private:
  struct Line {
    std::vector<Cell> cells;
    std::string classes;
  };
  struct Section {
    std::string title, classes;
    std::vector<Line> lines;
  };
  std::vector<std::size_t> widths() const;

  std::vector<Column> columns_;
  std::vector<Section> sections_;
};

/// Characters, not bytes, of UTF-8 text.
std::size_t display_width(const std::string& text);

/// What Markdown takes for markup, anywhere or in a table.
inline constexpr std::string_view markdown_markup = "\\`*_[]<>|#";

/// Text with the characters of `markup` escaped.
std::string markdown_text(const std::string& text, std::string_view markup = markdown_markup);

/// Text with what HTML would take for markup escaped, in attributes too.
std::string html_text(const std::string& text);

}  // namespace kqbench
