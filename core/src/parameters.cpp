// SPDX-License-Identifier: Apache-2.0

#include "kq/parameters.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <stdexcept>

namespace kq {
namespace {

using Kind = ParameterKind;
using Value = ParameterValue;

template <auto Request::*member>
Value get_name(const Request& r) {
  return std::string(to_string(r.*member));
}

template <auto Request::*member, auto parse>
bool set_name(Request& r, const Value& value) {
  const auto found = parse(std::get<std::string>(value));
  if (found) r.*member = *found;
  return found.has_value();
}

/// The names of enumerators from 0 on.
template <class Enum>
std::vector<std::string> names_of() {
  std::vector<std::string> names;
  for (int i = 0; to_string(static_cast<Enum>(i)) != unknown_name; ++i) {
    names.emplace_back(to_string(static_cast<Enum>(i)));
  }
  return names;
}

std::vector<std::string> names_of_granularities() {
  std::vector<std::string> names;
  for (const Granularity granularity : {Granularity::tensor, Granularity::token, Granularity::channel}) {
    names.push_back(to_string(granularity, 0));
  }
  return names;
}

template <bool Request::*member>
Value get_flag(const Request& r) {
  return r.*member;
}

template <bool Request::*member>
bool set_flag(Request& r, const Value& value) {
  r.*member = std::get<bool>(value);
  return true;
}

template <std::int64_t Request::*member>
Value get_count(const Request& r) {
  return r.*member;
}

template <std::int64_t Request::*member>
bool set_count(Request& r, const Value& value) {
  r.*member = std::get<std::int64_t>(value);
  return true;
}

/// Infinity is no value.
template <float Request::*member>
Value get_number(const Request& r) {
  return std::isfinite(r.*member) ? Value(static_cast<double>(r.*member)) : Value();
}

template <float Request::*member>
bool set_number(Request& r, const Value& value) {
  const auto* const number = std::get_if<double>(&value);
  r.*member = number == nullptr ? std::numeric_limits<float>::infinity() : static_cast<float>(*number);
  return true;
}

/// 0 is no value.
template <float Request::*member>
Value get_positive(const Request& r) {
  return r.*member == 0.0f ? Value() : Value(static_cast<double>(r.*member));
}

template <float Request::*member>
bool set_positive(Request& r, const Value& value) {
  const auto* const number = std::get_if<double>(&value);
  r.*member = number == nullptr ? 0.0f : static_cast<float>(*number);
  return true;
}

Value get_granularity(const Request& r) {
  return to_string(r.granularity, r.group_size, r.block_rows);
}

bool set_granularity(Request& r, const Value& value) {
  const auto parsed = parse_granularity(std::get<std::string>(value));
  if (!parsed) return false;
  r.granularity = parsed->granularity;
  r.group_size = parsed->group_size;
  r.block_rows = parsed->block_rows;
  return true;
}

// name, field, kind, is_list, is_of_shape, is_required, help, usual, choice, least, get, set, names, is_of_producer
constexpr std::array table{
    Parameter{"num_tokens", "", Kind::count, true, true, true, "Rows of the tensor", "4096", "", 0,
              get_count<&Request::num_tokens>, set_count<&Request::num_tokens>, nullptr},
    Parameter{"hidden_size", "", Kind::count, true, true, true, "Columns of the tensor", "8192", "", 1,
              get_count<&Request::hidden_size>, set_count<&Request::hidden_size>, nullptr},
    Parameter{"dtype", "element", Kind::name, true, false, true,
              "Type of the input's elements: half (or fp16), bfloat16 (or bf16), float (or fp32)", "half", "", 0,
              get_name<&Request::element>, set_name<&Request::element, parse_element>, names_of<Element>},
    Parameter{"quant_dtype", "format", Kind::name, true, false, true,
              "Type of the codes: int8, fp8 (the same as fp8_e4m3fn), fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, "
              "fp8_e5m2fnuz, fp4_e2m1",
              "int8", "int8, fp8, fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz or fp4_e2m1", 0,
              get_name<&Request::format>, set_name<&Request::format, parse_format>, names_of<Format>},
    Parameter{"static_scale", "", Kind::flag, false, false, true, "The scale is given, not computed from the input", "",
              "", 0, get_flag<&Request::static_scale>, set_flag<&Request::static_scale>, nullptr},
    Parameter{"granularity", "", Kind::name, true, false, true,
              "What shares a scale: tensor, token, channel, group:G (G elements of a row), block:MxN (M rows by N "
              "columns)",
              "token for dynamic int8, else tensor",
              "tensor, token, channel, group:G or block:MxN, as in group:128 and block:128x128", 0, get_granularity,
              set_granularity, names_of_granularities},
    Parameter{"asymmetric", "", Kind::flag, false, false, true, "Quantize with a zero point (int8 only)", "", "", 0,
              get_flag<&Request::asymmetric>, set_flag<&Request::asymmetric>, nullptr},
    Parameter{
        "scale_format", "", Kind::name, true, false, true,
        "How group and block scales are stored: float, ue8m0_float (a power of two, as float), ue8m0 (a power of two, "
        "as a byte with its exponent), e4m3 (as a byte, times one scale of the tensor)",
        "float", "", 0, get_name<&Request::scale_format>, set_name<&Request::scale_format, parse_scale_format>,
        names_of<ScaleFormat>},
    Parameter{
        "scale_layout", "", Kind::name, true, false, true,
        "Order of group and block scales in memory: row, column, column_aligned (columns padded to 16 bytes), packed "
        "(ue8m0, four to an int32), swizzled_128x4, swizzled_8x4, shuffled_32x8 (bytes, in tiles)",
        "row", "", 0, get_name<&Request::scale_layout>, set_name<&Request::scale_layout, parse_scale_layout>,
        names_of<ScaleLayout>},
    Parameter{"scale_rounding", "", Kind::name, true, false, false,
              "How ue8m0 and e4m3 group scales are rounded: quotient (amax / qmax), rceil, floor, even, ceil (ue8m0, "
              "on amax's bits as MX defines it), 4over6_mae_448, 4over6_mse_256 (e4m3, dialect te)",
              "quotient", "", 0, get_name<&Request::scale_rounding>,
              set_name<&Request::scale_rounding, parse_scale_rounding>, names_of<ScaleRounding>},
    Parameter{"scale_stride", "", Kind::count, false, true, false,
              "Distance between columns of scales, in scales (layout column)", "the rows of scales", "", 1,
              get_count<&Request::scale_stride>, set_count<&Request::scale_stride>, nullptr},
    Parameter{"input_stride", "", Kind::count, false, true, false, "Distance between rows of the input, in elements",
              "the length of a row", "", 1, get_count<&Request::input_stride>, set_count<&Request::input_stride>,
              nullptr},
    Parameter{"codes_stride", "", Kind::count, false, true, false, "Distance between rows of codes, in codes",
              "the length of a row", "", 1, get_count<&Request::codes_stride>, set_count<&Request::codes_stride>,
              nullptr},
    Parameter{"qmax", "", Kind::number, false, false, false, "Largest magnitude that a code may have",
              "the format's largest", "", 0, get_number<&Request::qmax>, set_number<&Request::qmax>, nullptr},
    Parameter{"global_scale", "", Kind::number, false, false, false,
              "The number that e4m3 scales are multiplied by (dialect torchao: divided by) before they are rounded",
              "computed from the input", "", 0, get_positive<&Request::global_scale>,
              set_positive<&Request::global_scale>, nullptr},
    Parameter{"scale_ub", "", Kind::number, false, false, false,
              "Upper bound of each token's largest magnitude (dynamic token fp8)", "inf: no bound", "", 0,
              get_number<&Request::scale_ub>, set_number<&Request::scale_ub>, nullptr},
    Parameter{"dialect", "", Kind::name, true, false, false,
              "Whose arithmetic, bit for bit (kqbench list --dialects says more): kqbench, vllm, vllm-torch, sglang, "
              "deepgemm, te, te-kernels, flashinfer, torchao, torchao-0.18, aiter, compressed-tensors",
              "kqbench", "one of those that list --dialects shows", 0, get_name<&Request::dialect>,
              set_name<&Request::dialect, parse_dialect>, names_of<Dialect>},
    Parameter{"producer", "", Kind::name, true, false, false,
              "Operation before the quantization, in one launch where possible: none, rms_norm, add_rms_norm, silu_mul "
              "(the input has gate and up)",
              "none", "", 0, get_name<&Request::producer>, set_name<&Request::producer, parse_producer>,
              names_of<Producer>, true},
    Parameter{"eps", "", Kind::number, false, false, false, "What rms_norm and add_rms_norm add to the mean of squares",
              "1e-6", "", 0, get_positive<&Request::eps>, set_positive<&Request::eps>, nullptr, true},
    Parameter{"residual_stride", "", Kind::count, false, true, false,
              "Distance between rows of residual and residual_out, in elements (add_rms_norm)", "the hidden size", "",
              1, get_count<&Request::residual_stride>, set_count<&Request::residual_stride>, nullptr, true},
};

const Parameter* find(std::string_view name) {
  const auto* const found =
      std::find_if(table.begin(), table.end(), [&](const Parameter& p) { return p.name == name; });
  return found == table.end() ? nullptr : found;
}

struct TextOf {
  std::string operator()(std::monostate /*none*/) const { return ""; }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(std::int64_t value) const { return std::to_string(value); }
  std::string operator()(double value) const {
    std::array<char, 32> text{};
    const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), static_cast<float>(value));
    return {text.data(), end};
  }
  std::string operator()(const std::string& value) const { return value; }
};

}  // namespace

std::span<const Parameter> parameters() {
  return table;
}

const Parameter& parameter(std::string_view name) {
  const Parameter* const found = find(name);
  if (found == nullptr) throw std::out_of_range("no parameter " + std::string(name));
  return *found;
}

std::string option_name(const Parameter& parameter) {
  std::string option = "--" + std::string(parameter.name);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

std::string option_of_field(std::string_view field) {
  if (field == "group_size" || field == "block_rows") return "--granularity";
  return option_name(parameter(field));
}

std::string_view request_field(std::string_view field) {
  const Parameter* const found = find(field);
  return found == nullptr || found->field.empty() ? field : found->field;
}

std::string choice_of(const Parameter& parameter) {
  if (!parameter.choice.empty()) return std::string(parameter.choice);
  const std::vector<std::string> names = parameter.names();
  std::string choice;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (i != 0) choice += i + 1 == names.size() ? " or " : ", ";
    choice += names[i];
  }
  return choice;
}

std::string to_text(const ParameterValue& value) {
  return std::visit(TextOf(), value);
}

}  // namespace kq
