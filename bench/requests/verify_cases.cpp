// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/verify_cases.hpp"

#include <algorithm>
#include <cmath>
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
  sweep.set_default("producer", {"rms_norm", "add_rms_norm", "silu_mul"});
  return sweep;
}

/// A bound that is not the format's own: half of it, a whole number for int8.
float smaller_qmax(kq::Format format) {
  return std::floor(kq::format_max(format) / 2.0f);
}

/// True for the first way in which the scales of a request are stored.
bool is_stored_plainly(const kq::Request& request, const Sweep& sweep) {
  kq::Request plain = request;
  for (const char* const name : {"scale_format", "scale_layout"}) {
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
  const Sweep sweep = all_but_given(given);
  std::vector<kq::Request> requests;
  const auto add = [&](const kq::Request& request) {
    if (!kq::validate(request)) requests.push_back(request);
  };
  if (!given.has("producer")) {
    for (const kq::Request& request : plan_sweep(all_but_given(all_producers(given))).requests) {
      add(request);
    }
  }
  for (const kq::Request& request : plan_sweep(sweep).requests) {
    add(request);
    if (!is_stored_plainly(request, sweep)) continue;
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
      if (placed.codes_stride == 0) placed.codes_stride = request.hidden_size + 5;
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
