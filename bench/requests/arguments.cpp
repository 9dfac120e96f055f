// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <memory>

#include "backends/backend.hpp"
#include "bench/requests/numbers.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

/// A value as an option has it. Throws UsageError.
kq::ParameterValue parse_value(const kq::Parameter& parameter, const std::string& text) {
  const std::string option = kq::option_name(parameter);
  if (parameter.kind == kq::ParameterKind::count) return parse_integer(option, text, parameter.least);
  if (parameter.kind == kq::ParameterKind::number) {
    const float number = parse_upper_bound(option, text);
    if (!(number > 0.0f)) throw UsageError(fmt::format("{}: must be above 0, not {}", option, in_quotes(text)));
    return std::isfinite(number) ? kq::ParameterValue(static_cast<double>(number)) : kq::ParameterValue();
  }
  kq::Request request;
  if (!parameter.set(request, text)) {
    throw UsageError(fmt::format("{}: {} is not known; give {}", option, in_quotes(text), kq::choice_of(parameter)));
  }
  return parameter.get(request);  // "fp8" is fp8_e4m3fn
}

Sweep::Values parse_list(const kq::Parameter& parameter, const std::vector<std::string>& arguments) {
  Sweep::Values values;
  for (const std::string& item : split_list(kq::option_name(parameter), arguments)) {
    kq::ParameterValue value = parse_value(parameter, item);
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(std::move(value));
  }
  return values;
}

/// Commands that are given files as arguments, and the shape with them.
bool takes_files(Use use) {
  return use == Use::quantize || use == Use::identify;
}

/// An option that is given as a list: "a,b", "a b", or by repeating the option. Where files are named without an option
/// (`quantize`) it takes one argument, so that it takes none of them.
CLI::Option* add_list_option(CLI::App& command, Use use, const std::string& name, std::vector<std::string>& values,
                             const std::string& help) {
  const bool several = !takes_files(use);
  return command.add_option(name, values, help)->type_name(several ? "LIST" : "NAME")->allow_extra_args(several);
}

CLI::Option* add_value(CLI::App& command, const std::string& name, std::optional<std::string>& value,
                       const std::string& help, const char* type) {
  return command.add_option(name, value, help)->type_name(type);
}

/// The value that `run` and `sharded` take where an option is not given, as the option would have it; or words for it.
std::string_view usual_value(const kq::Parameter& parameter, Use use) {
  if (use == Use::sharded && parameter.name == "quant_dtype") return "fp8";
  if (use == Use::sharded && parameter.name == "granularity") return "tensor,token";
  return parameter.usual;
}

/// What is taken where an option is not given, in brackets; empty for flags.
std::string usual_text(const kq::Parameter& parameter, Use use) {
  if (parameter.usual.empty()) return "";
  if (takes_files(use) && parameter.name == "dtype") return " [the file's; bfloat16 also where it has uint16]";
  if (use == Use::identify) return parameter.kind == kq::ParameterKind::name ? " [all]" : " [found from the data]";
  if (use == Use::verify && parameter.name == "producer") return " [all, before some of the schemes]";
  if (use == Use::verify && parameter.kind == kq::ParameterKind::name) return " [all]";
  if (use == Use::verify && parameter.kind == kq::ParameterKind::count && parameter.is_list) return " [ragged sizes]";
  return fmt::format(" [{}]", usual_value(parameter, use));
}

/// True if `sharded` times anything that has this value of the parameter: of some format, by tensor or by token.
bool can_be_sharded(const kq::Parameter& parameter, const kq::ParameterValue& value) {
  for (const kq::Format format : kq::formats()) {
    for (const kq::Granularity granularity : {kq::Granularity::tensor, kq::Granularity::token}) {
      kq::Request request;
      request.num_tokens = request.hidden_size = 64;
      request.format = format;
      request.granularity = granularity;
      if (parameter.set(request, value) && !kq::validate(request) && !kq::why_not_sharded(request)) return true;
    }
  }
  return false;
}

/// The values that a name's help lists, "What: a, b (why)", with what is said of each.
std::vector<std::string> listed_values(std::string_view help) {
  std::vector<std::string> values;
  for (std::size_t start = help.find(": ") + 2; start <= help.size();) {
    const std::size_t end = std::min(help.find(", ", start), help.size());
    values.emplace_back(help.substr(start, end - start));
    start = end + 2;
  }
  return values;
}

/// Those of which something can be sharded.
std::vector<std::string> sharded_values(const kq::Parameter& parameter) {
  std::vector<std::string> values = listed_values(parameter.help);
  std::erase_if(values,
                [&](const std::string& value) { return !can_be_sharded(parameter, value.substr(0, value.find(' '))); });
  return values;
}

