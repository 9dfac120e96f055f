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

/// program_id: a slice of a tensor that has one scale. (Its rule is a base, since an empty member would take room. It
/// is not the usual rule, kq::usual(): with that, this kernel took 3 % less where launches do not overlap, and up to 12
/// % more where they do, on an H200.)
template <class Slices, class Scales, class Rule>
struct StaticTensor : Rule {
  Slices slices;
  Scales scales;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto x = program.load(slices.input_slice(slice));
    program.store(slices.codes_slice(slice), encode(x, this->scale(scales, 0)));
  }
};

/// program_id: a slice of a row. Each row has its own scale, or all of a tensor that is not contiguous have one.
template <class Slices, class Rule>
struct StaticToken {
  Slices slices;
  GivenScales scales;
  std::int64_t scale_step;  ///< 1, or 0 where all rows have one scale
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
  const bool of_tensor = r.granularity == Granularity::tensor;
  with_static_rule<Element>(r, [&]<class Rule>(const Rule& rule) {
    with_slices<Element, typename Rule::Code, false>(
        space, r, b, of_tensor, [&]<class Config, class Slices>(Config, const Slices& slices, std::int64_t count) {
          const auto run = [&]<class Launched>(Launched, const char* name, const auto& kernel) {
            launch<Launched>(space, name, kernel, count, slices.slice_size);
          };
          if constexpr (Config::whole) {
            using Scales = std::conditional_t<Rule::has_zero_point, GivenScales, GivenFloats>;
            run(Config{}, "kq::static_scale", StaticTensor<Slices, Scales, Rule>{rule, slices, Scales(scales)});
          } else if constexpr (Slices::is_flat) {
            run(Config{}, "kq::static_scale", StaticTensor<Slices, GivenScales, Rule>{rule, slices, scales});
          } else if (r.granularity == Granularity::channel) {
            run(LowOccupancy<Config>{}, "kq::static_channel", StaticChannel<Slices, Rule>{slices, scales, rule});
          } else {
            run(Config{}, "kq::static_scale", StaticToken<Slices, Rule>{slices, scales, of_tensor ? 0 : 1, rule});
          }
        });
  });
}

KQ_INSTANTIATE_KERNEL(static_scale)

}  // namespace kq::detail
