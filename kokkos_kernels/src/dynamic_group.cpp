// SPDX-License-Identifier: Apache-2.0

// One scale for every group_size consecutive elements of a token.
//
//   scale = max(amax, 1e-10) / qmax, for UE8M0 raised to the next power of two
//   fp8   encode(sat(x / scale))
//   int8  sat(rne(x / scale)); vLLM's kernel truncates here, which makes every code too small in magnitude

#include <algorithm>
#include <limits>

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// Groups that follow each other in memory, as do their scales.
template <class Element, class Code>
struct FlatGroups {
  const Element* input;
  Code* codes;
  int size;

  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const { return {input + id * size, size}; }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const { return {codes + id * size, size}; }
  KQ_HOST_DEVICE static std::int64_t scale_index(std::int64_t id) { return id; }
};

/// Groups of separate tokens, those of a token one after the other.
template <class Element, class Code>
struct TokenGroups {
  Rows<const Element> input;
  Rows<Code> codes;
  std::int64_t size;
  std::int64_t per_token;
  std::int64_t token_step;  ///< from a token's scale to the next token's
  std::int64_t group_step;  ///< from a group's scale to the next group's

  KQ_HOST_DEVICE std::int64_t token(std::int64_t id) const { return device::divide(id, per_token); }
  KQ_HOST_DEVICE std::int64_t group(std::int64_t id) const { return id - token(id) * per_token; }
  KQ_HOST_DEVICE Span<const Element> input_group(std::int64_t id) const {
    return input.slice(token(id), group(id) * size, size);
  }
  KQ_HOST_DEVICE Span<Code> codes_group(std::int64_t id) const {
    return codes.slice(token(id), group(id) * size, size);
  }
  KQ_HOST_DEVICE std::int64_t scale_index(std::int64_t id) const {
    return token(id) * token_step + group(id) * group_step;
  }
};

/// program_id: a group.
template <class Element, class Format, template <class, class> class Groups>
struct DynamicGroup {
  Groups<Element, typename Format::Code> groups;
  void* scales;  ///< of ScaleFormat's type
  ScaleFormat scale_format;
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto x = program.load(groups.input_group(program.id()));
    const float amax = program.abs_max(x);
    const float exact = group_scale(amax, qmax);
    const float scale = scale_format == ScaleFormat::float32 ? exact : ceil_to_power_of_two(exact);
    program.store(groups.codes_group(program.id()), x, SpanDivideQuantizer<Format, Element>(scale, qmax, amax));
    const auto index = groups.scale_index(program.id());
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
  const auto* const input = static_cast<const Element*>(b.input);
  const std::int64_t per_token = groups_per_row(r);
  const std::int64_t count = r.num_tokens * per_token;
  const std::int64_t size = std::min(r.group_size, r.hidden_size);
  const bool row_major = r.scale_layout == ScaleLayout::row;
  const bool flat = row_major && is_flat(r) && r.hidden_size % size == 0 && size <= std::numeric_limits<int>::max();
  const bool aligned = is_aligned<Element>(r, b) && size % device::width<Element> == 0;
  with_format(r.format, [&](auto format) {
    using Format = decltype(format);
    using Code = typename Format::Code;
    auto* const codes = static_cast<Code*>(b.codes);
    const auto run = [&](auto config, const auto& kernel) {
      launch<decltype(config)>(space, "kq::dynamic_group", kernel, count, size);
    };
    if (flat && with_flat_group_config<Element>(space, size, count, aligned, [&](auto config) {
          run(config, DynamicGroup<Element, Format, FlatGroups>{
                          {input, codes, static_cast<int>(size)}, b.scales, r.scale_format, r.qmax});
        })) {
      return;
    }
    with_group_config<Element, ExecutionSpace>(size, aligned, [&](auto config) {
      run(config, DynamicGroup<Element, Format, TokenGroups>{{{input, r.hidden_size, r.input_stride},
                                                              {codes, r.hidden_size, r.codes_stride},
                                                              size,
                                                              per_token,
                                                              row_major ? per_token : 1,
                                                              row_major ? 1 : r.num_tokens},
                                                             b.scales,
                                                             r.scale_format,
                                                             r.qmax});
    });
  });
}

KQ_INSTANTIATE_FAMILY(dynamic_group)

}  // namespace kq::detail
