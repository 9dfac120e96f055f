// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Result files held against each other: which rows did the same thing, and how their times compare.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "bench/results/canary.hpp"
#include "bench/results/ratio.hpp"
#include "bench/results/result.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {

/// The rows of one implementation in one file.
struct Series {
  std::size_t file = 0;  ///< position among the files
  std::string impl;
  bool operator==(const Series&) const = default;
};

/// "A kokkos": files are lettered in the order given.
std::string label(const Series& series);

/// Two rows within this fraction of each other are the same, if nothing else is asked for: 2 %.
inline constexpr double standard_margin = 0.02;

struct ComparisonOptions {
  /// "native", or "B:native" for that of the second file. Empty: where an implementation is in more than one file, each
  /// is held against itself in the first file that has it; otherwise all against kokkos, or else the first there is.
  std::string baseline;
  std::vector<std::string> impls;      ///< to be compared; empty: all
  bool ignore_timing = false;          ///< also compare rows whose timing, launch or cache differ
  bool ignore_canary = false;          ///< also use times of other programs whose canary is missing or does not agree
  bool allow_unequal_threads = false;  ///< also compare rows of unlike numbers of host threads
  double margin = standard_margin;     ///< of the verdicts, 0 or more
};

/// A row beside the baseline's row of the same work.
struct ComparedRow {
  Series series;
  Series baseline;
  const Row* row = nullptr;
  const Row* baseline_row = nullptr;
  Ratio ratio;  ///< row's time / baseline_row's time: above 1 is slower than the baseline
  Verdict verdict = Verdict::ambiguous;
  std::optional<int> threads, baseline_threads;  ///< of the host; absent where a device worked, or no file tells

  /// True if both tell how many launches a sample had, and they differ: on a busy host the ratio may be biased.
  bool unequal_launches() const;
  bool unequal_threads() const;
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
  std::size_t faster = 0, slower = 0, same = 0, ambiguous = 0;  ///< rows of each verdict
  Ratio ratio;
  Verdict verdict = Verdict::ambiguous;  ///< of `ratio`
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

/// Thrown where no two rows did the same work. Its message says what to do.
class NothingToCompare : public UsageError {
 public:
  using UsageError::UsageError;
};

/// Points into the files it was made of.
struct Comparison {
  double margin = standard_margin;   ///< of the verdicts
  std::vector<std::string> remarks;  ///< what to know before any ratio is believed, a line each
  std::vector<ComparedRow> rows;     ///< in the order of the files' rows; the same work, and then baseline, together
  std::vector<SchemeSummary> summary;
  std::vector<LoneRow> unmatched;  ///< no other row did the same
  std::vector<LoneRow> failed;     ///< without a time
  std::vector<MissingRow> missing;
};

/// The ratio of rows of one file that were taken in turns is that of pairs; all others' is that between runs
/// (ratio.hpp).
///
/// Throws NothingToCompare if no two rows did the same work, and UsageError for an implementation that no file has, a
/// file with two rows of one implementation and the same work, and, unless the options allow it, times of other
/// programs whose canary does not agree (canary.hpp) and rows of unlike numbers of threads.
Comparison compare(const std::vector<NamedResult>& files, const ComparisonOptions& options);

/// The first file that has no implementation in common with another one, of those in `impls` (empty: all): what it is
/// to be held against, and which of the two is to be the faster, can only be guessed. Nothing if there is none.
std::optional<std::size_t> file_without_counterpart(const std::vector<NamedResult>& files,
                                                    const std::vector<std::string>& impls);

}  // namespace kqbench