/// Whether the subcommand has an option for it: `sharded` where there is a choice.
bool is_taken(const kq::Parameter& parameter, Use use) {
  if (takes_files(use)) return !parameter.is_of_shape && !parameter.is_of_producer;
  if (use != Use::sharded) return true;
  switch (parameter.kind) {
    case kq::ParameterKind::name:
      return sharded_values(parameter).size() > 1;
    case kq::ParameterKind::flag:
      return can_be_sharded(parameter, true);
    case kq::ParameterKind::count:
      return parameter.is_list;  // a rank's columns lie without gaps
    case kq::ParameterKind::number:
      return can_be_sharded(parameter, 0.5);
  }
  return false;
}

std::string help_of(const kq::Parameter& parameter, Use use) {
  std::string help(parameter.help);
  if (use == Use::sharded && parameter.kind == kq::ParameterKind::name) {
    help.resize(help.find(": ") + 2);
    help += fmt::format("{}", fmt::join(sharded_values(parameter), ", "));
  }
  const bool only = parameter.kind == kq::ParameterKind::flag && (use == Use::verify || use == Use::identify);
  return help + usual_text(parameter, use) + (only ? "; only such schemes are tried" : "");
}

const char* const what = "What is quantized";
const char* const how = "How";

/// The heading in the help under which a parameter stands.
const char* heading_of(const kq::Parameter& parameter) {
  return parameter.is_of_shape || parameter.name == "dtype" || parameter.name == "quant_dtype" ? what : how;
}

/// The formats in which the given scales of a sweep's requests are stored; float first, in which all are given.
std::vector<kq::ScaleFormat> scale_formats_of(const Sweep& sweep) {
  std::vector<kq::ScaleFormat> formats = {kq::ScaleFormat::float32};
  for (const kq::ParameterValue& name : sweep.values("scale_format")) {
    formats.push_back(kq::parse_scale_format(kq::to_text(name)).value_or(kq::ScaleFormat::float32));
  }
  if (sweep.has("scale_format")) return formats;
  for (const kq::NamedScheme& scheme : sweep.schemes()) {
    formats.push_back(scheme.scale_format);
  }
  return formats;
}

}  // namespace

const char* const how_to_write_a_list =
    "A LIST is separated by commas or spaces (16,64 or 16 64), or the option is given several times.\n";

void RequestArguments::add_to(CLI::App& command, Use use) {
  if (use != Use::identify && use != Use::sharded) {
    std::string help =
        "Block formats by name; each sets --quant-dtype, --granularity and the format, layout and rounding of scales, "
        "where those are not given:";
    for (const kq::NamedScheme& scheme : kq::named_schemes()) {
      help += fmt::format(" {} ({}),", scheme.name, scheme.description);
    }
    help.pop_back();
    add_list_option(command, use, "--scheme", schemes_, help)->group(how);
  }
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (!is_taken(parameter, use)) continue;
    const std::string option = kq::option_name(parameter);
    const std::string help = help_of(parameter, use);
    Written& written = written_[parameter.name];
    if (parameter.kind == kq::ParameterKind::flag) {
      command.add_flag(option, written.flag, help)->group(heading_of(parameter));
    } else if (parameter.is_list) {
      add_list_option(command, use, option, written.list, help)->group(heading_of(parameter));
    } else {
      const bool is_count = parameter.kind == kq::ParameterKind::count;
      add_value(command, option, written.value, help, is_count ? "N" : "X")->group(heading_of(parameter));
    }
  }
  if (!takes_files(use)) add_value(command, "--seed", seed_, "Seed of the random input [0]", "N")->group(what);
  if (use == Use::identify || use == Use::sharded) return;  // scales are an argument, or computed
  add_value(command, "--scale", scale_, "Value of every static scale [the smallest that holds the input]", "X")
      ->group(how);
  add_value(command, "--scales", scales_,
            "A .npy or .safetensors file of static scales: NAME.scale or NAME_scale, and NAME.zero_point or "
            "NAME_zero_point, for a tensor NAME; scale and zero_point for every tensor",
            "FILE")
      ->group(how);
  add_value(command, "--zero-point", zero_point_, "Value of every static zero point [those that suit the input]", "N")
      ->group(how);
}

void set_usual(Sweep& sweep, Use use) {
  for (const char* const name : {"num_tokens", "hidden_size", "dtype", "quant_dtype", "granularity"}) {
    if (name == std::string_view("granularity") && use != Use::sharded) continue;  // it depends on what else there is
    const kq::Parameter& parameter = kq::parameter(name);
    sweep.set_default(name, parse_list(parameter, {std::string(usual_value(parameter, use))}));
  }
}

