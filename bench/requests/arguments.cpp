// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "bench/requests/numbers.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

/// Each item of a list through a function that gives a value or nothing.
template <class Value, class Parse>
std::vector<Value> parse_names(const char* option, const std::vector<std::string>& arguments, Parse parse,
                               const char* names) {
  std::vector<Value> values;
  for (const std::string& item : split_list(option, arguments)) {
    const std::optional<Value> value = parse(item);
    if (!value) throw UsageError(fmt::format("{}: {} is not known; give {}", option, in_quotes(item), names));
    if (std::find(values.begin(), values.end(), *value) == values.end()) values.push_back(*value);
  }
  return values;
}

template <class Value, class Parse>
std::optional<Value> parse_name(const char* option, const std::optional<std::string>& argument, Parse parse,
                                const char* names) {
  if (!argument) return std::nullopt;
  return parse_names<Value>(option, {*argument}, parse, names).front();
}

std::vector<std::int64_t> parse_sizes(const char* option, const std::vector<std::string>& arguments,
                                      std::int64_t least) {
  std::vector<std::int64_t> sizes;
  for (const std::string& item : split_list(option, arguments)) {
    sizes.push_back(parse_integer(option, item, least));
  }
  return sizes;
}

/// An option that is given as a list: "a,b", "a b", or by repeating the option. Where files are named without an option
/// (`quantize`) it takes one argument, so that it takes none of them.
CLI::Option* add_list_option(CLI::App& command, Use use, const char* name, std::vector<std::string>& values,
                             const std::string& help) {
  const bool several = use != Use::quantize;
  return command.add_option(name, values, help)->type_name(several ? "LIST" : "NAME")->allow_extra_args(several);
}

CLI::Option* add_value(CLI::App& command, const char* name, std::optional<std::string>& value, const std::string& help,
                       const char* type) {
  return command.add_option(name, value, help)->type_name(type);
}

constexpr const char* what = "What is quantized";

}  // namespace

const char* const how_to_write_a_list =
    "A LIST is separated by commas or spaces (16,64 or 16 64), or the option is given several times.\n";

void SchemeArguments::add_to(CLI::App& command, Use use) {
  const bool all = use == Use::verify;
  const auto standard = [all](const char* usual) { return fmt::format(" [{}]", all ? "all" : usual); };
  add_list_option(command, use, "--dtype", dtype_,
                  "Input elements: half, bfloat16, float" +
                      (use == Use::quantize ? " [the file's; bfloat16 also where it has uint16]" : standard("half")))
      ->group(what);
  add_list_option(
      command, use, "--quant-dtype", quant_dtype_,
      "Codes: int8, fp8 (the same as fp8_e4m3fn), fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz" + standard("int8"))
      ->group(what);

  const char* const how = "How";
  add_list_option(command, use, "--granularity", granularity_,
                  "What shares a scale: tensor, token, channel, group:G (G elements of a row), block:MxN (M rows by N "
                  "columns)" +
                      standard("token for dynamic int8, else tensor"))
      ->group(how);
  command
      .add_flag("--static-scale", static_scale_,
                all ? "Schemes whose scale is given only" : "The scale is given, not computed")
      ->group(how);
  command.add_flag("--asymmetric", asymmetric_, all ? "Schemes with a zero point only" : "With a zero point (int8)")
      ->group(how);
  add_value(command, "--scale", scale_, "Every static scale [those that just hold the input]", "X")->group(how);
  add_value(command, "--scales", scales_,
            "Static scales from a .npy or .safetensors file: for a tensor NAME its NAME.scale or NAME_scale, and "
            "NAME.zero_point or NAME_zero_point, or the one tensor of scales for all",
            "FILE")
      ->group(how);
  add_value(command, "--zero-point", zero_point_, "Every static zero point [those that suit the input]", "N")
      ->group(how);
  add_value(command, "--scale-ub", scale_ub_, "Upper bound of amax, dynamic token fp8 [none: inf]", "X")->group(how);
  add_value(command, "--qmax", qmax_, "Bound of a code's magnitude [the format's largest]", "X")->group(how);
  add_value(command, "--scale-format", scale_format_,
            "Of group and block scales: float, ue8m0_float (a power of two as float), ue8m0 (its exponent as a byte)" +
                standard("float"),
            "NAME")
      ->group(how);
  add_value(
      command, "--scale-layout", scale_layout_,
      "Of group and block scales: row, column, column_aligned (columns of whole 16 bytes), packed (ue8m0, four to "
      "an int32)" +
          standard("row"),
      "NAME")
      ->group(how);
}

