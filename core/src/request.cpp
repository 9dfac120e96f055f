// SPDX-License-Identifier: Apache-2.0

#include "kq/request.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "kq/dialect.hpp"
#include "kq/format.hpp"

namespace kq {
namespace {

template <class Enum>
struct Name {
  Enum value;
  std::string_view name;
};

constexpr std::array<Name<Element>, 3> element_names{{
    {Element::half, "half"},
    {Element::bfloat16, "bfloat16"},
    {Element::float32, "float"},
}};

constexpr std::array<Name<ScaleFormat>, 4> scale_format_names{{
    {ScaleFormat::float32, "float"},
    {ScaleFormat::ue8m0_float32, "ue8m0_float"},
    {ScaleFormat::ue8m0, "ue8m0"},
    {ScaleFormat::e4m3, "e4m3"},
}};

constexpr std::array<Name<ScaleLayout>, 7> scale_layout_names{{
    {ScaleLayout::row, "row"},
    {ScaleLayout::column, "column"},
    {ScaleLayout::column_aligned, "column_aligned"},
    {ScaleLayout::packed, "packed"},
    {ScaleLayout::swizzled_128x4, "swizzled_128x4"},
    {ScaleLayout::swizzled_8x4, "swizzled_8x4"},
    {ScaleLayout::shuffled_32x8, "shuffled_32x8"},
}};

constexpr std::array<Name<ScaleRounding>, 7> scale_rounding_names{{
    {ScaleRounding::quotient, "quotient"},
    {ScaleRounding::rceil, "rceil"},
    {ScaleRounding::floor, "floor"},
    {ScaleRounding::even, "even"},
    {ScaleRounding::ceil, "ceil"},
    {ScaleRounding::four_over_six_mae_448, "4over6_mae_448"},
    {ScaleRounding::four_over_six_mse_256, "4over6_mse_256"},
}};

constexpr std::array producer_table{
    ProducerFacts{Producer::none, "none", 1, false, false},
    ProducerFacts{Producer::rms_norm, "rms_norm", 1, true, false},
    ProducerFacts{Producer::add_rms_norm, "add_rms_norm", 1, true, true},
    ProducerFacts{Producer::silu_mul, "silu_mul", 2, false, false},
};

constexpr std::array<Name<Granularity>, 5> granularity_names{{
    {Granularity::tensor, "tensor"},
    {Granularity::token, "token"},
    {Granularity::channel, "channel"},
    {Granularity::group, "group"},
    {Granularity::block, "block"},
}};

struct FormatFacts {
  std::string_view name;
  float max;
  int code_bits;
  bool is_integer;
  bool is_float8;
};

template <class... Formats>
constexpr auto facts_of(FormatList<Formats...>) {
  return std::array{
      FormatFacts{Formats::name, Formats::max, Formats::code_bits, Formats::is_integer, Formats::is_float8}...};
}

/// By the number of the format.
constexpr std::array format_facts = facts_of(AllFormats());

constexpr auto format_table = [] {
  std::array<Format, format_facts.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = static_cast<Format>(i);
  }
  return all;
}();

constexpr std::string_view affine_scale_formula =
    "max((max - min) / (2 qmax + 1), 2^-126), zero point rne(-(qmax + 1) - min / scale)";
constexpr std::string_view affine_code_formula = "sat(rne(x * (1 / scale)) + zero point)";
constexpr std::string_view given_code_formula = "fp8: fp8(sat(x * (1 / scale))); int8: sat(rne(x / scale))";
constexpr std::string_view group_scale_formula =
    "max(amax, 1e-10) / qmax; ue8m0: raised to the next power of two, or by a scale rounding on amax's bits; e4m3: "
    "e4m3(amax * (g * (1/6))), g = 2688 / amax of the tensor";
constexpr std::string_view block_scale_formula =
    "max(amax, 1e-10) / qmax; ue8m0: raised to the next power of two; e4m3: e4m3(amax * (g * (1/6))), g = 2688 / amax "
    "of the tensor";
constexpr std::string_view group_code_formula =
    "fp8: fp8(sat(x / scale)); int8: sat(rne(x / scale)); fp4: e2m1(x / scale), of e4m3: e2m1(x * (1 / (scale * "
    "(1/g))))";
constexpr std::string_view block_code_formula =
    "fp8: fp8(sat(x / scale)); int8: sat(rne(x / scale)); fp4: e2m1(x * (1 / (scale * (1/g))))";

// What there is: validate() serves the rows of this table and nothing else. The formulas name fp8 first where fp8 and
// int8 differ; docs/numerics.md has them in full.
constexpr std::array<Scheme, 16> scheme_table{{
    {"static tensor", Granularity::tensor, true, false, true, true, false, "given", given_code_formula},
    {"static token", Granularity::token, true, false, true, true, false, "given", given_code_formula},
    {"static channel", Granularity::channel, true, false, true, true, false, "given", given_code_formula},
    {"static group", Granularity::group, true, false, true, true, true, "given", given_code_formula},
    {"static block", Granularity::block, true, false, true, true, false, "given", given_code_formula},
    {"static tensor asymmetric", Granularity::tensor, true, true, false, true, false, "given, zero point too",
     affine_code_formula},
    {"static token asymmetric", Granularity::token, true, true, false, true, false, "given, zero point too",
     affine_code_formula},
    {"static channel asymmetric", Granularity::channel, true, true, false, true, false, "given, zero point too",
     affine_code_formula},
    {"dynamic tensor", Granularity::tensor, false, false, true, true, false,
     "max(amax / qmax, 2^-126); where amax is 0: 1 / (448 * 512) for fp8, 0 for int8",
     "fp8: fp8(sat(x * (1 / scale))); int8: sat(rne(x * min(qmax / amax, 2^126)))"},
    {"dynamic tensor asymmetric", Granularity::tensor, false, true, false, true, false, affine_scale_formula,
     affine_code_formula},
    {"dynamic token", Granularity::token, false, false, true, true, false,
     "fp8: max(min(amax, scale_ub) / qmax, 1 / (448 * 512)); int8: max(amax / qmax, 2^-126), 0 where amax is 0",
     "fp8: fp8(sat(x / scale)); int8: sat(rne(x * min(qmax / amax, 2^126)))"},
    {"dynamic token asymmetric", Granularity::token, false, true, false, true, false, affine_scale_formula,
     affine_code_formula},
    {"dynamic channel", Granularity::channel, false, false, true, true, false,
     "fp8: max(amax / qmax, 1 / (448 * 512)); int8: max(amax / qmax, 2^-126), 0 where amax is 0",
     "fp8: fp8(sat(x / scale)); int8: sat(rne(x * min(qmax / amax, 2^126)))"},
    {"dynamic channel asymmetric", Granularity::channel, false, true, false, true, false, affine_scale_formula,
     affine_code_formula},
    {"dynamic group", Granularity::group, false, false, true, true, true, group_scale_formula, group_code_formula},
    {"dynamic block", Granularity::block, false, false, true, true, true, block_scale_formula, block_code_formula},
}};

constexpr std::array<NamedScheme, 4> named_scheme_table{{
    {"mxfp8", Format::fp8_e4m3fn, 32, ScaleFormat::ue8m0, ScaleRounding::rceil, ScaleLayout::row,
     "OCP MXFP8: blocks of 32, exponents"},
    {"mxfp4", Format::fp4_e2m1, 32, ScaleFormat::ue8m0, ScaleRounding::rceil, ScaleLayout::row,
     "OCP MXFP4: blocks of 32, exponents"},
    {"nvfp4", Format::fp4_e2m1, 16, ScaleFormat::e4m3, ScaleRounding::quotient, ScaleLayout::row,
     "NVFP4: blocks of 16, E4M3 scales and one of the tensor"},
    {"deepgemm", Format::fp8_e4m3fn, 128, ScaleFormat::ue8m0, ScaleRounding::quotient, ScaleLayout::packed,
     "DeepGEMM's: blocks of 128, exponents packed four to an int32"},
}};

template <class Enum, std::size_t N>
const Name<Enum>* find(const std::array<Name<Enum>, N>& names, Enum value) {
  for (const auto& entry : names) {
    if (entry.value == value) return &entry;
  }
  return nullptr;
}

template <class Enum, std::size_t N>
std::string_view name_of(const std::array<Name<Enum>, N>& names, Enum value) {
  const auto* const entry = find(names, value);
  return entry == nullptr ? unknown_name : entry->name;
}

template <class Enum, std::size_t N>
std::optional<Enum> parse(const std::array<Name<Enum>, N>& names, std::string_view name) {
  for (const auto& entry : names) {
    if (entry.name == name) return entry.value;
  }
  return std::nullopt;
}

/// A whole number, and nothing else.
std::optional<std::int64_t> parse_size(std::string_view text) {
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(size) : std::nullopt;
}

/// The facts whose `member` is `value`; null if none are.
template <class Facts, std::size_t Size, class Value>
const Facts* find_facts(const std::array<Facts, Size>& table, Value Facts::*member, const Value& value) {
  for (const Facts& facts : table) {
    if (facts.*member == value) return &facts;
  }
  return nullptr;
}

const FormatFacts* find_format(Format format) {
  const auto number = static_cast<std::size_t>(format);
  return number < format_facts.size() ? &format_facts[number] : nullptr;
}

const ProducerFacts* find_producer(Producer producer) {
  return find_facts(producer_table, &ProducerFacts::producer, producer);
}

/// ceil(a / b) for non-negative a and positive b.
std::int64_t quotient_up(std::int64_t a, std::int64_t b) {
  return a / b + (a % b != 0 ? 1 : 0);
}

std::int64_t stride_or_size(std::int64_t stride, std::int64_t hidden_size) {
  return stride == 0 ? hidden_size : stride;
}

/// A number of bytes that may be larger than memory: two sizes multiplied, times the size of an element.
__extension__ using Bytes = unsigned __int128;

/// The most that an address counts.
constexpr Bytes most_bytes = PTRDIFF_MAX;

std::string decimal(Bytes bytes) {
  std::string digits;
  do {
    digits.insert(digits.begin(), static_cast<char>('0' + static_cast<int>(bytes % 10)));
    bytes /= 10;
  } while (bytes != 0);
  return digits;
}

/// Bytes from the first element of the first row to the last of the last.
Bytes spanned_bytes(std::int64_t rows, std::int64_t stride, std::int64_t row_size, std::size_t size) {
  if (rows == 0) return 0;
  return (static_cast<Bytes>(rows - 1) * static_cast<Bytes>(stride) + static_cast<Bytes>(row_size)) * size;
}

std::size_t strided_bytes(const Request& r, std::int64_t stride, std::int64_t columns, std::size_t size) {
  const Bytes bytes = spanned_bytes(r.num_tokens, stride_or_size(stride, columns), columns, size);
  return bytes > most_bytes ? 0 : static_cast<std::size_t>(bytes);
}

/// A number as a person would write it: "448", "0.5", "-inf".
std::string number(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%g", static_cast<double>(value));
  return text;
}

using Verdict = std::optional<InvalidField>;

/// Rows that those of a layout of tiles are rounded up to.
std::int64_t padded_to_rows(ScaleLayout layout) {
  if (layout == ScaleLayout::shuffled_32x8) return 256;
  return layout == ScaleLayout::swizzled_128x4 ? 128 : 8;
}

Verdict check_enumerators(const Request& r) {
  if (find(element_names, r.element) == nullptr) return InvalidField{"dtype", "no such element type"};
  if (find_format(r.format) == nullptr) return InvalidField{"quant_dtype", "no such format"};
  if (find(granularity_names, r.granularity) == nullptr) return InvalidField{"granularity", "no such granularity"};
  if (find(scale_format_names, r.scale_format) == nullptr) return InvalidField{"scale_format", "no such scale format"};
  if (find(scale_layout_names, r.scale_layout) == nullptr) return InvalidField{"scale_layout", "no such scale layout"};
  if (find(scale_rounding_names, r.scale_rounding) == nullptr) {
    return InvalidField{"scale_rounding", "no such scale rounding"};
  }
  if (find_producer(r.producer) == nullptr) return InvalidField{"producer", "no such producer"};
  return std::nullopt;
}

/// The granularities that `serves` says yes to in some row of the table: "tensor, token or channel".
template <class Predicate>
std::string granularities_where(const Predicate& serves) {
  std::vector<std::string_view> names;
  for (const auto& [granularity, name] : granularity_names) {
    const auto row_serves = [&, wanted = granularity](const Scheme& s) { return s.granularity == wanted && serves(s); };
    if (std::any_of(scheme_table.begin(), scheme_table.end(), row_serves)) names.push_back(name);
  }
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) list += i + 1 == names.size() ? " or " : ", ";
    list += names[i];
  }
  return list;
}