Sweep RequestArguments::sweep() const {
  Sweep sweep;
  std::vector<kq::NamedScheme> schemes;
  for (const std::string& name : split_list("--scheme", schemes_)) {
    const auto known = kq::named_schemes();
    const auto found = std::find_if(known.begin(), known.end(), [&](const auto& s) { return s.name == name; });
    if (found == known.end()) {
      std::vector<std::string_view> names;
      for (const kq::NamedScheme& scheme : known)
        names.push_back(scheme.name);
      throw UsageError(fmt::format("--scheme: {} is not known; give {}", in_quotes(name), fmt::join(names, ", ")));
    }
    const bool again = std::any_of(schemes.begin(), schemes.end(), [&](const auto& s) { return s.name == name; });
    if (!again) schemes.push_back(*found);
  }
  sweep.set_schemes(std::move(schemes));
  for (const auto& [name, written] : written_) {
    const kq::Parameter& parameter = kq::parameter(name);
    Sweep::Values values = parse_list(parameter, written.list);
    if (written.value) values.push_back(parse_value(parameter, *written.value));
    if (written.flag) values.emplace_back(true);
    sweep.set(name, std::move(values));
  }
  return sweep;
}

GivenScales RequestArguments::given_scales(const Sweep& sweep) const {
  GivenScale given;
  if (scale_) {
    if (!sweep.flag("static_scale")) throw UsageError("--scale: a dynamic scale is computed; add --static-scale");
    given.scale = parse_float("--scale", *scale_);
    for (const kq::ScaleFormat format : scale_formats_of(sweep)) {
      if (const auto reason = unusable_scale(format, *given.scale)) {
        throw UsageError(fmt::format("--scale: {}, not {}", *reason, in_quotes(*scale_)));
      }
    }
  }
  if (zero_point_) {
    if (!sweep.flag("static_scale") || !sweep.flag("asymmetric")) {
      throw UsageError("--zero-point: only static asymmetric schemes are given one; add --static-scale --asymmetric");
    }
    given.zero_point = static_cast<std::int32_t>(parse_integer("--zero-point", *zero_point_, INT32_MIN, INT32_MAX));
  }
  if (!scales_) return {given, nullptr};
  if (!sweep.flag("static_scale")) throw UsageError("--scales: dynamic scales are computed; add --static-scale");
  if (scale_) throw UsageError("--scales and --scale: both give the scales; leave one of them out");
  return {given, std::make_shared<ScalesFile>(*scales_)};
}

std::vector<std::string> RequestArguments::files() const {
  return scales_ ? std::vector<std::string>{*scales_} : std::vector<std::string>();
}

std::uint64_t RequestArguments::seed() const {
  return seed_ ? parse_unsigned("--seed", *seed_) : 0;
}

void add_plugin_option(CLI::App& command, std::vector<std::string>& values, const std::string& group) {
  command
      .add_option(
          "--plugin", values,
          "A shared library with kernels of your own (docs/your_own_kernel.md), or one kernel of it as FILE:NAME; "
          "may be given several times")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group(group);
}

void DeviceArguments::add_to(CLI::App& command, Use use, const std::string& default_implementations) {
  const char* const where = "Where, and by whom";
  const bool has_plugins = !default_implementations.empty() && !takes_files(use);
  if (!default_implementations.empty()) {
    const char* const plugins = has_plugins ? " (or a kernel of --plugin)" : "";
    const char* const and_plugins = has_plugins ? ", and the kernels of --plugin" : "";
    add_list_option(command, use, "--impl", impl_,
                    fmt::format("Implementations: kokkos, native, reference{} [{}{}]", plugins, default_implementations,
                                and_plugins))
        ->group(where);
  }
  if (has_plugins) add_plugin_option(command, plugins_, where);
  add_value(command, "--backend", backend_,
            fmt::format("Kind of device: {} [{}the best that is there]", backend_names(),
                        has_plugins ? "that of the plug-ins, else " : ""),
            "NAME")
      ->group(where);
  add_value(command, "--device", device_, "Index of the backend's device [in a job the process's local rank, else 0]",
            "INDEX")
      ->group(where);
  add_value(command, "--host-threads", host_threads_, "Threads of the host backend [as many as Kokkos uses]", "N")
      ->group(where);
}

std::optional<int> DeviceArguments::device() const {
  if (!device_) return std::nullopt;
  return static_cast<int>(parse_integer("--device", *device_, 0, INT32_MAX));
}

int DeviceArguments::host_threads() const {
  return host_threads_ ? static_cast<int>(parse_integer("--host-threads", *host_threads_, 1, 65536)) : 0;
}

std::vector<std::string> DeviceArguments::implementations() const {
  return split_list("--impl", impl_);
}

}  // namespace kqbench
