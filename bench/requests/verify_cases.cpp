// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/verify_cases.hpp"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <string>
#include <vector>

namespace kqbench {
namespace {

constexpr std::int64_t small_elements = 16384;

/// What is gone through where the user gave nothing.
Sweep all_but_given(const Sweep& given) {
  Sweep sweep = given;
  sweep.set_default("num_tokens", {1, 3, 83});
  sweep.set_default("hidden_size", {1, 7, 17, 1023, 1025, 5137});
  sweep.set_default("granularity",
                    {"tensor", "token", "channel", "group:16", "group:64", "group:128", "block:3x16", "block:128x128"});
  sweep.set_default("producer", {std::string(kq::to_string(kq::Producer::none))});
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (parameter.kind == kq::ParameterKind::flag) sweep.set_default(parameter.name, {true, false});
    if (parameter.kind == kq::ParameterKind::name) {
      const std::vector<std::string> names = parameter.names();
      sweep.set_default(parameter.name, {names.begin(), names.end()});
    }
  }
  return sweep;
}

/// Removes values that only block formats have: those are gone through apart.
void leave_out(Sweep& sweep, std::string_view parameter, std::initializer_list<const char*> names) {
  Sweep::Values values = sweep.values(parameter);
  for (const char* const name : names) {
    std::erase(values, kq::ParameterValue(name));
  }
  sweep.set(parameter, std::move(values));
}

/// What is gone through of all but block formats.
Sweep all_but_blocks(const Sweep& given) {
  Sweep sweep = all_but_given(given);
  if (given.has_schemes()) return sweep;
  if (!given.has("quant_dtype")) leave_out(sweep, "quant_dtype", {"fp4_e2m1"});
  if (!given.has("scale_format")) leave_out(sweep, "scale_format", {"e4m3"});
  if (!given.has("scale_layout")) {
    leave_out(sweep, "scale_layout", {"swizzled_128x4", "swizzled_8x4", "shuffled_32x8"});
  }
  if (!given.has("scale_rounding")) {
    leave_out(sweep, "scale_rounding", {"rceil", "floor", "even", "ceil", "4over6_mae_448", "4over6_mse_256"});
  }
  return sweep;
}

/// What is gone through of block formats where the user gave nothing: 4-bit codes, exponents by their roundings, and
/// scales of one byte in every layout.
Sweep all_blocks(const Sweep& given) {
  Sweep sweep = given;
  sweep.set_default("num_tokens", {1, 3, 131});
  sweep.set_default("hidden_size", {1, 17, 95, 1025});
  sweep.set_default("granularity", {"group:16", "group:32", "block:16x16"});
  sweep.set_default("quant_dtype", {"fp8_e4m3fn", "fp8_e5m2", "fp4_e2m1"});
  sweep.set_default("scale_format", {"ue8m0", "e4m3"});
  sweep.set_default("asymmetric", {false});
  return all_but_given(sweep);
}

bool is_block_format(const kq::Request& r) {
  return kq::is_mx(r) || r.format == kq::Format::fp4_e2m1 || kq::is_tiled(r.scale_layout);
}

Sweep::Values producer_names() {
  Sweep::Values names;
  for (const kq::ProducerFacts& facts : kq::producers()) {
    names.emplace_back(std::string(facts.name));
  }
  return names;
}

/// What is gone through of producers where the user gave nothing: all of them in front of some of all schemes, since
/// quantizers do not know where their values come from.
Sweep all_producers(const Sweep& given) {
  Sweep sweep = given;
  sweep.set_default("num_tokens", {1, 7});
  sweep.set_default("hidden_size", {1, 17, 640, 1031, 5137});
  sweep.set_default("granularity", {"tensor", "token", "channel", "group:64", "group:128", "block:3x16"});
  sweep.set_default("quant_dtype", {"int8", "fp8_e4m3fn"});
  sweep.set_default("scale_format", {"float", "ue8m0"});
  sweep.set_default("scale_layout", {"row", "packed"});
  sweep.set_default("scale_rounding", {"quotient"});
  sweep.set_default("producer", producer_names());
  return sweep;
}

/// What language models run, where the user gave no sizes. Kernels have variants for rows of 4096 and 8192 elements of
/// 16 bits, which fill the registers of the lanes that share a row: for few rows, and for more than an H200 has
/// multiprocessors.
std::vector<Sweep> all_usual(const Sweep& given) {
  if (given.has("num_tokens") || given.has("hidden_size") || given.has_schemes()) return {};
  const auto sized = [&](Sweep::Values num_tokens, std::int64_t hidden_size) {
    Sweep sweep = given;
    sweep.set("num_tokens", std::move(num_tokens));
    sweep.set("hidden_size", {hidden_size});
    sweep.set_default("granularity", {"tensor", "token", "group:128"});
    sweep.set_default("quant_dtype", {"int8", "fp8_e4m3fn"});
    sweep.set_default("scale_format", {"float"});
    sweep.set_default("scale_layout", {"row"});
    sweep.set_default("scale_rounding", {"quotient"});
    sweep.set_default("dialect", {"kqbench"});
    Sweep::Values producers = producer_names();
    producers.emplace_back(std::string(kq::to_string(kq::Producer::none)));
    sweep.set_default("producer", producers);
    return all_but_given(sweep);
  };
  return {sized({std::int64_t{1}, std::int64_t{140}}, 4096), sized({std::int64_t{1}}, 8192)};
}

/// A bound that is not the format's own: half of it, a whole number for int8.
float smaller_qmax(kq::Format format) {
  return std::floor(kq::format_max(format) / 2.0f);
}

/// True for the first way in which the scales of a request are stored.
bool is_stored_plainly(const kq::Request& request, const Sweep& sweep) {
  kq::Request plain = request;
  for (const char* const name : {"scale_format", "scale_layout"}) {
    if (!sweep.has(name)) continue;
    kq::parameter(name).set(plain, sweep.values(name).front());
  }
  return plain == request;
}

}  // namespace

