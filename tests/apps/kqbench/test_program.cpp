// SPDX-License-Identifier: Apache-2.0

// Whole command lines on the host backend: exit status, what is said where, and what is left behind.

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <regex>
#include <span>
#include <string>
#include <vector>

#include "apps/kqbench/program.hpp"
#include "bench/support/interrupt.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/random.hpp"
#include "kq/dialect.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"
#include "tests/support/text.hpp"

namespace kqbench {
namespace {

using test::contents;

using Json = nlohmann::json;
using Arguments = std::vector<std::string>;

struct Ended {
  int status;
  std::string out;
  std::string err;
};

Ended kqbench(Arguments arguments) {
  arguments.insert(arguments.begin(), "kqbench");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const int status = run_program(arguments);
  std::string err = testing::internal::GetCapturedStderr();
  return {status, testing::internal::GetCapturedStdout(), std::move(err)};
}

Arguments joined(Arguments a, const Arguments& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

/// A run that is over soon, on 6 x 64 elements.
Arguments short_run(const Arguments& more = {}) {
  return joined({"run", "--backend", "host", "--num-tokens", "6", "--hidden-size", "64", "--cache", "hot", "--max-time",
                 "0.01", "--num-iters", "20", "--no-ceiling"},
                more);
}

std::string last_line(const std::string& text) {
  if (text.empty() || text.back() != '\n') return text;
  const std::size_t before = text.rfind('\n', text.size() - 2);
  return text.substr(before + 1, text.size() - before - 2);
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

void expect_refused(const Arguments& arguments, const std::string& beginning) {
  const Ended ended = kqbench(arguments);
  EXPECT_EQ(ended.status, 2) << ended.err;
  EXPECT_EQ(ended.out, "");
  EXPECT_EQ(std::count(ended.err.begin(), ended.err.end(), '\n'), 1) << ended.err;
  EXPECT_TRUE(ended.err.starts_with("kqbench: " + beginning)) << ended.err;
}

/// A 5 x 96 matrix of floats, and its path.
std::filesystem::path write_matrix(const ScratchFolder& folder) {
  kq::Request matrix;
  matrix.element = kq::Element::float32;
  matrix.num_tokens = 5;
  matrix.hidden_size = 96;
  write_npy(folder / "in.npy", {DType::float32, {5, 96}, make_input(matrix, 3)});
  return folder / "in.npy";
}

TEST(Program, HelpAndVersionAreNoErrors) {
  for (const char* subcommand : {"run", "verify", "list", "quantize"}) {
    const Ended help = kqbench({subcommand, "--help"});
    EXPECT_EQ(help.status, 0);
    EXPECT_TRUE(contains(help.out, subcommand)) << help.out;
  }
  EXPECT_TRUE(contains(kqbench({"--help"}).out, "quantize"));
  EXPECT_EQ(kqbench({"help"}).out, kqbench({"--help"}).out);
  EXPECT_EQ(kqbench({"help", "quantize"}).out, kqbench({"quantize", "--help"}).out);
  EXPECT_TRUE(contains(kqbench({"help", "--help"}).out, "SUBCOMMAND"));
  expect_refused({"help", "measure"}, "'measure' is no subcommand");
  EXPECT_TRUE(kqbench({"--version"}).out.starts_with("kqbench "));
}

TEST(Program, TheResultHasThreadsSeedAndRounds) {
  const Ended ended = kqbench(short_run({"--seed", "17", "--rounds", "2", "--json", "-"}));
  ASSERT_EQ(ended.status, 0) << ended.err;
  const Json result = Json::parse(ended.out);
  EXPECT_EQ(result.at("setting").at("seed"), 17);
  ASSERT_EQ(result.at("rows").size(), 2u);
  for (const Json& row : result.at("rows")) {
    EXPECT_EQ(row.at("threads"), result.at("setting").at("host_threads_used"));
    EXPECT_EQ(row.at("launches_per_sample"), result.at("rows")[0].at("launches_per_sample"));
    EXPECT_EQ(row.at("time_us").at("rounds").size(), 2u);
    EXPECT_GT(row.at("time_us").at("repeatability"), 0.0);
  }
  const Json once = Json::parse(kqbench(short_run({"--rounds", "1", "--json", "-"})).out);
  EXPECT_TRUE(once.at("rows")[0].at("time_us").at("repeatability").is_null());
}

// Kokkos keeps the number of threads that it was started with; native takes another one.
TEST(Program, UnequalThreadsAreNotComparedUnlessAskedFor) {
  const Json usual = Json::parse(kqbench(short_run({"--json", "-"})).out);
  const int threads = usual.at("rows")[0].at("threads").get<int>();
  const std::string others = std::to_string(threads + 1);
  if (kqbench(short_run({"--impl", "native", "--host-threads", others})).status != 0) GTEST_SKIP() << "one thread only";
  expect_refused(short_run({"--host-threads", others}), "--host-threads: kokkos would work with");
  const Ended allowed = kqbench(short_run({"--host-threads", others, "--allow-unequal-threads", "--json", "-"}));
  ASSERT_EQ(allowed.status, 0) << allowed.err;
  const Json rows = Json::parse(allowed.out).at("rows");
  EXPECT_EQ(rows[0].at("threads"), threads);
  EXPECT_EQ(rows[1].at("threads"), threads + 1);
  EXPECT_EQ(kqbench(short_run({"--host-threads", others, "--impl", "native,reference"})).status, 0);
  EXPECT_EQ(kqbench(short_run({"--host-threads", others, "--profile"})).status, 0) << "nothing is timed";
}

TEST(Program, BadUsageIsOneLineThatNamesTheOption) {
  expect_refused({"walk"}, "'walk' is no subcommand");
  expect_refused(short_run({"--seed", "-1"}), "--seed:");
  expect_refused(short_run({"--num-warmup-iters", "0"}), "--num-warmup-iters:");
  expect_refused(short_run({"--rounds", "0"}), "--rounds:");
  expect_refused(short_run({"--qmax", "nan"}), "--qmax:");
  expect_refused(short_run({"--granularity", "group:8"}), "--granularity:");
  expect_refused(short_run({"--dtype", "double"}), "--dtype:");
  expect_refused(short_run({"--scale", "1"}), "--scale:");
  expect_refused(short_run({"--impl", "vllm"}), "--impl:");
  expect_refused(short_run({"--backend", "tpu"}), "--backend:");
  expect_refused(short_run({"--device", "1"}), "--device:");
  expect_refused(short_run({"--timing", "sundial"}), "--timing:");
  expect_refused(short_run({"--cache", "warm"}), "--cache:");
  expect_refused(short_run({"--sweep", "everything"}), "--sweep:");
  expect_refused(short_run({"--json", "-", "--csv", "-"}), "--json and --csv:");
  expect_refused(short_run({"--json", "/nowhere/at/all.json"}), "'/nowhere/at/all.json':");
}

TEST(Program, AnUnknownOptionIsNamedWithOneLikeIt) {
  expect_refused({"--num-token", "5"},
                 "'--num-token': is no option of run; try --num-tokens, or see `kqbench run --help`");
  expect_refused({"compare", "a.json", "--fail-over", "1"},
                 "'--fail-over': is no option of compare; try --fail-above, or see `kqbench compare --help`");
  expect_refused({"verify", "--walk"}, "'--walk': is no option of verify; see `kqbench verify --help`");
  expect_refused({"list", "extra"}, "'extra': is not expected by list; see `kqbench list --help`");
  expect_refused({"report"}, "FILE: is missing; give it, see `kqbench report --help`");
  expect_refused({"--seed", "1", "--seed", "2"},
                 "--seed: is given more than once; give it one value, see `kqbench run --help`");
  expect_refused({"--num-tokens"}, "--num-tokens: has no value; give it one, see `kqbench run --help`");
}

TEST(Program, AComparisonThatFailsSaysOfWhat) {
  const ScratchFolder folder;
  const std::string slow = folder / "slow.json";
  ASSERT_EQ(kqbench(short_run({"--json", folder / "a.json", "--quiet"})).status, 0);
  using Ordered = nlohmann::ordered_json;  // a result file begins with its schema
  Ordered result = Ordered::parse(contents(folder / "a.json"));
  for (Ordered& row : result["rows"]) {
    if (row["impl"] != "native") continue;
    for (Ordered& sample : row["time_us"]["samples"])
      sample = 3.0 * sample.get<double>();
    for (const char* member : {"median", "min", "max"}) {
      row["time_us"][member] = 3.0 * row["time_us"][member].get<double>();
    }
    for (const char* member : {"ci95", "rounds"}) {
      for (Ordered& time : row["time_us"][member])
        time = 3.0 * time.get<double>();
    }
    row["gbps"] = row["gbps"].get<double>() / 3.0;
  }
  for (Ordered& row : result["rows"]) {  // to a native that is three times as slow
    if (row["impl"] != "kokkos") continue;
    row["time_ratio_to_native"] = row["time_ratio_to_native"].get<double>() / 3.0;
    for (Ordered& end : row["time_ratio_ci95"])
      end = end.get<double>() / 3.0;
  }
  std::ofstream(slow) << result;
  const Arguments both = {"compare", folder / "a.json", slow, "--fail-above"};
  EXPECT_EQ(kqbench(joined(both, {"4"})).status, 0);
  EXPECT_EQ(kqbench(joined(both, {"4"})).err, "");
  const Ended ended = kqbench(joined(both, {"1.5"}));
  EXPECT_EQ(ended.status, 1);
  EXPECT_EQ(ended.err,
            "kqbench: --fail-above: 1 of 2 ratios above 1.5, the worst 3.000: B native, dynamic token int8 from half, "
            "6x64\n");
  Ordered unverified = Ordered::parse(contents(folder / "a.json"));
  unverified["rows"][1]["verified"] = false;
  std::ofstream(folder / "unverified.json") << unverified;
  for (const Arguments& files : {Arguments{folder / "a.json", folder / "unverified.json"},
                                 Arguments{folder / "unverified.json", folder / "a.json"}}) {
    const Ended unsure = kqbench({"compare", files[0], files[1], "--fail-above", "1e9"});
    EXPECT_EQ(unsure.status, 1);
    EXPECT_TRUE(contains(unsure.err, "kqbench: --fail-above: 1 row is timed but not verified, the first: "))
        << unsure.err;
    EXPECT_EQ(kqbench({"compare", files[0], files[1]}).status, 0);
  }
  for (Ordered& row : result["rows"]) {
    row["gbps"] = 0;
    row["ceiling_fraction"] = nullptr;
    row["time_ratio_to_native"] = nullptr;
    row["time_ratio_ci95"] = nullptr;
    row["verified"] = false;
    row["time_us"] = nullptr;
    row["failure"] = "codes[0] is 1 and must be 2";
  }
  std::ofstream(slow) << result;
  const Ended wrong = kqbench(joined(both, {"1.5"}));
  EXPECT_EQ(wrong.status, 1);
  EXPECT_EQ(wrong.err, "kqbench: --fail-above: 2 rows are without a time, because the output was wrong\n");
}

TEST(Program, AComparisonFailsOfWhatIsNotThere) {
  const ScratchFolder folder;
  const std::string first = folder / "a.json", second = folder / "b.json";
  Arguments arguments = short_run({"--json", first, "--quiet"});
  arguments[4] = "6,7";
  ASSERT_EQ(kqbench(arguments).status, 0);
  using Ordered = nlohmann::ordered_json;
  Ordered result = Ordered::parse(contents(first));
  ASSERT_EQ(result["rows"].size(), 4u);
  result["rows"].erase(3);
  std::ofstream(second) << result;
  const Ended shrunk = kqbench({"compare", first, second, "--fail-above", "1e9"});
  EXPECT_EQ(shrunk.status, 1);
  EXPECT_EQ(
      shrunk.err,
      "kqbench: --fail-above: 1 row is missing, the first: A native has dynamic token int8 from half, 7x64, and B "
      "native has not\n");
  EXPECT_EQ(kqbench({"compare", second, first, "--fail-above", "1e9"}).status, 0);
  EXPECT_EQ(kqbench({"compare", first, second}).status, 0) << "without the limit it is for the reader to judge";

  result = Ordered::parse(contents(first));
  result["complete"] = false;
  std::ofstream(second) << result;
  const Ended cut = kqbench({"compare", first, second, "--fail-above", "1e9"});
  EXPECT_EQ(cut.status, 1);
  EXPECT_EQ(cut.err, "kqbench: --fail-above: '" + second + "' is incomplete\n");

  result = Ordered::parse(contents(first));
  result["rows"] = Ordered::array();
  std::ofstream(second) << result;
  const Ended none = kqbench({"compare", first, second, "--fail-above", "1e9", "--baseline", "kokkos"});
  EXPECT_EQ(none.status, 1) << "the first file's rows alone keep no limit for the second";
  EXPECT_EQ(none.err, "kqbench: --fail-above: '" + second + "' has no rows\n");
}

TEST(Program, ALimitNeedsABaselineWhereFilesShareNoImplementation) {
  const ScratchFolder folder;
  const std::string kokkos = folder / "kokkos.json", native = folder / "native.json", both = folder / "both.json";
  ASSERT_EQ(kqbench(short_run({"--impl", "kokkos", "--json", kokkos, "--quiet"})).status, 0);
  ASSERT_EQ(kqbench(short_run({"--impl", "native", "--json", native, "--quiet"})).status, 0);
  ASSERT_EQ(kqbench(short_run({"--json", both, "--quiet"})).status, 0);
  expect_refused({"compare", native, kokkos, "--fail-above", "1e9"},
                 "--fail-above: '" + native + "' shares no implementation with the others; name the --baseline");
  expect_refused({"compare", both, "--fail-above", "1e9"},
                 "--fail-above: '" + both + "' shares no implementation with another file; name the --baseline");
  EXPECT_EQ(kqbench({"compare", native, kokkos}).status, 0);
  EXPECT_EQ(kqbench({"compare", native, kokkos, "--fail-above", "1e9", "--baseline", "native"}).status, 0);
  EXPECT_EQ(kqbench({"compare", native, kokkos, "--fail-above", "1e-9", "--baseline", "native"}).status, 1);
  EXPECT_EQ(kqbench({"compare", both, "--fail-above", "1e9", "--baseline", "native"}).status, 0);
  EXPECT_EQ(kqbench({"compare", both, native, "--impl", "native", "--fail-above", "1e9"}).status, 0);
}

TEST(Program, AComparisonOfNothingFails) {
  const ScratchFolder folder;
  const std::string first = folder / "a.json", second = folder / "b.json", one = folder / "one.json";
  Arguments other = short_run({"--json", second, "--quiet"});
  other[4] = "7";
  ASSERT_EQ(kqbench(short_run({"--json", first, "--quiet"})).status, 0);
  ASSERT_EQ(kqbench(other).status, 0);
  ASSERT_EQ(kqbench(short_run({"--impl", "kokkos", "--json", one, "--quiet"})).status, 0);
  for (const Arguments& arguments : {Arguments{"compare", first, second}, Arguments{"compare", one},
                                     Arguments{"compare", first, second, "--fail-above", "1e9"}}) {
    const Ended ended = kqbench(arguments);
    EXPECT_EQ(ended.status, 1);
    EXPECT_EQ(ended.out, "");
    EXPECT_TRUE(contains(ended.err, "kqbench: compare: no two rows did the same work")) << ended.err;
  }
}

TEST(Program, AnAmbiguousComparisonFailsWhereAsked) {
  const ScratchFolder folder;
  const std::string first = folder / "a.json";
  ASSERT_EQ(kqbench(short_run({"--impl", "kokkos", "--json", first, "--quiet"})).status, 0);
  using Ordered = nlohmann::ordered_json;
  Ordered result = Ordered::parse(contents(first));
  Ordered& row = result["rows"][0];  // every sample alike, however busy the host is
  const double time = row["time_us"]["median"];
  row["time_us"] = {{"median", time},
                    {"ci95", {time, time}},
                    {"min", time},
                    {"max", time},
                    {"samples", std::vector<double>(20, time)}};
  row["drifted"] = false;
  std::ofstream(first) << result;
  const Arguments self = {"compare", first, first};
  EXPECT_EQ(kqbench(self).status, 0);
  const Ended same = kqbench(joined(self, {"--fail-ambiguous", "--margin", "10"}));
  EXPECT_EQ(same.status, 0) << same.err;
  EXPECT_TRUE(contains(same.out, "with a margin of 10 %: 0 faster, 0 slower, 1 same, 0 ambiguous"));
  const Ended ambiguous = kqbench(joined(self, {"--fail-ambiguous", "--margin", "0"}));
  EXPECT_EQ(ambiguous.status, 1);
  EXPECT_EQ(
      ambiguous.err,
      "kqbench: --fail-ambiguous: 1 of 1 ratios ambiguous with a margin of 0 %, the first: B kokkos, dynamic token "
      "int8 from half, 6x64\n");
  const Ended both = kqbench(joined(self, {"--fail-ambiguous", "--margin", "0", "--fail-above", "0.5"}));
  EXPECT_EQ(both.status, 1);
  EXPECT_TRUE(contains(both.err, "1 of 1 ratios above 0.5")) << both.err;
  EXPECT_TRUE(contains(both.err, "; --fail-ambiguous: 1 of 1")) << both.err;
}

TEST(Program, OtherProgramsTimesNeedACanary) {
  const ScratchFolder folder;
  const std::string ours = folder / "ours.json", peers = folder / "peers.json";
  ASSERT_EQ(kqbench(short_run({"--json", ours, "--quiet"})).status, 0);
  using Ordered = nlohmann::ordered_json;
  Ordered result = Ordered::parse(contents(ours));
  result["setting"]["program"] = "kqbench peers";
  std::ofstream(peers) << result;
  const std::string refusal =
      "'" + peers + "': its times are not comparable: it has other programs' times and no canary";
  for (const Arguments& arguments :
       {Arguments{"compare", ours, peers}, Arguments{"report", ours, peers, "--format", "md"}}) {
    expect_refused(arguments, refusal);
    const Ended used = kqbench(joined(arguments, {"--ignore-canary"}));
    EXPECT_EQ(used.status, 0) << used.err;
    EXPECT_TRUE(contains(used.out, "its times are used though they may not be comparable")) << used.out;
  }
}

/// By commas, by spaces, by both, and by repeating the option, for every option that takes a list.
TEST(Program, AListIsWrittenInEveryWay) {
  const auto rows = [](const Arguments& arguments) {
    const Ended ended = kqbench(joined({"--backend", "host", "--cache", "hot", "--profile", "--json", "-"}, arguments));
    EXPECT_EQ(ended.status, 0) << ended.err;
    const Json result = Json::parse(ended.out);
    std::vector<std::string> found;
    for (const Json& row : result.at("rows")) {
      std::string& line = found.emplace_back();
      for (const char* member : {"impl", "num_tokens", "hidden_size", "dtype", "quant_dtype", "granularity"}) {
        line += row.at(member).dump() + " ";
      }
    }
    return found;
  };
  const std::vector<std::string> expected =
      rows({"--num-tokens", "2,3", "--hidden-size", "16,32", "--dtype", "half,float", "--quant-dtype", "int8,fp8",
            "--granularity", "token,group:16", "--impl", "native,reference"});
  EXPECT_EQ(expected.size(), 64u);
  EXPECT_EQ(rows({"--num-tokens", "2", "3", "--hidden-size", "16", "32", "--dtype", "half", "float", "--quant-dtype",
                  "int8", "fp8", "--granularity", "token", "group:16", "--impl", "native", "reference"}),
            expected);
  EXPECT_EQ(
      rows({"--num-tokens=2", "3", "--hidden-size", "16", "--hidden-size", "32", "--dtype", "half", "--dtype=float",
            "--quant-dtype", "int8", "fp8", "--granularity", "token,group:16", "--impl", "native", "reference"}),
      expected);
  EXPECT_EQ(rows({"--num-tokens", "1,2", "3", "--hidden-size", "16", "--impl", "native"}).size(), 3u);
}

TEST(Program, AListOfQuantizeTakesNoFile) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const Ended ended = kqbench({"quantize", "--backend", "host", "--impl", "native", "--quant-dtype", "fp8", input, "-o",
                               folder / "out.npy", "--quiet"});
  EXPECT_EQ(ended.status, 0) << ended.err;
}

TEST(Program, HelpSaysHowAListIsWritten) {
  for (const char* subcommand : {"run", "verify"}) {
    EXPECT_TRUE(contains(kqbench({subcommand, "--help"}).out, "separated by commas or spaces")) << subcommand;
  }
}

/// No file gets the name of the option that follows.
TEST(Program, AnEmptyValueIsRefusedHoweverItIsWritten) {
  for (const char* option : {"--json", "--csv", "--markdown", "--input", "--tensor", "--scales", "--seed", "--impl",
                             "--num-tokens", "--dtype", "--backend", "--max-time"}) {
    expect_refused({std::string(option) + "=", "--quiet"}, fmt::format("'{}=': has no value", option));
    expect_refused({option, "", "--quiet"}, fmt::format("{}: '' ", option));
    expect_refused({"--quiet", option, ""}, fmt::format("{}: '' ", option));
  }
  expect_refused({"quantize", "in.npy", "--output=", "--quiet"}, "'--output=': has no value");
  expect_refused({"quantize", "in.npy", "-o", ""}, "--output: '' names no file");
  expect_refused({"quantize", "in.npy", "-o=out.npy"}, "'-o=out.npy': a short option's value follows after a space");
  expect_refused({"quantize", "", "-o", "out.npy"}, "IN: '' names no file");
  expect_refused({"compare", "", "b.json"}, "FILE: '' names no file");
  expect_refused({"--quiet="}, "'--quiet=': has no value");
  EXPECT_FALSE(std::filesystem::exists("--quiet"));
}

TEST(Program, TakesStaticScalesFromAFile) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const auto write = [&](const char* name, std::vector<float> scales) {
    const auto bytes = std::as_bytes(std::span(scales));
    write_npy(folder / name,
              {DType::float32, {static_cast<std::int64_t>(scales.size())}, {bytes.begin(), bytes.end()}});
    return (folder / name).string();
  };
  const std::string scales = write("s.npy", {0.1f, 0.2f, 0.3f, 0.4f, 0.5f});
  const Arguments scheme = {"--static-scale", "--granularity", "token", "--quant-dtype", "fp8"};
  const Arguments brief = {"--cache", "hot", "--no-ceiling", "--max-time", "0.01", "--num-iters", "20"};
  for (const Arguments& command :
       {joined({"run", "--num-tokens", "5", "--hidden-size", "64"}, brief), joined({"run", "--input", input}, brief),
        Arguments{"verify", "--input", input}, Arguments{"verify", "--num-tokens", "5", "--hidden-size", "48", "96"}}) {
    const Ended ended = kqbench(joined(joined(command, scheme), {"--backend", "host", "--scales", scales}));
    EXPECT_EQ(ended.status, 0) << ended.err;
  }
  ASSERT_EQ(kqbench(joined(joined({"quantize", input, "-o", folder / "out.npy"}, scheme), {"--scales", scales})).status,
            0);
  EXPECT_EQ(read_npy(folder / "out.scale.npy").bytes, read_npy(scales).bytes);

  const Arguments base = joined({"verify", "--input", input, "--scales"}, {scales});
  expect_refused(base, "--scales: dynamic scales are computed");
  expect_refused(joined(base, {"--static-scale", "--scale", "1"}), "--scales and --scale:");
  expect_refused(joined(base, {"--static-scale", "--granularity", "channel"}),
                 "--scales: '" + scales + "' has shape [5]");
  expect_refused(joined(joined(short_run(), scheme), {"--scales", scales}), "--scales: '" + scales + "' has shape [5]");
  const std::string bad = write("bad.npy", {1.0f, 2.0f, -3.0f, 4.0f, 0.0f});
  expect_refused(joined(joined({"verify", "--input", input}, scheme), {"--scales", bad}),
                 "--scales: '" + bad + "': scale 2 is -3");
}

TEST(Program, AHostHasNoGraphsToTime) {
  expect_refused(short_run({"--launch", "parallel"}), "--launch: 'parallel' is not known; give plain or overlapped");
  expect_refused(short_run({"--launch", "overlapped"}), "--launch: overlapped launches are recorded in a graph");
  expect_refused(short_run({"--launch", "overlapped", "--profile"}), "--launch: --profile launches each kernel alone");
  EXPECT_TRUE(contains(kqbench(short_run({"--launch", "plain"})).out, "wall timing"));
  expect_refused(short_run({"--timing", "graph"}), "--timing: the host backend has no graphs; use --timing wall");
  EXPECT_TRUE(contains(kqbench(short_run({"--timing", "stream"})).out, "stream timing"));
  EXPECT_TRUE(contains(kqbench(short_run({"--timing", "wall"})).out, "wall timing"));
}

TEST(Program, ARunOfOneRowEndsAsVllmsScriptDoes) {
  const Ended ended = kqbench(short_run());
  EXPECT_EQ(ended.status, 0) << ended.err;
  const std::regex as_vllm_prints_it(R"(Kernel running time: [0-9]+\.[0-9]{3} us)");
  EXPECT_TRUE(std::regex_match(last_line(ended.out), as_vllm_prints_it)) << ended.out;
}

TEST(Program, ASweepHasNoSuchLine) {
  const Ended ended = kqbench(short_run({"--quant-dtype", "int8,fp8"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_FALSE(contains(ended.out, "Kernel running time")) << ended.out;
}

TEST(Program, JsonOnStandardOutputIsAllThereIs) {
  const Ended ended = kqbench(short_run({"--json", "-"}));
  const Json result = Json::parse(ended.out);
  EXPECT_EQ(result["complete"], true);
  ASSERT_EQ(result["rows"].size(), 2u);
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["verified"], true);
    EXPECT_EQ(row["timing"], "wall");
    EXPECT_EQ(row["cache"], "hot");
    EXPECT_GT(row["time_us"]["median"], 0.0);
  }
}

TEST(Program, WritesAllFormatsAtOnce) {
  const ScratchFolder folder;
  const Ended ended =
      kqbench(short_run({"--json", folder / "a.json", "--csv", folder / "a.csv", "--markdown", folder / "a.md"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, "6x64"));
  EXPECT_EQ(Json::parse(contents(folder / "a.json"))["rows"].size(), 2u);
  const std::string csv = contents(folder / "a.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3) << csv;
  EXPECT_TRUE(contains(contents(folder / "a.md"), "| 6x64 |"));
}

TEST(Program, ShardedWithoutAJobIsOfOneRankWhoseNameItsFileHas) {
  const ScratchFolder folder;
  const Ended ended = kqbench({"sharded", "--backend", "host", "--num-tokens", "3", "--hidden-size", "64",
                               "--num-samples", "6", "--json", (folder / "of-%r.json").native()});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, ", columns over 1 rank (")) << ended.out;
  EXPECT_EQ(Json::parse(contents(folder / "of-0.json"))["ranks"], 1);
}

TEST(Program, ProfileTimesNothing) {
  const Ended ended = kqbench(short_run({"--profile", "--json", "-"}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  const Json result = Json::parse(ended.out);
  ASSERT_EQ(result["rows"].size(), 2u);
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["verified"], true);
    EXPECT_EQ(row["timing"], "none");
    EXPECT_TRUE(row["time_us"].is_null());
    EXPECT_EQ(row["cache"], "hot");
    EXPECT_EQ(row["copies"], 1);
  }
  const std::string table = kqbench(short_run({"--profile"})).out;
  EXPECT_TRUE(contains(table, "(not timed)")) << table;
  EXPECT_FALSE(contains(table, "Kernel running time")) << table;
}

TEST(Program, ProfilesAsColdAsItTimes) {
  const Ended ended = kqbench({"--backend", "host", "--num-tokens", "512", "--hidden-size", "4096", "--num-iters", "1",
                               "--max-time", "0.01", "--no-ceiling", "--profile", "--json", "-"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  const Json result = Json::parse(ended.out);
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["verified"], true);
    EXPECT_EQ(row["cache"], "cold");
    EXPECT_GT(row["copies"], 3) << "one for each implementation, and a rotation before them";
  }
}

TEST(Program, TakesShapeAndElementFromTheInputFile) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const Ended ended = kqbench({"--input", input, "--backend", "host", "--cache", "hot", "--max-time", "0.01",
                               "--no-ceiling", "--impl", "kokkos,native,reference", "--json", "-"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  const Json result = Json::parse(ended.out);
  ASSERT_EQ(result["rows"].size(), 3u);
  for (const Json& row : result["rows"]) {
    EXPECT_EQ(row["num_tokens"], 5);
    EXPECT_EQ(row["hidden_size"], 96);
    EXPECT_EQ(row["dtype"], "float");
    EXPECT_EQ(row["verified"], true);
  }
}

TEST(Program, VerifiesAnInputFile) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const Ended ended = kqbench({"verify", "--input", input, "--backend", "host", "--granularity", "token,tensor"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, "native")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "no mismatch")) << ended.out;
}

TEST(Program, VerifiesDialectsAndWritesATableOfThem) {
  const ScratchFolder folder;
  const Arguments vllm = {
      "verify", "--backend", "host",          "--num-tokens",  "3",       "--hidden-size", "40", "--dtype",
      "half",   "--dialect", "vllm,deepgemm", "--granularity", "group:16"};
  const std::string path = folder / "table.md";
  const Ended ended = kqbench(joined(vllm, {"--markdown", path}));
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_TRUE(contains(ended.out, "no mismatch")) << ended.out;
  const std::string table = contents(path);
  EXPECT_TRUE(contains(table, "| dialect | scheme | codes | scales | kokkos | native |\n")) << table;
  EXPECT_TRUE(contains(table, "| vllm-0.33.0 | dynamic group | int8 | ue8m0 | exact: ")) << table;
  EXPECT_TRUE(contains(table, "| deepgemm-54e2261 | dynamic group | fp8_e4m3fn | float | exact: ")) << table;
  const Ended on_stdout = kqbench(joined(vllm, {"--markdown", "-"}));
  EXPECT_EQ(on_stdout.out, table);
  expect_refused({"--backend", "host", "--dialect", "deepgemm", "--granularity", "token", "--quant-dtype", "fp8"},
                 "--dialect: deepgemm-54e2261 has no dynamic token scales; take dynamic group or dynamic block, or");
}

TEST(Program, ListsDialects) {
  const Ended ended = kqbench({"list", "--dialects"});
  EXPECT_EQ(ended.status, 0);
  for (const kq::DialectFacts& facts : kq::dialects()) {
    EXPECT_TRUE(contains(ended.out, std::string(facts.name))) << facts.name;
  }
  EXPECT_TRUE(contains(ended.out, "multiplies by the reciprocal where kqbench divides")) << ended.out;
  const nlohmann::json listed = nlohmann::json::parse(kqbench({"list", "--dialects", "--json"}).out);
  EXPECT_EQ(listed.size(), kq::dialects().size());
  EXPECT_EQ(listed[1]["name"], "vllm-0.33.0");
  EXPECT_EQ(listed[1]["schemes"].size(), kq::dialect_schemes(kq::Dialect::vllm_0_33_0).size());
}

/// Nothing is there to time, but nothing is wrong either.
TEST(Program, NoTokensAreVerifiedAndQuantizedAndNotTimed) {
  const ScratchFolder folder;
  const std::string input = folder / "in.npy";
  write_npy(input, {DType::float32, {0, 96}, {}});
  const std::string rows = folder / "rows.json";
  for (const Arguments& none : {Arguments{"run", "--backend", "host", "--num-tokens", "0", "--hidden-size", "64"},
                                Arguments{"run", "--backend", "host", "--input", input},
                                Arguments{"run", "--backend", "host", "--num-tokens", "0", "--profile"}}) {
    const Ended ended = kqbench(joined(none, {"--json", rows}));
    EXPECT_EQ(ended.status, 0) << ended.err;
    EXPECT_EQ(ended.err, "kqbench: left out what has 0 tokens: there is nothing to time\n");
    const nlohmann::json result = nlohmann::json::parse(contents(rows));
    EXPECT_TRUE(result["complete"].get<bool>());
    EXPECT_TRUE(result["rows"].empty());
  }
  const Ended some = kqbench(joined(short_run({"--json", rows}), {"--num-tokens", "0"}));
  EXPECT_EQ(some.status, 0) << some.err;
  EXPECT_EQ(nlohmann::json::parse(contents(rows))["rows"].size(), 2u);
  const Ended shape = kqbench({"verify", "--backend", "host", "--num-tokens", "0", "--hidden-size", "1,64"});
  EXPECT_EQ(shape.status, 0) << shape.err;
  EXPECT_TRUE(contains(shape.out, "cases, 0 codes compared with the reference: no mismatch")) << shape.out;
  const Ended file = kqbench({"verify", "--backend", "host", "--input", input});
  EXPECT_EQ(file.status, 0) << file.err;
  const Ended quantized = kqbench({"quantize", input, "-o", folder / "out.npy", "--backend", "host", "--dequantize"});
  EXPECT_EQ(quantized.status, 0) << quantized.err;
  EXPECT_EQ(read_npy(folder / "out.npy").shape, (std::vector<std::int64_t>{0, 96}));
  EXPECT_EQ(read_npy(folder / "out.scale.npy").shape, (std::vector<std::int64_t>{0, 1}));
}

TEST(Program, InputFilesDecideWhatTheyKnow) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  for (const std::string command : {"run", "verify"}) {
    const Arguments base = {command, "--backend", "host", "--input", input};
    expect_refused(joined(base, {"--num-tokens", "5"}), "--num-tokens:");
    expect_refused(joined(base, {"--hidden-size", "96"}), "--hidden-size:");
    expect_refused(joined(base, {"--input-stride", "96"}), "--input-stride:");
    expect_refused(joined(base, {"--dtype", "half,float"}), "--dtype: takes one value");
    expect_refused(joined(base, {"--dtype", "half"}), "'" + input + "'");
    expect_refused(joined(base, {"--tensor", "w"}), "'" + input + "'");
    expect_refused({command, "--tensor", "w"}, "--tensor:");
    expect_refused({command, "--input", folder / "none.npy"}, "'" + (folder / "none.npy").native() + "'");
  }
  expect_refused({"run", "--input", input, "--sweep", "quick"}, "--sweep:");
}

TEST(Program, QuantizesAFile) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const std::string output = folder / "out.npy";
  const Ended ended = kqbench({"quantize", input, "-o", output, "--backend", "host", "--dequantize"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.err, "");
  EXPECT_TRUE(contains(ended.out, "[5, 96] float to dynamic token int8: max error ")) << ended.out;
  EXPECT_TRUE(contains(ended.out, " dB, the same read back; ")) << ended.out;
  EXPECT_TRUE(contains(ended.out, "written: '" + output + "'")) << ended.out;
  EXPECT_EQ(read_npy(output).shape, (std::vector<std::int64_t>{5, 96}));
  EXPECT_EQ(read_npy(folder / "out.scale.npy").shape, (std::vector<std::int64_t>{5, 1}));
  EXPECT_EQ(kqbench({"quantize", input, "-o", output, "--backend", "host", "--quiet"}).out, "");
}

TEST(Program, QuantizeRefusesInOneLine) {
  const ScratchFolder folder;
  const std::string input = write_matrix(folder);
  const std::string output = folder / "out.npy";
  const Arguments base = {"quantize", input, "-o", output, "--backend", "host"};
  expect_refused({"quantize", input}, "--output: is missing");
  expect_refused({"quantize", "-o", output}, "IN: is missing");
  expect_refused(joined(base, {"--quant-dtype", "int8,fp8"}), "--quant-dtype: takes one value");
  expect_refused(joined(base, {"--granularity", "token,tensor"}), "--granularity: takes one value");
  expect_refused(joined(base, {"--impl", "kokkos,native"}),
                 "--impl: takes one value here, not 2; leave out the others");
  expect_refused(joined(base, {"--qmax", "128"}), "--qmax:");
  expect_refused(joined(base, {"--granularity", "block:3"}), "--granularity:");
  expect_refused(joined(base, {"--dtype", "bfloat16"}), "'" + input + "'");
  expect_refused({"quantize", input, "-o", folder / "out.txt"}, "'");
  EXPECT_FALSE(std::filesystem::exists(output));
}

/// Ends the process with the run's status, and says on standard error what its file holds.
void run_after_an_interrupt() {
  catch_interrupts();
  std::raise(SIGINT);
  int status = -1;
  {
    const ScratchFolder folder;
    Arguments arguments = short_run({"--json", folder / "out.json"});
    arguments.insert(arguments.begin(), "kqbench");
    status = run_program(arguments);
    const Json result = Json::parse(contents(folder / "out.json"));
    fmt::print(stderr, "complete: {}, {} rows\n", result.at("complete").get<bool>(), result.at("rows").size());
  }
  std::exit(status);
}

/// In new processes: a signal that came stays noted, and threads are not there after a fork alone.
class ProgramDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(ProgramDeathTest, InterruptedItStillWritesWhatIsThere) {
  EXPECT_EXIT(run_after_an_interrupt(), testing::ExitedWithCode(130), "complete: false, 0 rows");
}

void print_where_there_is_no_room() {
  if (std::freopen("/dev/full", "w", stdout) == nullptr) std::exit(0);
  std::exit(run_program({"kqbench", "--version"}));
}

/// More than a stream's buffer holds, so that printing itself fails.
void print_much_where_there_is_no_room() {
  if (std::freopen("/dev/full", "w", stdout) == nullptr) std::exit(0);
  std::exit(run_program({"kqbench", "completion"}));
}

TEST_F(ProgramDeathTest, OutputThatIsLostIsAnError) {
  EXPECT_EXIT(print_where_there_is_no_room(), testing::ExitedWithCode(3), "standard output: cannot be written");
  EXPECT_EXIT(print_much_where_there_is_no_room(), testing::ExitedWithCode(3),
              "^kqbench: standard output: cannot be written; make room or choose another place\n$");
}

}  // namespace
}  // namespace kqbench
