// SPDX-License-Identifier: Apache-2.0

// What `kqbench verify` goes through, and how options restrict it.

#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <limits>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "bench/requests/arguments.hpp"
#include "bench/requests/verify_cases.hpp"
#include "bench/support/errors.hpp"
#include "kq/dialect.hpp"

namespace kqbench {
namespace {

using kq::Granularity;
using kq::ScaleFormat;
using kq::ScaleLayout;

using Formats = std::set<ScaleFormat>;
using Layouts = std::set<ScaleLayout>;

const Formats all_formats = {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0};
const Layouts all_layouts = {ScaleLayout::row, ScaleLayout::column, ScaleLayout::column_aligned, ScaleLayout::packed};

/// The requests of a command line, of one small shape.
std::vector<kq::Request> requests_of(const std::string& options) {
  CLI::App command;
  RequestArguments arguments;
  arguments.add_to(command, Use::verify);
  command.parse("--num-tokens 3 --hidden-size 40 " + options);
  return verify_requests(arguments.sweep());
}

/// Whether verify goes through it apart from the others: 4-bit codes, exponents by a rounding, scales in tiles.
bool is_of_blocks(const kq::Request& r) {
  return kq::is_mx(r) || r.format == kq::Format::fp4_e2m1 || kq::is_tiled(r.scale_layout);
}

/// How the scales of groups are stored: every combination of format and layout, and nothing else.
void expect_of_groups(const std::string& options, const Formats& formats, const Layouts& layouts) {
  std::set<std::pair<ScaleFormat, ScaleLayout>> wanted, found;
  for (const ScaleFormat format : formats) {
    for (const ScaleLayout layout : layouts) {
      if (layout != ScaleLayout::packed || format == ScaleFormat::ue8m0) wanted.insert({format, layout});
    }
  }
  for (const kq::Request& r : requests_of(options)) {
    if (kq::has_groups(r.granularity) && !is_of_blocks(r)) found.insert({r.scale_format, r.scale_layout});
  }
  EXPECT_EQ(found, wanted) << options;
}

bool has_others_than_groups(const std::string& options) {
  for (const kq::Request& r : requests_of(options)) {
    if (!kq::has_groups(r.granularity)) return true;
  }
  return false;
}

TEST(VerifyRequests, HaveEveryScaleFormatAndLayoutThatIsNotGiven) {
  expect_of_groups("", all_formats, all_layouts);
  expect_of_groups("--scale-format float", {ScaleFormat::float32}, all_layouts);
  expect_of_groups("--scale-format ue8m0", {ScaleFormat::ue8m0}, all_layouts);
  expect_of_groups("--scale-layout row", all_formats, {ScaleLayout::row});
  expect_of_groups("--scale-layout column", all_formats, {ScaleLayout::column});
  expect_of_groups("--scale-format float --scale-layout row", {ScaleFormat::float32}, {ScaleLayout::row});
  expect_of_groups("--scale-format ue8m0_float --scale-layout column", {ScaleFormat::ue8m0_float32},
                   {ScaleLayout::column});
}

TEST(VerifyRequests, AreOfGroupsAloneWhereOnlyThoseCanBeAsGiven) {
  EXPECT_TRUE(has_others_than_groups(""));
  EXPECT_TRUE(has_others_than_groups("--scale-format float --scale-layout row"));
  EXPECT_FALSE(has_others_than_groups("--scale-format ue8m0"));
  EXPECT_FALSE(has_others_than_groups("--scale-layout column"));
  EXPECT_THROW(requests_of("--scale-format ue8m0 --granularity token"), UsageError);
}

TEST(VerifyRequests, AreValidAndEachThereOnce) {
  const std::vector<kq::Request> requests =
      requests_of("--dtype half --quant-dtype int8,fp8 --dialect kqbench --producer none --scale-rounding quotient");
  for (std::size_t i = 0; i < requests.size(); ++i) {
    EXPECT_FALSE(kq::validate(requests[i])) << describe(requests[i]);
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_FALSE(requests[i] == requests[j]) << describe(requests[i]);
  }
  // The schemes without groups as they stand; groups of three sizes and blocks of two, static and dynamic, and 10 ways
  // to store their scales; each also with a smaller qmax, and fp8 dynamic token with a bound.
  const std::size_t int8_schemes = 12, fp8_schemes = 6, groups = 2 * (3 + 2);
  // Of the sizes 16, 32 and 16x16 exponents in three layouts of tiles too, static and dynamic, of both formats.
  const std::size_t in_tiles = 3 * 3 * 2 * 2;
  EXPECT_EQ(requests.size(), 2 * int8_schemes + 2 * fp8_schemes + 1 + 2 * groups * (10 + 1) + in_tiles);
}

TEST(VerifyRequests, HaveRowsThatKernelsAreMadeForWhereNoSizeIsGiven) {
  CLI::App command;
  RequestArguments arguments;
  arguments.add_to(command, Use::verify);
  command.parse("--dtype bfloat16 --quant-dtype fp8 --dialect kqbench");
  std::set<std::tuple<std::int64_t, std::int64_t, kq::Producer, Granularity, bool>> found;
  for (const kq::Request& r : verify_requests(arguments.sweep())) {
    if (r.hidden_size % 4096 == 0) {
      found.insert({r.num_tokens, r.hidden_size, r.producer, r.granularity, r.static_scale});
    }
  }
  // One row of either size and many of one, behind four producers, of tensors, tokens and groups, static and dynamic.
  EXPECT_EQ(found.size(), 3u * 4 * 3 * 2);
  for (const kq::Request& r : requests_of("")) {
    EXPECT_EQ(r.hidden_size, 40);
  }
}

TEST(VerifyRequests, HaveEveryBlockFormat) {
  std::set<std::tuple<kq::Format, ScaleFormat, kq::ScaleRounding, bool>> found;
  std::set<ScaleLayout> layouts;
  std::set<kq::Dialect> dialects;
  for (const kq::Request& r : requests_of("--dtype half")) {
    if (!is_of_blocks(r)) continue;
    layouts.insert(r.scale_layout);
    dialects.insert(r.dialect);
    if (r.dialect == kq::Dialect::kqbench && !r.static_scale) {
      found.insert({r.format, r.scale_format, r.scale_rounding, r.global_scale != 0.0f});
    }
  }
  // Three formats by four roundings, NVFP4 with its own scale and with a given one, and fp8 in tiles.
  EXPECT_EQ(found.size(), 3u * 4 + 2 + 2);
  EXPECT_EQ(layouts.size(), 7u);
  EXPECT_EQ(dialects.size(), 10u);
}

TEST(VerifyRequests, AreOfANamedSchemeAlone) {
  for (const kq::Request& r : requests_of("--scheme mxfp8,nvfp4 --dtype half --producer none")) {
    EXPECT_TRUE(r.format == kq::Format::fp8_e4m3fn ? r.group_size == 32 : r.group_size == 16) << describe(r);
  }
  for (const kq::Request& r : requests_of("--scheme mxfp8 --quant-dtype fp8_e5m2 --scale-rounding even")) {
    EXPECT_EQ(r.format, kq::Format::fp8_e5m2);
    EXPECT_EQ(r.scale_rounding, kq::ScaleRounding::even);
  }
  EXPECT_THROW(requests_of("--scheme mxfp6"), UsageError);
}

TEST(VerifyRequests, AreOfEveryDialect) {
  std::set<kq::Dialect> found;
  for (const kq::Request& r : requests_of("")) {
    found.insert(r.dialect);
  }
  EXPECT_EQ(found.size(), kq::dialects().size());
  for (const kq::Request& r : requests_of("--dialect vllm,te-kernels")) {
    EXPECT_TRUE(r.dialect == kq::Dialect::vllm_0_33_0 || r.dialect == kq::Dialect::te_kernels);
  }
  // Tokens and tensors, groups of three sizes in the engine's formats: fp8 and int8, as float in three layouts and as
  // UE8M0 in seven; five granularities of given scales, those of groups and blocks in three layouts; and an upper
  // bound.
  const std::size_t groups = 3 * 2 * (3 + 7), given = 3 + 3 * 3 + 2 * 3, others = 3, bounded = 1;
  // And exponents of fp8 groups of two sizes in three layouts of tiles.
  EXPECT_EQ(requests_of("--dtype half --dialect vllm --producer none").size(),
            groups + given + others + bounded + 2 * 3);
}

TEST(VerifyRequests, HaveEveryProducerInFrontOfEveryGranularity) {
  std::set<std::tuple<kq::Producer, kq::Granularity, bool>> found;
  const std::vector<kq::Request> requests = requests_of("--dtype half --dialect kqbench");
  for (std::size_t i = 0; i < requests.size(); ++i) {
    found.insert({requests[i].producer, requests[i].granularity, requests[i].static_scale});
    for (std::size_t j = 0; j < i; ++j)
      EXPECT_FALSE(requests[i] == requests[j]) << describe(requests[i]);
  }
  EXPECT_EQ(found.size(), (1 + kq::producers().size()) * 5 * 2);
}

TEST(VerifyRequests, KeepABoundThatIsGiven) {
  for (const kq::Request& r : requests_of("--qmax 100")) {
    EXPECT_EQ(r.qmax, 100.0f);
  }
  for (const kq::Request& r : requests_of("--scale-ub 2")) {
    EXPECT_EQ(r.scale_ub, 2.0f);
  }
  // No bound, which every scheme may be told.
  EXPECT_GT(requests_of("--scale-ub inf").size(), requests_of("--scale-ub 2").size());
  for (const kq::Request& r : requests_of("--scale-ub inf")) {
    EXPECT_EQ(r.scale_ub, std::numeric_limits<float>::infinity());
  }
}

}  // namespace
}  // namespace kqbench
