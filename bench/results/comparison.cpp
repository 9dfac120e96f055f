// SPDX-License-Identifier: Apache-2.0
#include "bench/results/comparison.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "bench/results/row_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

constexpr std::size_t most_files = 26;  // letters

/// What a row did, in the order of the work's first appearance.
using WorkNumber = std::size_t;

/// Numbers works, so that rows of all files can be matched.
class WorkIndex {
 public:
  explicit WorkIndex(bool ignore_timing) : ignore_timing_(ignore_timing) {}

  WorkNumber number(const Row& row) {
    const Key key = ignore_timing_ ? Key(row.request, "", "", "") : Key(row.request, row.timing, row.launch, row.cache);
    return numbers_.emplace(key, numbers_.size()).first->second;
  }
  std::size_t size() const { return numbers_.size(); }
  bool ignores_timing() const { return ignore_timing_; }

 private:
  using Key = std::tuple<kq::Request, std::string, std::string, std::string>;
  bool ignore_timing_;
  std::map<Key, WorkNumber> numbers_;
};

/// A series with its rows by work.
struct SeriesRows {
  Series series;
  std::map<WorkNumber, const Row*> rows;
};

SeriesRows& rows_of(std::vector<SeriesRows>& all, const Series& series) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const SeriesRows& s) { return s.series == series; });
  return found != all.end() ? *found : all.emplace_back(SeriesRows{series, {}});
}

std::vector<SeriesRows> collect(const std::vector<NamedResult>& files, WorkIndex& works) {
  std::vector<SeriesRows> all;
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (const Row& row : files[file].result.rows) {
      SeriesRows& series = rows_of(all, {file, row.impl});
      if (!series.rows.emplace(works.number(row), &row).second) {
        throw UsageError(fmt::format("{}: has two rows of {} for {}, {}; remove one{}", in_quotes(files[file].name),
                                     row.impl, work_text(row.request), shape_text(row.request),
                                     works.ignores_timing() ? ", or leave out --ignore-timing" : ""));
      }
    }
  }
  return all;
}

const SeriesRows* find(const std::vector<SeriesRows>& all, const Series& series) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const SeriesRows& s) { return s.series == series; });
  return found == all.end() ? nullptr : &*found;
}

/// The first series of an implementation.
const SeriesRows* find(const std::vector<SeriesRows>& all, const std::string& impl) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const SeriesRows& s) { return s.series.impl == impl; });
  return found == all.end() ? nullptr : &*found;
}

[[noreturn]] void fail_unknown(const char* option, const std::string& text, const std::vector<SeriesRows>& all) {
  std::vector<std::string> names;
  for (const SeriesRows& series : all) {
    const std::string name = fmt::format("{}:{}", static_cast<char>('A' + series.series.file), series.series.impl);
    names.push_back(name);
  }
  throw UsageError(
      fmt::format("{}: {} is in none of the files; there are {}", option, in_quotes(text), fmt::join(names, ", ")));
}

/// Chooses what each series is held against.
class Baselines {
 public:
  Baselines(const std::vector<SeriesRows>& all, const std::string& chosen) : all_(all), impl_(chosen) {
    if (impl_.size() > 2 && impl_[1] == ':' && impl_[0] >= 'A' && impl_[0] <= 'Z') {
      fixed_ = find(all_, {static_cast<std::size_t>(impl_[0] - 'A'), impl_.substr(2)});
      if (fixed_ == nullptr) fail_unknown("--baseline", impl_, all_);
    } else if (!impl_.empty()) {
      if (find(all_, impl_) == nullptr) fail_unknown("--baseline", impl_, all_);
    } else if (!any_shared()) {
      impl_ = find(all_, "kokkos") != nullptr ? "kokkos" : all_.front().series.impl;
    }
  }

  const SeriesRows* of(const Series& series) const {
    if (fixed_ != nullptr) return fixed_;
    if (impl_.empty()) return find(all_, series.impl);
    const SeriesRows* const beside = find(all_, Series{series.file, impl_});
    return beside != nullptr ? beside : find(all_, impl_);
  }

 private:
  /// True if an implementation is in more than one file.
  bool any_shared() const {
    return std::any_of(all_.begin(), all_.end(),
                       [&](const SeriesRows& s) { return find(all_, s.series.impl)->series.file != s.series.file; });
  }

  const std::vector<SeriesRows>& all_;
  std::string impl_;  ///< empty: each against itself
  const SeriesRows* fixed_ = nullptr;
};

