// SPDX-License-Identifier: Apache-2.0

// The values of a producer, for quantizers that follow in a launch of their own.
//
//   rms_norm      T((x * r) * weight), r = 1 / sqrt(sum of squares / hidden_size + eps)
//   add_rms_norm  z = T(x + residual), which is stored, in x's place
//   silu_mul      T(T(gate / (1 + e^-gate)) * up)
//
// Engines round in other places (ProducerForm): dialects go this way.

#include "produce.hpp"

#include <type_traits>

#include "kernels.hpp"
#include "kq/producers.hpp"
#include "launch.hpp"
#include "slices.hpp"

namespace kq::detail {
namespace {

/// program_id: a token.
template <class Element, bool HasResidual>
struct Norm {
  static constexpr int width = vector_width<Element>;

  Rows<const Element> input;
  Rows<const Element> residual;
  Rows<Element> residual_out;
  Span<const Element> weight;
  Rows<Element> values;
  float eps;
  ProducerForm form;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const RowVectors x(input.row(token));
    const RowVectors w(weight);
    const double sum = program.sum_vectors(x.count(), [&](std::int64_t i) {
      float z[width];
      load_sum(token, i, z);
      return sum_of_squares(z);
    });
    const float r = reciprocal_rms(sum, x.size, eps, form);
    program.for_each_vector(x.count(), [&](std::int64_t i) {
      float z[width];
      load_sum(token, i, z);
      if constexpr (HasResidual) store_vector(residual_out.row(token).data, i, x.elements(i), z);
      float y[width];
      w.load(i, y);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        y[k] = normed<Element>(z[k], r, y[k], form);
      }
      store_vector(values.row(token).data, i, x.elements(i), y);
    });
  }

 private:
  /// Elements of vector i of a token, with those of the residual.
  KQ_HOST_DEVICE void load_sum(std::int64_t token, std::int64_t i, float (&z)[width]) const {
    RowVectors(input.row(token)).load(i, z);
    if constexpr (HasResidual) {
      float other[width];
      RowVectors(residual.row(token)).load(i, other);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        const float sum = z[k] + other[k];
        z[k] = form == ProducerForm::twice ? sum : rounded_to<Element>(sum);
      }
    }
  }
};

/// program_id: a token.
template <class Element, class Value>
struct SiluMul {
  static constexpr int width = vector_width<Element>;

  Rows<const Element> input;
  Rows<Value> values;
  ProducerForm form;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const RowVectors gate(input.slice(token, 0, values.size));
    const RowVectors up(input.slice(token, values.size, values.size));
    program.for_each_vector(gate.count(), [&](std::int64_t i) {
      float g[width];
      float y[width];
      gate.load(i, g);
      up.load(i, y);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        y[k] = silu_times<Element>(g[k], y[k], form);
      }
      store_vector(values.row(token).data, i, gate.elements(i), y);
    });
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
  const ProducerForm form = producer_form(r);
  const Rows<const Element> input{static_cast<const Element*>(b.input), input_columns(r), r.input_stride};
  const auto values_of = [&]<class Value>(Value) {
    return Rows<Value>{static_cast<Value*>(values), r.hidden_size, r.hidden_size};
  };
  if (r.producer == Producer::silu_mul) {
    if (form == ProducerForm::in_float) {
      return launch_rows(space, "kq::silu_mul", SiluMul<Element, float>{input, values_of(float{}), form}, r);
    }
    return launch_rows(space, "kq::silu_mul", SiluMul<Element, Element>{input, values_of(Element{}), form}, r);
  }
  const Rows<const Element> residual{static_cast<const Element*>(b.residual), r.hidden_size, r.residual_stride};
  const Rows<Element> residual_out{static_cast<Element*>(b.residual_out), r.hidden_size, r.residual_stride};
  const Span<const Element> weight{static_cast<const Element*>(b.weight), r.hidden_size};
  const auto run = [&]<bool has_residual>(std::bool_constant<has_residual>) {
    launch_rows(space, "kq::norm",
                Norm<Element, has_residual>{input, residual, residual_out, weight, values_of(Element{}), r.eps, form},
                r);
  };
  has_residual(r.producer) ? run(std::true_type()) : run(std::false_type());
}

#define KQ_INSTANTIATE_PRODUCE(Space, unused) \
  template void produce<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&, void*);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_PRODUCE, )

}  // namespace kq::detail