/// Whether the table has the request's scheme, for its format. The first part of it that no row goes on with is named.
Verdict check_scheme(const Request& r) {
  const auto static_alike = [&](const Scheme& s) { return s.static_scale == r.static_scale; };
  const auto alike = [&](const Scheme& s) { return static_alike(s) && s.asymmetric == r.asymmetric; };
  const auto find_row = [&](const auto& matches) {
    return std::find_if(scheme_table.begin(), scheme_table.end(),
                        [&](const Scheme& s) { return s.granularity == r.granularity && matches(s); });
  };
  const std::string name(name_of(granularity_names, r.granularity));
  if (find_row(static_alike) == scheme_table.end()) {
    const char* const only = r.static_scale ? "dynamic only; leave out static_scale" : "static only; add static_scale";
    return InvalidField{"granularity", name + " scales are " + only + ", or take " + granularities_where(alike)};
  }
  const auto scheme = find_row(alike);
  if (scheme == scheme_table.end()) {
    const char* const has = r.asymmetric ? "have no zero point; take" : "have a zero point; add asymmetric, or take";
    return InvalidField{"asymmetric", name + "s " + has + " granularity " + granularities_where(alike)};
  }
  if (!serves(*scheme, r.format)) {
    const std::string given = scheme->fp8 ? "int8 and fp8" : "int8";
    return InvalidField{r.asymmetric ? "asymmetric" : "quant_dtype",
                        std::string(scheme->name) + " gives " + given + " codes only, not " +
                            std::string(to_string(r.format)) + "; take " + (scheme->fp8 ? "int8 or fp8" : "int8") +
                            (r.asymmetric ? ", or leave out asymmetric" : "")};
  }
  return std::nullopt;
}

