// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench list`: what this program was built with, what it finds here, and what it can do.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "apps/kqbench/subcommands.hpp"
#include "backends/backend.hpp"
#include "bench/measure/context.hpp"
#include "bench/plugins/plugins.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/support/errors.hpp"
#include "kq/dialect.hpp"
#include "kq/parameters.hpp"
#include "kq/request.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

/// The kernels that run on a device.
std::vector<PluginKernel> kernels_on(const Device& device, std::vector<PluginKernel> plugins) {
  std::erase_if(plugins, [&](const PluginKernel& kernel) { return kernel.backend != device.info().backend; });
  return plugins;
}

/// What a plug-in's kernel says of itself beside its description.
Json describe_plugin(const PluginKernel& kernel) {
  return {{"name", kernel.name},
          {"description", kernel.description},
          {"file", kernel.library},
          {"backend", kernel.backend},
          {"dialect", kernel.dialect ? std::string(kq::to_string(*kernel.dialect)) : "any"},
          {"overlapped", kernel.c.waits_for_prerequisites == 1 && kernel.backend == "cuda"}};
}

Json describe_device(const Backend& backend, int index, const std::vector<PluginKernel>& plugins) {
  Json entry = {{"index", index}, {"name", backend.device_name(index)}};
  try {
    const std::unique_ptr<Device> device = backend.open({index, 0});
    add_plugins(*device, kernels_on(*device, plugins), true);
    const DeviceInfo& info = device->info();
    entry["architecture"] = info.architecture;
    entry["driver"] = info.driver;
    entry["runtime"] = info.runtime;
    entry["memory_bytes"] = info.memory_bytes;
    entry["cache_bytes"] = info.cache_bytes;
    entry["compute_units"] = info.compute_units;
    entry["implementations"] = Json::object();
    for (const auto& implementation : device->implementations()) {
      entry["implementations"][std::string(implementation->name())] = implementation->description();
    }
    entry["missing"] = Json::object();
    for (const char* name : {"kokkos", "native", "reference"}) {
      if (const auto why = device->why_missing(name)) entry["missing"][name] = *why;
    }
  } catch (const DeviceError& error) {
    entry["error"] = error.what();
  }
  return entry;
}

Json describe_backend(const Backend& backend, const std::vector<PluginKernel>& plugins) {
  Json entry = {{"name", backend.name}, {"built", backend.built}, {"version", backend.version}};
  entry["devices"] = Json::array();
  if (!backend.built) return entry;
  for (int index = 0; index < backend.device_count(); ++index) {
    entry["devices"].push_back(describe_device(backend, index, plugins));
  }
  return entry;
}

Json describe_scheme(const kq::Scheme& scheme) {
  return {{"name", scheme.name},           {"fp8", scheme.fp8},          {"int8", scheme.int8}, {"fp4", scheme.fp4},
          {"scale", scheme.scale_formula}, {"code", scheme.code_formula}};
}

Json describe_named(const kq::NamedScheme& scheme) {
  return {{"name", scheme.name},
          {"quant_dtype", kq::to_string(scheme.format)},
          {"granularity", kq::to_string(kq::Granularity::group, scheme.group_size)},
          {"scale_format", kq::to_string(scheme.scale_format)},
          {"scale_rounding", kq::to_string(scheme.scale_rounding)},
          {"scale_layout", kq::to_string(scheme.scale_layout)},
          {"description", scheme.description}};
}

