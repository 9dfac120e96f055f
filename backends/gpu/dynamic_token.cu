// SPDX-License-Identifier: Apache-2.0

#include "backends/gpu/choose.hpp"
#include "backends/gpu/dynamic_token.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/rules.hpp"

namespace kqbench::gpu {
namespace {

template <class Rule>
void enqueue(const Launcher& launcher, const kq::Request& r, const Operands& o, const Rule& rule) {
  using Element = typename Rule::Element;
  const auto rows = rows_of<Element, typename Rule::Code>(r, o);
  with_token_shape(r.hidden_size / vector_width<Element>, r.num_tokens, launcher.multiprocessors, [&](auto shape) {
    launch(launcher.stream,
           DynamicToken<Rule, decltype(shape)>{rows, static_cast<float*>(o.scales), o.zero_points, rule},
           shape.blocks(rows.count));
  });
}

}  // namespace

template <class Element>
void dynamic_token(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  if (r.asymmetric) return enqueue(launcher, r, o, DynamicAffine<Element>{r.qmax});
  if (r.format == kq::Format::int8) return enqueue(launcher, r, o, DynamicInt8<Element>{r.qmax});
  with_fp8(r.format, [&](auto format) {
    enqueue(launcher, r, o, TokenFp8<Element, decltype(format)>{r.qmax, r.scale_ub});
  });
}

KQ_INSTANTIATE(dynamic_token)

}  // namespace kqbench::gpu