/// How many threads of the host a row's implementation worked with. Earlier versions tell of the whole run only.
std::optional<int> threads_of(const Row& row, const Context& context) {
  if (row.threads) return row.threads;
  if (row.backend == "host" && context.host_threads_used != 0) return context.host_threads_used;
  return std::nullopt;
}

/// Samples of one file were taken in turns, if they are as many.
Ratio ratio_between(const ComparedRow& compared) {
  const TimeStatistics& time = *compared.row->time_us;
  const TimeStatistics& baseline = *compared.baseline_row->time_us;
  const bool in_turns = compared.series.file == compared.baseline.file && !time.samples.empty() &&
                        time.samples.size() == baseline.samples.size();
  return in_turns ? ratio_of_pairs(time, baseline) : ratio_between_runs(*compared.row, *compared.baseline_row);
}

bool is_chosen(const std::string& impl, const std::vector<std::string>& impls) {
  return impls.empty() || std::find(impls.begin(), impls.end(), impl) != impls.end();
}

/// What one line of the summary may be made of.
struct Collected {
  SchemeSummary summary;
  std::vector<const ComparedRow*> rows;
};

using BaselineRows = std::set<const Row*>;

std::size_t& count_of(SchemeSummary& summary, Verdict verdict) {
  switch (verdict) {
    case Verdict::faster:
      return summary.faster;
    case Verdict::slower:
      return summary.slower;
    case Verdict::same:
      return summary.same;
    case Verdict::ambiguous:
      break;
  }
  return summary.ambiguous;
}

/// Makes the line of those of its rows whose baseline row is among `common`, or of all where there is none.
SchemeSummary finished(const Collected& collected, const BaselineRows& common, double margin) {
  SchemeSummary summary = collected.summary;
  std::vector<Ratio> ratios;
  for (const ComparedRow* compared : collected.rows) {
    if (!common.empty() && !common.contains(compared->baseline_row)) continue;
    ratios.push_back(compared->ratio);
    ++count_of(summary, compared->verdict);
  }
  summary.rows = ratios.size();
  summary.all_rows = collected.rows.size();
  summary.in_common = !common.empty();
  summary.ratio = geometric_mean(ratios);
  summary.verdict = summary.ratio.verdict(margin);
  return summary;
}

/// The baseline rows that every series of a scheme and baseline is held against.
BaselineRows common_rows(const std::vector<Collected>& lines, const SchemeSummary& like) {
  std::optional<BaselineRows> common;
  for (const Collected& line : lines) {
    const SchemeSummary& s = line.summary;
    if (!s.series || s.scheme != like.scheme || s.baseline != like.baseline) continue;
    BaselineRows shared;
    for (const ComparedRow* compared : line.rows) {
      if (!common || common->contains(compared->baseline_row)) shared.insert(compared->baseline_row);
    }
    common = std::move(shared);
  }
  return common.value_or(BaselineRows());
}

/// Of the rows of one work and baseline, the fastest of a peer.
const ComparedRow* best_peer(const std::vector<const ComparedRow*>& rows) {
  const ComparedRow* best = nullptr;
  for (const ComparedRow* row : rows) {
    if (!is_peer(row->series.impl)) continue;
    if (best == nullptr || row->row->time_us->median < best->row->time_us->median) best = row;
  }
  return best;
}

std::vector<SchemeSummary> summarize(const std::vector<ComparedRow>& rows, double margin) {
  std::vector<Collected> lines;
  const auto line = [&](const ComparedRow& compared, const std::optional<Series>& series) -> Collected& {
    const std::string scheme = scheme_text(compared.row->request);
    for (Collected& known : lines) {
      const SchemeSummary& s = known.summary;
      if (s.scheme == scheme && s.series == series && s.baseline == compared.baseline) return known;
    }
    SchemeSummary summary;
    summary.scheme = scheme;
    summary.series = series;
    summary.baseline = compared.baseline;
    summary.first = compared.row;
    return lines.emplace_back(Collected{std::move(summary), {}});
  };
  std::set<std::pair<std::size_t, std::string>> peers;
  for (const ComparedRow& compared : rows) {
    line(compared, compared.series).rows.push_back(&compared);
    if (is_peer(compared.series.impl)) peers.insert({compared.series.file, compared.series.impl});
  }
  // Rows of the same baseline row stand together.
  for (std::size_t first = 0; first < rows.size() && peers.size() > 1;) {
    std::size_t last = first;
    std::vector<const ComparedRow*> together;
    while (last < rows.size() && rows[last].baseline_row == rows[first].baseline_row) {
      together.push_back(&rows[last++]);
    }
    if (const ComparedRow* best = best_peer(together)) line(*best, std::nullopt).rows.push_back(best);
    first = last;
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const Collected& a, const Collected& b) { return a.summary.scheme < b.summary.scheme; });
  std::vector<SchemeSummary> summaries;
  for (const Collected& collected : lines) {
    summaries.push_back(finished(collected, common_rows(lines, collected.summary), margin));
  }
  return summaries;
}

