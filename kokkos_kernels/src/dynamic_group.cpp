// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// program_id: a group, the groups of a token one after the other.
template <class Element, class Format>
struct DynamicGroup {
  Rows<const Element> input;
  Rows<typename Format::Code> codes;
  void* scales;  ///< of ScaleFormat's type
  std::int64_t num_rows;
  std::int64_t groups_per_row;
  std::int64_t group_size;
  std::int64_t token_step;  ///< from a token's scale to the next token's
  std::int64_t group_step;  ///< from a group's scale to the next group's
  ScaleFormat scale_format;
  float qmax;

  template <class Program>
  KQ_FUNCTION void operator()(const Program& program) const {
    const auto token = num_rows == 1 ? 0 : device::divide(program.id(), groups_per_row);
    const auto group = program.id() - token * groups_per_row;
    const auto x = program.load(input.slice(token, group * group_size, group_size));
    const float amax = program.max_magnitude(x);
    const float exact = group_scale(amax, qmax);
    const float scale = scale_format == ScaleFormat::float32 ? exact : raise_to_power_of_two(exact);
    program.store(codes.slice(token, group * group_size, group_size), x,
                  SpanDivideQuantizer<Format, Element>(scale, qmax, amax));
    const auto index = token * token_step + group * group_step;
    if (scale_format == ScaleFormat::ue8m0) {
      program.store(static_cast<std::uint8_t*>(scales) + index, ue8m0_code(scale));
    } else {
      program.store(static_cast<float*>(scales) + index, scale);
    }
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_group(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  const bool row_major = r.scale_layout == ScaleLayout::row;
  // Where the groups of all tokens follow each other as those of one do, they are those of one.
  const bool one_row = row_major && is_flat(r) && r.hidden_size % r.group_size == 0;
  const std::int64_t rows = one_row ? 1 : r.num_tokens;
  const std::int64_t size = one_row ? r.num_tokens * r.hidden_size : r.hidden_size;
  const std::int64_t groups = groups_per_row(r) * (r.num_tokens / rows);
  const Rows<const Element> input{static_cast<const Element*>(b.input), size, r.input_stride};
  with_group_shape<ExecutionSpace, Element>(
      std::min(r.group_size, r.hidden_size), is_aligned<Element>(r, b) && r.group_size % device::width<Element> == 0,
      [&](auto shape) {
        with_format(r.format, [&](auto format) {
          using Code = typename decltype(format)::Code;
          const Rows<Code> codes{static_cast<Code*>(b.codes), size, r.codes_stride};
          launch<decltype(shape)>(space, "kq::dynamic_group",
                                  DynamicGroup<Element, decltype(format)>{
                                      input, codes, b.scales, rows, groups, r.group_size, row_major ? groups : 1,
                                      row_major ? 1 : r.num_tokens, r.scale_format, r.qmax},
                                  rows * groups, r.group_size);
        });
      });
}

KQ_INSTANTIATE_FAMILY(dynamic_group)

}  // namespace kq::detail
