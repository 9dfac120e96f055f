// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench list`: what this program was built with, what it finds here, and what it can do.

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/kqbench/subcommands.hpp"
#include "backends/backend.hpp"
#include "bench/measure/context.hpp"
#include "bench/support/errors.hpp"
#include "kq/request.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

Json describe_device(const Backend& backend, int index) {
  Json entry = {{"index", index}, {"name", backend.device_name(index)}};
  try {
    const std::unique_ptr<Device> device = backend.open({index, 0});
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

Json describe_backend(const Backend& backend) {
  Json entry = {{"name", backend.name}, {"built", backend.built}, {"version", backend.version}};
  entry["devices"] = Json::array();
  if (!backend.built) return entry;
  for (int index = 0; index < backend.device_count(); ++index) {
    entry["devices"].push_back(describe_device(backend, index));
  }
  return entry;
}

Json describe_scheme(const kq::Scheme& scheme) {
  return {{"name", scheme.name},
          {"fp8", scheme.fp8},
          {"int8", scheme.int8},
          {"scale", scheme.scale_formula},
          {"code", scheme.code_formula}};
}

Json collect() {
  const Context build = build_context();
  Json all = {{"version", build.version},   {"commit", build.commit},       {"build_type", build.build_type},
              {"compiler", build.compiler}, {"libraries", build.libraries}, {"backends", Json::array()},
              {"schemes", Json::array()}};
  for (const Backend& backend : backends()) {
    all["backends"].push_back(describe_backend(backend));
  }
  for (const kq::Scheme& scheme : kq::schemes()) {
    all["schemes"].push_back(describe_scheme(scheme));
  }
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
  fmt::print("\nSchemes\n");
  for (const Json& scheme : all["schemes"]) {
    const char* formats = scheme["fp8"].get<bool>() ? (scheme["int8"].get<bool>() ? "fp8, int8" : "fp8") : "int8";
    fmt::print("  {:<26} {:<10} scale: {}\n  {:<37} codes: {}\n", text(scheme["name"]), formats, text(scheme["scale"]),
               "", text(scheme["code"]));
  }
}

}  // namespace

void add_list(CLI::App& program, Action& chosen) {
  CLI::App* command = program.add_subcommand("list", "Show devices, backends, implementations, schemes and versions");
  auto json = std::make_shared<bool>(false);
  command->add_flag("--json", *json, "As JSON");
  command->callback([json, &chosen] {
    chosen = [json] {
      const Json all = collect();
      if (*json) {
        fmt::print("{}\n", all.dump(2, ' ', false, Json::error_handler_t::replace));
      } else {
        print_text(all);
      }
      return exit_done;
    };
  });
}

}  // namespace kqbench
