// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "bench/results/json_reader.hpp"
#include "bench/results/json_writer.hpp"
#include "bench/support/errors.hpp"
#include "tests/bench/results/sample_results.hpp"
#include "tests/bench/tensors/scratch_folder.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

std::string refusal(const std::string& text) {
  try {
    parse_result(text, "'x.json'");
  } catch (const UsageError& error) {
    return error.what();
  }
  return "was read";
}

TEST(ResultJson, ComesBackAsItWas) {
  const ResultFile result = sample_result();
  const std::string text = to_json(result);
  const ResultFile back = parse_result(text, "it");
  EXPECT_EQ(to_json(back), text);  // every member is written
  ASSERT_EQ(back.rows.size(), result.rows.size());
  for (std::size_t i = 0; i < back.rows.size(); ++i) {
    EXPECT_EQ(back.rows[i].request, result.rows[i].request) << i;
  }
  EXPECT_EQ(back.rows[0].time_us->samples, result.rows[0].time_us->samples);
  EXPECT_EQ(back.context.libraries, result.context.libraries);
  EXPECT_EQ(back.rows[3].codes_checked->differ, 3u);
  EXPECT_EQ(back.rows[0].time_us->rounds, result.rows[0].time_us->rounds);
  EXPECT_EQ(back.rows[0].time_us->repeatability, 0.03);
  EXPECT_FALSE(back.rows[1].time_us->repeatability);
  EXPECT_EQ(back.rows[0].threads, 8);
  EXPECT_FALSE(back.rows[1].threads) << "each row has its own";
  EXPECT_EQ(back.context.seed, 18446744073709551615u);
  EXPECT_EQ(back.context.device_compiler, "nvcc 13.0.48");
  EXPECT_EQ(back.context.host_threads_used, 1);
  EXPECT_EQ(back.context.clocks.core_mhz_before, 345.0);
  EXPECT_TRUE(back.context.clocks.dropped);
  EXPECT_EQ(back.rows[0].clocks.core_mhz_before, 1980.0);
  EXPECT_FALSE(back.rows[1].clocks.dropped) << "each row has its own";
}

TEST(ResultJson, SaysWhatEveryReaderExpects) {
  const Json json = Json::parse(to_json(sample_result()));
  EXPECT_EQ(json["schema"], "kqbench/1");
  EXPECT_EQ(json.begin().key(), "schema");
  EXPECT_EQ(json["complete"], true);
  for (const char* name :
       {"device", "backend", "driver", "compiler", "libraries", "commit", "host_cpu", "time", "command_line"}) {
    EXPECT_TRUE(json["setting"].contains(name)) << name;
  }
  for (const Json& row : json["rows"]) {
    for (const char* name : {"impl",
                             "backend",
                             "num_tokens",
                             "hidden_size",
                             "dtype",
                             "quant_dtype",
                             "static_scale",
                             "granularity",
                             "asymmetric",
                             "timing",
                             "launch",
                             "cache",
                             "time_us",
                             "scale_format",
                             "scale_layout",
                             "stop",
                             "bytes",
                             "gbps",
                             "verified",
                             "ceiling_gbps",
                             "suspect",
                             "ceiling_fraction",
                             "time_ratio_to_native"}) {
      EXPECT_TRUE(row.contains(name)) << name;
    }
  }
  EXPECT_EQ(json["rows"][0]["time_us"]["ci95"].size(), 2u);
  EXPECT_EQ(json["rows"][0]["operation"], "dynamic token");
  EXPECT_TRUE(json["rows"][2]["time_us"].is_null());
}

TEST(ResultJson, SaysHowSureAnIntervalOfFewSamplesIs) {
  ResultFile result = sample_result();
  result.rows[1].time_us = statistics_of({1.0, 2.0, 3.0});
  const Json json = Json::parse(to_json(result));
  EXPECT_GE(json["rows"][0]["time_us"]["ci95_confidence"], 0.95);
  EXPECT_EQ(json["rows"][1]["time_us"]["ci95_confidence"], 0.75);
}

