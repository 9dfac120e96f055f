// SPDX-License-Identifier: Apache-2.0
#include "bench/results/conformance.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace kqbench {

Conformance::Cell& Conformance::cell(const kq::Request& r, const std::string& implementation) {
  return rows_[{r.dialect, !r.static_scale, r.granularity, r.asymmetric, r.format, r.scale_format}][implementation];
}

void Conformance::add(const kq::Request& request, const std::string& implementation, std::int64_t codes, bool right) {
  Cell& found = cell(request, implementation);
  ++found.cases;
  found.codes += codes;
  found.wrong += right ? 0 : 1;
}

void Conformance::add_refused(const kq::Request& request, const std::string& implementation) {
  ++cell(request, implementation).refused;
}

std::string Conformance::markdown() const {
  std::string text = "| dialect | scheme | codes | scales |";
  std::string rule = "| --- | --- | --- | --- |";
  for (const std::string& name : implementations_) {
    text += fmt::format(" {} |", name);
    rule += " --- |";
  }
  text += '\n' + rule + '\n';
  const auto describe = [](const Cell& cell) {
    if (cell.cases == 0) return std::string(cell.refused == 0 ? "" : "not served");
    const std::string refused = cell.refused == 0 ? "" : fmt::format(", {} not served", cell.refused);
    if (cell.wrong != 0) return fmt::format("**{} of {} cases wrong**{}", cell.wrong, cell.cases, refused);
    return fmt::format("exact: {} cases, {} codes{}", cell.cases, cell.codes, refused);
  };
  for (const auto& [row, cells] : rows_) {
    std::string granularity = kq::to_string(row.granularity, 0);
    granularity.resize(std::min(granularity.find(':'), granularity.size()));
    text += fmt::format("| {} | {} {}{} | {} | {} |", kq::to_string(row.dialect), row.dynamic ? "dynamic" : "static",
                        granularity, row.asymmetric ? " asymmetric" : "", kq::to_string(row.format),
                        kq::to_string(row.scale_format));
    for (const std::string& name : implementations_) {
      const auto found = cells.find(name);
      text += fmt::format(" {} |", found == cells.end() ? "" : describe(found->second));
    }
    text += '\n';
  }
  return text;
}

}  // namespace kqbench