/// What only scales of groups and blocks have.
Verdict check_groups(const Request& r) {
  const bool grouped = has_groups(r.granularity);
  if (grouped && r.group_size < 16) {
    return InvalidField{"group_size", "must be 16 or more, not " + std::to_string(r.group_size)};
  }
  if (!grouped && r.group_size != 0) {
    return InvalidField{"group_size", "only granularities group and block have one"};
  }
  if (r.granularity == Granularity::block && r.block_rows < 1) {
    return InvalidField{"block_rows", "must be 1 or more, not " + std::to_string(r.block_rows)};
  }
  if (r.granularity != Granularity::block && r.block_rows != 0) {
    return InvalidField{"block_rows", "only granularity block has them"};
  }
  if (!grouped && r.scale_format != ScaleFormat::float32) {
    return InvalidField{"scale_format", "only scales of groups and blocks can be " +
                                            std::string(to_string(r.scale_format)) +
                                            "; take float, or granularity group or block"};
  }
  if (!grouped && r.scale_layout != ScaleLayout::row) {
    return InvalidField{"scale_layout",
                        "only scales of groups and blocks have one; take row, or granularity group or block"};
  }
  if (r.scale_layout == ScaleLayout::packed && r.scale_format != ScaleFormat::ue8m0) {
    return InvalidField{"scale_layout", "only scales of scale_format ue8m0 are packed; take that, or another layout"};
  }
  if (is_tiled(r.scale_layout) && scale_size(r) != 1) {
    return InvalidField{"scale_layout",
                        "only scales of scale_format ue8m0 or e4m3 are swizzled or shuffled; take one of these, or "
                        "another layout"};
  }
  return std::nullopt;
}

