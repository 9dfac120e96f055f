// SPDX-License-Identifier: Apache-2.0
#include "bench/results/page_filter.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/results/grid.hpp"
#include "bench/results/row_text.hpp"

namespace kqbench {
namespace {

/// The place of a name, at the end where it is new.
std::size_t place(std::vector<std::string>& names, const std::string& name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) names.push_back(name);
  return static_cast<std::size_t>(found - names.begin());
}

std::size_t place(const std::vector<std::string>& names, const std::string& name) {
  return static_cast<std::size_t>(std::find(names.begin(), names.end(), name) - names.begin());
}

}  // namespace

PageFilter::PageFilter(const std::vector<NamedResult>& files)
    : with_letters_(files.size() > 1),
      facets_{{'s', "Whose", {}}, {'o', "Operation", {}}, {'q', "Codes", {}}, {'e', "Input", {}}, {'p', "Timing", {}}} {
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (const Row& row : files[file].result.rows) {
      place(facets_[0].answers, name_of({file, row.impl}));
      const std::vector<std::string> answers = answers_of(row);
      for (std::size_t i = 0; i < answers.size(); ++i) {
        place(facets_[i + 1].answers, answers[i]);
      }
    }
  }
}

std::vector<std::string> PageFilter::answers_of(const Row& row) {
  return {kq::operation_name(row.request), std::string(kq::to_string(row.request.format)),
          std::string(kq::to_string(row.request.element)), protocol_text(row)};
}

std::string PageFilter::work_classes(const Row& row) const {
  const std::vector<std::string> answers = answers_of(row);
  std::string classes;
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const Facet& facet = facets_[i + 1];
    classes += fmt::format("{}{}{}", i == 0 ? "" : " ", facet.letter, place(facet.answers, answers[i]));
  }
  return classes;
}

std::string PageFilter::series_class(const Series& series) const {
  return fmt::format("s{}", place(facets_[0].answers, name_of(series)));
}

std::string PageFilter::form_html() const {
  std::string form;
  for (const Facet& facet : facets_) {
    if (facet.answers.size() < 2) continue;
    form += fmt::format("<fieldset id=\"f{}\"><legend>{}</legend>", facet.letter, facet.question);
    for (std::size_t i = 0; i < facet.answers.size(); ++i) {
      form += fmt::format("<label><input type=\"checkbox\" id=\"{0}{1}\"> {2}</label>\n", facet.letter, i,
                          html_text(facet.answers[i]));
    }
    form += "</fieldset>\n";
  }
  if (form.empty()) return form;
  return "<form id=\"filter\">\n<details id=\"choices\">\n<summary>Show only some</summary>\n"
         "<p class=\"soft\">In the heat maps, the charts of each scheme and the rows; nothing checked shows "
         "all.</p>\n" +
         form + "<input type=\"reset\" value=\"Show all\">\n</details>\n</form>\n";
}

std::string PageFilter::style() const {
  std::string rules =
      "#filter fieldset { border: none; padding: 0; margin: 0.4rem 0; } #filter legend { float: left; width: 6rem; "
      "color: var(--soft); }\n#filter label { display: inline-block; margin-right: 1.2rem; }\n"
      ".again { color: transparent; } body:has(#fs input:checked) .again { color: inherit; }\n"
      "@media print { #filter { display: none; } }\n";
  for (const Facet& facet : facets_) {
    for (std::size_t i = 0; facet.answers.size() > 1 && i < facet.answers.size(); ++i) {
      rules += fmt::format("body:has(#f{0} input:checked):not(:has(#{0}{1}:checked)) .{0}{1} {{ display: none; }}\n",
                           facet.letter, i);
    }
  }
  return rules;
}

}  // namespace kqbench
