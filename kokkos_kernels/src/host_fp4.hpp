// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes of four bits on a host, where groups and blocks of them are programs as those of other formats are.

#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {

/// Stores the scale of a tensor.
template <class Rule>
struct TensorScale {
  Rule rule;
  float* global_scale;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    program.store(global_scale, rule.tensor_scale());
  }
};

/// Calls function(rule), which launches, for a rule of the request's groups or blocks: after the launches that find the
/// tensor's amax, and before the one that stores its scale, if it has one.
template <class Element, class ExecutionSpace, class Function>
void with_host_fp4_rule(const ExecutionSpace& space, const Request& r, const Operands& b, const Function& function) {
  const float* const amax = finds_global_scale(r) ? enqueue_tensor_amax<Element>(space, r, b) : nullptr;
  with_fp4_group_rule<Element>(r, amax, [&]<class Rule>(const Rule& rule) {
    function(rule);
    if constexpr (requires { rule.tensor_scale(); }) {
      if (!has_global_scale(r)) return;
      launch<TileConfig<1, 0>>(space, "kq::tensor_scale", TensorScale<Rule>{rule, b.global_scale}, 1, host_grain);
    }
  });
}

}  // namespace kq::detail
