// SPDX-License-Identifier: Apache-2.0

// One scale for every block of block_rows tokens by group_size columns.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale))
//   fp4   as groups of NVFP4 are, on a device by their kernels (block_formats.cpp)

#include <algorithm>

#include "host_fp4.hpp"
#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// program_id: a block, those of a row of blocks one after the other.
template <class Rule>
struct DynamicBlock {
  Rows<const typename Rule::Element> input;
  Rows<typename Rule::Code> codes;
  std::int64_t num_tokens;
  std::int64_t block_rows;
  std::int64_t block_columns;
  AnyGroupScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto row = divide(program.id(), scales.columns);
    const auto column = program.id() - row * scales.columns;
    const auto token = row * block_rows;
    const auto count = block_rows < num_tokens - token ? block_rows : num_tokens - token;

    const auto x = program.load(input.block(token, count, column * block_columns, block_columns));
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(codes.block(token, count, column * block_columns, block_columns), encode(x, scale));
    program.store(scales.at({row, column}), scale);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_block(const ExecutionSpace& space, const Request& r, const Operands& b) {
  if (!on_host<ExecutionSpace> && is_block_format(r)) return dynamic_block_format<Element>(space, r, b);
  const std::int64_t rows = std::min(r.block_rows, r.num_tokens);
  const std::int64_t columns = std::min(r.group_size, r.hidden_size);
  const bool aligned = is_aligned<Element>(r, b) && columns % vector_width<Element> == 0;
  with_block_config<Element, ExecutionSpace>(rows, columns, aligned, [&]<class Config>(Config) {
    const auto run = [&]<class Rule>(const Rule& rule) {
      if constexpr (!Rule::reads_span) {
        const DynamicBlock<Rule> kernel{input_rows<Element>(r, b),
                                        code_rows<typename Rule::Code>(r, b),
                                        r.num_tokens,
                                        rows,
                                        columns,
                                        any_group_scales(r, b.scales),
                                        rule};
        launch<Config>(space, "kq::dynamic_block", kernel, num_scales(r), rows * columns);
      }
    };
    if constexpr (on_host<ExecutionSpace>) {
      if (r.format == Format::fp4_e2m1) return with_host_fp4_rule<Element>(space, r, b, run);
    }
    with_block_rule<Element>(r, run);
  });
}

KQ_INSTANTIATE_KERNEL(dynamic_block)

}  // namespace kq::detail
