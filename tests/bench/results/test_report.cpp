// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "bench/results/chart.hpp"
#include "bench/results/gnuplot.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/heat_map.hpp"
#include "bench/results/report_charts.hpp"
#include "bench/results/report_page.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace kqbench {
namespace {

/// The sample without the row that failed, and Kokkos and native at one more number of tokens.
ResultFile report_sample() {
  ResultFile result = sample_result();
  result.rows.erase(result.rows.begin() + 2);
  Row kokkos = sample_row("kokkos", token_request(64, 8192), 2.5);
  kokkos.time_ratio_to_native = 0.9;
  result.rows.insert(result.rows.end(), {kokkos, sample_row("native", token_request(64, 8192), 2.6)});
  return result;
}

bool has_gnuplot() {
  return std::system("gnuplot --version > /dev/null 2>&1") == 0;
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

const ChartSeries* find(const Chart& chart, const std::string& name) {
  for (const ChartSeries& series : chart.series) {
    if (series.name == name) return &series;
  }
  return nullptr;
}

TEST(ReportCharts, HaveTheFiguresOfTheRows) {
  const std::vector<SchemeCharts> schemes = scheme_charts({{"a.json", report_sample()}});
  ASSERT_EQ(schemes.size(), 2u);
  EXPECT_EQ(schemes[0].title, "dynamic token int8 from half");
  EXPECT_EQ(schemes[0].protocol, "graph timing, cold cache");
  ASSERT_EQ(schemes[0].charts.size(), 3u);

  const ChartSeries* const ratio = find(schemes[0].charts[1], "kokkos");
  ASSERT_NE(ratio, nullptr);
  ASSERT_EQ(ratio->points.size(), 2u);
  EXPECT_DOUBLE_EQ(ratio->points[0].y, 0.9);
  EXPECT_FALSE(ratio->points[0].interval);
  EXPECT_DOUBLE_EQ(ratio->points[1].interval->high, 1.015);

  const Chart& time = schemes[0].charts[2];
  EXPECT_EQ(time.title, "Time, hidden size 8192");
  const ChartSeries* const native = find(time, "native");
  ASSERT_NE(native, nullptr);
  ASSERT_EQ(native->points.size(), 2u);
  EXPECT_DOUBLE_EQ(native->points[0].x, 64.0);
  EXPECT_NEAR(native->points[1].y, 26.2, 1e-9);
  const ChartSeries* const limit = find(time, "memory's ceiling");
  ASSERT_NE(limit, nullptr);
  EXPECT_NEAR(limit->points[1].y, (3.0 * 4096 * 8192 + 4 * 4096) / 4300e3, 1e-9);
}

TEST(ReportCharts, SeriesOfSeveralFilesAreTold) {
  const std::vector<SchemeCharts> schemes = scheme_charts({{"a.json", report_sample()}, {"b.json", report_sample()}});
  const ChartSeries* const first = find(schemes[0].charts[2], "A kokkos");
  const ChartSeries* const second = find(schemes[0].charts[2], "B kokkos");
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_NE(first->style, second->style);
}

TEST(ReportCharts, ASummaryIsADotForEachSchemeAndSeries) {
  const std::vector<NamedResult> files = {{"a.json", report_sample()}};
  const Comparison comparison = compare(files, {});
  const auto chart = summary_chart(files, comparison);
  ASSERT_TRUE(chart);
  EXPECT_EQ(chart->categories, std::vector<std::string>{"dynamic token int8"});
  const ChartSeries* const native = find(*chart, "native");
  ASSERT_NE(native, nullptr);
  EXPECT_EQ(native->style, 1) << "as in the charts of a scheme";
  ASSERT_EQ(native->points.size(), 1u);
  EXPECT_DOUBLE_EQ(native->points[0].x, comparison.summary[0].ratio.value);
  EXPECT_NE(find(*chart, "kokkos, the baseline"), nullptr);
  EXPECT_FALSE(summary_chart(files, {}));
}

TEST(HeatMap, HasNativeAndTheFastestRivalOverKokkos) {
  ResultFile result = report_sample();
  for (const std::int64_t hidden_size : {4096, 8192}) {
    const kq::Request request = token_request(16, hidden_size);
    Row kokkos = sample_row("kokkos", request, 4.0);
    Row native = sample_row("native", request, hidden_size == 4096 ? 2.0 : 8.0);
    kokkos.time_ratio_to_native = hidden_size == 4096 ? 2.0 : 0.5;
    result.rows.insert(result.rows.end(), {kokkos, native, sample_row("vllm", request, 6.0),
                                           sample_row("triton", request, hidden_size == 4096 ? 12.0 : 1.0)});
  }
  ComparisonOptions options;
  options.baseline = "kokkos";
  options.ignore_canary = true;
  const std::vector<NamedResult> files = {{"a.json", result}};
  const Comparison comparison = compare(files, options);
  const std::vector<HeatMap> maps = heat_maps(comparison);
  ASSERT_EQ(maps.size(), 2u);
  const auto cell = [](const HeatMap& map, std::int64_t tokens) {
    const auto column = std::find(map.tokens.begin(), map.tokens.end(), tokens) - map.tokens.begin();
    return map.rows.at(0).cells.at(static_cast<std::size_t>(column));
  };
  EXPECT_EQ(maps[0].title, "The fastest peer over A kokkos");
  ASSERT_TRUE(cell(maps[0], 16));
  EXPECT_NEAR(cell(maps[0], 16)->ratio, std::sqrt(1.5 * 0.25), 1e-9) << "vllm at 4096, triton at 8192";
  EXPECT_EQ(cell(maps[0], 16)->fastest, "A triton, A vllm");
  EXPECT_EQ(maps[1].title, "A native over A kokkos");
  EXPECT_EQ(maps[1].rows[0].scheme, "dynamic token int8 from half");
  EXPECT_EQ(cell(maps[1], 16)->shapes, 2u);
  EXPECT_NEAR(cell(maps[1], 16)->ratio, 1.0, 0.01) << "half and twice";
  std::ostringstream page;
  write_heat_maps_html(page, maps);
  EXPECT_EQ(count(page.str(), "<table class=\"heat\">"), 2u);
  EXPECT_EQ(count(page.str(), "<td class=\"f3\" title=\"A triton, A vllm: 0.612, 2 shapes\">0.61</td>"), 1u);
  EXPECT_TRUE(heat_maps({}).empty());
}

TEST(ReportPage, FoldsManyRows) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ResultFile result = report_sample();
  EXPECT_EQ(count(report_html({{"a.json", result}}), "<details>"), 0u);
  for (std::int64_t tokens = 100; tokens < 1100; ++tokens) {
    const kq::Request request = token_request(tokens, 1024);
    result.rows.insert(result.rows.end(), {sample_row("kokkos", request, 3.0), sample_row("native", request, 2.0)});
  }
  const std::string page = report_html({{"a.json", result}});
  EXPECT_EQ(count(page, "<details>"), 1u);
  EXPECT_EQ(count(page, "rows</summary>"), 1u);
}

TEST(ReportCharts, TheCeilingDoesNotStretchTheAxisOfTime) {
  const Chart time = scheme_charts({{"a.json", report_sample()}})[0].charts[2];
  const ChartSeries* const limit = find(time, "memory's ceiling");
  ASSERT_NE(limit, nullptr);
  EXPECT_LT(limit->points[0].y, 1.0);
  EXPECT_EQ(time.y_low, 1.0) << "the decade below 2.5";
}

TEST(ReportCharts, LineUpSideBySide) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  Chart small{"small",
              "x",
              "y",
              true,
              true,
              true,
              false,
              {},
              {},
              {},
              {{"a", 0, Mark::points, {{1.0, 2.0, {}, {}}, {9.0, 3.0, {}, {}}}}}};
  Chart large = small;
  large.series.push_back({"one with a very long name", 1, Mark::points, {{1.0, 2e9, {}, {}}}});
  large.series.push_back({"another with a very long name", 2, Mark::points, {{1.0, 2e9, {}, {}}}});
  const auto frame = [](const std::string& svg) {  // the box around the axes is the first closed path
    std::smatch found;
    const std::regex box("M[0-9.]+,[0-9.]+( L[0-9.]+,[0-9.]+){4} Z");
    return std::regex_search(svg, found, box) ? found.str() : "";
  };
  const std::vector<std::string> drawn = draw_svg({small, large});
  EXPECT_NE(frame(drawn[0]), "") << drawn[0];
  EXPECT_EQ(frame(drawn[0]), frame(drawn[1]));
}