std::string_view to_string(Placement placement) {
  switch (placement) {
    case Placement::packed:
      return "packed";
    case Placement::strided:
      return "strided";
    case Placement::misaligned:
      return "misaligned";
  }
  return "";
}

std::vector<kq::Request> verify_requests(const Sweep& given) {
  const Sweep sweep = all_but_blocks(given);
  std::vector<kq::Request> requests;
  const auto add = [&](const kq::Request& request) {
    if (!kq::validate(request)) requests.push_back(request);
  };
  if (!given.has("producer")) {
    for (const kq::Request& request : valid_requests(all_but_given(all_producers(given)))) {
      add(request);
    }
  }
  for (const Sweep& usual : all_usual(given)) {
    for (const kq::Request& request : valid_requests(usual)) {
      if (!is_block_format(request)) add(request);
    }
  }
  for (const kq::Request& request :
       given.has_schemes() ? std::vector<kq::Request>() : valid_requests(all_blocks(given))) {
    if (!is_block_format(request)) continue;
    // Of a number that is given for the tensor's scale, one of two.
    kq::Request multiplied = request;
    multiplied.global_scale = 3.7f;
    if (kq::has_global_scale(request) && !given.has("global_scale") && requests.size() % 2 == 0) add(multiplied);
    add(request);
  }
  // Where blocks are all that the options leave, there is nothing else.
  for (const kq::Request& request : requests.empty() ? plan_sweep(sweep).requests : valid_requests(sweep)) {
    if (!given.has_schemes() && is_block_format(request)) continue;
    add(request);
    if (is_block_format(request) || !is_stored_plainly(request, sweep)) continue;
    kq::Request bounded = request;
    bounded.qmax = smaller_qmax(request.format);
    if (!given.has("qmax")) add(bounded);
    bounded = request;
    bounded.scale_ub = 1.5f;
    if (!given.has("scale_ub")) add(bounded);
  }
  return requests;
}

std::vector<VerifyCase> verify_cases(const kq::Request& request, std::size_t index) {
  const auto place = [&request](Placement placement) {
    kq::Request placed = request;
    if (placement == Placement::strided) {
      if (placed.input_stride == 0) placed.input_stride = kq::input_columns(request) + 3;
      if (kq::has_residual(placed.producer) && placed.residual_stride == 0) {
        placed.residual_stride = request.hidden_size + 1;
      }
      if (placed.codes_stride == 0) {
        placed.codes_stride =
            kq::code_bits(request.format) == 4 ? kq::codes_columns(request) + 6 : request.hidden_size + 5;
      }
      const bool strides = placed.scale_layout == kq::ScaleLayout::column && placed.scale_stride == 0;
      if (strides) placed.scale_stride = kq::scale_rows(request) + 3;
    }
    return placed;
  };
  constexpr Placement placements[] = {Placement::packed, Placement::strided, Placement::misaligned};
  std::vector<VerifyCase> cases;
  const auto add = [&](Fill fill, Placement placement) { cases.push_back({place(placement), fill, placement}); };
  if (request.num_tokens <= small_elements / request.hidden_size) {
    for (const Fill fill : all_fills)
      add(fill, Placement::packed);
    add(all_fills[index % std::size(all_fills)], Placement::strided);
    add(all_fills[(index + 3) % std::size(all_fills)], Placement::misaligned);
  } else {
    add(Fill::normal, placements[index % std::size(placements)]);
    add(all_fills[1 + index % (std::size(all_fills) - 1)], placements[(index + 1) % std::size(placements)]);
  }
  return cases;
}

}  // namespace kqbench
