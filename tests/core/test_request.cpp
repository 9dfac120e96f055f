// SPDX-License-Identifier: Apache-2.0

// What a request may be, and what follows from it.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <set>
#include <string>
#include <vector>

#include "kq/request.hpp"
#include "kq/scale_rules.hpp"

namespace kq {
namespace {

constexpr float inf = std::numeric_limits<float>::infinity();
constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr std::int64_t int64_max = std::numeric_limits<std::int64_t>::max();

Request static_tensor() {
  Request r;
  r.static_scale = true;
  r.num_tokens = 4;
  r.hidden_size = 100;
  return r;
}

Request dynamic_token_fp8() {
  Request r = static_tensor();
  r.static_scale = false;
  r.format = Format::fp8_e4m3fn;
  r.granularity = Granularity::token;
  return r;
}

Request group_of(std::int64_t size) {
  Request r = dynamic_token_fp8();
  r.granularity = Granularity::group;
  r.group_size = size;
  return r;
}

Request block(const Request& group, std::int64_t rows, std::int64_t columns) {
  Request r = group;
  r.granularity = Granularity::block;
  r.block_rows = rows;
  r.group_size = columns;
  return r;
}

auto block_of(std::int64_t rows, std::int64_t columns) {
  return [=](Request& r) { r = block(r, rows, columns); };
}

struct Case {
  const char* what;
  Request request;
  std::function<void(Request&)> change;
  const char* field;   ///< the one named; null if the request stays valid
  const char* reason;  ///< a part of what is said
};

TEST(Validate, NamesTheFieldThatStandsInTheWay) {
  const Request st = static_tensor();
  const Request dt = dynamic_token_fp8();
  const Request gr = group_of(32);
  const Case cases[] = {
      {"plain", st, [](Request&) {}, nullptr, ""},
      {"no rows", st, [](Request& r) { r.num_tokens = 0; }, nullptr, ""},
      {"no rows of groups", gr, [](Request& r) { r.num_tokens = 0; }, nullptr, ""},
      {"no rows and no columns", st, [](Request& r) { r.num_tokens = r.hidden_size = 0; }, "hidden_size", "1 or more"},
      {"fewer than no rows", st, [](Request& r) { r.num_tokens = -3; }, "num_tokens", "not -3"},
      {"no columns", st, [](Request& r) { r.hidden_size = 0; }, "hidden_size", "1 or more"},
      {"one element", st, [](Request& r) { r.num_tokens = r.hidden_size = 1; }, nullptr, ""},

      {"stride of the row", st, [](Request& r) { r.input_stride = r.codes_stride = 100; }, nullptr, ""},
      {"long strides", st, [](Request& r) { r.input_stride = 128, r.codes_stride = 101; }, nullptr, ""},
      {"input rows overlap", st, [](Request& r) { r.input_stride = 99; }, "input_stride", "hidden_size (100), not 99"},
      {"code rows overlap", st, [](Request& r) { r.codes_stride = 1; }, "codes_stride", "not 1"},
      {"negative stride", st, [](Request& r) { r.input_stride = -100; }, "input_stride", "not -100"},

      {"2^63 elements", st, [](Request& r) { r.num_tokens = r.hidden_size = int64_max; }, "num_tokens",
       "170141183460469231694793815568465002498 bytes"},
      {"2^62 halves", st, [](Request& r) { r.num_tokens = std::int64_t{1} << 62; }, "num_tokens",
       "922337203685477580800 bytes, more than an address can count (9223372036854775807)"},
      {"a row of 2^63", st, [](Request& r) { r.num_tokens = 1, r.hidden_size = int64_max; }, "num_tokens", "address"},
      {"2^40 halves", st, [](Request& r) { r.num_tokens = r.hidden_size = 1 << 20; }, nullptr, ""},
      {"2^63 - 2 bytes", st, [](Request& r) { r.num_tokens = 1, r.hidden_size = (std::int64_t{1} << 62) - 1; },
       "hidden_size", "scales"},
      {"far rows", st, [](Request& r) { r.input_stride = int64_max / 4; }, "input_stride", "address"},
      {"far codes", st, [](Request& r) { r.codes_stride = int64_max / 2; }, "codes_stride", "address"},
      {"far codes of one row", st, [](Request& r) { r.num_tokens = 1, r.codes_stride = int64_max; }, nullptr, ""},
      {"too many scales", dt, [](Request& r) { r.num_tokens = std::int64_t{1} << 61, r.hidden_size = 1; }, "num_tokens",
       "scales"},

      {"group of 16", gr, [](Request& r) { r.group_size = 16; }, nullptr, ""},
      {"group of 15", gr, [](Request& r) { r.group_size = 15; }, "group_size", "not 15"},
      {"group without size", gr, [](Request& r) { r.group_size = 0; }, "group_size", "16 or more"},
      {"group larger than the row", gr, [](Request& r) { r.group_size = 4096; }, nullptr, ""},
      {"the largest group", gr, [](Request& r) { r.group_size = int64_max; }, nullptr, ""},
      {"group size of a token", dt, [](Request& r) { r.group_size = 32; }, "group_size",
       "only granularities group and"},
      {"static group", gr, [](Request& r) { r.static_scale = true; }, nullptr, ""},
      {"static channel", st, [](Request& r) { r.granularity = Granularity::channel; }, nullptr, ""},
      {"dynamic channel", dt, [](Request& r) { r.granularity = Granularity::channel; }, nullptr, ""},
      {"dynamic channel asymmetric", dt,
       [](Request& r) { r.format = Format::int8, r.asymmetric = true, r.granularity = Granularity::channel; }, nullptr,
       ""},
      {"block", gr, block_of(3, 32), nullptr, ""},
      {"block of int8", gr, [](Request& r) { r = block(r, 1, 16), r.format = Format::int8; }, nullptr, ""},
      {"static block", gr, [](Request& r) { r = block(r, 128, 128), r.static_scale = true; }, nullptr, ""},
      {"block larger than the tensor", gr, block_of(int64_max, int64_max), nullptr, ""},
      {"block without rows", gr, block_of(0, 32), "block_rows", "1 or more, not 0"},
      {"block of -1 rows", gr, block_of(-1, 32), "block_rows", "not -1"},
      {"block without columns", gr, block_of(3, 0), "group_size", "16 or more"},
      {"narrow block", gr, block_of(3, 15), "group_size", "not 15"},
      {"rows of a group", gr, [](Request& r) { r.block_rows = 2; }, "block_rows", "only granularity block"},
      {"rows of a token", dt, [](Request& r) { r.block_rows = 2; }, "block_rows", "only granularity block"},
      {"asymmetric blocks", gr, [](Request& r) { r = block(r, 2, 32), r.format = Format::int8, r.asymmetric = true; },
       "asymmetric", "blocks have no zero point; take granularity tensor, token or channel"},
      {"a bound for channels", dt, [](Request& r) { r.granularity = Granularity::channel, r.scale_ub = 1.0f; },
       "scale_ub", "token"},
      {"UE8M0 group", gr, [](Request& r) { r.scale_format = ScaleFormat::ue8m0; }, nullptr, ""},
      {"UE8M0 int8 group", gr, [](Request& r) { r.format = Format::int8, r.scale_format = ScaleFormat::ue8m0_float32; },
       nullptr, ""},
      {"UE8M0 token", dt, [](Request& r) { r.scale_format = ScaleFormat::ue8m0; }, "scale_format", "ue8m0"},
      {"columns of groups", gr, [](Request& r) { r.scale_layout = ScaleLayout::column; }, nullptr, ""},
      {"aligned columns", gr, [](Request& r) { r.scale_layout = ScaleLayout::column_aligned; }, nullptr, ""},
      {"aligned columns of a token", dt, [](Request& r) { r.scale_layout = ScaleLayout::column_aligned; },
       "scale_layout", "groups and blocks"},
      {"packed floats", gr, [](Request& r) { r.scale_layout = ScaleLayout::packed; }, "scale_layout",
       "scale_format ue8m0"},
      {"packed", gr, [](Request& r) { r.scale_layout = ScaleLayout::packed, r.scale_format = ScaleFormat::ue8m0; },
       nullptr, ""},
      {"stride of scales", gr, [](Request& r) { r.scale_layout = ScaleLayout::column, r.scale_stride = 11; }, nullptr,
       ""},
      {"short stride of scales", gr, [](Request& r) { r.scale_layout = ScaleLayout::column, r.scale_stride = 3; },
       "scale_stride", "at least the rows of scales (4), not 3"},
      {"stride of blocks' scales", gr,
       [](Request& r) { r = block(r, 3, 32), r.scale_layout = ScaleLayout::column, r.scale_stride = 4; }, nullptr, ""},
      {"stride of rows of scales", gr, [](Request& r) { r.scale_stride = 100; }, "scale_stride", "take column"},
      {"far scales", gr, [](Request& r) { r.scale_layout = ScaleLayout::column, r.scale_stride = int64_max; },
       "scale_stride", "address"},
      {"columns of tokens", dt, [](Request& r) { r.scale_layout = ScaleLayout::column; }, "scale_layout", "group"},

      {"asymmetric int8", st, [](Request& r) { r.asymmetric = true; }, nullptr, ""},
      {"asymmetric fp8", dt, [](Request& r) { r.asymmetric = true; }, "asymmetric", "fp8_e4m3fn"},
      {"asymmetric groups", gr, [](Request& r) { r.format = Format::int8, r.asymmetric = true; }, "asymmetric",
       "groups have no zero point; take granularity tensor, token or channel"},
      {"asymmetric fp8 by name", dt, [](Request& r) { r.asymmetric = true; }, "asymmetric",
       "dynamic token asymmetric gives int8 codes only, not fp8_e4m3fn; take int8, or leave out asymmetric"},

      {"qmax 1", st, [](Request& r) { r.qmax = 1.0f; }, nullptr, ""},
      {"qmax 127", st, [](Request& r) { r.qmax = 127.0f; }, nullptr, ""},
      {"qmax 128", st, [](Request& r) { r.qmax = 128.0f; }, "qmax", "at most 127 for int8, not 128"},
      {"qmax 12.5", st, [](Request& r) { r.qmax = 12.5f; }, "qmax", "integer from 1 to 127"},
      {"qmax 0.5", st, [](Request& r) { r.qmax = 0.5f; }, "qmax", "integer"},
      {"qmax -1", st, [](Request& r) { r.qmax = -1.0f; }, "qmax", "above 0"},
      {"qmax NaN", st, [](Request& r) { r.qmax = not_a_number; }, "qmax", "above 0"},
      {"qmax inf", dt, [](Request& r) { r.qmax = inf; }, "qmax", "at most 448"},
      {"fp8 qmax 12.5", dt, [](Request& r) { r.qmax = 12.5f; }, nullptr, ""},
      {"fp8 qmax 448", dt, [](Request& r) { r.qmax = 448.0f; }, nullptr, ""},
      {"fp8 qmax above", dt, [](Request& r) { r.qmax = std::nextafter(448.0f, inf); }, "qmax", "fp8_e4m3fn"},
      {"fnuz qmax 240", dt, [](Request& r) { r.format = Format::fp8_e4m3fnuz, r.qmax = 240.0f; }, nullptr, ""},
      {"fnuz qmax 448", dt, [](Request& r) { r.format = Format::fp8_e4m3fnuz, r.qmax = 448.0f; }, "qmax", "240"},

      {"a bound", dt, [](Request& r) { r.scale_ub = 3.0f; }, nullptr, ""},
      {"no bound", dt, [](Request& r) { r.scale_ub = inf; }, nullptr, ""},
      {"a bound of 0", dt, [](Request& r) { r.scale_ub = 0.0f; }, "scale_ub", "above 0"},
      {"a negative bound", dt, [](Request& r) { r.scale_ub = -1.0f; }, "scale_ub", "not -1"},
      {"a bound of NaN", dt, [](Request& r) { r.scale_ub = not_a_number; }, "scale_ub", "above 0"},
      {"a bound for int8", dt, [](Request& r) { r.format = Format::int8, r.scale_ub = 1.0f; }, "scale_ub",
       "of fp8 have an upper bound; leave it out"},
      {"a bound for static", dt, [](Request& r) { r.static_scale = true, r.scale_ub = 1.0f; }, "scale_ub", "dynamic"},
      {"a bound for a tensor", dt, [](Request& r) { r.granularity = Granularity::tensor, r.scale_ub = 1.0f; },
       "scale_ub", "token"},
      {"a bound for groups", gr, [](Request& r) { r.scale_ub = 1.0f; }, "scale_ub", "token"},

      {"no element type", st, [](Request& r) { r.element = static_cast<Element>(9); }, "dtype", "no such"},
      {"no format", st, [](Request& r) { r.format = static_cast<Format>(9); }, "quant_dtype", "no such"},
      {"no granularity", st, [](Request& r) { r.granularity = static_cast<Granularity>(9); }, "granularity", "no such"},
      {"no scale format", gr, [](Request& r) { r.scale_format = static_cast<ScaleFormat>(9); }, "scale_format",
       "no such"},
      {"no scale layout", gr, [](Request& r) { r.scale_layout = static_cast<ScaleLayout>(9); }, "scale_layout",
       "no such"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Request r = c.request;
    c.change(r);
    const auto invalid = validate(r);
    if (c.field == nullptr) {
      EXPECT_FALSE(invalid) << invalid->field << ": " << invalid->reason;
    } else if (!invalid) {
      ADD_FAILURE() << "accepted";
    } else {
      EXPECT_EQ(invalid->field, c.field);
      EXPECT_NE(invalid->reason.find(c.reason), std::string::npos) << invalid->reason;
      EXPECT_EQ(invalid->reason.find('\n'), std::string::npos) << invalid->reason;
    }
  }
}

// A launch counts its teams in an int: INT_MAX rows, or 8 times as many parts of rows.
TEST(Validate, RefusesMoreThanALaunchCounts) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max();
  struct Shape {
    std::int64_t num_tokens, hidden_size, group_size;
    const char* field;  ///< null: valid
  };
  const Shape shapes[] = {
      {most, 1, 0, nullptr},
      {most + 1, 1, 0, "num_tokens"},
      {std::int64_t{1} << 40, 1, 0, "num_tokens"},
      {most, 8 * 512, 0, nullptr},
      {most, 8 * 512 + 1, 0, "hidden_size"},
      {1, 8 * 512 * most, 0, nullptr},
      {1, 8 * 512 * most + 1, 0, "hidden_size"},
      {most, 8 * 16, 16, nullptr},
      {most, 8 * 16 + 1, 16, "group_size"},
      {1, 8 * 16 * most + 1, 16, "group_size"},
      {most, 8 * 512, 1024, nullptr},
      {most, 8 * 512 + 1, 1024, "hidden_size"},
  };
  for (const Shape& s : shapes) {
    Request r = s.group_size == 0 ? static_tensor() : group_of(s.group_size);
    r.num_tokens = s.num_tokens;
    r.hidden_size = s.hidden_size;
    const auto invalid = validate(r);
    EXPECT_EQ(invalid ? invalid->field : "", s.field == nullptr ? "" : s.field)
        << s.num_tokens << " x " << s.hidden_size << ", groups of " << s.group_size;
    if (invalid) {
      EXPECT_NE(invalid->reason.find("launch"), std::string::npos) << invalid->reason;
    }
  }
}

TEST(Resolved, FillsInWhatWasLeftOut) {
  Request r = dynamic_token_fp8();
  EXPECT_EQ(resolved(r).input_stride, 100);
  EXPECT_EQ(resolved(r).codes_stride, 100);
  EXPECT_EQ(resolved(r).qmax, 448.0f);
  r.input_stride = 128;
  r.codes_stride = 112;
  r.qmax = 224.0f;
  EXPECT_EQ(resolved(r), r);
}

TEST(Sizes, FollowTheStridesUpToTheLastElement) {
  Request r = static_tensor();
  EXPECT_EQ(input_bytes(r), 800u);
  EXPECT_EQ(codes_bytes(r), 400u);
  r.input_stride = 128;
  r.codes_stride = 110;
  EXPECT_EQ(input_bytes(r), (3 * 128 + 100) * 2u);
  EXPECT_EQ(codes_bytes(r), 3 * 110 + 100u);
  r.element = Element::float32;
  EXPECT_EQ(input_bytes(r), (3 * 128 + 100) * 4u);
}

TEST(Sizes, AreSixtyFourBitsWide) {
  Request r = static_tensor();
  r.num_tokens = std::int64_t{1} << 20;
  r.hidden_size = std::int64_t{1} << 20;
  EXPECT_EQ(input_bytes(r), std::uint64_t{1} << 41);
  EXPECT_EQ(minimal_traffic(r).read, (std::uint64_t{1} << 41) + 4);
  r.static_scale = false;
  r.granularity = Granularity::group;
  r.group_size = 16;
  EXPECT_EQ(num_scales(r), std::int64_t{1} << 36);
  EXPECT_EQ(scale_index(r, (1 << 20) - 1, (1 << 20) - 1), (std::int64_t{1} << 36) - 1);
}

/// Of [10, 100] in blocks of 4 x 32: 3 rows of scales and 4 columns.
TEST(Scales, LieWhereTheirLayoutSays) {
  Request r = block(group_of(32), 4, 32);
  r.num_tokens = 10;
  EXPECT_EQ(rows_per_scale(r), 4);
  EXPECT_EQ(columns_per_scale(r), 32);
  EXPECT_EQ(scale_rows(r), 3);
  EXPECT_EQ(groups_per_row(r), 4);
  EXPECT_EQ(num_scales(r), 12);
  EXPECT_EQ(stored_scales(r), 12);
  EXPECT_EQ(scale_index(r, 3, 99), 3);
  EXPECT_EQ(scale_index(r, 9, 40), 9);
  EXPECT_EQ(operation_name(r), "dynamic block:4x32");

  r.scale_layout = ScaleLayout::column;
  EXPECT_EQ(stored_scales(r), 12);
  EXPECT_EQ(scale_index(r, 9, 40), 5);
  r.scale_stride = 7;
  EXPECT_EQ(scale_index(r, 9, 40), 9);
  EXPECT_EQ(stored_scales(r), 3 * 7 + 3);
  EXPECT_EQ(scales_bytes(r), 4u * 24);
  EXPECT_EQ(minimal_traffic(r).written, 1000u + 4 * 12);
  EXPECT_EQ(operation_name(r), "dynamic block:4x32 column:7");
  r.scale_stride = 0;

  r.scale_layout = ScaleLayout::column_aligned;
  EXPECT_EQ(scale_column_stride(r), 4) << "16 bytes of floats";
  EXPECT_EQ(scale_index(r, 9, 40), 6);
  EXPECT_EQ(stored_scales(r), 16);
  r.scale_format = ScaleFormat::ue8m0;
  EXPECT_EQ(scale_column_stride(r), 16) << "16 bytes of exponents";
  EXPECT_EQ(scale_index(r, 9, 40), 18);
  EXPECT_EQ(stored_scales(r), 64);
  EXPECT_EQ(scales_bytes(r), 64u);

  r.scale_layout = ScaleLayout::packed;
  r.hidden_size = 200;  // 7 columns
  EXPECT_EQ(padded_scale_rows(r), 4);
  EXPECT_EQ(padded_scale_columns(r), 8);
  EXPECT_EQ(stored_scales(r), 32);
  EXPECT_EQ(scale_index(r, 0, 0), 0);
  EXPECT_EQ(scale_index(r, 0, 127), 3);
  EXPECT_EQ(scale_index(r, 4, 0), 4);
  EXPECT_EQ(scale_index(r, 9, 199), (4 + 2) * 4 + 2);
  EXPECT_EQ(minimal_traffic(r).written, 2000u + 32) << "padding is written";
  r.num_tokens = 0;
  EXPECT_EQ(stored_scales(r), 0);
}

TEST(Scales, AreCountedByGranularity) {
  Request r = static_tensor();
  EXPECT_EQ(num_scales(r), 1);
  EXPECT_EQ(scale_index(r, 3, 99), 0);
  r.granularity = Granularity::token;
  EXPECT_EQ(num_scales(r), 4);
  EXPECT_EQ(scale_index(r, 3, 99), 3);
  r.granularity = Granularity::channel;
  EXPECT_EQ(num_scales(r), 100);
  EXPECT_EQ(scale_index(r, 3, 99), 99);
}

TEST(Scales, OfGroupsAreStoredByRowOrByColumn) {
  Request r = group_of(32);  // 3 groups and a short one
  EXPECT_EQ(groups_per_row(r), 4);
  EXPECT_EQ(num_scales(r), 16);
  EXPECT_EQ(scale_index(r, 0, 31), 0);
  EXPECT_EQ(scale_index(r, 0, 32), 1);
  EXPECT_EQ(scale_index(r, 2, 96), 2 * 4 + 3);
  r.scale_layout = ScaleLayout::column;
  EXPECT_EQ(scale_index(r, 0, 32), 4);
  EXPECT_EQ(scale_index(r, 2, 96), 3 * 4 + 2);
  for (const ScaleLayout layout : {ScaleLayout::row, ScaleLayout::column}) {
    r.scale_layout = layout;
    std::set<std::int64_t> places;
    for (std::int64_t token = 0; token < r.num_tokens; ++token) {
      for (std::int64_t channel = 0; channel < r.hidden_size; ++channel) {
        places.insert(scale_index(r, token, channel));
      }
    }
    EXPECT_EQ(places.size(), 16u);
    EXPECT_EQ(*places.begin(), 0);
    EXPECT_EQ(*places.rbegin(), 15);
  }
  r.group_size = 100;
  EXPECT_EQ(groups_per_row(r), 1);
  r.group_size = int64_max;
  EXPECT_EQ(groups_per_row(r), 1);
}

TEST(Scales, TakeFourBytesOrOne) {
  Request r = group_of(32);
  EXPECT_EQ(scales_bytes(r), 64u);
  r.scale_format = ScaleFormat::ue8m0_float32;
  EXPECT_EQ(scales_bytes(r), 64u);
  r.scale_format = ScaleFormat::ue8m0;
  EXPECT_EQ(scales_bytes(r), 16u);
  EXPECT_EQ(zero_points_bytes(r), 0u);
  r = static_tensor();
  r.asymmetric = true;
  r.granularity = Granularity::token;
  EXPECT_EQ(zero_points_bytes(r), 16u);
}

TEST(Traffic, IsInputCodesAndScalesOnce) {
  Request r = static_tensor();
  r.input_stride = r.codes_stride = 1000;  // gaps are not moved
  EXPECT_EQ(minimal_traffic(r).read, 800u + 4u);
  EXPECT_EQ(minimal_traffic(r).written, 400u);
  r.asymmetric = true;
  EXPECT_EQ(minimal_traffic(r).read, 800u + 8u);
  r = dynamic_token_fp8();
  r.element = Element::float32;
  EXPECT_EQ(minimal_traffic(r).read, 1600u);
  EXPECT_EQ(minimal_traffic(r).written, 400u + 16u);
  r = group_of(32);
  r.scale_format = ScaleFormat::ue8m0;
  EXPECT_EQ(minimal_traffic(r).written, 400u + 16u);
}

TEST(Names, AreReadBackAsTheyAreWritten) {
  for (const Element e : {Element::half, Element::bfloat16, Element::float32}) {
    EXPECT_EQ(parse_element(to_string(e)), e);
  }
  for (const Format f : formats()) {
    EXPECT_EQ(parse_format(to_string(f)), f);
    EXPECT_EQ(is_fp8(f), to_string(f).substr(0, 4) == "fp8_");
  }
  for (const ScaleFormat f :
       {ScaleFormat::float32, ScaleFormat::ue8m0_float32, ScaleFormat::ue8m0, ScaleFormat::e4m3}) {
    EXPECT_EQ(parse_scale_format(to_string(f)), f);
  }
  for (const ScaleLayout l : {ScaleLayout::row, ScaleLayout::column, ScaleLayout::swizzled_8x4}) {
    EXPECT_EQ(parse_scale_layout(to_string(l)), l);
  }
  EXPECT_EQ(parse_format("fp8"), Format::fp8_e4m3fn);
  EXPECT_FALSE(parse_format("fp16"));
  EXPECT_EQ(parse_element("fp16"), Element::half);
  EXPECT_EQ(parse_element("bf16"), Element::bfloat16);
  EXPECT_EQ(parse_element("float32"), Element::float32);
  EXPECT_FALSE(parse_element("fp8"));
  EXPECT_FALSE(parse_element("Half"));
  EXPECT_FALSE(parse_element(""));
  EXPECT_EQ(to_string(Granularity::group, 128), "group:128");
  EXPECT_EQ(to_string(Granularity::channel, 0), "channel");
}

TEST(Names, SayWhatAnOperationDoes) {
  EXPECT_EQ(operation_name(static_tensor()), "static tensor");
  EXPECT_EQ(operation_name(dynamic_token_fp8()), "dynamic token");
  Request r = group_of(128);
  r.scale_format = ScaleFormat::ue8m0;
  EXPECT_EQ(operation_name(r), "dynamic group:128 ue8m0");
  r.scale_layout = ScaleLayout::column;
  EXPECT_EQ(operation_name(r), "dynamic group:128 ue8m0 column");
  r = static_tensor();
  r.asymmetric = true;
  EXPECT_EQ(operation_name(r), "static tensor asymmetric");
}

TEST(Schemes, AreAllThatValidateAllows) {
  std::set<std::string> named;
  for (const Scheme& scheme : schemes()) {
    EXPECT_TRUE(named.insert(std::string(scheme.name)).second) << scheme.name << " twice";
    EXPECT_FALSE(scheme.scale_formula.empty());
    EXPECT_FALSE(scheme.code_formula.empty());
  }
  const auto find = [](const Request& r) -> const Scheme* {
    for (const Scheme& s : schemes()) {
      if (s.granularity == r.granularity && s.static_scale == r.static_scale && s.asymmetric == r.asymmetric) return &s;
    }
    return nullptr;
  };
  int allowed = 0;
  for (const Granularity granularity :
       {Granularity::tensor, Granularity::token, Granularity::channel, Granularity::group, Granularity::block}) {
    for (const int bits : {0, 1, 2, 3, 4, 5, 6, 7}) {
      Request r = static_tensor();
      r.granularity = granularity;
      r.group_size = has_groups(granularity) ? 32 : 0;
      r.block_rows = granularity == Granularity::block ? 4 : 0;
      r.static_scale = (bits & 1) != 0;
      r.asymmetric = (bits & 2) != 0;
      r.format = (bits & 4) != 0 ? Format::fp8_e4m3fn : Format::int8;
      const Scheme* const scheme = find(r);
      const bool listed = scheme != nullptr && (is_fp8(r.format) ? scheme->fp8 : scheme->int8);
      EXPECT_EQ(!validate(r), listed) << operation_name(r) << ' ' << to_string(r.format);
      if (!listed) continue;
      ++allowed;
      const std::string name = operation_name(r);
      EXPECT_EQ(scheme->name, name.substr(0, name.find(':')));
    }
  }
  EXPECT_EQ(allowed, 26);
}

TEST(Formats, HaveTheirTypesInTheirOrder) {
  for (const Format format : formats()) {
    std::string_view of_type;
    with_any_format(format, [&]<class Type>(Type) { of_type = Type::name; });
    EXPECT_EQ(to_string(format), of_type);
  }
}

TEST(Formats, AreEachServed) {
  for (const Format format : formats()) {
    const auto serves_it = [&](const Scheme& scheme) { return serves(scheme, format); };
    EXPECT_TRUE(std::any_of(schemes().begin(), schemes().end(), serves_it)) << to_string(format);
  }
}

TEST(Formats, HaveTheirLargestValues) {
  EXPECT_EQ(format_max(Format::int8), 127.0f);
  EXPECT_EQ(format_max(Format::fp8_e4m3fn), 448.0f);
  EXPECT_EQ(format_max(Format::fp8_e5m2), 57344.0f);
  EXPECT_EQ(format_max(Format::fp8_e4m3fnuz), 240.0f);
  EXPECT_EQ(format_max(Format::fp8_e5m2fnuz), 57344.0f);
}

}  // namespace
}  // namespace kq