/// "3 rows have", "1 row has".
std::string rows_have(std::size_t count) {
  return count == 1 ? "1 row has" : fmt::format("{} rows have", count);
}

/// A line about rows of unlike threads, if there are any; throws UsageError unless they are allowed.
void check_threads(const std::vector<ComparedRow>& rows, bool allowed, std::vector<std::string>& remarks) {
  const auto unequal = [](const ComparedRow& row) { return row.unequal_threads(); };
  const auto first = std::find_if(rows.begin(), rows.end(), unequal);
  if (first == rows.end()) return;
  const auto count = static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), unequal));
  const std::string text =
      fmt::format("{} another number of threads than the baseline, the first: {} worked with {}, {} with {}, at {}, {}",
                  rows_have(count), label(first->series), *first->threads, label(first->baseline),
                  *first->baseline_threads, work_text(first->row->request), shape_text(first->row->request));
  if (!allowed) {
    throw UsageError("compare: " + text + "; run both with as many, or pass --allow-unequal-threads");
  }
  remarks.push_back(text + ".");
}

/// A line about launches per sample that differ, if there are any.
void add_launches(const std::vector<ComparedRow>& rows, std::vector<std::string>& remarks) {
  const auto unequal = [](const ComparedRow& row) { return row.unequal_launches(); };
  const auto first = std::find_if(rows.begin(), rows.end(), unequal);
  if (first == rows.end()) return;
  const auto count = static_cast<std::size_t>(std::count_if(rows.begin(), rows.end(), unequal));
  remarks.push_back(fmt::format(
      "{} other launches per sample than the baseline, which on a busy host biases a ratio; the first: "
      "{} {}, {} {}, at {}, {}.",
      rows_have(count), label(first->series), first->row->launches_per_sample, label(first->baseline),
      first->baseline_row->launches_per_sample, work_text(first->row->request), shape_text(first->row->request)));
}

/// A line about each pair of files whose random input was not the same.
void add_seeds(const std::vector<NamedResult>& files, const std::vector<ComparedRow>& rows,
               std::vector<std::string>& remarks) {
  std::set<std::pair<std::size_t, std::size_t>> seen;
  for (const ComparedRow& row : rows) {
    const auto [a, b] = std::minmax(row.series.file, row.baseline.file);
    if (a == b || !seen.emplace(a, b).second) continue;
    const auto& first = files[a].result.context.seed;
    const auto& second = files[b].result.context.seed;
    if (!first || !second || *first == *second) continue;
    remarks.push_back(fmt::format("{} and {} have unlike seeds, {} and {}: their input was not the same.",
                                  file_letter(a), file_letter(b), *first, *second));
  }
}

std::vector<std::string> remarks_on(const std::vector<NamedResult>& files, const std::vector<ComparedRow>& rows,
                                    const ComparisonOptions& options) {
  std::vector<bool> used(files.size());
  for (const ComparedRow& row : rows) {
    used[row.series.file] = used[row.baseline.file] = true;
  }
  std::vector<std::string> remarks = check_canaries(files, used, options.ignore_canary);
  check_threads(rows, options.allow_unequal_threads, remarks);
  add_launches(rows, remarks);
  add_seeds(files, rows, remarks);
  return remarks;
}

/// True if a later file than a series's has an implementation that the series's file has, too: then they are of one
/// kind, and what the later one lacks has gone. (A file of peers has none in common with kqbench's own.)
bool has_successor(const std::vector<SeriesRows>& all, const Series& series) {
  return std::any_of(all.begin(), all.end(), [&](const SeriesRows& later) {
    return later.series.file > series.file && find(all, Series{series.file, later.series.impl}) != nullptr;
  });
}

}  // namespace

std::string label(const Series& series) {
  return fmt::format("{} {}", file_letter(series.file), series.impl);
}

bool ComparedRow::unequal_launches() const {
  const std::int64_t launches = row->launches_per_sample;
  const std::int64_t baseline_launches = baseline_row->launches_per_sample;
  return launches != 0 && baseline_launches != 0 && launches != baseline_launches;
}