TEST(ResultJson, EachRowIsALine) {
  const std::string text = to_json(sample_result());
  std::size_t rows = 0;
  for (std::size_t at = text.find("\n    {\"impl\""); at != std::string::npos;
       at = text.find("\n    {\"impl\"", at + 1)) {
    ++rows;
  }
  EXPECT_EQ(rows, sample_result().rows.size());
}

TEST(ResultJson, TextThatIsNoUtf8IsMendedAndStaysReadable) {
  ResultFile result = sample_result();
  result.context.device = "GPU \xff\xfe";
  result.context.command_line = "kqbench\n\x1b[31m\xc2\x9bred";
  const ResultFile back = parse_result(to_json(result), "it");
  EXPECT_EQ(back.context.device, "GPU \xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(back.context.command_line, "kqbench??[31m?red");
}

TEST(ResultJson, AFileOfTheFirstVersionStaysReadable) {
  const ResultFile result = read_result_file(KQ_RECORDED_RESULTS "/kqbench-1.json");
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.context.device, "Some GPU");
  ASSERT_EQ(result.rows.size(), 4u);
  EXPECT_EQ(result.rows[0].request, token_request(4096, 8192));
  EXPECT_DOUBLE_EQ(result.rows[0].time_us->median, 26.5);
  EXPECT_EQ(result.context.device_compiler, "");  // later members
  EXPECT_EQ(result.context.host_threads_used, 0);
  EXPECT_FALSE(result.context.clocks.core_mhz_before);
  EXPECT_FALSE(result.context.seed);
  EXPECT_FALSE(result.rows[0].threads);
  EXPECT_EQ(result.rows[0].launch, "plain");
  EXPECT_TRUE(result.rows[0].time_us->rounds.empty());
  EXPECT_FALSE(result.rows[0].time_us->repeatability);
  EXPECT_EQ(result.rows[2].request.qmax, 224.0f);
}

TEST(ResultJson, MembersItDoesNotKnowAreSkipped) {
  Json json = Json::parse(to_json(sample_result()));
  json["future"] = {{"a", {1, 2, {{"b", nullptr}}}}};
  json["setting"]["future"] = {1, 2};
  json["rows"][0]["future"] = {{"samples", {"x"}}, {"rows", {{{"impl", 3}}}}};
  json["rows"][0]["time_us"]["p99"] = 3;
  const ResultFile result = parse_result(json.dump(), "it");
  EXPECT_EQ(result.rows.size(), 4u);
}

TEST(ResultJson, CutAnywhereIsRefused) {
  const std::string text = to_json(sample_result());
  const std::size_t end = text.find_last_of('}');
  for (std::size_t length = 1; length <= end; ++length) {
    const std::string why = refusal(text.substr(0, length));
    EXPECT_NE(why.find("is cut short"), std::string::npos) << length << ": " << why;
  }
}

struct Refused {
  const char* what;
  std::string text;
  std::string message;  ///< a part of it
};

/// The sample with the value at a JSON pointer replaced.
std::string with(const char* pointer, const Json& value) {
  Json json = Json::parse(to_json(sample_result()));
  json[Json::json_pointer(pointer)] = value;
  return json.dump();
}

std::string without(const char* object, const char* name) {
  Json json = Json::parse(to_json(sample_result()));
  json[Json::json_pointer(object)].erase(name);
  return json.dump();
}

TEST(ResultJson, WhatCannotBeIsRefusedInOneLine) {
  const std::vector<Refused> table = {
      {"text", "hello", "no JSON from byte 1 on; give one that --json wrote"},
      {"nothing but space", "  \n", "cut short"},
      {"zeros", std::string(100, '\0'), "no JSON"},
      {"a number", "12", "single value; give one that --json wrote"},
      {"a list", "[]", "it is a list; give one that --json wrote"},
      {"an empty object", "{}", "schema is missing"},
      {"another program's", R"({"benchmarks": [], "schema": "kqbench/1"})",
       "first member is not schema; give one that --json wrote"},
      {"another schema", R"({"schema": "other/1"})", "its schema is 'other/1'"},
      {"a table of conformance", R"({"schema": "kqbench-conformance/1"})",
       "give report such a one as --conformance FILE"},
      {"a schema without number", R"({"schema": "kqbench/"})", "its schema is"},
      {"a schema with too much", R"({"schema": "kqbench/1x"})", "its schema is"},
      {"schema zero", R"({"schema": "kqbench/0"})", "its schema is"},
      {"a schema that is no text", R"({"schema": 1})", "must be text"},
      {"a newer schema", with("/schema", "kqbench/2"), "reads up to kqbench/1"},
      {"a much newer schema", with("/schema", "kqbench/99999999999999999999"), "reads up to kqbench/1"},
      {"something behind", to_json(sample_result()) + "x", "no JSON from byte"},
      {"something behind a zero", to_json(sample_result()) + '\0' + "x", "no JSON from byte"},
      {"no setting", without("", "setting"), "setting is missing"},
      {"no rows", without("", "rows"), "rows is missing"},
      {"rows as object", with("/rows", Json::object()), "rows: must be a list"},
      {"rows as number", with("/rows", 3), "rows: must be a list"},
      {"a row as number", with("/rows/1", 3), "rows[1]: must be an object"},
      {"a row as list", with("/rows/1", Json::array()), "rows[1]: must be an object"},
      {"complete as text", with("/complete", "yes"), "complete: must be true or false"},
      {"device as number", with("/setting/device", 3), "setting.device: must be text"},
      {"device as list", with("/setting/device", Json::array()), "setting.device: must not be a list"},
      {"libraries as list", with("/setting/libraries", Json::array()), "setting.libraries: must be an object"},
      {"a library's version as object", with("/setting/libraries/fmt", Json::object()), "must not be an object"},
      {"negative memory", with("/setting/memory_bytes", -1), "must be an integer from 0"},
      {"clocks of the run as list", with("/setting/clocks", Json::array()), "setting.clocks: must be an object"},
      {"a clock of the run as text", with("/setting/clocks/core_mhz_after", "x"), "must be a number from"},
      {"threads used as text", with("/setting/host_threads_used", "x"), "must be an integer from"},
      {"a seed below 0", with("/setting/seed", -1), "setting.seed: must be an integer from 0"},
      {"threads of a row as text", with("/rows/0/threads", "8"), "rows[0].threads: must be an integer from"},
      {"rounds as number", with("/rows/0/time_us/rounds", 3), "rows[0].time_us.rounds: must be a list"},
      {"a round of zero", with("/rows/0/time_us/rounds/1", 0), "rows[0].time_us.rounds[1]: must be a number"},
      {"a round as list", with("/rows/0/time_us/rounds/1", Json::array()), "rounds[1]: must not be a list"},
      {"a repeatability below 0", with("/rows/0/time_us/repeatability", -0.1),
       "repeatability: must be a number from 0"},
      {"endless power", with("/setting/power_cap_watts", 1e300), "must be a number from"},
      {"no impl", without("/rows/0", "impl"), "rows[0]: impl is missing"},
      {"empty impl", with("/rows/0/impl", ""), "rows[0].impl: must have 1 to 64 characters"},
      {"long impl", with("/rows/0/impl", std::string(65, 'a')), "rows[0].impl: must have 1 to 64 characters"},
      {"tokens as text", with("/rows/0/num_tokens", "4096"), "rows[0].num_tokens: must be an integer"},
      {"tokens as fraction", with("/rows/0/num_tokens", 1.5), "rows[0].num_tokens: must be an integer"},
      {"negative tokens", with("/rows/0/num_tokens", -4), "rows[0].num_tokens: must be an integer"},
      {"no tokens", with("/rows/0/num_tokens", 0), "rows[0]: num_tokens: must be 1 or more"},
      {"too many tokens", with("/rows/0/num_tokens", std::uint64_t{1} << 63), "must be an integer from"},
      {"a shape past 64 bits", with("/rows/0/num_tokens", std::uint64_t{1} << 61), "bytes, more than an address"},
      {"an unknown dtype", with("/rows/0/dtype", "fp4"), "'fp4' is not known to this version"},
      {"an unknown format", with("/rows/0/quant_dtype", "int4"), "'int4' is not known to this version"},
      {"a group without size", with("/rows/0/granularity", "group:"), "is not known to this version"},
      {"a group of text", with("/rows/0/granularity", "group:12a"), "is not known to this version"},
      {"a group past 64 bits", with("/rows/0/granularity", "group:99999999999999999999"),
       "is not known to this version"},
      {"a block without columns", with("/rows/0/granularity", "block:3"), "is not known to this version"},
      {"a block without rows", with("/rows/0/granularity", "block:x16"), "is not known to this version"},
      {"a block of text", with("/rows/0/granularity", "block:3x16a"), "is not known to this version"},
      {"a block of no rows", with("/rows/0/granularity", "block:0x16"), "block_rows: must be 1 or more"},
      {"a stride of scales in rows", with("/rows/2/scale_stride", 3), "rows[2]: scale_stride: "},
      {"a stride below the size", with("/rows/0/input_stride", 3), "rows[0]: input_stride: must be 0 or at least"},
      {"qmax of nonsense", with("/rows/0/qmax", 1e30), "rows[0]: qmax: must be above 0 and at most 127"},
      {"a time of zero", with("/rows/0/time_us/median", 0), "rows[0].time_us.median: must be a number"},
      {"a negative time", with("/rows/0/time_us/min", -1), "rows[0].time_us.min: must be a number"},
      {"a time of years", with("/rows/0/time_us/max", 1e15), "rows[0].time_us.max: must be a number"},
      {"time as number", with("/rows/0/time_us", 3), "rows[0].time_us: must be an object or null"},
      {"time as list", with("/rows/0/time_us", Json::array()), "rows[0].time_us: must be an object"},
      {"a median beside its interval", with("/rows/0/time_us/median", 26.6), "not in this order"},
      {"an interval upside down", with("/rows/0/time_us/ci95", {27, 26}), "rows[0].time_us.ci95: must be [low, high]"},
      {"an interval with one end", with("/rows/0/time_us/ci95", {27}), "rows[0].time_us.ci95: must be [low, high]"},
      {"an interval with three ends", with("/rows/0/time_us/ci95", {26, 26.5, 27}), "an interval has two ends"},
      {"a sample as text", with("/rows/0/time_us/samples/3", "x"), "rows[0].time_us.samples[3]: must be a number"},
      {"a sample as list", with("/rows/0/time_us/samples/3", Json::array()), "samples[3]: must not be a list"},
      {"a sample outside", with("/rows/0/time_us/samples/3", 1000), "sample 1000 is not between min and max"},
      {"samples missing", without("/rows/0/time_us", "samples"), "rows[0].time_us: samples is missing"},
      {"verified without time", with("/rows/0/time_us", nullptr), "rows[0]: is verified but has no time"},
      {"more differences than codes", with("/rows/3/codes_checked/differ", 5138), "more codes differ than"},
      {"a number past doubles", R"({"schema": "kqbench/1", "complete": 1e999})", "out of range"},
      {"a member twice", R"({"schema": "kqbench/1", "schema": "kqbench/1"})", "schema: is given twice"},
      {"a library twice", R"({"schema": "kqbench/1", "setting": {"libraries": {"a": "1", "a": "2"}}})", "given twice"},
      {"bytes that are no UTF-8", "{\"schema\": \"kqbench/1\", \"\xff\": 1}", "no JSON from byte"},
      {"depths", R"({"schema": "kqbench/1", "x": )" + std::string(100000, '['), "nested too deeply"},
      {"depths of objects", R"({"schema": "kqbench/1", "x": {"a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {"i":
        {"j": {"k": {"l": {"m": {"n": {"o": {"p": 1}}}}}}}}}}}}}}}}})",
       "nested too deeply"},
  };
  for (const Refused& refused : table) {
    const std::string why = refusal(refused.text);
    EXPECT_EQ(why.rfind("'x.json': ", 0), 0u) << refused.what << ": " << why;
    EXPECT_NE(why.find(refused.message), std::string::npos) << refused.what << ": " << why;
    EXPECT_EQ(why.find('\n'), std::string::npos) << refused.what;
    EXPECT_LT(why.size(), 400u) << refused.what;
  }
}

