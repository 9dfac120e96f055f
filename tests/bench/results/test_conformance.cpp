// SPDX-License-Identifier: Apache-2.0

// The table of what is bit-exact.

#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "bench/results/conformance.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

TEST(Conformance, IsATableOfSchemesAndImplementations) {
  kq::Request r;
  r.format = kq::Format::fp8_e4m3fn;
  r.granularity = kq::Granularity::group;
  r.group_size = 128;
  r.dialect = kq::Dialect::vllm_0_33_0;
  Conformance conformance({"kokkos", "native"});
  conformance.add(r, "kokkos", 100, true);
  conformance.add(r, "kokkos", 28, true);
  conformance.add(r, "native", 100, false);
  conformance.add(r, "native", 28, true);
  r.dialect = kq::Dialect::kqbench;
  r.group_size = 64;
  r.scale_format = kq::ScaleFormat::ue8m0;
  conformance.add(r, "kokkos", 7, true);
  conformance.add_refused(r, "kokkos");
  conformance.add_refused(r, "native");
  const ConformanceTable table = conformance.table("Some GPU", true);
  EXPECT_EQ(
      table.markdown(),
      "Some GPU\n\n"
      "| dialect | scheme | codes | scales | kokkos | native |\n"
      "| --- | --- | --- | --- | --- | --- |\n"
      "| kqbench | dynamic group | fp8_e4m3fn | ue8m0 | exact: 1 case, 7 codes, 1 not served | not served |\n"
      "| vllm-0.33.0 | dynamic group | fp8_e4m3fn | float | exact: 2 cases, 128 codes | **1 of 2 cases wrong** |\n");
  const ConformanceTable read = parse_conformance(table.json(), "'a.json'");
  EXPECT_EQ(read.markdown(), table.markdown());
  EXPECT_EQ(read.json(), table.json());
  std::ostringstream page;
  read.write_html(page);
  EXPECT_NE(page.str().find("<td class=\"bad\">1 of 2 cases wrong</td>"), std::string::npos) << page.str();
  EXPECT_NE(page.str().find("<td class=\"good\">exact: 2 cases, 128 codes</td>"), std::string::npos);
}

TEST(Conformance, InMarkdownIsNoLinkAndNoCode) {
  const ConformanceTable table = Conformance({"`a`"}).table("[GPU](javascript:alert)", true);
  EXPECT_EQ(table.markdown(),
            "\\[GPU\\](javascript:alert)\n\n"
            "| dialect | scheme | codes | scales | \\`a\\` |\n"
            "| --- | --- | --- | --- | --- |\n");
}

TEST(Conformance, OfManyRowsIsFoldedUnlessOneIsWrong) {
  ConformanceTable table = Conformance({"kokkos"}).table("Some GPU", true);
  table.rows.assign(24, {"vllm", "dynamic token", "int8", "float", {{1'234'567, 89'000'000, 0, 0}}});
  const auto page = [&] {
    std::ostringstream out;
    table.write_html(out);
    return out.str();
  };
  EXPECT_EQ(page().find("<details"), std::string::npos);
  EXPECT_NE(page().find("exact: 1,234,567 cases, 89,000,000 codes"), std::string::npos) << page();
  table.rows.push_back(table.rows.front());
  EXPECT_NE(page().find("<details>\n<summary>25 rows, none wrong</summary>"), std::string::npos) << page();
  table.rows.back().cells.front().wrong = 999;
  EXPECT_NE(page().find("<details open>\n<summary>25 rows, 1 wrong</summary>"), std::string::npos) << page();
  EXPECT_NE(page().find("999 of 1,234,567 cases wrong"), std::string::npos) << page();
}

TEST(Conformance, SaysSoWhereNotAllCasesWereRun) {
  const ConformanceTable table = Conformance({"kokkos"}).table("Some GPU", false);
  EXPECT_EQ(table.markdown().substr(0, 47), "Some GPU; interrupted, not all cases were run\n\n");
  EXPECT_FALSE(parse_conformance(table.json(), "'a.json'").complete);
}

TEST(Conformance, OfAnotherFileIsRefused) {
  kq::Request r;
  Conformance conformance({"kokkos"});
  conformance.add(r, "kokkos", 100, true);
  const std::string good = conformance.table("Some GPU", true).json();
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  for (const std::string& text :
       {good.substr(0, 100), std::string("[]"), std::string("{}"), std::string("1"), with("/1", "/2"),
        with("\"cases\": 1", "\"cases\": -1"), with("\"cases\": 1", "\"cases\": 1.5"),
        with("\"cases\": 1", "\"cases\": \"1\""), with("\"cases\": 1", "\"cases\": 1e300"), with("Some GPU", "<b>GPU"),
        with("Some GPU",
             "\xc2\x9b"
             "2J"),
        with("\"kokkos\"", "\"kokkos\", \"kokkos\""), with("\"codes\"", "\"odes\""),
        with("\"rows\": [", "\"rows\": [3, ")}) {
    EXPECT_THROW(parse_conformance(text, "'a.json'"), UsageError) << text;
  }
}

}  // namespace
}  // namespace kqbench