TEST(ReportCharts, ShowARowsNumbersUnderThePointer) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const std::vector<Chart> charts = scheme_charts({{"a.json", report_sample()}})[0].charts;
  for (const std::string& svg : draw_svg(charts)) {
    EXPECT_GT(count(svg, "<title>"), 0u);
    EXPECT_EQ(count(svg, "<title>"), count(svg, " µs ± ")) << "nothing but rows' numbers is shown";
    EXPECT_EQ(count(svg, "onmouse"), 0u) << "which would ask for a script";
    EXPECT_GT(count(svg, "<g class=\"s0\""), 0u);
  }
  const std::string times = draw_svg({charts.back()})[0];
  EXPECT_EQ(count(times, "<title>kokkos, dynamic token int8 from half, 4096x8192: 26.500 µs ± "), 1u) << times;
}

TEST(ReportCharts, TextsUnderThePointerAreNoMarkup) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const Chart chart{"x",
                    "x",
                    "y",
                    true,
                    true,
                    true,
                    false,
                    {},
                    {},
                    {},
                    {{"a", 3, Mark::points, {{1.0, 2.0, {}, "<b>'\"&"}, {2.0, 3.0, {}, "the second"}}}}};
  const std::string svg = draw_svg({chart})[0];
  EXPECT_EQ(count(svg, "<title>&lt;b&gt;'&quot;&amp;</title>"), 1u) << svg;
  EXPECT_EQ(count(svg, "<title>the second</title>"), 1u);
  EXPECT_EQ(count(svg, "<g class=\"s3\""), 1u);
}

