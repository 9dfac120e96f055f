// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Family: dynamic scales of tokens.

#include "backends/gpu/choose.hpp"
#include "backends/gpu/dynamic_token.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/rules.hpp"

namespace kqbench::gpu {

template <class Rule, class Launcher>
void enqueue_dynamic_token(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  const auto rows = rows_of<Element, typename Rule::Code>(r, o);
  with_token_shape(
      r.hidden_size / vector_width<Element>, r.num_tokens, is_aligned(rows), launcher.multiprocessors,
      [&](auto config, auto aligned) {
        using Kernel = DynamicToken<Rule, decltype(config), aligned.value>;
        launcher.launch(Kernel{rows, static_cast<float*>(o.scales), o.zero_points, rule}, config.blocks(rows.count));
      });
}

template <class Element, class Launcher>
void dynamic_token(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.asymmetric) return enqueue_dynamic_token(launcher, r, o, DynamicAffine<Element>{r.qmax});
  if (r.format == kq::Format::int8) return enqueue_dynamic_token(launcher, r, o, DynamicInt8<Element>{r.qmax});
  with_fp8(r.format, [&](auto format) {
    enqueue_dynamic_token(launcher, r, o, TokenFp8<Element, decltype(format)>{r.qmax, r.scale_ub});
  });
}

}  // namespace kqbench::gpu
