// SPDX-License-Identifier: Apache-2.0

/// \file
/// `kqbench identify`: whose codes and scales these are; and where nobody's, what is different.

#include "bench/identify/identify.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "apps/kqbench/subcommands.hpp"
#include "bench/requests/arguments.hpp"
#include "bench/results/request_json.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

using Json = nlohmann::ordered_json;

struct IdentifyArguments {
  std::string input, codes;
  std::optional<std::string> scales, zero_points, tensor;
  RequestArguments scheme;
  bool json = false;
};

/// "vllm-0.33.0: dynamic group:128, fp8_e4m3fn from bfloat16".
std::string name_of(const kq::Request& request) {
  kq::Request plain = request;
  plain.dialect = kq::Dialect::kqbench;
  return fmt::format("{}: {}, {} from {}", kq::to_string(request.dialect), kq::operation_name(plain),
                     kq::to_string(request.format), kq::to_string(request.element));
}

std::string count_text(std::size_t count, std::size_t of, const char* what) {
  return fmt::format("{} of {} {}", count, of, what);
}

std::string bound_text(const kq::Request& request) {
  std::string text;
  if (std::isfinite(request.scale_ub)) text += fmt::format(", scale_ub {:g}", request.scale_ub);
  if (request.qmax != kq::format_max(request.format)) text += fmt::format(", qmax {:g}", request.qmax);
  return text;
}

void print_matches(const std::vector<SampleMatch>& matches) {
  for (const SampleMatch& match : matches) {
    fmt::print("{}{}\n", name_of(match.request), bound_text(match.request));
    if (!match.is_approximate) continue;
    fmt::print("  {}, by one step: the engine's reciprocal is approximate, the dialect's is not\n",
               count_text(match.difference.codes, match.difference.codes_compared, "codes differ"));
  }
  if (matches.front().request.static_scale) {
    fmt::print("The scales are taken as given: no dynamic scheme gives them.\n");
  } else if (matches.size() > 1) {
    fmt::print("These bytes do not tell the {} apart.\n", matches.size());
  }
}

void print_fits(const char* what, const std::vector<FormulaFit>& fits) {
  for (const FormulaFit& fit : fits) {
    fmt::print("  {} {}: {}{}\n", what, fit.formula, count_text(fit.right, fit.of, "right"),
               fit.explains_all() ? ", all of them" : "");
  }
}

void print_dialects(const char* what, const std::vector<kq::Dialect>& dialects) {
  std::vector<std::string_view> names;
  for (const kq::Dialect dialect : dialects)
    names.push_back(kq::to_string(dialect));
  if (!names.empty()) fmt::print("  all {} are those of {}\n", what, fmt::join(names, ", "));
}

/// What is counted, and how much of it there is.
std::vector<std::pair<const char*, std::size_t>> counted(const DifferentCodes& d) {
  return {{"by 1 step", d.by_steps[0]},
          {"by 2 steps", d.by_steps[1]},
          {"by more steps", d.by_steps[2]},
          {"in sign, or NaN", d.by_steps[3]},
          {"in spans of zeros", d.of_zero_spans},
          {"of NaN or infinity", d.of_nan_or_infinity},
          {"under scales that differ", d.of_different_scales},
          {"under subnormal scales", d.of_subnormal_scales},
          {"at rounding boundaries", d.at_rounding_boundaries},
          {"in short last groups", d.in_short_groups},
          {"elsewhere", d.elsewhere}};
}

void print_nearest(const Identification& found) {
  const SampleMatch& nearest = *found.nearest;
  const SampleDifference& d = nearest.difference;
  fmt::print("No dialect gives these bytes. The nearest is\n{}\n", name_of(nearest.request));
  fmt::print("  {}", count_text(d.codes, d.codes_compared, "codes differ"));
  if (d.scales_compared != 0) fmt::print(", {}", count_text(d.scales, d.scales_compared, "scales"));
  const bool is_part = found.rows_looked_at < nearest.request.num_tokens;
  fmt::print("{}\n", is_part ? fmt::format(", of the first {} rows", found.rows_looked_at) : "");
  for (const auto& [what, count] : counted(found.different_codes)) {
    if (count != 0) fmt::print("    {} {}\n", count, what);
  }
  if (nearest.request.format == kq::Format::int8 && !nearest.request.asymmetric) {
    fmt::print("  If these codes have zero points, give them: --zero-points FILE.\n");
  }
  for (const SampleMatch& match : found.matches_of_swapped_halves) {
    fmt::print("  With the halves of each byte swapped it is {} (the even column belongs in the low half)\n",
               name_of(match.request));
  }
  print_dialects("scales", found.dialects_of_scales);
  print_dialects("codes", found.dialects_of_codes);
  print_fits("scale", found.scale_formulas);
  print_fits("code", found.code_formulas);
  for (const WrongScale& wrong : found.first_scales) {
    fmt::print("  scales[{}] is {:a} ({:g}), there {:a} ({:g}); amax {:g}\n", wrong.index, wrong.found, wrong.found,
               wrong.nearest, wrong.nearest, wrong.amax);
  }
  for (const WrongCode& wrong : found.first_codes) {
    fmt::print("  codes[token {}, channel {}] is {:#04x}, there {:#04x}; input {:#06x} ({:g}), scale {:a}\n",
               wrong.token, wrong.channel, wrong.found, wrong.nearest, wrong.input_bits, wrong.input, wrong.scale);
  }
}

