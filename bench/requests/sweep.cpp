// SPDX-License-Identifier: Apache-2.0
#include "bench/requests/sweep.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "bench/requests/numbers.hpp"
#include "bench/requests/option_message.hpp"
#include "bench/support/errors.hpp"

namespace kqbench {
namespace {

/// A reason to leave out combinations, the first of them, and how many there are.
struct Reason {
  kq::InvalidField invalid;
  std::string example;
  int combinations = 0;
};

void count(std::vector<Reason>& reasons, const kq::Request& request, kq::InvalidField invalid) {
  auto reason = std::find_if(reasons.begin(), reasons.end(), [&](const Reason& r) {
    return r.invalid.field == invalid.field && r.invalid.reason == invalid.reason;
  });
  if (reason == reasons.end()) reason = reasons.insert(reasons.end(), {std::move(invalid), describe(request), 0});
  ++reason->combinations;
}

/// The granularity that vLLM's script takes for a format.
std::string usual_granularity(const kq::Request& request) {
  const bool token = request.format == kq::Format::int8 && !request.static_scale;
  return kq::to_string(token ? kq::Granularity::token : kq::Granularity::tensor, 0);
}

/// The parameters in the order in which a sweep goes through their lists, the outermost first.
std::vector<const kq::Parameter*> nesting() {
  std::vector<const kq::Parameter*> order;
  const std::vector<std::string_view> innermost = {"dtype", "num_tokens", "hidden_size"};
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (std::find(innermost.begin(), innermost.end(), parameter.name) == innermost.end()) order.push_back(&parameter);
  }
  for (const std::string_view name : innermost)
    order.push_back(&kq::parameter(name));
  return order;
}

/// Calls function(request) for every combination of the values from the parameter `depth` on.
template <class Function>
// NOLINTNEXTLINE(misc-no-recursion): as deep as there are parameters
void for_each_request(const Sweep& sweep, const std::vector<const kq::Parameter*>& order, std::size_t depth,
                      const kq::Request& request, const Function& function) {
  if (depth == order.size()) return function(request);
  const kq::Parameter& parameter = *order[depth];
  const bool takes_usual = parameter.name == "granularity" && !sweep.has(parameter.name) && !sweep.has_schemes();
  const Sweep::Values usual = takes_usual ? Sweep::Values{usual_granularity(request)} : Sweep::Values();
  const Sweep::Values& values = takes_usual ? usual : sweep.values(parameter.name);
  if (values.empty()) return for_each_request(sweep, order, depth + 1, request, function);
  for (const kq::ParameterValue& value : values) {
    kq::Request changed = request;
    parameter.set(changed, value);
    for_each_request(sweep, order, depth + 1, changed, function);
  }
}

/// Calls function(request) for every combination of all values, the named schemes outermost. A request that two schemes
/// give is passed once.
template <class Function>
void for_each_request(const Sweep& sweep, const Function& function) {
  const std::vector<const kq::Parameter*> order = nesting();
  if (!sweep.has_schemes()) return for_each_request(sweep, order, 0, {}, function);
  std::set<kq::Request> seen;
  for (const kq::NamedScheme& scheme : sweep.schemes()) {
    for_each_request(sweep, order, 0, kq::with_scheme({}, scheme), [&](const kq::Request& request) {
      kq::Request r = request;
      // What is given is not rounded; and a dialect that rounds in one way only is one whose name says enough.
      const bool other_way = !r.static_scale && r.dialect != kq::Dialect::kqbench && kq::validate(r).has_value();
      if (!sweep.has("scale_rounding") && (r.static_scale || other_way)) {
        r.scale_rounding = kq::ScaleRounding::quotient;
      }
      if (seen.insert(r).second) function(r);
    });
  }
}

}  // namespace

std::string describe(const kq::Request& request) {
  return fmt::format("{} {} from {}, {} x {}", kq::operation_name(request), kq::to_string(request.format),
                     kq::to_string(request.element), request.num_tokens, request.hidden_size);
}

kq::Request single_scheme(const Sweep& sweep) {
  for (const kq::Parameter& parameter : kq::parameters()) {
    if (parameter.name != "dtype") {
      require_one_at_most(kq::option_name(parameter), sweep.values(parameter.name).size());
    }
  }
  require_one_at_most("--scheme", sweep.schemes().size());
  Sweep scheme = sweep;
  scheme.set("dtype", {});
  kq::Request single;
  for_each_request(scheme, [&](const kq::Request& request) { single = request; });
  return single;
}

std::optional<kq::Element> single_element(const Sweep& sweep) {
  const Sweep::Values& elements = sweep.values("dtype");
  require_one_at_most("--dtype", elements.size());
  return elements.empty() ? std::nullopt : kq::parse_element(std::get<std::string>(elements.front()));
}

SweepPlan plan_sweep(const Sweep& sweep) {
  SweepPlan plan;
  std::vector<Reason> reasons;
  for_each_request(sweep, [&](const kq::Request& request) {
    if (auto invalid = kq::validate(request)) {
      count(reasons, request, *std::move(invalid));
    } else {
      plan.requests.push_back(request);
    }
  });
  if (plan.requests.empty()) throw UsageError(option_message(reasons.front().invalid));
  for (const Reason& reason : reasons) {
    const std::string text = option_message(reason.invalid);
    plan.left_out.push_back(reason.combinations == 1 ? fmt::format("left out {}: {}", reason.example, text)
                                                     : fmt::format("left out {} combinations like {}: {}",
                                                                   reason.combinations, reason.example, text));
  }
  return plan;
}

std::vector<kq::Request> valid_requests(const Sweep& sweep) {
  std::vector<kq::Request> requests;
  for_each_request(sweep, [&](const kq::Request& request) {
    if (!kq::validate(request)) requests.push_back(request);
  });
  return requests;
}

}  // namespace kqbench
