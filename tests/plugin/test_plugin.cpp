// SPDX-License-Identifier: Apache-2.0

// A plug-in's kernels as implementations beside kqbench's own: how they are named, chosen, refused and reported.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/results/json_reader.hpp"
#include "tests/plugin/program.hpp"

namespace kqbench::test {
namespace {

using Json = nlohmann::json;

const std::string example = "--plugin " EXAMPLE " ";
const std::string tokens = "--dtype bfloat16 --quant-dtype int8 ";

void expect_refused(const std::string& arguments, const std::string& said) {
  const Ended ended = kqbench_program(arguments);
  EXPECT_EQ(ended.status, 2) << ended.err;
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  EXPECT_TRUE(contains(ended.err, said)) << ended.err;
}

TEST(Plugin, IsTimedBesideTheOthersInTheDialectItFollows) {
  const Ended ended = kqbench_program(short_run + tokens + example + "--json -");
  ASSERT_EQ(ended.status, 0) << ended.err;
  const Json result = Json::parse(ended.out);
  EXPECT_TRUE(contains(result["setting"]["implementations"]["mine"], "a loop over tokens, one thread, from "))
      << result;
  ASSERT_GE(result["rows"].size(), 2u);
  for (const Json& row : result["rows"]) {
    EXPECT_TRUE(row["verified"]);
    EXPECT_EQ(row["dialect"], "vllm-0.33.0");
    EXPECT_EQ(row["threads"], 1);
    EXPECT_FALSE(row["time_us"].is_null());
  }
  EXPECT_EQ(result["rows"].back()["impl"], "mine");
  EXPECT_FALSE(result["rows"].back()["time_ratio_to_native"].is_null());
}

TEST(Plugin, IsComparedWithTheDialectThatTheUserChooses) {
  const Ended ended = kqbench_program("verify --backend host --dialect kqbench --num-tokens 3 --hidden-size 17 " +
                                      tokens + "--granularity token --impl mine " + example);
  EXPECT_EQ(ended.status, 1) << ended.err;  // kqbench has a least scale
  EXPECT_TRUE(contains(ended.out, "FAILED mine: dynamic token int8")) << ended.out;
}

TEST(Plugin, VerifiesInTheDialectItFollows) {
  const Ended ended = kqbench_program("verify --backend host --host-threads 1 --no-progress --impl mine " + example);
  EXPECT_EQ(ended.status, 0) << ended.out << ended.err;
  EXPECT_TRUE(contains(ended.out, "212 cases, ")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "no mismatch")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "not served: only int8 from bfloat16")) << ended.out;
}

TEST(Plugin, IsRefusedWhatItDoesNotServe) {
  const Ended ended = kqbench_program(short_run + "--dtype half --quant-dtype int8 " + example);
  EXPECT_EQ(ended.status, 0);
  EXPECT_TRUE(contains(ended.err,
                       "mine does not serve dynamic token vllm-0.33.0 int8 from half, 6 x 256: only int8 from "
                       "bfloat16"))
      << ended.err;
  expect_refused(short_run + "--dtype half --quant-dtype int8 --impl mine " + example, "only int8 from bfloat16");
}

TEST(Plugin, WithoutNativeAndKokkosEndsWithItsTime) {
  const Ended ended = kqbench_program(short_run + tokens + "--impl mine " + example);
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, "\nKernel running time: ")) << ended.out;
}

TEST(Plugin, IsProfiledToo) {
  const Ended ended = kqbench_program(short_run + tokens + "--profile " + example + faults("bad_pointer") + "--json -");
  EXPECT_EQ(ended.status, 0) << ended.err;  // the other kernel's dialect has no int8 from bfloat16
  const Json result = Json::parse(ended.out);
  int rows = 0;
  for (const Json& row : result["rows"]) {
    rows += row["impl"] == "mine" && row["verified"] && row["timing"] == "none" ? 1 : 0;
  }
  EXPECT_EQ(rows, 1) << ended.out;
}

TEST(Plugin, ThatCrashesIsProfiledAsAFailure) {
  const Ended ended = kqbench_program(short_run + groups + "--profile " + faults("bad_pointer") + "--json -");
  EXPECT_EQ(ended.status, 1) << ended.err;
  const Json rows = Json::parse(ended.out)["rows"];
  ASSERT_GE(rows.size(), 2u);
  EXPECT_EQ(rows.back()["impl"], "bad_pointer");
  EXPECT_EQ(rows.back()["timing"], "none");
}

TEST(Plugin, IsListed) {
  const Ended ended = kqbench_program("list " + example);
  EXPECT_EQ(ended.status, 0);
  EXPECT_TRUE(contains(ended.out, "mine       a loop over tokens, one thread, from ")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "mine       host, dialect vllm-0.33.0, no launches that overlap, from "))
      << ended.out;
  const Json all = Json::parse(kqbench_program("list --json " + example).out);
  ASSERT_EQ(all["plugins"].size(), 1u);
  EXPECT_EQ(all["plugins"][0]["backend"], "host");
}

TEST(Plugin, RowsAreReadAndReported) {
  const ScratchFolder folder;
  const std::string file = (folder / "mine.json").native();
  ASSERT_EQ(kqbench_program(short_run + groups + faults("out_of_bounds") + faults("right") + "--json " + file).status,
            1);
  EXPECT_GE(read_result_file(file).rows.size(), 3u);
  const Ended report = kqbench_program("report --format md " + file);
  EXPECT_EQ(report.status, 0) << report.err;
  EXPECT_TRUE(contains(report.out, "right")) << report.out;
  EXPECT_TRUE(contains(report.out, "out\\_of\\_bounds")) << report.out;
}

TEST(Plugin, MayComeSeveralTimes) {
  const Ended ended = kqbench_program(short_run + groups + faults("right") + faults("reciprocal") + "--json -");
  ASSERT_GE(Json::parse(ended.out)["rows"].size(), 3u) << ended.err;
  expect_refused(short_run + faults("right") + faults("right"), "has a kernel right, as another one is named too");
}

TEST(Plugin, ThatIsNoneIsRefused) {
  const ScratchFolder folder;
  expect_refused(short_run + "--plugin " + (folder / "absent.so").native(), "absent.so': ");
  expect_refused(short_run + "--plugin " KQBENCH_PROGRAM, "cannot be loaded");
  expect_refused(short_run + "--plugin " CRASHING,
                 "ends the process that loads it, or asks it for its kernels: SIGABRT");
  expect_refused(short_run + faults("absent"), "has no kernel absent; it has right, unwritten_tail, ");
}

TEST(Plugin, WithOtherThreadsIsNoComparison) {
  expect_refused(
      "run --backend host --host-threads 2 --num-tokens 6 --hidden-size 256 --impl native,mine " + tokens + example,
      "native would work with 2 threads and mine with 1 thread");
}

TEST(Plugin, OnAHostIsNotOverlapped) {
  expect_refused(short_run + tokens + "--launch overlapped " + example, "--launch: ");
}

}  // namespace
}  // namespace kqbench::test