/// What only scales of block formats have: 4-bit codes, exponents rounded on amax's bits, and E4M3 under a scale of the
/// tensor.
Verdict check_block_formats(const Request& r) {
  const bool four_bits = r.format == Format::fp4_e2m1;
  if (r.scale_format == ScaleFormat::e4m3 && !four_bits) {
    return InvalidField{"scale_format",
                        "only groups and blocks of fp4_e2m1 codes have e4m3 scales; take that quant_dtype, or "
                        "another scale_format"};
  }
  if (four_bits && r.granularity == Granularity::block && r.scale_format != ScaleFormat::e4m3) {
    return InvalidField{"scale_format", "blocks of fp4_e2m1 codes have scales of e4m3, not " +
                                            std::string(to_string(r.scale_format)) + "; take that, or a group"};
  }
  if (four_bits && r.scale_format != ScaleFormat::ue8m0 && r.scale_format != ScaleFormat::e4m3) {
    return InvalidField{"scale_format", "fp4_e2m1 codes have scales of ue8m0 or e4m3, not " +
                                            std::string(to_string(r.scale_format)) + "; take one of these"};
  }
  if (four_bits && r.group_size % 16 != 0) {
    return InvalidField{"group_size",
                        "must be a multiple of 16 for fp4_e2m1 codes, not " + std::to_string(r.group_size)};
  }
  if (four_bits && r.codes_stride % 2 != 0) {
    return InvalidField{"codes_stride", "must be even for fp4_e2m1 codes, of which a byte has two, not " +
                                            std::to_string(r.codes_stride)};
  }
  if (is_mx(r)) {
    if (r.static_scale) return InvalidField{"scale_rounding", "static scales are given, not rounded; leave it out"};
    if (r.granularity != Granularity::group || r.scale_format != ScaleFormat::ue8m0) {
      return InvalidField{"scale_rounding",
                          "only dynamic groups with scale_format ue8m0 have this rounding; take those, or "
                          "quotient"};
    }
    if (r.format != Format::fp8_e4m3fn && r.format != Format::fp8_e5m2 && !four_bits) {
      return InvalidField{"scale_rounding", "serves codes fp8_e4m3fn, fp8_e5m2 and fp4_e2m1, not " +
                                                std::string(to_string(r.format)) + "; take one of these, or quotient"};
    }
  }
  if (is_four_over_six(r)) {
    const bool has_it = four_bits && !r.static_scale && r.granularity == Granularity::group && r.group_size == 16 &&
                        r.scale_format == ScaleFormat::e4m3 && r.dialect == Dialect::te_d0067d0;
    if (!has_it) {
      return InvalidField{"scale_rounding",
                          "only dialect te-d0067d0 has this, of fp4_e2m1 codes in dynamic groups of 16 with "
                          "scale_format e4m3; take those, or quotient"};
    }
  }
  const bool raised = r.scale_format == ScaleFormat::ue8m0 && r.scale_rounding == ScaleRounding::quotient;
  if (four_bits && raised && !r.static_scale && r.dialect == Dialect::kqbench) {
    return InvalidField{"scale_rounding", "must be rceil, floor, even or ceil for fp4_e2m1 codes, not quotient"};
  }
  if ((is_mx(r) || four_bits) && r.qmax != 0.0f && r.qmax != format_max(r.format)) {
    return InvalidField{"qmax", "block formats have the bound of their codes' format; leave it out"};
  }
  if (!(r.global_scale >= 0.0f) || std::isinf(r.global_scale)) {
    return InvalidField{"global_scale", "must be above 0 and finite, not " + number(r.global_scale)};
  }
  if (r.global_scale != 0.0f && (!has_global_scale(r) || r.static_scale)) {
    return InvalidField{"global_scale", "only dynamic scales of scale_format e4m3 have one; leave it out"};
  }
  return std::nullopt;
}

Verdict check_bounds(const Request& r) {
  const float max = format_max(r.format);
  if (r.qmax != 0.0f) {
    if (!(r.qmax > 0.0f) || !(r.qmax <= max)) {
      return InvalidField{"qmax", "must be above 0 and at most " + number(max) + " for " +
                                      std::string(to_string(r.format)) + ", not " + number(r.qmax)};
    }
    if (r.format == Format::int8 && std::nearbyint(r.qmax) != r.qmax) {
      return InvalidField{"qmax", "must be an integer from 1 to 127 for int8, not " + number(r.qmax)};
    }
  }
  if (!(r.scale_ub > 0.0f)) return InvalidField{"scale_ub", "must be above 0, not " + number(r.scale_ub)};
  const bool of_fused_groups =
      r.dialect == Dialect::vllm_0_33_0 && r.producer != Producer::none && r.granularity == Granularity::group;
  const bool has_upper_bound =
      is_fp8(r.format) && !r.static_scale && (r.granularity == Granularity::token || of_fused_groups);
  if (!has_upper_bound && !std::isinf(r.scale_ub)) {
    return InvalidField{"scale_ub", "only dynamic token scales of fp8 have an upper bound; leave it out"};
  }
  return std::nullopt;
}

/// What only some producers have.
Verdict check_producer(const Request& r) {
  if (r.eps != 0.0f && !has_norm(r.producer)) {
    return InvalidField{"eps", "only producers rms_norm and add_rms_norm have one; leave it out"};
  }
  if (!(r.eps >= 0.0f) || std::isinf(r.eps)) return InvalidField{"eps", "must be above 0, not " + number(r.eps)};
  if (r.residual_stride != 0 && !has_residual(r.producer)) {
    return InvalidField{"residual_stride", "only producer add_rms_norm has a residual; leave it out"};
  }
  return std::nullopt;
}

