// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a reader of the report's page can choose to see, by check boxes and style rules alone: the page runs no script.

#include <cstddef>
#include <string>
#include <vector>

#include "bench/results/comparison.hpp"

namespace kqbench {

/// For each question (whose times, which operation, …) one box for each answer that occurs. Nothing checked shows all;
/// what is checked shows only that.
class PageFilter {
 public:
  explicit PageFilter(const std::vector<NamedResult>& files);

  /// HTML classes of what is about a row's work, and of one implementation's figures; in the series' order of
  /// appearance, which is their style in the charts.
  std::string work_classes(const Row& row) const;
  std::string series_class(const Series& series) const;

  /// The form; nothing where there is nothing to choose.
  std::string form_html() const;
  std::string style() const;

 private:
  struct Facet {
    char letter = 's';  ///< its classes and boxes are s0, s1, …
    std::string question;
    std::vector<std::string> answers;
  };
  static std::vector<std::string> answers_of(const Row& row);
  std::string name_of(const Series& series) const { return with_letters_ ? label(series) : series.impl; }

  bool with_letters_;
  std::vector<Facet> facets_;  ///< the first is the series
};

}  // namespace kqbench
