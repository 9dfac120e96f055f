// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "bench/results/comparison.hpp"
#include "bench/results/comparison_text.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace kqbench {
namespace {

NamedResult file(const std::string& name, std::vector<Row> rows) {
  NamedResult named{name, {}};
  named.result.context.device = "Some GPU";
  named.result.context.canary = {sample_canary()};
  named.result.rows = std::move(rows);
  return named;
}

/// Rows of an implementation at three shapes, `slower` times as long as that of kokkos.
std::vector<Row> sweep(const std::string& impl, double slower) {
  return {sample_row(impl, token_request(16, 4096), 2.0 * slower),
          sample_row(impl, token_request(1024, 4096), 8.0 * slower),
          sample_row(impl, token_request(4096, 4096), 30.0 * slower)};
}

std::vector<Row> together(std::vector<Row> rows, const std::vector<Row>& more) {
  rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

std::string text_of(const std::vector<NamedResult>& files, const Comparison& comparison) {
  std::ostringstream out;
  write_comparison_text(out, files, comparison, false);
  return out.str();
}

TEST(Comparison, MatchesRowsByWhatWasDoneNotByPosition) {
  std::vector<Row> reversed = sweep("kokkos", 1.1);
  std::reverse(reversed.begin(), reversed.end());
  const std::vector<NamedResult> files = {file("a", sweep("kokkos", 1.0)), file("b", reversed)};
  const Comparison comparison = compare(files, {});
  ASSERT_EQ(comparison.rows.size(), 3u);
  for (const ComparedRow& compared : comparison.rows) {
    EXPECT_EQ(compared.row->request, compared.baseline_row->request);
    EXPECT_NEAR(compared.ratio.value, 1.1, 1e-9);
    EXPECT_TRUE(compared.ratio.significant());
    EXPECT_EQ(compared.baseline.file, 0u);
  }
  EXPECT_TRUE(comparison.unmatched.empty());
}

TEST(Comparison, RowsThatDifferInAnythingDoneDoNotMatch) {
  const Row row = sample_row("kokkos", token_request(16, 4096), 2.0);
  const auto differs = [&](auto change) {
    Row other = row;
    change(other);
    const std::vector<NamedResult> files = {file("a", {row}), file("b", {other})};
    EXPECT_THROW(compare(files, {}), UsageError);
  };
  differs([](Row& r) { r.request.num_tokens = 17; });
  differs([](Row& r) { r.request.hidden_size = 4095; });
  differs([](Row& r) { r.request.element = kq::Element::bfloat16; });
  differs([](Row& r) { r.request.format = kq::Format::fp8_e5m2; });
  differs([](Row& r) { r.request.granularity = kq::Granularity::tensor; });
  differs([](Row& r) { r.request.static_scale = true; });
  differs([](Row& r) { r.request.asymmetric = true; });
  differs([](Row& r) { r.request.input_stride = 5000; });
  differs([](Row& r) { r.request.codes_stride = 5000; });
  differs([](Row& r) { r.request.group_size = 64; });
  differs([](Row& r) { r.request.scale_format = kq::ScaleFormat::ue8m0; });
  differs([](Row& r) { r.request.scale_layout = kq::ScaleLayout::column; });
  differs([](Row& r) { r.request.qmax = 100.0f; });
  differs([](Row& r) { r.request.scale_ub = 1.0f; });
  differs([](Row& r) { r.timing = "wall"; });
  differs([](Row& r) { r.launch = "overlapped"; });
  differs([](Row& r) { r.cache = "hot"; });
}

TEST(Comparison, IgnoresTimingWhenAsked) {
  std::vector<Row> other = sweep("kokkos", 2.0);
  for (Row& row : other) {
    row.timing = "wall";
    row.launch = "overlapped";
    row.cache = "warm";
    row.backend = "host";
  }
  const std::vector<NamedResult> files = {file("a", sweep("kokkos", 1.0)), file("b", other)};
  ComparisonOptions options;
  options.ignore_timing = true;
  const Comparison comparison = compare(files, options);
  EXPECT_EQ(comparison.rows.size(), 3u);
  EXPECT_NE(text_of(files, comparison).find("wall timing, overlapped launches, warm cache"), std::string::npos);
}

TEST(Comparison, ListsRowsThatOneFileAloneHas) {
  std::vector<Row> more = sweep("kokkos", 1.0);
  more.push_back(sample_row("kokkos", token_request(7, 77), 1.0));
  std::vector<Row> fewer = sweep("kokkos", 1.0);
  fewer.pop_back();
  const std::vector<NamedResult> files = {file("a", more), file("b", fewer)};
  const Comparison comparison = compare(files, {});
  EXPECT_EQ(comparison.rows.size(), 2u);
  ASSERT_EQ(comparison.unmatched.size(), 2u);
  const std::string text = text_of(files, comparison);
  EXPECT_NE(text.find("A kokkos, dynamic token int8 from half (graph timing, cold cache): 4096x4096 7x77"),
            std::string::npos)
      << text;
}

TEST(Comparison, PutsPeersBesideKokkosAndNative) {
  const std::vector<NamedResult> files = {
      file("ours", together(sweep("kokkos", 1.0), sweep("native", 0.98))),
      file("peers", together(sweep("vllm", 1.5), sweep("torch.compile", 1.2))),
  };
  const Comparison comparison = compare(files, {});
  ASSERT_EQ(comparison.rows.size(), 9u);
  for (const ComparedRow& compared : comparison.rows) {
    EXPECT_EQ(compared.baseline, (Series{0, "kokkos"}));
  }
  ASSERT_EQ(comparison.summary.size(), 4u);  // native, two peers, the fastest peer
  EXPECT_EQ(comparison.summary[0].scheme, "dynamic token int8");
  EXPECT_EQ(*comparison.summary[0].series, (Series{0, "native"}));
  EXPECT_NEAR(comparison.summary[0].ratio.value, 0.98, 1e-9);
  EXPECT_EQ(comparison.summary[0].faster, 3u);
  const auto fastest = std::find_if(comparison.summary.begin(), comparison.summary.end(),
                                    [](const SchemeSummary& s) { return !s.series; });
  ASSERT_NE(fastest, comparison.summary.end());
  EXPECT_NEAR(fastest->ratio.value, 1.2, 1e-9);
  EXPECT_EQ(fastest->slower, 3u);
}

/// The lines of a summary whose series is so called, "fastest peer" for none.
const SchemeSummary* line_of(const Comparison& comparison, const std::string& name) {
  for (const SchemeSummary& summary : comparison.summary) {
    if ((summary.series ? label(*summary.series) : "fastest peer") == name) return &summary;
  }
  return nullptr;
}

TEST(Comparison, SummarizesTheRowsThatAllHave) {
  std::vector<Row> native = sweep("native", 1.0);
  native[0] = sample_row("native", native[0].request, 2.0 * 4.0);  // the shape that one peer lacks
  std::vector<Row> few = sweep("vllm", 1.5);
  few.erase(few.begin());
  std::vector<NamedResult> files = {file("ours", together(sweep("kokkos", 1.0), native)),
                                    file("peers", together(few, sweep("torch.compile", 1.2)))};
  const Comparison comparison = compare(files, {});
  for (const char* const name : {"A native", "B vllm", "B torch.compile", "fastest peer"}) {
    const SchemeSummary* const line = line_of(comparison, name);
    ASSERT_NE(line, nullptr) << name;
    EXPECT_EQ(line->rows, 2u) << name;
    EXPECT_EQ(line->all_rows, std::string(name) == "B vllm" ? 2u : 3u) << name;
    EXPECT_TRUE(line->in_common) << name;
  }
  EXPECT_NEAR(line_of(comparison, "A native")->ratio.value, 1.0, 1e-9);
  EXPECT_EQ(line_of(comparison, "A native")->slower, 0u);
  const std::string text = text_of(files, comparison);
  EXPECT_NE(text.find("2 of 3"), std::string::npos) << text;
  EXPECT_NE(text.find("only rows that all were timed at"), std::string::npos) << text;

  few.pop_back();
  few.pop_back();
  few.push_back(sample_row("vllm", sweep("kokkos", 1.0)[0].request, 3.0));
  std::vector<Row> others = sweep("torch.compile", 1.2);
  others.erase(others.begin());
  files[1] = file("peers", together(few, others));
  const Comparison apart = compare(files, {});
  EXPECT_FALSE(line_of(apart, "B vllm")->in_common);
  EXPECT_EQ(line_of(apart, "B vllm")->rows, 1u);
  EXPECT_EQ(line_of(apart, "A native")->rows, 3u);
  EXPECT_NE(text_of(files, apart).find("lines are about different rows"), std::string::npos);
}

TEST(Comparison, KnowsWhatASeriesLacks) {
  std::vector<Row> fewer = sweep("kokkos", 1.0);
  fewer.pop_back();
  const auto missing = [](const std::vector<NamedResult>& files, const ComparisonOptions& options = {}) {
    std::vector<std::string> lines;
    for (const MissingRow& row : compare(files, options).missing) {
      lines.push_back((row.lacking ? label(*row.lacking) : "none") + " lacks " + label(row.there.series) + " " +
                      std::to_string(row.there.row->request.num_tokens));
    }
    return lines;
  };
  using Lines = std::vector<std::string>;
  const NamedResult whole = file("a", sweep("kokkos", 1.0));
  EXPECT_EQ(missing({whole, whole}), Lines{});
  EXPECT_EQ(missing({whole, file("b", fewer)}), Lines{"B kokkos lacks A kokkos 4096"});
  EXPECT_EQ(missing({file("b", fewer), whole}), Lines{}) << "more than before is nothing missing";
  EXPECT_EQ(missing({whole, whole, file("c", fewer)}), Lines{"C kokkos lacks A kokkos 4096"});

  const NamedResult both = file("a", together(sweep("kokkos", 1.0), sweep("native", 1.0)));
  EXPECT_EQ(missing({both, whole}),
            (Lines{"none lacks A native 16", "none lacks A native 1024", "none lacks A native 4096"}));
  ComparisonOptions options;
  options.impls = {"kokkos"};
  EXPECT_EQ(missing({both, whole}, options), Lines{}) << "not asked for";
  EXPECT_EQ(missing({whole, both}), Lines{});
  const NamedResult peers = file("peers", sweep("vllm", 1.0));
  EXPECT_EQ(missing({both, both, peers}), Lines{}) << "no peer takes native's place";
  EXPECT_EQ(missing({peers, both, both}), Lines{}) << "nor the other way round";
}

TEST(Comparison, TakesTheBaselineThatWasNamed) {
  const std::vector<NamedResult> files = {
      file("a", together(sweep("kokkos", 1.0), sweep("native", 2.0))),
      file("b", together(sweep("kokkos", 3.0), sweep("native", 4.0))),
  };
  ComparisonOptions options;
  options.baseline = "native";
  Comparison comparison = compare(files, options);  // each file's kokkos against its own native
  ASSERT_EQ(comparison.rows.size(), 6u);
  EXPECT_NEAR(comparison.rows[0].ratio.value, 0.5, 1e-9);
  EXPECT_NEAR(comparison.rows[1].ratio.value, 0.75, 1e-9);

  options.baseline = "B:native";
  comparison = compare(files, options);
  EXPECT_EQ(comparison.rows.size(), 9u);

  options.impls = {"kokkos"};
  comparison = compare(files, options);
  EXPECT_EQ(comparison.rows.size(), 6u);

  options.baseline = "C:native";
  EXPECT_THROW(compare(files, options), UsageError);
  options.baseline = "vllm";
  EXPECT_THROW(compare(files, options), UsageError);
  options = {};
  options.impls = {"kokoks"};
  EXPECT_THROW(compare(files, options), UsageError);
}

TEST(Comparison, PairsSamplesOfOneFileOnly) {
  std::vector<Row> kokkos = sweep("kokkos", 1.0);
  std::vector<Row> native = sweep("native", 1.0);
  for (std::size_t row = 0; row < kokkos.size(); ++row) {
    std::vector<double> slow, fast;
    for (int i = 0; i < 25; ++i) {
      fast.push_back(10.0 + 0.1 * i);
      slow.push_back(1.01 * fast.back());
    }
    kokkos[row].time_us = statistics_of(fast);
    native[row].time_us = statistics_of(slow);
  }
  const Comparison paired = compare({file("a", together(kokkos, native))}, {});
  EXPECT_TRUE(paired.rows[0].ratio.significant());
  const Comparison apart = compare({file("a", kokkos), file("b", native)}, {});
  EXPECT_FALSE(apart.rows[0].ratio.significant());
}

TEST(Comparison, KeepsPairsAsSureAsTheyAreAndWidensWhatIsOfTwoRuns) {
  std::vector<Row> rows = together(sweep("kokkos", 1.0), sweep("native", 1.03));
  const Comparison one_file = compare({file("a", rows)}, {});
  for (const ComparedRow& row : one_file.rows) {
    EXPECT_EQ(row.verdict, Verdict::slower);
  }
  const NamedResult first = file("a", sweep("kokkos", 1.0));
  NamedResult second = file("b", sweep("kokkos", 1.03));
  EXPECT_EQ(compare({first, second}, {}).rows[0].verdict, Verdict::ambiguous) << "2 % is assumed";
  EXPECT_FALSE(compare({first, second}, {}).rows[0].ratio.significant() &&
               compare({first, second}, {}).rows[0].ratio.interval->low > 1.01);
  NamedResult sure = first;
  for (NamedResult* const named : {&sure, &second}) {
    for (Row& row : named->result.rows) {
      row.time_us->repeatability = 0.001;
    }
  }
  EXPECT_EQ(compare({sure, second}, {}).rows[0].verdict, Verdict::slower);
  for (Row& row : second.result.rows) {
    row.time_us->repeatability = 0.1;
  }
  EXPECT_EQ(compare({sure, second}, {}).rows[0].verdict, Verdict::ambiguous);
  ComparisonOptions wide;
  wide.margin = 0.2;
  EXPECT_EQ(compare({sure, second}, wide).rows[0].verdict, Verdict::same);
  EXPECT_EQ(compare({sure, second}, wide).margin, 0.2);
}

TEST(Comparison, CountsVerdictsOfAScheme) {
  std::vector<Row> native = sweep("native", 1.0);
  native[0] = sample_row("native", native[0].request, 2.0 * 1.5);
  native[1] = sample_row("native", native[1].request, 8.0 * 0.5);
  const std::vector<NamedResult> files = {file("a", together(sweep("kokkos", 1.0), native))};
  const Comparison comparison = compare(files, {});
  const SchemeSummary& summary = comparison.summary.at(0);
  EXPECT_EQ(summary.slower, 1u);
  EXPECT_EQ(summary.faster, 1u);
  EXPECT_EQ(summary.same, 1u);
  EXPECT_EQ(summary.ambiguous, 0u);
  EXPECT_EQ(summary.verdict, Verdict::faster) << "0.75 to the power 1/3";
  EXPECT_NE(
      text_of(files, comparison).find("Of 3 rows, with a margin of 2 %: 1 faster, 1 slower, 1 same, 0 ambiguous."),
      std::string::npos)
      << text_of(files, comparison);
}

std::string refusal_of(const std::vector<NamedResult>& files, const ComparisonOptions& options = {}) {
  try {
    compare(files, options);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

/// In all four forms of the comparison.
void expect_said(const std::vector<NamedResult>& files, const Comparison& comparison, const std::string& words) {
  std::ostringstream markdown;
  write_comparison_markdown(markdown, files, comparison);
  EXPECT_NE(text_of(files, comparison).find(words), std::string::npos) << text_of(files, comparison);
  EXPECT_NE(markdown.str().find(words), std::string::npos) << markdown.str();
  const auto json = nlohmann::json::parse(comparison_json(files, comparison));
  EXPECT_NE(json["remarks"].dump().find(words), std::string::npos) << json["remarks"];
}

TEST(Comparison, SaysWhereLaunchesPerSampleDiffer) {
  std::vector<Row> other = sweep("kokkos", 1.0);
  other[1].launches_per_sample = 5;
  other[2].launches_per_sample = 0;  // not known
  const std::vector<NamedResult> files = {file("a", sweep("kokkos", 1.0)), file("b", other)};
  const Comparison comparison = compare(files, {});
  expect_said(
      files, comparison,
      "1 row has other launches per sample than the baseline, which on a busy host biases a ratio; the first: B "
      "kokkos 5, A kokkos 75, at dynamic token int8 from half, 1024x4096.");
  EXPECT_NE(text_of(files, comparison).find("launches 5 to 75"), std::string::npos);
  const auto json = nlohmann::json::parse(comparison_json(files, comparison));
  EXPECT_EQ(json["rows"][1]["launches_per_sample"], 5);
  EXPECT_EQ(json["rows"][1]["baseline_launches_per_sample"], 75);
  EXPECT_EQ(json["rows"][1]["note"], "launches 5 to 75");
  EXPECT_EQ(json["rows"][0]["note"], "");
  EXPECT_TRUE(json["rows"][2]["launches_per_sample"].is_null());
  EXPECT_NE(comparison_csv(files, comparison).find(",0.02,5,75,,,compared,1,"), std::string::npos)
      << comparison_csv(files, comparison);
}

TEST(Comparison, SaysWhereSeedsDiffer) {
  std::vector<NamedResult> files = {file("a", sweep("kokkos", 1.0)), file("b", sweep("kokkos", 1.0))};
  files[0].result.context.seed = 1;
  EXPECT_TRUE(compare(files, {}).remarks.empty()) << "an earlier version's file does not tell";
  files[1].result.context.seed = 1;
  EXPECT_TRUE(compare(files, {}).remarks.empty());
  files[1].result.context.seed = 7;
  const Comparison comparison = compare(files, {});
  expect_said(files, comparison, "A and B have unlike seeds, 1 and 7: their input was not the same.");
  EXPECT_EQ(comparison.remarks.size(), 1u) << "once, not for each row";
}

TEST(Comparison, RefusesUnlikeThreadsUnlessAsked) {
  std::vector<Row> eight = sweep("kokkos", 1.0), one = sweep("kokkos", 1.0);
  for (Row& row : eight) {
    row.threads = 8;
  }
  EXPECT_EQ(refusal_of({file("a", eight), file("b", one)}), "") << "not known";
  for (Row& row : one) {
    row.threads = 8;
  }
  EXPECT_EQ(refusal_of({file("a", eight), file("b", one)}), "");
  one[1].threads = 1;
  const std::vector<NamedResult> files = {file("a", eight), file("b", one)};
  EXPECT_EQ(
      refusal_of(files),
      "compare: 1 row has another number of threads than the baseline, the first: B kokkos worked with 1, A kokkos "
      "with 8, at dynamic token int8 from half, 1024x4096; run both with as many, or pass "
      "--allow-unequal-threads");
  ComparisonOptions options;
  options.allow_unequal_threads = true;
  const Comparison comparison = compare(files, options);
  expect_said(files, comparison, "B kokkos worked with 1, A kokkos with 8");
  const auto json = nlohmann::json::parse(comparison_json(files, comparison));
  EXPECT_EQ(json["rows"][1]["threads"], 1);
  EXPECT_EQ(json["rows"][1]["baseline_threads"], 8);
  EXPECT_EQ(json["rows"][1]["note"], "threads 1 to 8");

  std::vector<Row> native = sweep("native", 1.0);
  native[0].threads = 4;
  EXPECT_NE(refusal_of({file("a", together(eight, native))}), "") << "in one file, too";
}

TEST(Comparison, TakesTheThreadsOfARunWhereRowsDoNotTell) {
  std::vector<NamedResult> files = {file("a", sweep("kokkos", 1.0)), file("b", sweep("kokkos", 1.0))};
  files[0].result.context.host_threads_used = 1;
  files[1].result.context.host_threads_used = 2;
  EXPECT_EQ(refusal_of(files), "") << "a device works";
  for (NamedResult& named : files) {
    for (Row& row : named.result.rows) {
      row.backend = "host";
    }
  }
  EXPECT_NE(refusal_of(files).find("B kokkos worked with 2, A kokkos with 1"), std::string::npos);
}

TEST(Comparison, NamesNoOptionThatWasNotGiven) {
  const std::vector<NamedResult> files = {file("a", together(sweep("kokkos", 1.0), sweep("kokkos", 1.0)))};
  EXPECT_EQ(refusal_of(files), "'a': has two rows of kokkos for dynamic token int8 from half, 16x4096; remove one");
  ComparisonOptions options;
  options.ignore_timing = true;
  EXPECT_EQ(refusal_of(files, options),
            "'a': has two rows of kokkos for dynamic token int8 from half, 16x4096; remove one, or leave out "
            "--ignore-timing");
}

TEST(Comparison, WithoutAMatchThereIsNothingToCompare) {
  EXPECT_THROW(compare({file("a", sweep("kokkos", 1.0))}, {}), NothingToCompare);
  EXPECT_THROW(compare({file("a", {})}, {}), NothingToCompare);
  ComparisonOptions options;
  options.baseline = "nope";
  try {
    compare({file("a", sweep("kokkos", 1.0))}, options);
    FAIL() << "no error";
  } catch (const NothingToCompare&) {
    FAIL() << "it is the option that is wrong";
  } catch (const UsageError&) {
  }
}

TEST(Comparison, FindsFilesThatShareNoImplementation) {
  const NamedResult kokkos = file("a", sweep("kokkos", 1.0));
  const NamedResult vllm = file("b", sweep("vllm", 1.0));
  const NamedResult both = file("c", together(sweep("vllm", 1.0), sweep("kokkos", 1.0)));
  EXPECT_EQ(file_without_counterpart({kokkos, kokkos}, {}), std::nullopt);
  EXPECT_EQ(file_without_counterpart({vllm, kokkos}, {}), 0u);
  EXPECT_EQ(file_without_counterpart({kokkos, kokkos, vllm}, {}), 2u);
  EXPECT_EQ(file_without_counterpart({kokkos, vllm, both}, {}), std::nullopt);
  EXPECT_EQ(file_without_counterpart({kokkos, both}, {"vllm"}), 1u);
  EXPECT_EQ(file_without_counterpart({both}, {}), 0u);
  EXPECT_EQ(file_without_counterpart({kokkos, file("empty", {})}, {}), 0u);
}

TEST(Comparison, FailedRowsAreNoTimes) {
  std::vector<Row> broken = sweep("kokkos", 1.0);
  broken[1].verified = false;
  broken[1].failure = "wrong";
  broken[1].time_us.reset();
  const Comparison comparison = compare({file("a", sweep("kokkos", 1.0)), file("b", broken)}, {});
  EXPECT_EQ(comparison.rows.size(), 2u);
  ASSERT_EQ(comparison.failed.size(), 1u);
  EXPECT_EQ(comparison.failed[0].series.file, 1u);
  EXPECT_TRUE(comparison.unmatched.empty());
}

TEST(Comparison, NothingToCompareIsAnError) {
  EXPECT_THROW(compare({file("a", {}), file("b", {})}, {}), UsageError);
  EXPECT_THROW(compare({file("a", sweep("kokkos", 1.0))}, {}), UsageError);
  EXPECT_THROW(compare({file("a", together(sweep("kokkos", 1.0), sweep("kokkos", 1.0))), file("b", {})}, {}),
               UsageError);
}

TEST(Comparison, IsWrittenInFourWays) {
  const std::vector<NamedResult> files = {
      file("our file", together(sweep("kokkos", 1.0), sweep("native", 1.0))),
      file("peers", sweep("vllm", 1.5)),
  };
  const Comparison comparison = compare(files, {});
  const std::string text = text_of(files, comparison);
  EXPECT_NE(text.find("A  'our file': Some GPU"), std::string::npos) << text;
  EXPECT_NE(text.find("slower"), std::string::npos);
  EXPECT_NE(text.find("Geometric mean"), std::string::npos);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 120u) << line;
  }

  std::ostringstream markdown;
  write_comparison_markdown(markdown, files, comparison);
  EXPECT_NE(markdown.str().find("| 16x4096 | B vllm | 3.000 | 1.500 |"), std::string::npos) << markdown.str();

  const std::string csv = comparison_csv(files, comparison);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 6 + 2);
  EXPECT_NE(csv.find("\ndynamic token,,int8,,,,,,peers,vllm,,our file,kokkos,,1.5"), std::string::npos) << csv;

  const auto json = nlohmann::json::parse(comparison_json(files, comparison));
  EXPECT_EQ(json["schema"], "kqbench-comparison/1");
  EXPECT_EQ(json["rows"].size(), 6u);
  EXPECT_EQ(json["rows"][1]["impl"], "vllm");
  EXPECT_NEAR(json["rows"][1]["ratio"].get<double>(), 1.5, 1e-9);
  EXPECT_EQ(json["rows"][1]["significant"], true);
  EXPECT_EQ(json["summary"].size(), 2u);
}

TEST(Comparison, CsvHasEveryRowAndTheSummary) {
  std::vector<Row> first = sweep("kokkos", 1.0);
  first.push_back(sample_row("kokkos", token_request(7, 77), 1.0));
  std::vector<Row> second = sweep("kokkos", 1.0);
  second[1].verified = false;
  second[1].failure = "wrong";
  second[1].time_us.reset();
  std::vector<Row> third = sweep("kokkos", 1.0);
  third.pop_back();
  const std::vector<NamedResult> files = {file("a", first), file("b", second), file("c", third)};
  const std::string csv = comparison_csv(files, compare(files, {}));
  std::istringstream lines(csv);
  std::string heading;
  std::getline(lines, heading);
  std::vector<std::string> ends;  // from `status` on
  for (std::string line; std::getline(lines, line);) {
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), std::count(heading.begin(), heading.end(), ',')) << line;
    const std::size_t last = line.rfind(',');
    ends.push_back(line.substr(line.rfind(',', line.rfind(',', last - 1) - 1) + 1));
  }
  EXPECT_EQ(ends, (std::vector<std::string>{"compared,1,", "compared,1,", "compared,1,", "compared,1,", "unmatched,1,",
                                            "missing,1,", "failed,1,wrong", "summary,1,", "summary,1,"}))
      << csv;
  EXPECT_NE(csv.find("4096,4096,graph,plain,cold,c,kokkos,,"), std::string::npos) << csv;
}

}  // namespace
}  // namespace kqbench