Verdict check_shape(const Request& r) {
  if (r.num_tokens < 0) {
    return InvalidField{"num_tokens", "must be 0 or more, not " + std::to_string(r.num_tokens)};
  }
  if (r.hidden_size < 1) {
    return InvalidField{"hidden_size", "must be 1 or more, not " + std::to_string(r.hidden_size)};
  }
  const std::int64_t most_columns = std::numeric_limits<std::int64_t>::max() / input_parts(r.producer);
  if (r.hidden_size > most_columns) {
    return InvalidField{"hidden_size",
                        "must be at most " + std::to_string(most_columns) + ", not " + std::to_string(r.hidden_size)};
  }
  const auto too_short = [&](std::int64_t stride, std::int64_t columns) { return stride != 0 && stride < columns; };
  const auto stride_reason = [&](std::int64_t stride) {
    return "must be 0 or at least hidden_size (" + std::to_string(r.hidden_size) + "), not " + std::to_string(stride);
  };
  const std::int64_t row_elements = input_columns(r);
  if (too_short(r.input_stride, row_elements)) {
    if (row_elements == r.hidden_size) return InvalidField{"input_stride", stride_reason(r.input_stride)};
    return InvalidField{"input_stride", "must be 0 or at least " + std::to_string(input_parts(r.producer)) +
                                            " * hidden_size (" + std::to_string(row_elements) + "), not " +
                                            std::to_string(r.input_stride)};
  }
  if (too_short(r.codes_stride, r.hidden_size)) return InvalidField{"codes_stride", stride_reason(r.codes_stride)};
  if (too_short(r.residual_stride, r.hidden_size)) {
    return InvalidField{"residual_stride", stride_reason(r.residual_stride)};
  }

  const auto too_large = [&](const char* field, const char* what, std::int64_t stride, Bytes bytes) {
    return InvalidField{field, std::to_string(r.num_tokens) + " rows of " +
                                   std::to_string(stride_or_size(stride, r.hidden_size)) + " " + what + " are " +
                                   decimal(bytes) + " bytes, more than an address can count (" + decimal(most_bytes) +
                                   "); take fewer or shorter rows"};
  };
  const auto bytes_of = [&](std::int64_t stride, std::int64_t row, std::size_t size) {
    return spanned_bytes(r.num_tokens, stride_or_size(stride, row), row, size);
  };
  const std::size_t element_bytes = element_size(r.element);
  if (const Bytes bytes = bytes_of(r.input_stride, row_elements, element_bytes); bytes > most_bytes) {
    const std::int64_t row = stride_or_size(r.input_stride, row_elements);
    return too_large(r.input_stride == 0 ? "num_tokens" : "input_stride", "elements", row, bytes);
  }
  if (const Bytes bytes = bytes_of(r.codes_stride, r.hidden_size, 1); bytes > most_bytes) {
    return too_large(r.codes_stride == 0 ? "num_tokens" : "codes_stride", "codes", r.codes_stride, bytes);
  }
  if (const Bytes bytes = bytes_of(r.residual_stride, r.hidden_size, element_bytes); bytes > most_bytes) {
    return too_large("residual_stride", "elements", r.residual_stride, bytes);
  }
  if (const Bytes bytes = bytes_of(0, r.hidden_size, element_size(value_element(r)));
      r.producer != Producer::none && bytes > most_bytes) {
    return too_large("num_tokens", "values", 0, bytes);
  }
  if (r.scale_stride != 0) {
    if (r.scale_layout != ScaleLayout::column) {
      return InvalidField{"scale_stride", "only scale layout column has one; leave it out, or take column"};
    }
    if (r.scale_stride < scale_rows(r)) {
      return InvalidField{"scale_stride", "must be 0 or at least the rows of scales (" + std::to_string(scale_rows(r)) +
                                              "), not " + std::to_string(r.scale_stride)};
    }
    const Bytes bytes = spanned_bytes(groups_per_row(r), r.scale_stride, scale_rows(r), sizeof(float));
    if (bytes > most_bytes) {
      return InvalidField{"scale_stride", std::to_string(groups_per_row(r)) + " columns of " +
                                              std::to_string(r.scale_stride) + " scales are " + decimal(bytes) +
                                              " bytes, more than an address can count (" + decimal(most_bytes) +
                                              "); take a smaller one"};
    }
  }
  // A scale and its zero point may be larger than an element, and layouts pad: by 127 rows of scales and 3 columns.
  constexpr std::int64_t most_padding = 128;
  const std::int64_t rows = scale_rows(r);
  const std::int64_t columns = r.granularity == Granularity::channel ? r.hidden_size
                               : has_groups(r.granularity)           ? groups_per_row(r)
                                                                     : 1;
  const std::int64_t padding =
      r.scale_layout == ScaleLayout::row || r.scale_layout == ScaleLayout::column ? 0 : most_padding;
  if (const Bytes bytes = spanned_bytes(rows + padding, columns + padding, columns + padding, sizeof(float));
      bytes > most_bytes) {
    return too_large("num_tokens", "elements with their scales", r.input_stride, bytes);
  }
  if (const Bytes bytes = spanned_bytes(1, r.hidden_size, r.hidden_size, sizeof(float)); bytes > most_bytes) {
    return too_large("hidden_size", "elements with their scales", r.input_stride, bytes);
  }
  return std::nullopt;
}

/// Kokkos counts the teams of a launch in an int. A team is a row at least, or 8 of the parts into which a row is cut:
/// groups, or 512 elements and more; a larger part may have a team to itself, but has as many elements as 8 of them.
Verdict check_launches(const Request& r) {
  constexpr std::int64_t most_teams = std::numeric_limits<std::int32_t>::max();
  constexpr std::int64_t parts_of_team = 8;
  constexpr std::int64_t smallest_slice = 512;
  if (r.num_tokens > most_teams) {
    return InvalidField{"num_tokens", "must be at most " + std::to_string(most_teams) + ", not " +
                                          std::to_string(r.num_tokens) +
                                          ": a launch counts no further; take fewer rows"};
  }
  const bool small_groups = has_groups(r.granularity) && r.group_size < smallest_slice;
  const std::int64_t part = small_groups ? r.group_size : smallest_slice;
  const std::int64_t parts = quotient_up(r.hidden_size, part);
  // This cannot overflow: the elements of the tensor are at most half of what an address counts.
  if (r.num_tokens * parts > parts_of_team * most_teams) {
    return InvalidField{small_groups ? "group_size" : "hidden_size",
                        std::to_string(r.num_tokens) + " rows of " + std::to_string(parts) + " times " +
                            std::to_string(part) + " elements are more than a launch can count (" +
                            std::to_string(parts_of_team * most_teams) + "); take fewer rows"};
  }
  return std::nullopt;
}

}  // namespace