bool ComparedRow::unequal_threads() const {
  return threads && baseline_threads && *threads != *baseline_threads;
}

std::optional<std::size_t> file_without_counterpart(const std::vector<NamedResult>& files,
                                                    const std::vector<std::string>& impls) {
  std::vector<std::set<std::string>> have(files.size());
  for (std::size_t file = 0; file < files.size(); ++file) {
    for (const Row& row : files[file].result.rows) {
      if (is_chosen(row.impl, impls)) have[file].insert(row.impl);
    }
  }
  for (std::size_t file = 0; file < files.size(); ++file) {
    const bool shared = std::any_of(have[file].begin(), have[file].end(), [&](const std::string& impl) {
      return std::count_if(have.begin(), have.end(), [&](const auto& names) { return names.contains(impl); }) > 1;
    });
    if (!have[file].empty() && !shared) return file;
  }
  return std::nullopt;
}

Comparison compare(const std::vector<NamedResult>& files, const ComparisonOptions& options) {
  if (files.size() > most_files) throw UsageError(fmt::format("compare: give at most {} files", most_files));
  WorkIndex works(options.ignore_timing);
  const std::vector<SeriesRows> all = collect(files, works);
  if (all.empty()) throw NothingToCompare("compare: the files have no rows; run a benchmark that ends");
  for (const std::string& impl : options.impls) {
    if (find(all, impl) == nullptr) fail_unknown("--impl", impl, all);
  }
  const Baselines baselines(all, options.baseline);

  Comparison comparison;
  std::set<const Row*> taken;
  std::vector<Series> held_against;
  std::vector<MissingRow> missing;
  std::vector<std::vector<ComparedRow>> by_work(works.size());
  for (const SeriesRows& series : all) {
    const SeriesRows* const baseline = baselines.of(series.series);
    if (baseline->series == series.series || !is_chosen(series.series.impl, options.impls)) continue;
    held_against.push_back(baseline->series);
    for (const auto& [work, row] : baseline->rows) {
      if (row->time_us && !series.rows.contains(work))
        missing.push_back({series.series, {baseline->series, row}, false});
    }
    for (const auto& [work, row] : series.rows) {
      const auto match = baseline->rows.find(work);
      if (match == baseline->rows.end()) continue;
      taken.insert({row, match->second});
      if (!row->time_us || !match->second->time_us) continue;
      ComparedRow compared;
      compared.series = series.series;
      compared.baseline = baseline->series;
      compared.row = row;
      compared.baseline_row = match->second;
      compared.ratio = ratio_between(compared);
      compared.verdict = compared.ratio.verdict(options.margin);
      compared.threads = threads_of(*row, files[series.series.file].result.context);
      compared.baseline_threads = threads_of(*match->second, files[baseline->series.file].result.context);
      by_work[work].push_back(compared);
    }
  }
  for (std::vector<ComparedRow>& rows : by_work) {
    std::stable_sort(rows.begin(), rows.end(), [](const ComparedRow& a, const ComparedRow& b) {
      return std::tie(a.baseline.file, a.baseline.impl) < std::tie(b.baseline.file, b.baseline.impl);
    });
    comparison.rows.insert(comparison.rows.end(), rows.begin(), rows.end());
  }
  for (const SeriesRows& series : all) {
    const bool wanted = is_chosen(series.series.impl, options.impls);
    // A baseline that nothing is held against, though a later file could have had something.
    const bool given_up = wanted && baselines.of(series.series)->series == series.series &&
                          std::find(held_against.begin(), held_against.end(), series.series) == held_against.end() &&
                          has_successor(all, series.series);
    for (const auto& [work, row] : series.rows) {
      if (given_up && row->time_us) missing.push_back({std::nullopt, {series.series, row}, false});
      if (!row->time_us && (wanted || taken.contains(row))) comparison.failed.push_back({series.series, row});
      if (wanted && row->time_us && !taken.contains(row)) comparison.unmatched.push_back({series.series, row});
    }
  }
  for (MissingRow& row : missing) {
    row.elsewhere = taken.contains(row.there.row);
  }
  comparison.missing = std::move(missing);
  if (comparison.rows.empty() && comparison.failed.empty()) {
    throw NothingToCompare(
        "compare: no two rows did the same work; give files of the same sweep, timing, launch and cache, name a "
        "--baseline, or "
        "pass --ignore-timing");
  }
  comparison.margin = options.margin;
  comparison.remarks = remarks_on(files, comparison.rows, options);
  comparison.summary = summarize(comparison.rows, options.margin);
  return comparison;
}

}  // namespace kqbench
