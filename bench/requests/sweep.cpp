// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "bench/requests/numbers.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

/// A reason to leave out combinations, the first of them, and how many there are.
struct Reason {
  std::string text;
  std::string example;
  int combinations = 0;
};

void count(std::vector<Reason>& reasons, const kq::Request& request, const kq::InvalidField& invalid) {
  const std::string text = option_of_field(invalid.field) + ": " + invalid.reason;
  auto reason = std::find_if(reasons.begin(), reasons.end(), [&](const Reason& r) { return r.text == text; });
  if (reason == reasons.end()) reason = reasons.insert(reasons.end(), {text, describe(request), 0});
  ++reason->combinations;
}

GranularityChoice usual_granularity(kq::Format format, bool static_scale) {
  const bool token = format == kq::Format::int8 && !static_scale;
  return {token ? kq::Granularity::token : kq::Granularity::tensor};
}

/// A request without element and shape.
kq::Request scheme_of(const Sweep& sweep, kq::Format format, const GranularityChoice& granularity) {
  kq::Request request;
  request.format = format;
  request.granularity = granularity.granularity;
  request.group_size = granularity.group_size;
  request.block_rows = granularity.block_rows;
  request.static_scale = sweep.static_scale;
  request.asymmetric = sweep.asymmetric;
  request.scale_format = sweep.scale_format.value_or(kq::ScaleFormat::float32);
  request.scale_layout = sweep.scale_layout.value_or(kq::ScaleLayout::row);
  request.qmax = sweep.qmax.value_or(0.0f);
  if (sweep.scale_ub) request.scale_ub = *sweep.scale_ub;
  return request;
}

/// The item of a list, if it has one. Throws UsageError if it has several.
template <class Item>
std::optional<Item> only_item(const char* option, const std::vector<Item>& items) {
  require_one_at_most(option, items.size());
  return items.empty() ? std::nullopt : std::optional(items.front());
}

}  // namespace

GranularityChoice parse_granularity(std::string_view option, std::string_view text) {
  using kq::Granularity;
  for (const Granularity granularity : {Granularity::tensor, Granularity::token, Granularity::channel}) {
    if (text == kq::to_string(granularity, 0)) return {granularity};
  }
  constexpr std::string_view group = "group:";
  if (text.starts_with(group)) return {Granularity::group, parse_integer(option, text.substr(group.size()), 16)};
  constexpr std::string_view block = "block:";
  if (text.starts_with(block)) {
    const std::string_view sizes = text.substr(block.size());
    const std::size_t times = sizes.find('x');
    if (times == std::string_view::npos) {
      throw UsageError(
          fmt::format("{}: {} has no columns; give block:MxN, as in block:128x128", option, in_quotes(text)));
    }
    return {Granularity::block, parse_integer(option, sizes.substr(times + 1), 16),
            parse_integer(option, sizes.substr(0, times), 1)};
  }
  throw UsageError(fmt::format(
      "{}: {} is not a granularity; give tensor, token, channel, group:G or block:MxN, as in group:128, block:128x128",
      option, in_quotes(text)));
}

std::string option_of_field(std::string_view field) {
  if (field == "group_size" || field == "block_rows") return "--granularity";
  std::string option = "--" + std::string(field);
  std::replace(option.begin(), option.end(), '_', '-');
  return option;
}

std::string describe(const kq::Request& request) {
  return fmt::format("{} {} from {}, {} x {}", kq::operation_name(request), kq::to_string(request.format),
                     kq::to_string(request.element), request.num_tokens, request.hidden_size);
}

kq::Request single_scheme(const Sweep& sweep) {
  const kq::Format format = only_item("--quant-dtype", sweep.formats).value_or(kq::Format::int8);
  const GranularityChoice usual = usual_granularity(format, sweep.static_scale);
  return scheme_of(sweep, format, only_item("--granularity", sweep.granularities).value_or(usual));
}

std::optional<kq::Element> single_element(const Sweep& sweep) {
  return only_item("--dtype", sweep.elements);
}

SweepPlan plan_sweep(const Sweep& sweep) {
  SweepPlan plan;
  std::vector<Reason> reasons;
  const auto add = [&](const kq::Request& request) {
    if (const auto invalid = kq::validate(request)) {
      count(reasons, request, *invalid);
    } else {
      plan.requests.push_back(request);
    }
  };
  const auto with_shapes = [&](kq::Request request) {
    for (const std::int64_t num_tokens : sweep.num_tokens) {
      for (const std::int64_t hidden_size : sweep.hidden_sizes) {
        request.num_tokens = num_tokens;
        request.hidden_size = hidden_size;
        add(request);
      }
    }
  };
  for (const kq::Format format : sweep.formats) {
    std::vector<GranularityChoice> granularities = sweep.granularities;
    if (granularities.empty()) granularities.push_back(usual_granularity(format, sweep.static_scale));
    for (const GranularityChoice& choice : granularities) {
      for (const kq::Element element : sweep.elements) {
        kq::Request request = scheme_of(sweep, format, choice);
        request.element = element;
        request.input_stride = sweep.input_stride;
        request.scale_stride = sweep.scale_stride;
        with_shapes(request);
      }
    }
  }
  if (plan.requests.empty()) throw UsageError(reasons.front().text);
  for (const Reason& reason : reasons) {
    plan.left_out.push_back(reason.combinations == 1 ? fmt::format("left out {}: {}", reason.example, reason.text)
                                                     : fmt::format("left out {} combinations like {}: {}",
                                                                   reason.combinations, reason.example, reason.text));
  }
  return plan;
}

}  // namespace kqbench