std::optional<InvalidField> validate(const Request& request) {
  for (const auto check : {check_enumerators, check_scheme, check_groups, check_block_formats, check_bounds,
                           check_producer, validate_dialect, check_shape, check_launches}) {
    if (auto invalid = check(request)) return invalid;
  }
  return std::nullopt;
}

std::optional<InvalidField> why_not_sharded(const Request& request) {
  if (request.static_scale) return InvalidField{"static_scale", "a given scale needs nothing of other parts"};
  if (request.granularity != Granularity::tensor && request.granularity != Granularity::token) {
    return InvalidField{"granularity", "only tensor and token scales are found in parts"};
  }
  if (request.producer != Producer::none) {
    return InvalidField{"producer", "makes values of whole tokens; run it before the tensor is cut"};
  }
  return std::nullopt;
}

Request resolved(const Request& request) {
  constexpr float usual_eps = 1e-6f;
  Request r = request;
  r.input_stride = stride_or_size(r.input_stride, input_columns(r));
  r.codes_stride = stride_or_size(r.codes_stride, codes_columns(r));
  if (has_residual(r.producer)) r.residual_stride = stride_or_size(r.residual_stride, r.hidden_size);
  if (r.qmax == 0.0f) r.qmax = format_max(r.format);
  if (has_norm(r.producer) && r.eps == 0.0f) r.eps = usual_eps;
  return r;
}

Request quantizer_of(const Request& request) {
  Request r = request;
  r.element = value_element(r);
  if (r.producer != Producer::none) r.input_stride = r.hidden_size;
  return r;
}

std::size_t element_size(Element element) {
  return element == Element::float32 ? 4 : 2;
}

std::span<const Format> formats() {
  return format_table;
}

float format_max(Format format) {
  const auto* const facts = find_format(format);
  return facts == nullptr ? 0.0f : facts->max;
}

bool is_fp8(Format format) {
  const auto* const facts = find_format(format);
  return facts != nullptr && facts->is_float8;
}

int code_bits(Format format) {
  const auto* const facts = find_format(format);
  return facts == nullptr ? 8 : facts->code_bits;
}

std::int64_t codes_row_bytes(Format format, std::int64_t codes) {
  return code_bits(format) == 4 ? quotient_up(codes, 2) : codes;
}

std::int64_t codes_columns(const Request& r) {
  return code_bits(r.format) == 4 ? r.hidden_size + r.hidden_size % 2 : r.hidden_size;
}

bool has_global_scale(const Request& r) {
  return r.scale_format == ScaleFormat::e4m3;
}

bool finds_global_scale(const Request& r) {
  return has_global_scale(r) && !r.static_scale && r.global_scale == 0.0f;
}

bool is_mx(const Request& r) {
  return r.scale_rounding != ScaleRounding::quotient && !is_four_over_six(r);
}

bool is_four_over_six(const Request& r) {
  return r.scale_rounding == ScaleRounding::four_over_six_mae_448 ||
         r.scale_rounding == ScaleRounding::four_over_six_mse_256;
}

bool is_tiled(ScaleLayout layout) {
  return layout == ScaleLayout::swizzled_128x4 || layout == ScaleLayout::swizzled_8x4 ||
         layout == ScaleLayout::shuffled_32x8;
}

std::span<const ProducerFacts> producers() {
  static_assert(producer_table.front().producer == Producer::none);
  return std::span(producer_table).subspan(1);
}

int input_parts(Producer producer) {
  const auto* const facts = find_producer(producer);
  return facts == nullptr ? 1 : facts->input_parts;
}

bool has_norm(Producer producer) {
  const auto* const facts = find_producer(producer);
  return facts != nullptr && facts->has_norm;
}

bool has_residual(Producer producer) {
  const auto* const facts = find_producer(producer);
  return facts != nullptr && facts->has_residual;
}

std::int64_t input_columns(const Request& r) {
  return input_parts(r.producer) * r.hidden_size;
}

Element value_element(const Request& r) {
  // vLLM quantizes groups of what SiLU gives before it is rounded.
  const bool in_float = r.producer == Producer::silu_mul && r.dialect == Dialect::vllm_0_33_0 &&
                        has_groups(r.granularity) && !r.static_scale;
  return in_float ? Element::float32 : r.element;
}

std::size_t values_bytes(const Request& r) {
  return strided_bytes(r, 0, r.hidden_size, element_size(value_element(r)));
}

bool has_groups(Granularity granularity) {
  return granularity == Granularity::group || granularity == Granularity::block;
}

std::int64_t rows_per_scale(const Request& r) {
  switch (r.granularity) {
    case Granularity::tensor:
    case Granularity::channel:
      return r.num_tokens;
    case Granularity::token:
    case Granularity::group:
      return 1;
    case Granularity::block:
      return r.block_rows;
  }
  return 1;
}

std::int64_t columns_per_scale(const Request& r) {
  switch (r.granularity) {
    case Granularity::tensor:
    case Granularity::token:
      return r.hidden_size;
    case Granularity::channel:
      return 1;
    case Granularity::group:
    case Granularity::block:
      return r.group_size;
  }
  return r.hidden_size;
}