Sweep SchemeArguments::sweep() const {
  Sweep sweep;
  sweep.formats = parse_names<kq::Format>("--quant-dtype", quant_dtype_, kq::parse_format,
                                          "int8, fp8, fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz or fp8_e5m2fnuz");
  sweep.elements = parse_names<kq::Element>("--dtype", dtype_, kq::parse_element, "half, bfloat16 or float");
  for (const std::string& item : split_list("--granularity", granularity_)) {
    sweep.granularities.push_back(parse_granularity("--granularity", item));
  }
  sweep.static_scale = static_scale_;
  sweep.asymmetric = asymmetric_;
  if (qmax_) {
    sweep.qmax = parse_float("--qmax", *qmax_);
    if (!(*sweep.qmax > 0.0f)) throw UsageError("--qmax: must be above 0, not " + in_quotes(*qmax_));
  }
  if (scale_ub_) sweep.scale_ub = parse_upper_bound("--scale-ub", *scale_ub_);
  sweep.scale_format = parse_name<kq::ScaleFormat>("--scale-format", scale_format_, kq::parse_scale_format,
                                                   "float, ue8m0_float or ue8m0");
  sweep.scale_layout = parse_name<kq::ScaleLayout>("--scale-layout", scale_layout_, kq::parse_scale_layout,
                                                   "row, column, column_aligned or packed");
  return sweep;
}

GivenScales SchemeArguments::given_scales(const Sweep& sweep) const {
  GivenScale given;
  if (scale_) {
    if (!sweep.static_scale) throw UsageError("--scale: a dynamic scale is computed; add --static-scale");
    given.scale = parse_float("--scale", *scale_);
    if (const auto reason = unusable_scale(*given.scale)) {
      throw UsageError(fmt::format("--scale: {}, not {}", *reason, in_quotes(*scale_)));
    }
    const bool power_of_two = sweep.scale_format.value_or(kq::ScaleFormat::float32) != kq::ScaleFormat::float32;
    if (power_of_two && kq::ceil_to_power_of_two(*given.scale) != *given.scale) {
      throw UsageError(fmt::format("--scale: must be a power of two for --scale-format {}, not {}",
                                   kq::to_string(*sweep.scale_format), in_quotes(*scale_)));
    }
  }
  if (zero_point_) {
    if (!sweep.static_scale || !sweep.asymmetric) {
      throw UsageError("--zero-point: only static asymmetric schemes are given one; add --static-scale --asymmetric");
    }
    given.zero_point = static_cast<std::int32_t>(parse_integer("--zero-point", *zero_point_, INT32_MIN, INT32_MAX));
  }
  if (!scales_) return {given, nullptr};
  if (!sweep.static_scale) throw UsageError("--scales: dynamic scales are computed; add --static-scale");
  if (scale_) throw UsageError("--scales and --scale: both give the scales; leave one of them out");
  return {given, std::make_shared<ScalesFile>(*scales_)};
}

std::vector<std::string> SchemeArguments::files() const {
  return scales_ ? std::vector<std::string>{*scales_} : std::vector<std::string>();
}

void SweepArguments::add_to(CLI::App& command, Use use) {
  const auto standard = [use](const char* usual) {
    return fmt::format(" [{}]", use == Use::verify ? "ragged sizes" : usual);
  };
  add_list_option(command, use, "--num-tokens", num_tokens_, "Rows" + standard("4096"))->group(what);
  add_list_option(command, use, "--hidden-size", hidden_size_, "Columns" + standard("8192"))->group(what);
  scheme_.add_to(command, use);
  add_value(command, "--seed", seed_, "Of the random input [0]", "N")->group(what);
  add_value(command, "--input-stride", input_stride_, "Elements from one input row to the next [the hidden size]", "N")
      ->group(what);
  add_value(command, "--scale-stride", scale_stride_,
            "Scales from one column of them to the next, scale layout column [the rows of scales]", "N")
      ->group(what);
}

Sweep SweepArguments::sweep() const {
  Sweep sweep = scheme_.sweep();
  sweep.num_tokens = parse_sizes("--num-tokens", num_tokens_, 0);
  sweep.hidden_sizes = parse_sizes("--hidden-size", hidden_size_, 1);
  if (input_stride_) sweep.input_stride = parse_integer("--input-stride", *input_stride_, 1);
  if (scale_stride_) sweep.scale_stride = parse_integer("--scale-stride", *scale_stride_, 1);
  return sweep;
}

std::uint64_t SweepArguments::seed() const {
  return seed_ ? parse_unsigned("--seed", *seed_) : 0;
}

void DeviceArguments::add_to(CLI::App& command, Use use, const std::string& default_implementations) {
  const char* const where = "Where, and by whom";
  add_list_option(command, use, "--impl", impl_,
                  fmt::format("Implementations: kokkos, native, reference [{}]", default_implementations))
      ->group(where);
  add_value(command, "--backend", backend_, "Kind of device: cuda, hip, host [the best that is there]", "NAME")
      ->group(where);
  add_value(command, "--device", device_, "Which of the backend's devices [0]", "INDEX")->group(where);
  add_value(command, "--host-threads", host_threads_, "Threads of the host backend [as many as Kokkos uses]", "N")
      ->group(where);
}

int DeviceArguments::device() const {
  return device_ ? static_cast<int>(parse_integer("--device", *device_, 0, INT32_MAX)) : 0;
}

int DeviceArguments::host_threads() const {
  return host_threads_ ? static_cast<int>(parse_integer("--host-threads", *host_threads_, 1, 65536)) : 0;
}

std::vector<std::string> DeviceArguments::implementations() const {
  return split_list("--impl", impl_);
}

}  // namespace kqbench