Json describe_dialect(const kq::DialectFacts& facts) {
  Json entry = {{"name", facts.name},
                {"short_names", Json::array()},
                {"version", facts.version},
                {"source", facts.source},
                {"schemes", Json::array()}};
  for (const std::string_view name : facts.short_names) {
    if (!name.empty()) entry["short_names"].push_back(name);
  }
  for (const kq::DialectScheme& scheme : kq::dialect_schemes(facts.dialect)) {
    Json row = {{"name", kq::scheme_name(scheme)}, {"quant_dtypes", Json::array()}, {"scale_formats", Json::array()},
                {"scale", scheme.scale_formula},   {"code", scheme.code_formula},   {"differs", scheme.differs}};
    for (const std::string& name : kq::parameter("quant_dtype").names()) {
      if (kq::has_format(scheme, *kq::parse_format(name))) row["quant_dtypes"].push_back(name);
    }
    for (const std::string& name : kq::parameter("scale_format").names()) {
      if (kq::has_scale_format(scheme, *kq::parse_scale_format(name))) row["scale_formats"].push_back(name);
    }
    entry["schemes"].push_back(row);
  }
  return entry;
}

Json describe_dialects() {
  Json all = Json::array();
  for (const kq::DialectFacts& facts : kq::dialects()) {
    all.push_back(describe_dialect(facts));
  }
  return all;
}

Json collect(const std::vector<PluginKernel>& plugins) {
  const Context build = build_context();
  Json all = {{"version", build.version},   {"commit", build.commit},       {"build_type", build.build_type},
              {"compiler", build.compiler}, {"libraries", build.libraries}, {"backends", Json::array()},
              {"schemes", Json::array()}};
  for (const Backend& backend : backends()) {
    all["backends"].push_back(describe_backend(backend, plugins));
  }
  for (const PluginKernel& kernel : plugins) {
    all["plugins"].push_back(describe_plugin(kernel));
  }
  for (const kq::Scheme& scheme : kq::schemes()) {
    all["schemes"].push_back(describe_scheme(scheme));
  }
  for (const kq::NamedScheme& scheme : kq::named_schemes()) {
    all["named_schemes"].push_back(describe_named(scheme));
  }
  all["dialects"] = describe_dialects();
  return all;
}

std::string text(const Json& value) {
  return value.get<std::string>();
}

void print_device(const Json& device) {
  fmt::print("    {}: {}\n", device["index"].get<int>(), text(device["name"]));
  if (device.contains("error")) {
    fmt::print("       cannot be opened: {}\n", text(device["error"]));
    return;
  }
  const int units = device["compute_units"].get<int>();
  fmt::print("       {}{}{}, {:.1f} GiB memory, {:.0f} MiB last-level cache, {} compute unit{}\n",
             text(device["architecture"]), device["driver"] == "" ? "" : ", driver ", text(device["driver"]),
             device["memory_bytes"].get<double>() / 0x1p30, device["cache_bytes"].get<double>() / 0x1p20, units,
             units == 1 ? "" : "s");
  for (const auto& [name, description] : device["implementations"].items()) {
    fmt::print("       {:<10} {}\n", name, text(description));
  }
  for (const auto& [name, why] : device["missing"].items()) {
    fmt::print("       {:<10} missing: {}\n", name, text(why));
  }
}