/// The sample with a function applied to a row of its JSON.
template <class Change>
std::string with_row(std::size_t row, const Change& change) {
  Json json = Json::parse(to_json(sample_result()));
  change(json["rows"][row]);
  return json.dump();
}

TEST(ResultJson, WhatContradictsItselfIsRefusedWithTheRowNamed) {
  const double max = sample_result().rows[0].time_us->max;
  std::vector<double> drifting(20, 26.4);
  drifting.resize(40, 30.0);
  Row drifted = sample_row("kokkos", token_request(4096, 8192), 26.5);
  drifted.time_us = statistics_of(drifting);
  drifted.gbps = static_cast<double>(drifted.bytes) / drifted.time_us->median * 1e-3;
  drifted.ceiling_fraction = drifted.gbps / 4300.0;
  ResultFile with_drift;
  with_drift.rows = {drifted};

  const std::vector<Refused> table = {
      {"median", with("/rows/0/time_us/median", 26.52), "median is 26.52, and the samples give 26.5"},
      {"ci95, low", with("/rows/0/time_us/ci95/0", 26.4), "the lower end of ci95 is 26.4, and the samples give"},
      {"ci95, high", with("/rows/0/time_us/ci95/1", 26.6), "the upper end of ci95 is 26.6, and the samples give"},
      {"ci95_confidence", with("/rows/0/time_us/ci95_confidence", 0.9), "ci95_confidence is 0.9, and 25 samples give"},
      {"min", with("/rows/0/time_us/min", 26.0), "min is 26, and the samples give 26.3675"},
      {"max", with("/rows/0/time_us/max", max + 0.2), "max is"},
      {"no samples", with("/rows/0/time_us/samples", Json::array()), "has a time and no samples"},
      {"all samples", with("/rows/1/time_us/samples", std::vector<double>(25, 26.2)), "lower end of ci95"},
      {"rounds", with("/rows/0/time_us/rounds/2", 26.7), "a round of 26.7 is not between min"},
      {"repeatability", with("/rows/0/time_us/repeatability", 0.001),
       "repeatability is 0.001, and the interval's half width is more, 0.002"},
      {"repeatability without rounds", with("/rows/0/time_us/rounds", Json::array()), "no two rounds"},
      {"gbps", with("/rows/0/gbps", 3900.0), "gbps is 3900, and bytes / median gives 3799.2"},
      {"gbps of another row", with("/rows/0/gbps", 3842.7358778625958), "gbps is 3842.7"},
      {"gbps without a time", with("/rows/2/gbps", 10.0), "rows[2]: gbps is given without a time"},
      {"bytes", with("/rows/0/bytes", 100679681), "bytes is 100679681, and this shape has 100679680"},
      {"bytes of a peer", with("/rows/3/bytes", 15416), "rows[3]: bytes is 15416"},
      {"operation", with("/rows/0/operation", "static tensor"),
       "operation is 'static tensor', and the row's members say 'dynamic token'"},
      {"ceiling_fraction", with("/rows/0/ceiling_fraction", 0.9), "ceiling_fraction is 0.9, and gbps / ceiling_gbps"},
      {"ceiling_fraction without ceiling", with("/rows/0/ceiling_gbps", nullptr), "given without a ceiling"},
      {"ceiling_fraction without a time", with("/rows/2/ceiling_fraction", 0.9), "given without a time"},
      {"ceiling", with("/rows/0/ceiling_gbps", 4500), "ceiling_fraction is 0.88"},
      {"ratio", with("/rows/0/time_ratio_to_native", 1.02),
       "time_ratio_to_native is 1.02, and the samples of this row and native's give 1.011"},
      {"native's ratio to itself", with("/rows/1/time_ratio_to_native", 1.001), "rows[1]: time_ratio_to_native is"},
      {"interval of the ratio", with("/rows/0/time_ratio_ci95", {0.9, 1.015}), "time_ratio_ci95 is [0.9, 1.015]"},
      {"ratio without a time", with("/rows/2/time_ratio_to_native", 1.0), "is given without a time"},
      {"ratio of unlike samples",
       with_row(1,
                [](Json& row) {
                  auto samples = row["time_us"]["samples"].get<std::vector<double>>();
                  samples.push_back(26.2);
                  row["time_us"]["samples"] = samples;
                  row["time_us"].erase("ci95_confidence");
                  const TimeStatistics time = statistics_of(samples);
                  row["time_us"]["ci95"] = {time.ci95_low, time.ci95_high};
                }),
       "rows[0]: time_ratio_to_native is of samples taken in turns, and this row has 25 and native's 26"},
      {"verified with failure", with("/rows/0/failure", "codes[0]"), "is verified but has a failure, 'codes[0]'"},
      {"verified with codes that differ", with("/rows/3/verified", true), "is verified but has codes that differ"},
      {"suspect",
       with_row(1,
                [](Json& row) {
                  row["ceiling_gbps"] = 3500.0;
                  row["ceiling_fraction"] = row["gbps"].get<double>() / 3500.0;
                }),
       "rows[1]: suspect is false, and 1.09"},
      {"drifted", to_json(with_drift), "drifted is false, and the first half of the samples differs"},
      {"clocks", with("/rows/1/clocks", {{"core_mhz_before", 1980}, {"core_mhz_after", 1800}, {"dropped", false}}),
       "rows[1]: clocks.dropped is false, and a clock fell"},
  };
  for (const Refused& refused : table) {
    const std::string why = refusal(refused.text);
    EXPECT_EQ(why.rfind("'x.json': rows[", 0), 0u) << refused.what << ": " << why;
    EXPECT_NE(why.find(refused.message), std::string::npos) << refused.what << ": " << why;
    EXPECT_NE(why.find(" from "), std::string::npos) << refused.what << " does not name the row: " << why;
    EXPECT_EQ(why.find('\n'), std::string::npos) << refused.what;
  }
}

