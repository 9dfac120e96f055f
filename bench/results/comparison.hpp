// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Result files held against each other: which rows did the same thing, and how their times compare.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bench/results/ratio.hpp"
#include "bench/results/result.hpp"

namespace kqbench {

/// A result file and its name as the user gave it.
struct NamedResult {
  std::string name;
  ResultFile result;
};

/// The rows of one implementation in one file.
struct Series {
  std::size_t file = 0;  ///< position among the files
  std::string impl;
  bool operator==(const Series&) const = default;
};

/// "A" for the first file.
std::string file_letter(std::size_t file);

/// "A kokkos": files are lettered in the order given.
std::string label(const Series& series);

/// True for implementations that are not kqbench's own.
bool is_peer(const std::string& impl);

struct ComparisonOptions {
  /// "native", or "B:native" for that of the second file. Empty: where an implementation is in more than one file, each
  /// is held against itself in the first file that has it; otherwise all against kokkos, or else the first there is.
  std::string baseline;
  std::vector<std::string> impls;  ///< to be compared; empty: all
  bool ignore_timing = false;      ///< also compare rows whose timing or cache differ
};

/// A row beside the baseline's row of the same work.
struct ComparedRow {
  Series series;
  Series baseline;
  const Row* row = nullptr;
  const Row* baseline_row = nullptr;
  Ratio ratio;  ///< row's time / baseline_row's time: above 1 is slower than the baseline
};

/// The geometric mean over those shapes and input types of a scheme that everything held against the same baseline was
/// timed at, so that the lines of a scheme are about the same rows.
struct SchemeSummary {
  std::string scheme;            ///< "dynamic token int8"
  std::optional<Series> series;  ///< nothing: whichever peer is fastest at each shape
  Series baseline;
  std::size_t rows = 0;      ///< that went into it
  std::size_t all_rows = 0;  ///< of this series
  bool in_common = true;     ///< false where the series have no row in common: then each has its own
  const Row* first = nullptr;
  std::size_t faster = 0;  ///< significantly
  std::size_t slower = 0;
  Ratio ratio;
};

/// A row that takes part in no comparison.
struct LoneRow {
  Series series;
  const Row* row = nullptr;
};

/// A row of a baseline that another series lacks.
struct MissingRow {
  std::optional<Series> lacking;  ///< nothing: no later file has this implementation at all
  LoneRow there;
  bool elsewhere = false;  ///< a third series has it: it is not among `unmatched`
};

/// Points into the files it was made of.
struct Comparison {
  std::vector<ComparedRow> rows;  ///< in the order of the files' rows; the same work, and then baseline, together
  std::vector<SchemeSummary> summary;
  std::vector<LoneRow> unmatched;  ///< no other row did the same
  std::vector<LoneRow> failed;     ///< without a time
  std::vector<MissingRow> missing;
};

/// Throws UsageError if there is nothing to compare: no row in common, an implementation that no file has, or a file
/// with two rows of one implementation and the same work.
Comparison compare(const std::vector<NamedResult>& files, const ComparisonOptions& options);

}  // namespace kqbench
