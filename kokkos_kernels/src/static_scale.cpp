// SPDX-License-Identifier: Apache-2.0

// The scale is given: one for the tensor, one per token, or one per channel.
//
//   fp8               encode(sat(x * |1 / scale|))
//   int8              sat(rne(x / scale))
//   int8, asymmetric  sat(rne(x * (1 / scale)) + zero_point)

#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a slice of the tensor, or of a token where tokens have scales of their own.
template <class Slices, class Rule>
struct StaticScale {
  Slices slices;
  GivenScales scales;
  std::int64_t scale_step;  ///< 1: a scale for each row, 0: one for all
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto x = program.load(slices.input_slice(slice));
    const auto scale = rule.scale(scales, slices.row(slice) * scale_step);
    program.store(slices.codes_slice(slice), encode(x, scale));
  }
};

/// program_id: a slice of a token. Every column has its own scale.
template <class Slices, class Rule>
struct StaticChannel {
  Slices slices;
  GivenScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto x = program.load(slices.input_slice(slice));
    const auto first = slices.begin(slice);
    program.store(slices.codes_slice(slice),
                  encode_each(x, [this, first](std::int64_t i) { return rule.scale(scales, first + i); }));
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void static_scale(const ExecutionSpace& space, const Request& r, const Operands& b) {
  const GivenScales scales{static_cast<const float*>(b.scales), b.zero_points};
  const bool whole = r.granularity == Granularity::tensor;
  with_static_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    with_slices<Element, typename Rule::Code, false>(space, r, b, whole, [&](auto config, const auto& slices) {
      using Slices = std::decay_t<decltype(slices)>;
      const auto run = [&]<class Config>(Config, const char* name, const auto& kernel) {
        launch<Config>(space, name, kernel, slices.num_slices(), slices.slice_size);
      };
      if constexpr (!Slices::is_flat) {
        if (r.granularity == Granularity::channel) {
          return run(LowOccupancy<decltype(config)>{}, "kq::static_channel",
                     StaticChannel<Slices, Rule>{slices, scales, rule});
        }
      }
      run(config, "kq::static_scale", StaticScale<Slices, Rule>{slices, scales, whole ? 0 : 1, rule});
    });
  });
}

KQ_INSTANTIATE_KERNEL(static_scale)

}  // namespace kq::detail