TEST(ResultJson, RoundedFiguresAreNoContradiction) {
  EXPECT_EQ(refusal(with("/rows/0/gbps", 3799.2)), "was read");
  EXPECT_EQ(
      refusal(with("/rows/0/gbps", 3803.5)),
      "'x.json': rows[0]: gbps is 3803.5, and bytes / median gives 3799.233208 (kokkos, dynamic token int8 from half, "
      "4096x8192); write the file again");
  EXPECT_EQ(refusal(with("/rows/0/gbps", 3800)), "was read");
  EXPECT_EQ(refusal(with("/rows/0/ceiling_fraction", 0.8835)), "was read");
  EXPECT_EQ(refusal(with("/rows/0/ceiling_fraction", 0.88)).rfind("'x.json'", 0), 0u) << "at most 0.05 %";
}

TEST(ResultJson, WhatAFileDoesNotSayIsNoContradiction) {
  EXPECT_EQ(refusal(without("/rows/0", "drifted")), "was read");
  EXPECT_EQ(refusal(without("/rows/0", "operation")), "was read");
  EXPECT_EQ(refusal(without("/rows/0/time_us", "ci95_confidence")), "was read");
  EXPECT_EQ(refusal(without("/rows/0", "clocks")), "was read");
  Json json = Json::parse(to_json(sample_result()));
  json["rows"].erase(1);  // native's row: the ratio to it stays
  EXPECT_EQ(refusal(json.dump()), "was read");
}

