// SPDX-License-Identifier: Apache-2.0

// One scale per channel, from the channel itself.
//
//   fp8               scale = max(amax / qmax, 1 / (448 * 512)), encode(sat(x / scale))
//   int8              scale = max(amax / qmax, 2^-126), sat(rne(x * min(qmax / amax, 2^126))); 0 where amax is 0
//   int8, asymmetric  as dynamic token, over the channel
//
// Three launches: the first leaves the maxima of every column of slabs of rows in the workspace, the second combines
// those of all slabs and stores the scales, the third quantizes.

#include "channel_workspace.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// A column's maxima in one slab.
template <class Rule>
KQ_HOST_DEVICE auto read(const ColumnPartials& partials, std::int64_t slab, std::int64_t column) {
  const ColumnMaximaSlots slots = partials.at(slab, column);
  Maxima<typename Rule::Reduction> maxima;
  for (int k = 0; k < Rule::Reduction::count; ++k) {
    maxima.value[k] = slots.data[k * slots.step];
  }
  return maxima;
}

/// program_id: a strip of columns in a slab of rows, those of a slab one after the other.
template <class Rule>
struct ChannelExtremes {
  Rows<const typename Rule::Element> input;
  std::int64_t num_rows;
  std::int64_t strips;
  std::int64_t strip_size;
  ColumnPartials partials;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slab = divide(program.id(), strips);
    const auto column = (program.id() - slab * strips) * strip_size;
    const auto first = divide(num_rows * slab, partials.slabs);
    const auto count = divide(num_rows * (slab + 1), partials.slabs) - first;
    const auto maxima = program.reduce_columns(Rule::reduction, input.block(first, count, column, strip_size));
    program.store(partials.at(slab, column), maxima);
  }
};

/// program_id: a strip of columns. The maxima of all slabs take the place of the first one's.
template <class Rule>
struct ChannelScales {
  std::int64_t strip_size;
  ColumnPartials partials;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto begin = program.id() * strip_size;
    const auto left = partials.columns - begin;
    program.for_each_index(left < strip_size ? left : strip_size, [&](std::int64_t i) {
      Maxima<typename Rule::Reduction> maxima;
      for (std::int64_t slab = 0; slab < partials.slabs; ++slab) {
        maxima.add(read<Rule>(partials, slab, begin + i));
      }
      const ColumnMaximaSlots combined = partials.at(0, begin + i);
      for (int k = 0; k < Rule::Reduction::count; ++k) {
        combined.data[k * combined.step] = maxima.value[k];
      }
      scales.at(begin + i).write(rule.scale(Rule::Reduction::value(maxima.value)));
    });
  }
};

/// program_id: a slice of a token.
template <class Slices, class Rule>
struct ChannelQuantize {
  Slices slices;
  ColumnPartials partials;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto x = program.load(slices.input_slice(slice));
    const auto first = slices.begin(slice);
    program.store(slices.codes_slice(slice), encode_each(x, [this, first](std::int64_t i) {
                    return rule.scale(Rule::Reduction::value(read<Rule>(partials, 0, first + i).value));
                  }));
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_channel(const ExecutionSpace& space, const Request& r, const Operands& b) {
  const ColumnPartials partials = column_partials(space, r, b.workspace);
  const FloatScales scales{static_cast<float*>(b.scales), b.zero_points};
  with_channel_rule<Element>(r, [&](const auto& rule) {
    using Rule = std::decay_t<decltype(rule)>;
    with_strip_config<Element, Rule, ExecutionSpace>(is_aligned<Element>(r, b), [&](auto config, std::int64_t strip) {
      const std::int64_t strips = (r.hidden_size + strip - 1) / strip;
      const std::int64_t rows = r.num_tokens / partials.slabs;
      const ChannelExtremes<Rule> extremes{input_rows<Element>(r, b), r.num_tokens, strips, strip, partials};
      launch<decltype(config)>(space, "kq::channel_extremes", extremes, strips * partials.slabs, rows * strip);
      launch<decltype(config)>(space, "kq::channel_scales", ChannelScales<Rule>{strip, partials, scales, rule}, strips,
                               strip);
    });
    with_slices<Element, typename Rule::Code, false>(
        space, r, b, false, [&]<class Config, class Slices>(Config, const Slices& slices, std::int64_t count) {
          if constexpr (!Slices::is_flat) {
            launch<LowOccupancy<Config>>(space, "kq::channel_quantize",
                                         ChannelQuantize<Slices, Rule>{slices, partials, rule}, count,
                                         slices.slice_size);
          }
        });
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_channel)

}  // namespace kq::detail
