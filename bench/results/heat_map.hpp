// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The report's first picture: ratios as coloured cells, tokens by scheme.

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "bench/results/comparison.hpp"
#include "bench/results/table.hpp"

namespace kqbench {

struct HeatCell {
  double ratio = 1.0;      ///< geometric mean of the times over the baseline's: above 1 is slower
  std::size_t shapes = 0;  ///< that went into it: all hidden sizes of this number of tokens
  std::string fastest;     ///< whose times they are, where the rivals are several: the names in alphabetical order
};

struct HeatRow {
  std::string scheme;        ///< "dynamic token int8 from half", with the protocol where rows differ in it
  const Row* row = nullptr;  ///< one that has this scheme
  std::vector<std::optional<HeatCell>> cells;  ///< one for each number of tokens; nothing where none was timed
};

struct HeatMap {
  std::string title;  ///< "A native over A kokkos"
  std::vector<std::int64_t> tokens;
  std::vector<HeatRow> rows;
};

/// For each baseline that is a kokkos: native's times over it, and those of whichever peer is the fastest at a shape.
/// Maps without a cell are left out.
std::vector<HeatMap> heat_maps(const Comparison& comparison);

/// Tables whose cells are coloured by their ratio; a tooltip says whose times they are and of how many shapes.
/// `classes_of`: a line's, in HTML.
void write_heat_maps_html(std::ostream& out, const std::vector<HeatMap>& maps, const ClassesOf& classes_of = {});

/// The colours' rules for the page's style sheet.
extern const char* const heat_map_style;

}  // namespace kqbench