std::int64_t scale_rows(const Request& r) {
  if (r.num_tokens == 0) return 0;
  const bool one = r.granularity == Granularity::tensor || r.granularity == Granularity::channel;
  return one ? 1 : quotient_up(r.num_tokens, rows_per_scale(r));
}

std::int64_t groups_per_row(const Request& r) {
  return quotient_up(r.hidden_size, r.group_size);
}

std::int64_t num_scales(const Request& r) {
  if (r.granularity == Granularity::channel) return scale_rows(r) * r.hidden_size;
  return has_groups(r.granularity) ? scale_rows(r) * groups_per_row(r) : scale_rows(r);
}

std::size_t scale_size(const Request& r) {
  return r.scale_format == ScaleFormat::ue8m0 || r.scale_format == ScaleFormat::e4m3 ? 1 : sizeof(float);
}

std::int64_t scale_index(const Request& r, std::int64_t token, std::int64_t channel) {
  if (!has_groups(r.granularity)) {
    if (r.granularity == Granularity::tensor) return 0;
    return r.granularity == Granularity::token ? token : channel;
  }
  const std::int64_t row = token / rows_per_scale(r);
  const std::int64_t group = channel / r.group_size;
  switch (r.scale_layout) {
    case ScaleLayout::row:
      return row * groups_per_row(r) + group;
    case ScaleLayout::column:
    case ScaleLayout::column_aligned:
      return group * scale_column_stride(r) + row;
    case ScaleLayout::packed:
      return (group / 4 * padded_scale_rows(r) + row) * 4 + group % 4;
    case ScaleLayout::swizzled_128x4: {
      const std::int64_t tile = row / 128 * (padded_scale_columns(r) / 4) + group / 4;
      return tile * 512 + row % 32 * 16 + row / 32 % 4 * 4 + group % 4;
    }
    case ScaleLayout::swizzled_8x4: {
      const std::int64_t tile = row / 8 * (padded_scale_columns(r) / 4) + group / 4;
      return tile * 32 + row % 8 * 4 + group % 4;
    }
    case ScaleLayout::shuffled_32x8: {
      const std::int64_t tile = row / 32 * (padded_scale_columns(r) / 8) + group / 8;
      return tile * 256 + group % 4 * 64 + row % 16 * 4 + group % 8 / 4 * 2 + row % 32 / 16;
    }
  }
  return 0;
}

std::int64_t scale_column_stride(const Request& r) {
  if (r.scale_layout == ScaleLayout::column && r.scale_stride != 0) return r.scale_stride;
  return padded_scale_rows(r);
}

std::int64_t stored_scales(const Request& r) {
  if (r.scale_layout == ScaleLayout::column && num_scales(r) > 0) {
    return (groups_per_row(r) - 1) * scale_column_stride(r) + scale_rows(r);
  }
  return has_groups(r.granularity) ? padded_scale_rows(r) * padded_scale_columns(r) : num_scales(r);
}

std::int64_t padded_scale_rows(const Request& r) {
  const std::int64_t rows = scale_rows(r);
  switch (r.scale_layout) {
    case ScaleLayout::row:
    case ScaleLayout::column:
      return rows;
    case ScaleLayout::column_aligned: {
      const auto unit = static_cast<std::int64_t>(16 / scale_size(r));
      return quotient_up(rows, unit) * unit;
    }
    case ScaleLayout::packed:
      return quotient_up(rows, 4) * 4;
    case ScaleLayout::swizzled_128x4:
    case ScaleLayout::swizzled_8x4:
    case ScaleLayout::shuffled_32x8:
      return quotient_up(rows, padded_to_rows(r.scale_layout)) * padded_to_rows(r.scale_layout);
  }
  return rows;
}

std::int64_t padded_scale_columns(const Request& r) {
  const std::int64_t columns = groups_per_row(r);
  if (r.scale_layout == ScaleLayout::shuffled_32x8) return quotient_up(columns, 8) * 8;
  const bool in_fours = r.scale_layout == ScaleLayout::packed || is_tiled(r.scale_layout);
  return in_fours ? quotient_up(columns, 4) * 4 : columns;
}

ScaleRuns scale_runs(const Request& r) {
  if (r.scale_layout == ScaleLayout::column) return {groups_per_row(r), scale_rows(r), scale_column_stride(r)};
  return {1, stored_scales(r), stored_scales(r)};
}

std::size_t input_bytes(const Request& r) {
  return strided_bytes(r, r.input_stride, input_columns(r), element_size(r.element));
}

std::size_t codes_bytes(const Request& r) {
  if (code_bits(r.format) == 8) return strided_bytes(r, r.codes_stride, r.hidden_size, 1);
  return strided_bytes(r, stride_or_size(r.codes_stride, codes_columns(r)) / 2,
                       codes_row_bytes(r.format, r.hidden_size), 1);
}

std::size_t scales_bytes(const Request& r) {
  return static_cast<std::size_t>(stored_scales(r)) * scale_size(r);
}

std::size_t zero_points_bytes(const Request& r) {
  return r.asymmetric ? static_cast<std::size_t>(num_scales(r)) * sizeof(std::int32_t) : 0;
}

