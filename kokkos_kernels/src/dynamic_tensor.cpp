// SPDX-License-Identifier: Apache-2.0

// One scale for the whole tensor, from the tensor itself.
//
//   fp8               scale = max(amax / qmax, 2^-126), 1 / (448 * 512) where amax is 0; encode(sat(x * |1 / scale|))
//   int8              scale = max(amax / qmax, 2^-126), sat(rne(x * min(qmax / amax, 2^126))); 0 where amax is 0
//   int8, asymmetric  as dynamic token, over the tensor
//
// On a device a contiguous and aligned tensor takes one launch, of as many programs as run at once: they hold what they
// can of it and agree on its extremes. So does a small tensor on a host, by one program. Else there are two launches:
// the first leaves partial results in the workspace, the second combines them in every program and quantizes. The
// second pass runs backwards, to hit what is still in the last-level cache. No result depends on the order in which
// programs run.

#include "extremes.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tensor_extremes.hpp"
#include "tensor_workspace.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a part of the tensor.
template <class Rule>
struct CooperativeTensor {
  Span<const typename Rule::Element> input;
  Span<typename Rule::Code> codes;
  GridReduceWorkspace workspace;
  int scratch_vectors;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    auto x = program.load_partition(input, workspace, scratch_vectors);
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(codes, encode(x, scale));
    if (program.id() == 0) program.store(scales.at(0), scale);
  }
};

/// program_id: every program_count-th slice, from the last one down.
template <class Slices, class Rule>
struct TensorQuantize {
  Slices slices;
  Partials partials;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto scale = rule.scale(program.reduce_stored(rule.reduction, partials.values, partials.count));
    for (auto slice = slices.num_slices() - 1 - program.id(); slice >= 0; slice -= program.count()) {
      const auto x = program.load(slices.input_slice(slice));
      program.store(slices.codes_slice(slice), encode(x, scale));
    }
    if (program.id() == 0) program.store(scales.at(0), scale);
  }
};

/// One program: the extremes of a tensor's part that has no tokens.
template <class Reduction>
struct NoExtremes {
  float* extremes;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    for (int k = 0; k < Reduction::count; ++k) {
      program.store(extremes + k, float{Reduction::identity});
    }
  }
};

/// The launches of a tensor that is read twice: both, or one of them.
enum class Passes { both, extremes, codes };

/// `extremes`, where only one of the two is launched: the first writes them, the second reads them.
template <Passes passes, class Element, class Rule, class ExecutionSpace>
void enqueue_passes(const ExecutionSpace& space, const Request& r, const Operands& b, const Rule& rule,
                    float* extremes = nullptr) {
  using Reduction = typename Rule::Reduction;
  if (passes == Passes::extremes && r.num_tokens == 0) {
    return launch<TileConfig<32, 1>>(space, "kq::no_extremes", NoExtremes<Reduction>{extremes}, 1, 1);
  }
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  with_slices<Element, typename Rule::Code, true>(
      space, r, b, true, [&](auto config, const auto& slices, std::int64_t count) {
        using Slices = std::decay_t<decltype(slices)>;
        const std::int64_t programs = std::min(count, max_partials(space));
        // The second launch alone reads extremes that have been combined already: partial results of one program.
        const Partials partials =
            passes == Passes::codes ? Partials{extremes, 1} : Partials{partials_of(space, b.workspace), programs};
        if constexpr (passes != Passes::codes) {
          launch<decltype(config)>(space, "kq::tensor_extremes", TensorExtremes<Slices, Reduction>{slices, partials},
                                   programs, host_grain);
        }
        if constexpr (passes == Passes::extremes) {
          launch<TileConfig<256, 1>>(space, "kq::combine_partials", CombinePartials<Reduction>{partials, extremes}, 1,
                                     programs);
        } else {
          launch<decltype(config)>(space, "kq::tensor_quantize",
                                   TensorQuantize<Slices, Rule>{slices, partials, scales, rule}, programs, host_grain);
        }
      });
}

template <class Element, class Rule, class ExecutionSpace>
void enqueue_in_one_launch(const ExecutionSpace& space, const Request& r, const Operands& b, const Rule& rule) {
  using Code = typename Rule::Code;
  const std::int64_t size = r.num_tokens * r.hidden_size;
  const Span<const Element> input{static_cast<const Element*>(b.input), size};
  const Span<Code> codes{static_cast<Code*>(b.codes), size};
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  const GridReduceWorkspace workspace = grid_reduce_workspace(space, b.workspace);
  constexpr int most_vectors = Rule::has_zero_point ? 6 : 8;  // that leave enough of 64 registers
  with_cooperative_plan<Element, most_vectors>(
      space, size, workspace.capacity, [&](auto config, const CooperativePlan& plan) {
        const CooperativeTensor<Rule> kernel{input, codes, workspace, plan.in_scratch, scales, rule};
        launch<decltype(config)>(space, "kq::dynamic_tensor", kernel, plan.programs, size / plan.programs,
                                 plan.scratch_bytes);
      });
}

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_tensor(const ExecutionSpace& space, const Request& r, const Operands& b) {
  with_tensor_rule<Element>(r, [&](const auto& rule) {
    if (fits_one_launch<ExecutionSpace, Element>(r, b)) {
      enqueue_in_one_launch<Element>(space, r, b, rule);
    } else {
      enqueue_passes<Passes::both, Element>(space, r, b, rule);
    }
  });
}

template <class Element, class ExecutionSpace>
void tensor_extremes(const ExecutionSpace& space, const Request& r, const Operands& b, float* extremes) {
  with_tensor_rule<Element>(
      r, [&](const auto& rule) { enqueue_passes<Passes::extremes, Element>(space, r, b, rule, extremes); });
}

template <class Element, class ExecutionSpace>
void tensor_by_extremes(const ExecutionSpace& space, const Request& r, const Operands& b, const float* extremes) {
  with_tensor_rule<Element>(r, [&](const auto& rule) {
    enqueue_passes<Passes::codes, Element>(space, r, b, rule, const_cast<float*>(extremes));  // which it only reads
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_tensor)
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_HALVES, tensor)

}  // namespace kq::detail
