// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <sstream>
#include <string>
#include <vector>

#include "bench/results/csv.hpp"
#include "bench/results/grid.hpp"
#include "bench/results/table.hpp"
#include "tests/bench/results/sample_results.hpp"

namespace kqbench {
namespace {

std::string table(const ResultFile& result, bool color = false) {
  std::ostringstream out;
  write_table(out, result, color);
  return out.str();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Table, ShowsEveryFigureOfARow) {
  const std::string text = table(sample_result());
  EXPECT_TRUE(has(text, "dynamic token int8 from half (graph timing, cold cache)")) << text;
  const std::vector<std::string> lines = lines_of(text);
  const auto line = std::find_if(lines.begin(), lines.end(), [](const std::string& l) { return has(l, "26.500"); });
  ASSERT_NE(line, lines.end());
  for (const char* part : {"4096x8192", "kokkos", "26.500", "3799.2", "88.4%", "1.010", "ok?"}) {
    EXPECT_TRUE(has(*line, part)) << part << " in " << *line;
  }
}

TEST(Table, SaysWhichCodeAHostRanOnHowManyThreads) {
  ResultFile result = sample_result();
  EXPECT_FALSE(has(table(result), "On the host")) << "a device did the work";
  result.context.backend = "host";
  result.context.host_architecture = "x86-64-v4";
  result.context.host_threads_used = 1;
  EXPECT_TRUE(has(table(result), "On the host: code for x86-64-v4, 1 thread\n")) << table(result);
  result.context.host_threads_used = 12;
  EXPECT_TRUE(has(table(result), "x86-64-v4, 12 threads\n")) << table(result);
}

TEST(Table, MarksAndExplainsWhatIsNotOk) {
  const std::string text = table(sample_result());
  EXPECT_TRUE(has(text, "ok?  suspect"));
  EXPECT_TRUE(has(text, "FAILED: kokkos"));
  EXPECT_TRUE(has(text, "codes[token 3, channel 17] is 0x7f and must be 0x7e"));
  EXPECT_TRUE(has(text, "0.058% differ"));
  EXPECT_TRUE(has(text, "input_stride 16640, codes_stride 16512, qmax 224"));
  ResultFile steady = sample_result();
  steady.rows = {steady.rows[1]};
  EXPECT_FALSE(has(table(steady), "suspect"));
  EXPECT_FALSE(has(table(steady), "Incomplete: rows or samples are missing."));
  steady.complete = false;
  EXPECT_TRUE(has(table(steady), "Incomplete: rows or samples are missing."));
}

TEST(Table, MarksAnIntervalThatIsWiderThanAskedFor) {
  ResultFile result = sample_result();
  result.rows = {result.rows[1]};
  Row& row = result.rows[0];
  row.time_us = statistics_of(samples_around(10.0));
  const std::string remark = "*  sampling ended";
  row.stop = "max_time";  // of the other implementation's sake: this one's interval is narrow
  EXPECT_FALSE(has(table(result), remark)) << table(result);
  row.time_us->ci95_high = 10.5;
  EXPECT_TRUE(has(table(result), " 5.0%* ")) << table(result);
  EXPECT_TRUE(has(table(result), remark));
  row.stop = "interrupted";
  EXPECT_TRUE(has(table(result), remark));
  row.stop = "interval";
  EXPECT_FALSE(has(table(result), "*")) << table(result);
}

TEST(Table, FewSamplesHaveNoInterval) {
  ResultFile result = sample_result();
  result.rows = {result.rows[1]};
  result.rows[0].time_us = statistics_of({10.0, 10.0, 10.1, 10.2, 10.3});
  result.rows[0].stop = "interrupted";
  EXPECT_TRUE(has(table(result), " n=5 ")) << table(result);
  EXPECT_TRUE(has(table(result), "no interval of 95 %"));
  EXPECT_FALSE(has(table(result), "*"));
  result.rows[0].time_us = statistics_of({10.0, 10.0, 10.0, 10.01, 10.02, 10.03});
  EXPECT_FALSE(has(table(result), "n=")) << table(result);
}

TEST(Table, SaysWhatAWarmCacheIs) {
  ResultFile result = sample_result();
  EXPECT_FALSE(has(table(result), "warm cache"));
  result.rows[0].cache = "warm";
  EXPECT_TRUE(has(table(result), "warm cache: a cold one takes")) << table(result);
}

TEST(Table, APeerThatWasNotComparedIsUncheckedAndHasNotFailed) {
  ResultFile result = sample_result();
  result.rows = {result.rows[3]};
  result.rows[0].codes_checked.reset();
  const std::string text = table(result);
  EXPECT_TRUE(has(text, " unchecked")) << text;
  EXPECT_TRUE(has(text, "apps/peers compares them")) << text;
  EXPECT_FALSE(has(text, "FAILED")) << text;
}

TEST(Table, AWrongRowPrintsNoTime) {
  ResultFile result = sample_result();
  result.rows = {result.rows[2]};
  const std::vector<std::string> lines = lines_of(table(result));
  EXPECT_TRUE(has(lines[2], "FAILED"));
  EXPECT_EQ(lines[2].find_first_of('.'), std::string::npos) << lines[2];
}

TEST(Table, FitsAHundredColumnsForEveryScheme) {
  ResultFile result;
  for (const kq::Scheme& scheme : kq::schemes()) {
    for (const kq::ScaleFormat scale_format : {kq::ScaleFormat::float32, kq::ScaleFormat::ue8m0_float32}) {
      kq::Request request;
      request.element = kq::Element::bfloat16;
      request.format = scheme.fp8 ? kq::Format::fp8_e4m3fnuz : kq::Format::int8;
      request.granularity = scheme.granularity;
      request.static_scale = scheme.static_scale;
      request.asymmetric = scheme.asymmetric;
      request.num_tokens = 16384;
      request.hidden_size = 16384;
      if (kq::has_groups(scheme.granularity)) {
        request.block_rows = scheme.granularity == kq::Granularity::block ? 1024 : 0;
        request.group_size = 1024;
        request.scale_format = scale_format;
        request.scale_layout = kq::ScaleLayout::column;
      }
      ASSERT_FALSE(kq::validate(request));
      Row row = sample_row("transformer_engine", kq::resolved(request), 123456.789);
      row.time_ratio_to_native = 12.345;
      row.gbps = 12345.6;
      result.rows.push_back(row);
    }
  }
  for (const std::string& line : lines_of(table(result))) {
    EXPECT_LE(display_width(line), 100u) << line;
  }
}

TEST(Table, HasColourOnlyWhereItIsWanted) {
  EXPECT_FALSE(has(table(sample_result()), "\x1b"));
  EXPECT_TRUE(has(table(sample_result(), true), "\x1b[32mok"));
  // Colours must not move columns.
  std::string plain;
  const std::string painted = table(sample_result(), true);
  for (std::size_t i = 0; i < painted.size(); ++i) {
    if (painted[i] == '\x1b') {
      i = painted.find('m', i);
    } else {
      plain += painted[i];
    }
  }
  EXPECT_EQ(plain, table(sample_result()));
}

TEST(Table, MarkdownHasTheSettingAndEscapesIt) {
  ResultFile result = sample_result();
  result.context.device = "a|b*c";
  std::ostringstream out;
  write_markdown(out, result);
  const std::string text = out.str();
  EXPECT_TRUE(has(text, "- Device: a\\|b\\*c (sm\\_90), 139.0 GiB, 50 MiB last-level cache")) << text;
  EXPECT_TRUE(has(text, "- Clocks, before to after: core 345 to 1980 MHz, memory 3201 MHz, 512 W, 61 °C, dropped"))
      << text;
  EXPECT_TRUE(has(text, "- Host: Some processor, 16 threads, 1 used, Linux")) << text;
  EXPECT_TRUE(has(text, "g++ 12.2.0 for x86-64-v3, nvcc 13.0.48 for sm\\_90")) << text;
  EXPECT_TRUE(has(text, "| 4096x8192 | native |"));
  EXPECT_TRUE(has(text, "| ---: | --- |"));
}

TEST(Csv, HasALineForEachRowAndAsManyFieldsAsHeadings) {
  ResultFile result = sample_result();
  result.rows[2].failure = "with, comma and \"quotes\"";
  const std::vector<std::string> lines = lines_of(to_csv(result));
  ASSERT_EQ(lines.size(), 1 + result.rows.size());
  const auto commas = [](const std::string& line) { return std::count(line.begin(), line.end(), ','); };
  EXPECT_EQ(commas(lines[1]), commas(lines[0]));
  EXPECT_EQ(commas(lines[3]), commas(lines[0]) + 1);
  EXPECT_TRUE(has(lines[3], "\"with, comma and \"\"quotes\"\"\""));
  EXPECT_TRUE(has(lines[1], "kokkos,cuda,dynamic token,4096,8192,half,int8,false,token,false,float,row"));
  EXPECT_TRUE(has(lines[4], ",false,3,5137,"));
}

}  // namespace
}  // namespace kqbench
