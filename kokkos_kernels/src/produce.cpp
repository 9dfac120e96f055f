// SPDX-License-Identifier: Apache-2.0

// The values of a producer, for quantizers that follow in a launch of their own.
//
//   rms_norm      T((x * r) * weight), r = 1 / sqrt(sum of squares / hidden_size + eps)
//   add_rms_norm  z = T(x + residual), which is stored, in x's place
//   silu_mul      T(T(gate / (1 + e^-gate)) * up)
//
// Engines round in other places (ProducerForm): dialects go this way.

#include "produce.hpp"

#include <cstdint>

#include "kernels.hpp"
#include "kq/producers.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// program_id: a token.
template <class ProducerRows>
struct Produce {
  ProducerRows rows;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto vectors = rows.vectors();
    if constexpr (ProducerRows::is_norm) {
      const double sum = program.sum_vectors(vectors, [&](std::int64_t i) { return rows.squares(token, i); });
      const float reciprocal = rows.reciprocal(sum);
      program.for_each_index(vectors, [&](std::int64_t i) { rows.store(token, i, reciprocal); });
    } else {
      program.for_each_index(vectors, [&](std::int64_t i) { rows.store(token, i); });
    }
  }
};

/// One launch of a program for each token. Lanes that a short row leaves without a vector cost little: such a launch
/// is short in any case.
template <class ExecutionSpace, class Kernel>
void launch_rows(const ExecutionSpace& space, const char* name, const Kernel& kernel, const Request& r) {
  const auto run = [&]<class Config>(Config) {
    launch<Config>(space, name, kernel, r.num_tokens, r.hidden_size, Config::lanes * int{sizeof(double)});
  };
  if constexpr (on_host<ExecutionSpace>) {
    run(TileConfig<1, 0>{});
  } else {
    r.hidden_size <= 16384 ? run(TileConfig<256, 0>{}) : run(TileConfig<1024, 0>{});
  }
}

}  // namespace

template <class Element, class ExecutionSpace>
void produce(const ExecutionSpace& space, const Request& r, const Operands& b, void* values) {
  with_producer_rows<Element>(r, b, values, [&]<class ProducerRows>(const ProducerRows& rows) {
    launch_rows(space, ProducerRows::name, Produce<ProducerRows>{rows}, r);
  });
}

#define KQ_INSTANTIATE_PRODUCE(Space, unused) \
  template void produce<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&, void*);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_PRODUCE, )

}  // namespace kq::detail