Traffic minimal_traffic(const Request& r) {
  const std::uint64_t elements = static_cast<std::uint64_t>(r.num_tokens) * static_cast<std::uint64_t>(r.hidden_size);
  Traffic traffic{elements * static_cast<std::uint64_t>(input_parts(r.producer)) * element_size(r.element),
                  static_cast<std::uint64_t>(r.num_tokens * codes_row_bytes(r.format, r.hidden_size))};
  if (has_norm(r.producer) && r.num_tokens > 0) {
    traffic.read += static_cast<std::uint64_t>(r.hidden_size) * element_size(r.element);
  }
  if (has_residual(r.producer)) {
    traffic.read += elements * element_size(r.element);
    traffic.written += elements * element_size(r.element);
  }
  const ScaleRuns runs = scale_runs(r);
  const std::uint64_t scales = static_cast<std::uint64_t>(r.static_scale ? num_scales(r) : runs.count * runs.size);
  (r.static_scale ? traffic.read : traffic.written) += scales * scale_size(r) + zero_points_bytes(r);
  if (has_global_scale(r) && r.num_tokens > 0) (r.static_scale ? traffic.read : traffic.written) += sizeof(float);
  return traffic;
}

std::string_view to_string(Element element) {
  return name_of(element_names, element);
}

std::string_view to_string(Format format) {
  const auto* const facts = find_format(format);
  return facts == nullptr ? unknown_name : facts->name;
}

std::string_view to_string(ScaleFormat format) {
  return name_of(scale_format_names, format);
}

std::string_view to_string(ScaleLayout layout) {
  return name_of(scale_layout_names, layout);
}

std::string_view to_string(ScaleRounding rounding) {
  return name_of(scale_rounding_names, rounding);
}

std::string_view to_string(Producer producer) {
  const auto* const facts = find_producer(producer);
  return facts == nullptr ? unknown_name : facts->name;
}

std::string to_string(Granularity granularity, std::int64_t group_size, std::int64_t block_rows) {
  std::string name(name_of(granularity_names, granularity));
  if (granularity == Granularity::block) name += ':' + std::to_string(block_rows) + 'x' + std::to_string(group_size);
  if (granularity == Granularity::group) name += ':' + std::to_string(group_size);
  return name;
}

std::optional<Element> parse_element(std::string_view name) {
  if (name == "fp16" || name == "float16") return Element::half;
  if (name == "bf16") return Element::bfloat16;
  if (name == "fp32" || name == "float32") return Element::float32;
  return parse(element_names, name);
}

std::optional<Format> parse_format(std::string_view name) {
  if (name == "fp8") return Format::fp8_e4m3fn;
  for (const Format format : format_table) {
    if (find_format(format)->name == name) return format;
  }
  return std::nullopt;
}

std::optional<ScaleFormat> parse_scale_format(std::string_view name) {
  return parse(scale_format_names, name);
}

std::optional<ScaleLayout> parse_scale_layout(std::string_view name) {
  return parse(scale_layout_names, name);
}

std::optional<ScaleRounding> parse_scale_rounding(std::string_view name) {
  return parse(scale_rounding_names, name);
}

std::optional<Producer> parse_producer(std::string_view name) {
  const auto* const facts = find_facts(producer_table, &ProducerFacts::name, name);
  return facts == nullptr ? std::nullopt : std::optional(facts->producer);
}

std::optional<GranularityChoice> parse_granularity(std::string_view text) {
  for (const Granularity granularity : {Granularity::tensor, Granularity::token, Granularity::channel}) {
    if (text == name_of(granularity_names, granularity)) return GranularityChoice{granularity};
  }
  const auto sizes_after = [&](std::string_view prefix) {
    return text.starts_with(prefix) ? std::optional(text.substr(prefix.size())) : std::nullopt;
  };
  if (const auto columns = sizes_after("group:")) {
    const auto size = parse_size(*columns);
    return size ? std::optional(GranularityChoice{Granularity::group, *size}) : std::nullopt;
  }
  const auto sizes = sizes_after("block:");
  const std::size_t times = sizes ? sizes->find('x') : std::string_view::npos;
  if (times == std::string_view::npos) return std::nullopt;
  const auto rows = parse_size(sizes->substr(0, times));
  const auto columns = parse_size(sizes->substr(times + 1));
  if (!rows || !columns) return std::nullopt;
  return GranularityChoice{Granularity::block, *columns, *rows};
}

std::string operation_name(const Request& r) {
  std::string name = r.producer == Producer::none ? "" : std::string(to_string(r.producer)) + " + ";
  name += r.static_scale ? "static " : "dynamic ";
  name += to_string(r.granularity, r.group_size, r.block_rows);
  if (r.asymmetric) name += " asymmetric";
  if (r.scale_format != ScaleFormat::float32) name += ' ' + std::string(to_string(r.scale_format));
  if (r.scale_rounding != ScaleRounding::quotient) name += ' ' + std::string(to_string(r.scale_rounding));
  if (r.global_scale != 0.0f) name.append(":").append(number(r.global_scale));
  if (r.scale_layout != ScaleLayout::row) name += ' ' + std::string(to_string(r.scale_layout));
  if (r.scale_stride != 0) name += ':' + std::to_string(r.scale_stride);
  if (r.dialect != Dialect::kqbench) name += ' ' + std::string(to_string(r.dialect));
  return name;
}

std::span<const Scheme> schemes() {
  return scheme_table;
}

bool serves(const Scheme& scheme, Format format) {
  const auto* const facts = find_format(format);
  if (facts == nullptr) return false;
  if (facts->is_integer) return scheme.int8;
  if (facts->is_float8) return scheme.fp8;
  return format == Format::fp4_e2m1 && scheme.fp4;
}

std::span<const NamedScheme> named_schemes() {
  return named_scheme_table;
}

Request with_scheme(const Request& request, const NamedScheme& scheme) {
  Request r = request;
  r.format = scheme.format;
  r.granularity = Granularity::group;
  r.group_size = scheme.group_size;
  r.scale_format = scheme.scale_format;
  r.scale_rounding = scheme.scale_rounding;
  r.scale_layout = scheme.scale_layout;
  return r;
}

}  // namespace kq