TEST(ReportCharts, ARooflineNeedsACeiling) {
  ResultFile result = report_sample();
  const auto roof = roofline({{"a.json", result}});
  ASSERT_TRUE(roof);
  EXPECT_EQ(find(*roof, "kokkos")->points.size(), 1u) << "the fastest shape of the only scheme";
  EXPECT_NEAR(find(*roof, "kokkos")->points[0].y, 4096.0 * 8192.0 / 26.5 * 1e-3, 1e-6);
  for (Row& row : result.rows) {
    row.ceiling_gbps.reset();
    row.ceiling_fraction.reset();
  }
  EXPECT_FALSE(roofline({{"a.json", result}}));
}

TEST(ReportCharts, ARooflineHasARoofForEachDevice) {
  ResultFile other = report_sample();
  other.context.device = "Other GPU";
  for (Row& row : other.rows) {
    row.ceiling_gbps = 800.0;
  }
  const auto same = roofline({{"a.json", report_sample()}, {"b.json", report_sample()}});
  ASSERT_NE(find(*same, "ceiling, 4300 GB/s"), nullptr);
  const auto roof = roofline({{"a.json", report_sample()}, {"b.json", other}});
  EXPECT_EQ(find(*roof, "ceiling, 4300 GB/s"), nullptr);
  const ChartSeries* const first = find(*roof, "Some GPU, 4300 GB/s");
  const ChartSeries* const second = find(*roof, "Other GPU, 800 GB/s");
  ASSERT_TRUE(first != nullptr && second != nullptr);
  EXPECT_DOUBLE_EQ(first->points[1].y, 4300.0);
  EXPECT_DOUBLE_EQ(second->points[1].y, 800.0);
}

TEST(ReportPage, HasEveryChartAndLoadsNothing) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const std::string page = report_html({{"a.json", report_sample()}});
  EXPECT_EQ(count(page, "<svg"), 1u + 1u + 3u + 2u);  // summary, roofline, int8, the peer's fp8
  EXPECT_EQ(count(page, "<figure"), count(page, "</svg>"));
  EXPECT_EQ(count(page, "src="), 0u);
  EXPECT_EQ(count(page, "<script"), 0u);
  EXPECT_EQ(count(page, "url("), 0u);
}

TEST(ReportPage, OffersWhatThereIsToChooseFrom) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ResultFile result = report_sample();
  const std::string page = report_html({{"a.json", result}});
  EXPECT_EQ(count(page, "<fieldset id=\"fs\"><legend>Whose</legend>"), 1u);
  EXPECT_EQ(count(page, "<input type=\"checkbox\" id=\"s0\"> kokkos</label>"), 1u);
  EXPECT_EQ(count(page, "body:has(#fs input:checked):not(:has(#s0:checked)) .s0 { display: none; }"), 1u);
  EXPECT_EQ(count(page, "<fieldset id=\"fq\"><legend>Codes</legend>"), 1u) << "int8, and the peer's fp8";
  EXPECT_EQ(count(page, "<fieldset id=\"fe\">"), 0u) << "all are half";
  result.rows.resize(1);
  EXPECT_EQ(count(report_html({{"a.json", result}}), "<form"), 0u);
}

