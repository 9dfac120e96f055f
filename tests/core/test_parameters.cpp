// SPDX-License-Identifier: Apache-2.0

// The table of what a request can be told.

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <string>

#include "kq/parameters.hpp"

namespace kq {
namespace {

/// Every member of a request with a value that is not its default.
Request unusual() {
  Request r;
  r.element = Element::float32;
  r.format = Format::fp8_e5m2;
  r.granularity = Granularity::block;
  r.static_scale = true;
  r.asymmetric = true;
  r.num_tokens = 3;
  r.hidden_size = 4;
  r.input_stride = 5;
  r.codes_stride = 6;
  r.group_size = 7;
  r.block_rows = 8;
  r.scale_stride = 9;
  r.scale_format = ScaleFormat::ue8m0;
  r.scale_layout = ScaleLayout::packed;
  r.scale_rounding = ScaleRounding::even;
  r.global_scale = 1.5f;
  r.qmax = 0.1f;
  r.scale_ub = 2.5f;
  r.dialect = Dialect::vllm_0_33_0;
  r.producer = Producer::add_rms_norm;
  r.eps = 0.5f;
  r.residual_stride = 10;
  return r;
}

TEST(Parameters, SayEverythingThatARequestSays) {
  for (const Request& request : {unusual(), Request()}) {
    Request copy = unusual();
    for (const Parameter& p : parameters()) {
      EXPECT_TRUE(p.set(copy, p.get(request))) << p.name;
    }
    EXPECT_EQ(copy, request);
  }
}

TEST(Parameters, HaveNamesOfTheirOwnAndTheirKindOfValue) {
  std::set<std::string_view> names;
  for (const Parameter& p : parameters()) {
    EXPECT_TRUE(names.insert(p.name).second) << p.name;
    EXPECT_FALSE(p.help.empty()) << p.name;
    const ParameterValue value = p.get(unusual());
    EXPECT_EQ(std::holds_alternative<std::string>(value), p.kind == ParameterKind::name) << p.name;
    EXPECT_EQ(std::holds_alternative<bool>(value), p.kind == ParameterKind::flag) << p.name;
    EXPECT_EQ(std::holds_alternative<std::int64_t>(value), p.kind == ParameterKind::count) << p.name;
    EXPECT_EQ(std::holds_alternative<double>(value), p.kind == ParameterKind::number) << p.name;
    EXPECT_EQ(p.names != nullptr, p.kind == ParameterKind::name) << p.name;
  }
}

TEST(Parameters, TakeTheirNamesAndNoOthers) {
  for (const Parameter& p : parameters()) {
    if (p.kind != ParameterKind::name) continue;
    EXPECT_FALSE(p.names().empty()) << p.name;
    for (const std::string& name : p.names()) {
      Request request = unusual();
      EXPECT_TRUE(p.set(request, name)) << p.name << ' ' << name;
      EXPECT_EQ(p.get(request), ParameterValue(name)) << p.name;
      if (p.name == "dialect") continue;  // they are many, and have a list of their own
      EXPECT_NE(p.help.find(name), std::string_view::npos) << p.name << ": the help leaves out " << name;
      EXPECT_NE(choice_of(p).find(name), std::string::npos) << p.name << ": the choice leaves out " << name;
    }
    Request request = unusual();
    EXPECT_FALSE(p.set(request, "nonsense")) << p.name;
    EXPECT_EQ(request, unusual()) << p.name;
  }
}

TEST(Parameters, AreOptionsAndFields) {
  EXPECT_EQ(option_name(parameter("scale_ub")), "--scale-ub");
  EXPECT_EQ(option_of_field("group_size"), "--granularity");
  EXPECT_EQ(option_of_field("block_rows"), "--granularity");
  EXPECT_EQ(option_of_field("dtype"), "--dtype");
  EXPECT_EQ(request_field("dtype"), "element");
  EXPECT_EQ(request_field("quant_dtype"), "format");
  EXPECT_EQ(request_field("scale_ub"), "scale_ub");
  EXPECT_EQ(request_field("group_size"), "group_size");
  EXPECT_THROW(parameter("nonsense"), std::out_of_range);
}

TEST(Parameters, AreWrittenShortly) {
  EXPECT_EQ(to_text(ParameterValue()), "");
  EXPECT_EQ(to_text(true), "true");
  EXPECT_EQ(to_text(std::int64_t{4096}), "4096");
  EXPECT_EQ(to_text(static_cast<double>(0.1f)), "0.1");
  EXPECT_EQ(to_text("half"), "half");
  EXPECT_EQ(parameter("scale_ub").get(Request()), ParameterValue());
}

/// Every request that validate() refuses is refused in the name of a parameter.
TEST(Parameters, AreWhatInvalidRequestsAreRefusedBy) {
  std::set<std::string> fields;
  const auto refuse = [&](auto change) {
    Request r;
    r.num_tokens = 4;
    r.hidden_size = 64;
    change(r);
    const auto invalid = validate(r);
    ASSERT_TRUE(invalid);
    EXPECT_NO_THROW(option_of_field(invalid->field)) << invalid->field;
    fields.insert(invalid->field);
  };
  refuse([](Request& r) { r.num_tokens = -1; });
  refuse([](Request& r) { r.hidden_size = 0; });
  refuse([](Request& r) { r.input_stride = 1; });
  refuse([](Request& r) { r.codes_stride = 1; });
  refuse([](Request& r) { r.group_size = 16; });
  refuse([](Request& r) { r.block_rows = 16; });
  refuse([](Request& r) { r.scale_stride = 16; });
  refuse([](Request& r) { r.scale_format = ScaleFormat::ue8m0; });
  refuse([](Request& r) { r.scale_layout = ScaleLayout::packed; });
  refuse([](Request& r) { r.scale_rounding = ScaleRounding::rceil; });
  refuse([](Request& r) { r.global_scale = 1.0f; });
  refuse([](Request& r) { r.qmax = -1.0f; });
  refuse([](Request& r) { r.scale_ub = 2.0f; });
  refuse([](Request& r) { r.format = Format(99); });
  refuse([](Request& r) { r.element = Element(99); });
  refuse([](Request& r) { r.producer = Producer(99); });
  refuse([](Request& r) { r.eps = 1e-5f; });
  refuse([](Request& r) { r.residual_stride = 64; });
  EXPECT_EQ(fields.size(), 18u);
}

TEST(ParseGranularity, ReadsSizesAndNothingBehindThem) {
  EXPECT_EQ(parse_granularity("tensor"), (GranularityChoice{Granularity::tensor}));
  EXPECT_EQ(parse_granularity("channel"), (GranularityChoice{Granularity::channel}));
  EXPECT_EQ(parse_granularity("group:128"), (GranularityChoice{Granularity::group, 128}));
  EXPECT_EQ(parse_granularity("block:3x16"), (GranularityChoice{Granularity::block, 16, 3}));
  for (const char* text : {"", "row", "group", "group:", "group:x", "group:128 ", "block:128", "block:x16", "block:3x",
                           "block:3x16x", "tensor:3"}) {
    EXPECT_FALSE(parse_granularity(text)) << text;
  }
}

}  // namespace
}  // namespace kq
