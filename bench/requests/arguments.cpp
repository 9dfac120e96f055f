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

/// What is taken where an option is not given, in brackets; empty for flags.
std::string usual_text(const kq::Parameter& parameter, Use use) {
  if (parameter.usual.empty()) return "";
  if (takes_files(use) && parameter.name == "dtype") return " [the file's; bfloat16 also where it has uint16]";
  if (use == Use::identify && parameter.kind == kq::ParameterKind::name) return " [all]";
  if (use == Use::verify && parameter.kind == kq::ParameterKind::name) return " [all]";
  if (use == Use::verify && parameter.kind == kq::ParameterKind::count && parameter.is_list) return " [ragged sizes]";
  return fmt::format(" [{}]", parameter.usual);
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
  if (use != Use::identify) {
    std::string help = "Block formats by name, for which other options need not be given:";
    for (const kq::NamedScheme& scheme : kq::named_schemes()) {
      help += fmt::format(" {} ({}),", scheme.name, scheme.description);
    }
    help.pop_back();
    add_list_option(command, use, "--scheme", schemes_, help)->group(how);
  }
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (takes_files(use) && (parameter.is_of_shape || parameter.is_of_producer)) continue;
    const std::string option = kq::option_name(parameter);
    const std::string help = std::string(parameter.help) + usual_text(parameter, use);
    Written& written = written_[parameter.name];
    if (parameter.kind == kq::ParameterKind::flag) {
      const bool only = use == Use::verify;
      command.add_flag(option, written.flag, help + (only ? "; no other schemes" : ""))->group(heading_of(parameter));
    } else if (parameter.is_list) {
      add_list_option(command, use, option, written.list, help)->group(heading_of(parameter));
    } else {
      const bool is_count = parameter.kind == kq::ParameterKind::count;
      add_value(command, option, written.value, help, is_count ? "N" : "X")->group(heading_of(parameter));
    }
  }
  if (use == Use::identify) return;  // scales are an argument
  if (use != Use::quantize) add_value(command, "--seed", seed_, "Of the random input [0]", "N")->group(what);
  add_value(command, "--scale", scale_, "Every static scale [those that just hold the input]", "X")->group(how);
  add_value(command, "--scales", scales_,
            "Static scales from a .npy or .safetensors file: for a tensor NAME its NAME.scale or NAME_scale, and "
            "NAME.zero_point or NAME_zero_point, or the one tensor of scales for all",
            "FILE")
      ->group(how);
  add_value(command, "--zero-point", zero_point_, "Every static zero point [those that suit the input]", "N")
      ->group(how);
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
      .add_option("--plugin", values,
                  "A kernel of yours beside them: a library with kq_plugin.h's interface, or one of its kernels as "
                  "FILE:NAME; may be repeated")
      ->type_name("FILE")
      ->allow_extra_args(false)
      ->group(group);
}

void DeviceArguments::add_to(CLI::App& command, Use use, const std::string& default_implementations) {
  const char* const where = "Where, and by whom";
  if (!default_implementations.empty()) {
    add_list_option(command, use, "--impl", impl_,
                    fmt::format("Implementations: kokkos, native, reference [{}]", default_implementations))
        ->group(where);
    if (!takes_files(use)) add_plugin_option(command, plugins_, where);
  }
  std::vector<std::string_view> names;
  for (const Backend& backend : backends()) {
    names.push_back(backend.name);
  }
  add_value(command, "--backend", backend_,
            fmt::format("Kind of device: {} [the best that is there]", fmt::join(names, ", ")), "NAME")
      ->group(where);
  add_value(command, "--device", device_,
            "Which of the backend's devices [that of this process's local rank in a job, else 0]", "INDEX")
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
