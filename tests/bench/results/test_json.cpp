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
  EXPECT_EQ(back.setting.libraries, result.setting.libraries);
  EXPECT_EQ(back.rows[3].codes_checked->differ, 3u);
  EXPECT_EQ(back.rows[0].time_us->rounds, result.rows[0].time_us->rounds);
  EXPECT_EQ(back.rows[0].time_us->repeatability, 0.03);
  EXPECT_FALSE(back.rows[1].time_us->repeatability);
  EXPECT_EQ(back.rows[0].threads, 8);
  EXPECT_FALSE(back.rows[1].threads) << "each row has its own";
  EXPECT_EQ(back.setting.seed, 18446744073709551615u);
  EXPECT_EQ(back.setting.device_compiler, "nvcc 13.0.48");
  EXPECT_EQ(back.setting.host_threads_used, 1);
  EXPECT_EQ(back.setting.clocks.core_mhz_before, 345.0);
  EXPECT_TRUE(back.setting.clocks.dropped);
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
  result.setting.device = "GPU \xff\xfe";
  result.setting.command_line = "kqbench\n\x1b[31m\xc2\x9bred";
  const ResultFile back = parse_result(to_json(result), "it");
  EXPECT_EQ(back.setting.device, "GPU \xef\xbf\xbd\xef\xbf\xbd");
  EXPECT_EQ(back.setting.command_line, "kqbench??[31m?red");
}

TEST(ResultJson, AFileOfTheFirstVersionStaysReadable) {
  const ResultFile result = read_result_file(KQ_RECORDED_RESULTS "/kqbench-1.json");
  EXPECT_TRUE(result.complete);
  EXPECT_EQ(result.setting.device, "Some GPU");
  ASSERT_EQ(result.rows.size(), 4u);
  EXPECT_EQ(result.rows[0].request, token_request(4096, 8192));
  EXPECT_DOUBLE_EQ(result.rows[0].time_us->median, 26.5);
  EXPECT_EQ(result.setting.device_compiler, "");  // later members
  EXPECT_EQ(result.setting.host_threads_used, 0);
  EXPECT_FALSE(result.setting.clocks.core_mhz_before);
  EXPECT_FALSE(result.setting.seed);
  EXPECT_FALSE(result.rows[0].threads);
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
      {"a group without size", with("/rows/0/granularity", "group:"), "is not tensor, token, channel or group:G"},
      {"a group of text", with("/rows/0/granularity", "group:12a"), "is not tensor, token, channel or group:G"},
      {"a group past 64 bits", with("/rows/0/granularity", "group:99999999999999999999"), "is not tensor"},
      {"a static group", with("/rows/2/static_scale", true), "rows[2]: granularity: group scales are dynamic only"},
      {"a stride below the size", with("/rows/0/input_stride", 3), "rows[0]: input_stride: must be 0 or at least"},
      {"qmax of nonsense", with("/rows/0/qmax", 1e30), "rows[0].qmax: must be a number"},
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