TEST(ReportPage, BeginsWithWhatItIsAbout) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ResultFile result = report_sample();
  const std::string page = report_html({{"a.json", result}});
  EXPECT_EQ(count(page, "<dt>A</dt><dd>a.json: Some GPU, CUDA 13.0,"), 1u);
  EXPECT_EQ(count(page, "<dt>A kokkos</dt><dd>Kokkos 5.0.2, Cuda</dd>"), 1u);
  EXPECT_EQ(count(page, "4 of 4 rows of kqbench's own had every timed output byte right"), 1u);
  EXPECT_EQ(count(page, "codes were compared in 1 of 1 row, and equal to kqbench's in 0; in the others at most "), 1u);
  for (const char* part : {"summary", "roofline", "schemes", "context", "rows"}) {
    EXPECT_EQ(count(page, std::string("href=\"#") + part + '"'), 1u) << part;
    EXPECT_EQ(count(page, std::string("id=\"") + part + '"'), 1u) << part;
  }
}

TEST(ReportPage, TakesNoMarkupFromFiles) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  ResultFile result = report_sample();
  result.context.device = "<b>GPU</b>";
  for (Row& row : result.rows) {
    if (row.impl == "torch.compile") row.impl = "<script>'&\"`date`";
  }
  result.context.canary[0].peer.clear();
  const std::string page = report_html({{"<i>.json", result}});
  EXPECT_EQ(count(page, "<b>"), 0u);
  EXPECT_EQ(count(page, "<i>"), 0u);
  EXPECT_EQ(count(page, "<script"), 0u);
  EXPECT_GT(count(page, "&lt;script&gt;'&amp;"), 0u);
  EXPECT_GT(count(page, "`date`"), 0u);
}

ConformanceTable conformance_sample() {
  Conformance conformance({"kokkos"});
  conformance.add(kq::Request(), "kokkos", 100, true);
  return conformance.table("Some GPU", true);
}

TEST(ReportPage, ShowsWhatIsExact) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const std::string page = report_html({{"a.json", report_sample()}}, {}, {conformance_sample(), conformance_sample()});
  EXPECT_EQ(count(page, "href=\"#conformance\""), 1u);
  EXPECT_EQ(count(page, "id=\"conformance\""), 1u);
  EXPECT_EQ(count(page, "<td class=\"good\">exact: 1 case, 100 codes</td>"), 2u);
}

TEST(ReportPage, AsMarkdownShowsWhatIsExact) {
  const std::string page = report_markdown({{"a.json", report_sample()}}, {}, {conformance_sample()});
  EXPECT_EQ(count(page, "## Conformance"), 1u);
  EXPECT_EQ(count(page, "| kqbench | dynamic tensor | int8 | float | exact: 1 case, 100 codes |"), 1u);
}

TEST(ReportPage, AsMarkdownHasSummaryAndRows) {
  const std::string page = report_markdown({{"a.json", report_sample()}});
  EXPECT_GT(count(page, "## Summary"), 0u);
  EXPECT_GT(count(page, "| dynamic token int8 | A native | A kokkos | 2 |"), 0u);
  EXPECT_GT(count(page, "| 4096x8192 | kokkos | 26.500 |"), 0u);
}

TEST(Gnuplot, FailsInOneLine) {
  if (!has_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const TemporaryFolder folder;
  try {
    run_gnuplot("plot nonsense\n", folder);
    FAIL() << "no error";
  } catch (const SystemError& error) {
    EXPECT_NE(std::string(error.what()).find("gnuplot: failed: "), std::string::npos);
    EXPECT_EQ(count(error.what(), "\n"), 0u);
  }
}

TEST(Gnuplot, ThatIsMissingIsSaid) {
  const TemporaryFolder folder;
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", folder.path().c_str(), 1);
  try {
    run_gnuplot("exit\n", folder);
    ADD_FAILURE() << "no error";
  } catch (const SystemError& error) {
    EXPECT_EQ(std::string(error.what()).find("gnuplot: is not installed"), 0u);
  }
  ::setenv("PATH", path.c_str(), 1);
}

TEST(TemporaryFolder, GoesWithItsContents) {
  std::filesystem::path path;
  {
    const TemporaryFolder folder;
    path = folder.path();
    std::filesystem::create_directory(path / "more");
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace kqbench
