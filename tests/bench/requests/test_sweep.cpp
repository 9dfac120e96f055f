// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "bench/requests/option_message.hpp"
#include "bench/requests/sweep.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

using kq::Element;
using kq::Format;
using kq::Granularity;

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

Sweep one_shape() {
  Sweep sweep;
  sweep.set("num_tokens", {4});
  sweep.set("hidden_size", {64});
  sweep.set("quant_dtype", {"int8"});
  sweep.set("dtype", {"half"});
  return sweep;
}

TEST(PlanSweep, MakesEveryCombinationShapesInnermost) {
  Sweep sweep = one_shape();
  sweep.set("num_tokens", {1, 2});
  sweep.set("hidden_size", {64, 128});
  sweep.set("quant_dtype", {"int8", "fp8_e5m2"});
  sweep.set("dtype", {"half", "float"});
  sweep.set("granularity", {"token", "group:64"});
  const SweepPlan plan = plan_sweep(sweep);
  ASSERT_EQ(plan.requests.size(), 32u);
  EXPECT_TRUE(plan.left_out.empty());
  EXPECT_EQ(plan.requests[0].hidden_size, 64);
  EXPECT_EQ(plan.requests[1].hidden_size, 128);
  EXPECT_EQ(plan.requests[2].num_tokens, 2);
  EXPECT_EQ(plan.requests[4].element, Element::float32);
  EXPECT_EQ(plan.requests[8].granularity, Granularity::group);
  EXPECT_EQ(plan.requests[16].format, Format::fp8_e5m2);
}

TEST(PlanSweep, DefaultsToTheGranularityOfVllmsScript) {
  Sweep sweep = one_shape();
  sweep.set("quant_dtype", {"int8", "fp8_e4m3fn"});
  SweepPlan plan = plan_sweep(sweep);
  EXPECT_EQ(plan.requests[0].granularity, Granularity::token);
  EXPECT_EQ(plan.requests[1].granularity, Granularity::tensor);
  sweep.set("static_scale", {true});
  plan = plan_sweep(sweep);
  EXPECT_EQ(plan.requests[0].granularity, Granularity::tensor);
  EXPECT_EQ(plan.requests[1].granularity, Granularity::tensor);
}

TEST(PlanSweep, LeavesOutWhatMakesNoSenseAndSaysSoOnceAReason) {
  Sweep sweep = one_shape();
  sweep.set("num_tokens", {4, 8});
  sweep.set("quant_dtype", {"int8", "fp8_e4m3fn"});
  sweep.set("asymmetric", {true});
  const SweepPlan plan = plan_sweep(sweep);
  EXPECT_EQ(plan.requests.size(), 2u);
  ASSERT_EQ(plan.left_out.size(), 1u);
  EXPECT_NE(plan.left_out[0].find("2 combinations"), std::string::npos) << plan.left_out[0];
  sweep.set("quant_dtype", {"fp8_e4m3fn"});
  EXPECT_EQ(message_of([&] { plan_sweep(sweep); }).substr(0, 13), "--asymmetric:");
}

TEST(SingleScheme, IsWhatASweepOfOneMakes) {
  Sweep sweep = one_shape();
  sweep.set("quant_dtype", {"fp8_e5m2"});
  sweep.set("granularity", {"group:32"});
  sweep.set("scale_format", {"ue8m0"});
  sweep.set("scale_layout", {"column"});
  sweep.set("qmax", {100.0});
  kq::Request scheme = single_scheme(sweep);
  scheme.num_tokens = 4;
  scheme.hidden_size = 64;
  EXPECT_EQ(scheme, plan_sweep(sweep).requests.front());
  EXPECT_EQ(single_element(sweep), Element::half);
}

TEST(SingleScheme, HasDefaultsAndRefusesLists) {
  EXPECT_EQ(single_scheme({}).format, Format::int8);
  EXPECT_EQ(single_scheme({}).granularity, Granularity::token);
  EXPECT_EQ(single_element({}), std::nullopt);
  Sweep sweep;
  sweep.set("dtype", {"half", "float"});
  EXPECT_EQ(message_of([&] { single_element(sweep); }), "--dtype: takes one value here, not 2; leave out the others");
  sweep.set("quant_dtype", {"int8", "fp8_e5m2", "fp8_e4m3fn"});
  EXPECT_EQ(message_of([&] { single_scheme(sweep); }),
            "--quant-dtype: takes one value here, not 3; leave out the others");
}

TEST(PlanSweep, HasWhatTwoNamedSchemesBecomeOnce) {
  Sweep sweep = one_shape();
  std::vector<kq::NamedScheme> schemes;
  for (const kq::NamedScheme& scheme : kq::named_schemes()) {
    if (scheme.name == "mxfp8" || scheme.name == "mxfp4") schemes.push_back(scheme);
  }
  sweep.set_schemes(schemes);
  sweep.set("quant_dtype", {"fp8_e4m3fn"});
  EXPECT_EQ(plan_sweep(sweep).requests.size(), 1u);
  sweep.set("quant_dtype", {"fp8_e4m3fn", "fp4_e2m1"});
  EXPECT_EQ(plan_sweep(sweep).requests.size(), 2u);
  sweep.set("quant_dtype", {});
  EXPECT_EQ(plan_sweep(sweep).requests.size(), 2u);
}

TEST(ValidRequests, AreThoseOfThePlanOrNone) {
  Sweep sweep = one_shape();
  sweep.set("quant_dtype", {"int8", "fp8_e4m3fn"});
  sweep.set("asymmetric", {true});
  EXPECT_EQ(valid_requests(sweep), plan_sweep(sweep).requests);
  sweep.set("quant_dtype", {"fp8_e4m3fn"});
  EXPECT_TRUE(valid_requests(sweep).empty());
}

TEST(OptionMessage, NamesFieldsAsOptions) {
  EXPECT_EQ(option_message({"group_size", "static only; add static_scale, or asymmetric ones, with scale_formats"}),
            "--granularity: static only; add --static-scale, or asymmetric ones, with scale_formats");
  EXPECT_EQ(option_message({"asymmetric", "leave out asymmetric, or scale_layout column"}),
            "--asymmetric: leave out --asymmetric, or --scale-layout column");
}

}  // namespace
}  // namespace kqbench