TEST(ResultJson, TheRecordedResultsStayReadable) {
  const std::string folder = KQ_RECORDED_RESULTS "/../../../docs/results/h200/";
  EXPECT_EQ(read_result_file(folder + "ours.json").rows.size(), 320u);
  EXPECT_GT(read_result_file(folder + "peers.json").rows.size(), 0u);
  EXPECT_GT(read_result_file(folder + "speed.json").rows.size(), 0u);
}

TEST(ResultJson, ACanaryComesBackAsItWas) {
  const ResultFile back = parse_result(to_json(sample_result()), "it");
  ASSERT_EQ(back.context.canary.size(), 1u);
  const Canary& canary = back.context.canary[0];
  const Canary was = sample_result().context.canary[0];
  EXPECT_EQ(canary.peer, "torch.compile");
  EXPECT_EQ(canary.impl, "kokkos");
  EXPECT_EQ(canary.operation, "static tensor");
  EXPECT_EQ(canary.request, was.request);
  EXPECT_EQ(canary.timing, "graph");
  EXPECT_EQ(canary.cache, "cold");
  EXPECT_EQ(canary.median_us_before, was.median_us_before);
  EXPECT_EQ(canary.median_us_after, was.median_us_after);
  EXPECT_EQ(canary.kqbench_median_us, 1.54);
  EXPECT_EQ(canary.launches_per_sample, 10238);
  EXPECT_FALSE(
      parse_result(without("/setting/canary/0", "kqbench_median_us"), "it").context.canary[0].kqbench_median_us);
  EXPECT_TRUE(parse_result(without("/setting", "canary"), "it").context.canary.empty());

  const std::vector<Refused> table = {
      {"a canary as object", with("/setting/canary", Json::object()), "setting.canary: must be a list"},
      {"an entry as number", with("/setting/canary/0", 3), "setting.canary[0]: must be an object"},
      {"an entry as list", with("/setting/canary/0", Json::array()), "setting.canary[0]: must be an object"},
      {"no impl", without("/setting/canary/0", "impl"), "setting.canary[0]: impl is missing"},
      {"no time", without("/setting/canary/0", "median_us_after"), "setting.canary[0]: median_us_after is missing"},
      {"a time of zero", with("/setting/canary/0/median_us_before", 0), "median_us_before: must be a number from"},
      {"an unknown dtype", with("/setting/canary/0/dtype", "fp4"), "'fp4' is not known"},
      {"a granularity of nonsense", with("/setting/canary/0/granularity", "x"), "is not known to this version"},
      {"no tokens", with("/setting/canary/0/num_tokens", 0), "setting.canary[0]: num_tokens: must be 1 or more"},
  };
  for (const Refused& refused : table) {
    const std::string why = refusal(refused.text);
    EXPECT_NE(why.find(refused.message), std::string::npos) << refused.what << ": " << why;
  }
}

TEST(ResultJson, FilesThatCannotBeReadAreRefused) {
  const ScratchFolder folder;
  EXPECT_THROW(read_result_file(folder / "missing.json"), UsageError);
  EXPECT_THROW(read_result_file(folder.path()), UsageError);
  EXPECT_THROW(read_result_file("/dev/zero"), UsageError);
  std::ofstream(folder / "empty.json").close();
  EXPECT_THROW(read_result_file(folder / "empty.json"), UsageError);
  std::ofstream(folder / "huge.json").close();
  std::filesystem::resize_file(folder / "huge.json", max_result_file_bytes + 1);  // a hole: takes no room
  EXPECT_THROW(read_result_file(folder / "huge.json"), UsageError);
}

}  // namespace
}  // namespace kqbench