/// JSON has no infinities and no NaN: they are text.
Json number(float value) {
  return std::isfinite(value) ? Json(static_cast<double>(value)) : Json(fmt::format("{}", value));
}

Json match_json(const SampleMatch& match) {
  const SampleDifference& d = match.difference;
  Json json;
  add_request(json, match.request);
  json["is_approximate"] = match.is_approximate;
  json["codes_differ"] = d.codes;
  json["codes_compared"] = d.codes_compared;
  json["scales_differ"] = d.scales;
  json["scales_compared"] = d.scales_compared;
  return json;
}

Json dialects_json(const std::vector<kq::Dialect>& dialects) {
  Json names = Json::array();
  for (const kq::Dialect dialect : dialects)
    names.push_back(kq::to_string(dialect));
  return names;
}

Json fits_json(const std::vector<FormulaFit>& fits) {
  Json json = Json::array();
  for (const FormulaFit& fit : fits) {
    json.push_back({{"formula", fit.formula}, {"right", fit.right}, {"of", fit.of}});
  }
  return json;
}

Json nearest_json(const Identification& found) {
  Json json = match_json(*found.nearest);
  json["rows_looked_at"] = found.rows_looked_at;
  for (const auto& [what, count] : counted(found.different_codes)) {
    json["codes_that_differ"][what] = count;
  }
  json["matches_of_swapped_halves"] = Json::array();
  for (const SampleMatch& match : found.matches_of_swapped_halves)
    json["matches_of_swapped_halves"].push_back(match_json(match));
  json["dialects_of_scales"] = dialects_json(found.dialects_of_scales);
  json["dialects_of_codes"] = dialects_json(found.dialects_of_codes);
  json["scale_formulas"] = fits_json(found.scale_formulas);
  json["code_formulas"] = fits_json(found.code_formulas);
  json["first_scales"] = Json::array();
  for (const WrongScale& w : found.first_scales) {
    json["first_scales"].push_back(
        {{"index", w.index}, {"amax", number(w.amax)}, {"found", number(w.found)}, {"nearest", number(w.nearest)}});
  }
  json["first_codes"] = Json::array();
  for (const WrongCode& w : found.first_codes) {
    json["first_codes"].push_back({{"token", w.token},
                                   {"channel", w.channel},
                                   {"input_bits", fmt::format("{:#06x}", w.input_bits)},
                                   {"input", number(w.input)},
                                   {"scale", number(w.scale)},
                                   {"found", fmt::format("{:#04x}", w.found)},
                                   {"nearest", fmt::format("{:#04x}", w.nearest)}});
  }
  return json;
}

Json to_json(const Identification& found) {
  Json json = {{"identified", !found.matches.empty()}, {"matches", Json::array()}, {"nearest", nullptr}};
  for (const SampleMatch& match : found.matches)
    json["matches"].push_back(match_json(match));
  if (found.nearest) json["nearest"] = nearest_json(found);
  return json;
}

int run(const IdentifyArguments& arguments) {
  const Sweep restriction = arguments.scheme.sweep();
  SampleFiles files{
      arguments.input, arguments.codes, {}, {}, arguments.tensor.value_or(""), single_element(restriction)};
  if (arguments.scales) files.scales = *arguments.scales;
  if (arguments.zero_points) files.zero_points = *arguments.zero_points;
  const Sample sample = read_sample(files);
  const Identification found = identify(sample, restriction);
  if (arguments.json) {
    fmt::print("{}\n", to_json(found).dump(2, ' ', false, Json::error_handler_t::replace));
  } else if (!found.matches.empty()) {
    print_matches(found.matches);
  } else {
    print_nearest(found);
  }
  return found.matches.empty() ? exit_wrong : exit_done;
}

}  // namespace

void add_identify(CLI::App& program, Action& chosen) {
  CLI::App* command =
      program.add_subcommand("identify", "Say which dialect, scheme and layout gave codes and scales, or what differs");
  auto arguments = std::make_shared<IdentifyArguments>();
  command->add_option("INPUT", arguments->input, "The tensor that was quantized: .npy or .safetensors")
      ->required()
      ->type_name("FILE");
  command->add_option("CODES", arguments->codes, "Its codes: .npy or .safetensors")->required()->type_name("FILE");
  command->add_option("SCALES", arguments->scales, "Its scales: .npy or .safetensors [in the file of the codes]")
      ->type_name("FILE");
  command
      ->add_option("--zero-points", arguments->zero_points,
                   "Its zero points: .npy or .safetensors [in the file of the codes, if anywhere]")
      ->type_name("FILE");
  command->add_option("--tensor", arguments->tensor, "Name of the tensor in a .safetensors file [the only one]")
      ->type_name("NAME");
  arguments->scheme.add_to(*command, Use::identify);
  command->add_flag("--json", arguments->json, "Print JSON");
  command->footer("Give what you know of the scheme; everything that fits it and the files is tried.\n\n" +
                  program.get_footer());
  command->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace kqbench