void print_text(const Json& all) {
  fmt::print("kqbench {}, commit {}, {}, {}", text(all["version"]), text(all["commit"]), text(all["build_type"]),
             text(all["compiler"]));
  for (const auto& [name, version] : all["libraries"].items()) {
    fmt::print(", {} {}", name, text(version));
  }
  fmt::print("\n\nBackends\n");
  for (const Json& backend : all["backends"]) {
    if (!backend["built"].get<bool>()) {
      fmt::print("  {:<6} not built in\n", text(backend["name"]));
      continue;
    }
    fmt::print("  {:<6} {}{}\n", text(backend["name"]), text(backend["version"]),
               backend["devices"].empty() ? "; no device or no driver found" : "");
    for (const Json& device : backend["devices"]) {
      print_device(device);
    }
  }
  if (all.contains("plugins")) fmt::print("\nPlug-ins\n");
  for (const Json& plugin : all.value("plugins", Json::array())) {
    fmt::print("  {:<10} {}, dialect {}, {}launches that overlap, from {}\n", text(plugin["name"]),
               text(plugin["backend"]), text(plugin["dialect"]), plugin["overlapped"].get<bool>() ? "" : "no ",
               text(plugin["file"]));
  }
  std::vector<std::string> dialects;
  for (const Json& dialect : all["dialects"]) {
    dialects.push_back(text(dialect["name"]));
  }
  fmt::print("\nDialects (--dialects shows what they compute)\n  {}\n", fmt::join(dialects, ", "));
  fmt::print("\nSchemes\n");
  for (const Json& scheme : all["schemes"]) {
    std::vector<std::string> formats;
    for (const char* const name : {"fp8", "int8", "fp4"}) {
      if (scheme[name].get<bool>()) formats.emplace_back(name);
    }
    fmt::print("  {:<26} {:<14} scale: {}\n  {:<41} codes: {}\n", text(scheme["name"]),
               fmt::format("{}", fmt::join(formats, ", ")), text(scheme["scale"]), "", text(scheme["code"]));
  }
  fmt::print("\nBlock formats by name (--scheme)\n");
  for (const Json& scheme : all["named_schemes"]) {
    const bool is_rounded = scheme["scale_rounding"] != "quotient";
    fmt::print("  {:<10} {}: {}, {}, scales {}{}{}, {}\n", text(scheme["name"]), text(scheme["description"]),
               text(scheme["quant_dtype"]), text(scheme["granularity"]), text(scheme["scale_format"]),
               is_rounded ? ", rounded " : "", is_rounded ? text(scheme["scale_rounding"]) : "",
               text(scheme["scale_layout"]));
  }
}

std::string joined(const Json& names) {
  return fmt::format("{}", fmt::join(names.get<std::vector<std::string>>(), ", "));
}

void print_dialects(const Json& dialects) {
  for (const Json& dialect : dialects) {
    fmt::print("{}{}{}\n", text(dialect["name"]), dialect["short_names"].empty() ? "" : ", or ",
               joined(dialect["short_names"]));
    fmt::print("  {}\n", text(dialect["source"]));
    if (dialect["schemes"].empty()) fmt::print("  its schemes are those that `kqbench list` shows\n");
    for (const Json& scheme : dialect["schemes"]) {
      const bool is_float = scheme["scale_formats"] == Json::array({"float"});
      fmt::print("  {}, {}{}{}\n", text(scheme["name"]), joined(scheme["quant_dtypes"]), is_float ? "" : ", scales ",
                 is_float ? "" : joined(scheme["scale_formats"]));
      fmt::print("    scale:   {}\n    codes:   {}\n    differs: {}\n", text(scheme["scale"]), text(scheme["code"]),
                 text(scheme["differs"]));
    }
    fmt::print("\n");
  }
  fmt::print(
      "up(v) is the exponent of the next power of two, T(v) is v rounded to the type of the elements, trunc rounds "
      "toward 0.\nWhere nothing else is said, an operation is binary32, to nearest even. docs/dialects.md has more.\n");
}

}  // namespace

void add_list(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("list", "Show devices, backends, implementations, schemes and versions");
  auto json = std::make_shared<bool>(false);
  auto dialects = std::make_shared<bool>(false);
  auto plugins = std::make_shared<std::vector<std::string>>();
  command->add_flag("--json", *json, "Print JSON");
  command->add_flag(
      "--dialects", *dialects,
      "Show only the dialects: their versions, schemes and formulas, and how each differs from kqbench's own");
  add_plugin_option(*command, *plugins, "Options");
  command->callback([json, dialects, plugins, &chosen] {
    chosen = [json, dialects, plugins] {
      const Json all = *dialects ? describe_dialects() : collect(load_plugins(*plugins));
      if (*json) {
        fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
      } else if (*dialects) {
        print_dialects(all);
      } else {
        print_text(all);
      }
      return exit_done;
    };
  });
}

}  // namespace kqbench
