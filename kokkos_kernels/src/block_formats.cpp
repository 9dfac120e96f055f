// SPDX-License-Identifier: Apache-2.0

// Groups of MXFP8, MXFP4 and NVFP4 on a device: 16 or 32 elements share a scale of one byte, so that one to four
// lanes share a scale, and a program has many scales.
//
//   MX      scale = 2^(e - 127), e by a rounding of amax's bits; encode(sat(x * 2^(127 - e)))
//   NVFP4   scale = e4m3(amax * (g * (1/6))), encode(sat(x * min(1 / (scale * (1/g)), FLT_MAX))); g is given, or made
//           of the tensor's amax, which the programs of one launch find together if the tensor is contiguous and whole
//           waves; else a launch before this one finds it
//
// A program is a slice of a row or of a contiguous tensor, or the part of one that it holds between two passes. Each
// lane has consecutive vectors. Groups that are no power of two of lanes of a wave are programs of their own, and so
// are blocks of several rows and groups whose scale is chosen of two. On a host groups are programs as those of other
// formats are (dynamic_group.cpp, static_group.cpp).

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "slices.hpp"
#include "tensor_extremes.hpp"
#include "tensor_workspace.hpp"
#include "tuning.hpp"

namespace kq::detail {
namespace {

/// Which group of a row, or of a contiguous tensor, an element is in. With `PowerOfTwo`, a group's size is one.
template <bool PowerOfTwo>
struct GroupOfColumn {
  std::int64_t size;
  int shift;

  explicit GroupOfColumn(std::int64_t group_size)
      : size(group_size), shift(std::countr_zero(static_cast<std::uint64_t>(group_size))) {}
  KQ_HOST_DEVICE std::int64_t operator()(std::int64_t column) const {
    return PowerOfTwo ? column >> shift : divide(column, size);
  }
};

/// Where the scale of a slice's element i lies. In a contiguous tensor's slices scales follow each other as groups do.
template <class Slices, class Scales, bool PowerOfTwo>
KQ_HOST_DEVICE typename Scales::Place scale_place(const Slices& slices, const Scales& scales,
                                                  const GroupOfColumn<PowerOfTwo>& group_of, std::int64_t slice,
                                                  int i) {
  const std::int64_t group = group_of(slices.begin(slice) + i);
  if constexpr (Slices::is_flat) {
    return group;
  } else {
    return scales.place(slices.row(slice), group);
  }
}

/// program_id: the first of `Count` slices, as far apart as there are programs. `GroupLanes` share a group; 0: so many
/// as `group_lanes` says.
template <int Count, class Slices, class Scales, class Rule, int GroupLanes>
struct GroupsOfSlices {
  Slices slices;
  Scales scales;
  float* global_scale;  ///< null: none
  GroupOfColumn<true> group_of;
  int group_lanes;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    decltype(program.load_chunk(slices.input_slice(0))) x[Count];
    KQ_UNROLL
    for (int i = 0; i < Count; ++i) {
      x[i] = program.load_chunk(slices.input_slice(number(program, i)));
    }
    KQ_UNROLL
    for (int i = 0; i < Count; ++i) {
      const auto slice = number(program, i);
      program.template store_groups<GroupLanes>(slices.codes_slice(slice), x[i], group_lanes, rule, [&](int first) {
        return scales.at(scale_place(slices, scales, group_of, slice, first));
      });
    }
    if constexpr (requires { rule.tensor_scale(); }) {
      if (program.id() == 0 && global_scale != nullptr) program.store(global_scale, rule.tensor_scale());
    }
  }

 private:
  template <class Program>
  KQ_HOST_DEVICE std::int64_t number(const Program& program, int i) const {
    return Count == 1 ? program.id() : program.id() + i * (slices.num_slices() / Count);
  }
};

/// program_id: a part of a contiguous tensor, whose scale all programs find together.
template <class Element, int GroupLanes>
struct GroupsOfPartition {
  Span<const Element> input;
  Code4* codes;
  GridReduceWorkspace workspace;
  int scratch_chunks;
  GroupScales scales;
  float* global_scale;
  int group_lanes;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    auto x = program.load_chunk_partition(input, workspace, scratch_chunks);
    const Nvfp4Rule<Element> rule(Nvfp4Global{nvfp4_global_scale(program.reduce(AbsMax{}, x))});
    program.template store_groups<GroupLanes>(codes, x, group_lanes, rule,
                                              [&](std::int64_t group) { return scales.at(group); });
    if (program.id() == 0) program.store(global_scale, rule.tensor_scale());
  }
};

/// program_id: every program_count-th slice, from the last one down, once the launch before has left the tensor's
/// extremes.
template <class Slices, class Scales, class Rule, int GroupLanes>
struct GroupsOfTensor {
  Slices slices;
  Scales scales;
  float* global_scale;
  GroupOfColumn<true> group_of;
  int group_lanes;
  Partials partials;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const float amax = program.reduce_stored(AbsMax{}, partials.values, partials.count);
    const Rule rule(Nvfp4Global{nvfp4_global_scale(amax)});
    for (auto slice = slices.num_slices() - 1 - program.id(); slice >= 0; slice -= program.count()) {
      const auto x = program.load_chunk(slices.input_slice(slice));
      program.template store_groups<GroupLanes>(slices.codes_slice(slice), x, group_lanes, rule, [&](int first) {
        return scales.at(scale_place(slices, scales, group_of, slice, first));
      });
    }
    if (program.id() == 0) program.store(global_scale, rule.tensor_scale());
  }
};

/// program_id: a group of any size, or a block of such groups of several rows, which is read twice.
template <class Scales, class Rule>
struct LongGroup {
  Rows<const typename Rule::Element> input;
  Rows<typename Rule::Code> codes;
  std::int64_t num_tokens;
  std::int64_t block_rows;
  std::int64_t size;
  std::int64_t per_row;
  Scales scales;
  float* global_scale;  ///< null: none
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto row = divide(program.id(), per_row);
    const auto column = program.id() - row * per_row;
    const auto first = row * block_rows;
    const auto end = first + block_rows < num_tokens ? first + block_rows : num_tokens;
    Maxima<typename Rule::Reduction> maxima;
    std::int64_t token = first;
    do {
      for_each_part<Program>(input.slice(token, column * size, size), [&](auto part, std::int64_t) {
        maxima.add(program.partial(rule.reduction, program.load_chunk(part)));
      });
    } while (++token < end);
    const auto group = input.slice(first, column * size, size);
    const auto value = Rule::Reduction::value(program.reduce(maxima).value);
    const auto scale = scale_of_span(rule, value, group.data, group.size);
    for (token = first; token < end; ++token) {
      const auto to = codes.slice(token, column * size, size);
      for_each_part<Program>(input.slice(token, column * size, size), [&](auto part, std::int64_t begin) {
        const auto x = program.load_chunk(part);
        program.store(Span<typename Rule::Code>{element_address(to.data, begin), part.size}, encode(x, scale));
      });
    }
    program.store(scales.at(scales.place(row, column)), scale);
    if constexpr (requires { rule.tensor_scale(); }) {
      if (program.id() == 0 && global_scale != nullptr) program.store(global_scale, rule.tensor_scale());
    }
  }

 private:
  template <class Program, class Element, class Function>
  KQ_HOST_DEVICE static void for_each_part(const Span<Element>& span, const Function& function) {
    constexpr std::int64_t capacity = Program::template chunk_capacity<std::remove_const_t<Element>>;
    std::int64_t begin = 0;
    do {  // at least once, so that the compiler sees a load, and with it the wait, before all that follows
      const std::int64_t left = span.size - begin;
      function(Span<Element>{span.data + begin, left < capacity ? left : std::int64_t{capacity}}, begin);
      begin += capacity;
    } while (begin < span.size);
  }
};

/// program_id: a slice, whose groups' scales are given.
template <class Slices, class Rule, bool PowerOfTwo>
struct GivenGroupsOfSlice {
  Slices slices;
  GivenGroupScales scales;
  GroupOfColumn<PowerOfTwo> group_of;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto slice = program.id();
    const auto x = program.load_chunk(slices.input_slice(slice));
    if (x.is_empty()) return;
    const auto scale = rule.scale(scales, scale_place(slices, scales, group_of, slice, x.begin()));
    program.store(slices.codes_slice(slice), encode(x, scale));
  }
};

/// Two vectors per lane. A program is a wave, or a team where it first reduces what an earlier launch left.
template <int Lanes, bool Whole>
using ChunkConfig = TileConfig<Lanes, 2, Whole, 1024, Whole>;

/// Whether groups and their scales follow each other in memory, as those of a contiguous tensor do.
inline bool groups_follow_each_other(const Request& r) {
  return is_flat(r) && r.hidden_size % r.group_size == 0 && r.scale_layout == ScaleLayout::row;
}

/// Calls function(Config{}, slices) for a request's slices of `Lanes` lanes: those of a contiguous tensor, where groups
/// and their scales follow each other in memory, or of rows.
template <int Lanes, class Element, class Code, class ExecutionSpace, class Function>
void with_chunks(const ExecutionSpace&, const Request& r, const Operands& b, const Function& function) {
  constexpr int slice = ChunkConfig<Lanes, true>::template capacity<Element>;
  constexpr int pack = CodePack<Code, slice / Lanes>::bytes;
  const bool aligned = reinterpret_cast<std::uintptr_t>(b.input) % sizeof(Vector16) == 0 &&
                       reinterpret_cast<std::uintptr_t>(b.codes) % pack == 0;
  const std::int64_t size = r.num_tokens * r.hidden_size;
  const auto is_whole = [&](std::int64_t programs) { return Lanes > 32 || are_whole_waves(programs, Lanes); };
  if (groups_follow_each_other(r)) {
    const FlatSlices<Element, Code, slice> slices{{static_cast<const Element*>(b.input), size},
                                                  {static_cast<Code*>(b.codes), size}};
    if (aligned && size % slice == 0 && is_whole(size / slice)) return function(ChunkConfig<Lanes, true>{}, slices);
    return function(ChunkConfig<Lanes, false>{}, slices);
  }
  const std::int64_t per_row = (r.hidden_size + slice - 1) / slice;
  const RowSlices<Element, Code> slices{input_rows<Element>(r, b), code_rows<Code>(r, b), r.num_tokens, per_row, slice};
  constexpr int chunk = slice / Lanes;
  const bool whole = aligned && r.hidden_size % slice == 0 && r.input_stride % vector_width<Element> == 0 &&
                     r.codes_stride % chunk == 0;
  if (whole && is_whole(slices.num_slices())) return function(ChunkConfig<Lanes, true>{}, slices);
  function(ChunkConfig<Lanes, false>{}, slices);
}

/// Lanes that share a group, if those are a power of two of a wave's; else 0.
template <class Element>
int lanes_of_group(const Request& r) {
  constexpr int chunk = ChunkConfig<32, true>::template capacity<Element> / 32;
  if (r.group_size % chunk != 0) return 0;
  const auto lanes = static_cast<std::uint64_t>(r.group_size / chunk);
  return lanes <= 32 && std::has_single_bit(lanes) ? static_cast<int>(lanes) : 0;
}

/// Calls function(integral constant): how many lanes share a group of MX's and NVFP4's usual sizes, 0 for others.
template <class Element, class Rule, class Function>
void with_group_lanes(int lanes, const Function& function) {
  constexpr int usual_size = std::is_same_v<Rule, Nvfp4Rule<Element>> ? 16 : 32;
  constexpr int chunk = ChunkConfig<32, true>::template capacity<Element> / 32;
  constexpr int usual = usual_size / chunk;
  if (lanes == usual) return function(std::integral_constant<int, usual>());
  function(std::integral_constant<int, 0>());
}

/// Calls function(rule) for a rule of a request's groups that knows the tensor's scale, or reads its amax.
template <class Element, class Function>
void with_block_format_rule(const Request& r, const float* tensor_amax, const Function& function) {
  if (r.format == Format::fp4_e2m1) return with_fp4_group_rule<Element>(r, tensor_amax, function);
  with_mx_group_rule<Element>(r, function);
}

/// Whether one launch quantizes a tensor's groups by a scale of its own: a contiguous tensor of whole waves, as
/// ChunkPartition has it.
template <class ExecutionSpace, class Element>
bool fits_one_launch_of_groups(const Request& r, const Operands& b, int lanes) {
  constexpr std::int64_t wave = ChunkConfig<64, true>::template capacity<Element>;
  return finds_global_scale(r) && r.dialect == Dialect::kqbench && r.granularity == Granularity::group && lanes > 0 &&
         groups_follow_each_other(r) && r.num_tokens * r.hidden_size % wave == 0 &&
         r.num_tokens * r.hidden_size / wave <= INT32_MAX / 64 && fits_one_launch<ExecutionSpace, Element>(r, b);
}

template <class Element, class ExecutionSpace>
void enqueue_groups_in_one_launch(const ExecutionSpace& space, const Request& r, const Operands& b, int lanes) {
  const std::int64_t size = r.num_tokens * r.hidden_size;
  const Span<const Element> input{static_cast<const Element*>(b.input), size};
  const GridReduceWorkspace workspace = grid_reduce_workspace(space, b.workspace);
  const GroupScales scales{b.scales, r.scale_format, 0, 1};
  with_chunk_plan<Element>(space, size, workspace.capacity, [&]<class Config>(Config, const CooperativePlan& plan) {
    with_group_lanes<Element, Nvfp4Rule<Element>>(lanes, [&]<int GroupLanes>(std::integral_constant<int, GroupLanes>) {
      launch<Config>(space, "kq::dynamic_tensor_groups",
                     GroupsOfPartition<Element, GroupLanes>{input, static_cast<Code4*>(b.codes), workspace,
                                                            plan.in_scratch, scales, b.global_scale, lanes},
                     plan.programs, size / plan.programs, plan.scratch_bytes);
    });
  });
}

/// The first launch for a scale of the tensor.
template <class Element, class ExecutionSpace>
Partials enqueue_extremes(const ExecutionSpace& space, const Request& r, const Operands& b) {
  Partials partials{partials_of(space, b.workspace), 0};
  with_slices<Element, std::uint8_t, true>(
      space, r, b, true, [&]<class Config>(Config, const auto& slices, std::int64_t count) {
        using Slices = std::decay_t<decltype(slices)>;
        partials.count = std::min(count, max_partials(space));
        launch<Config>(space, "kq::tensor_extremes", TensorExtremes<Slices, AbsMax>{slices, partials}, partials.count,
                       host_grain);
      });
  return partials;
}

}  // namespace

template <class Element, class ExecutionSpace>
const float* enqueue_tensor_amax(const ExecutionSpace& space, const Request& r, const Operands& b) {
  const Partials partials = enqueue_extremes<Element>(space, r, b);
  float* const amax = tensor_amax_of(space, b.workspace);
  launch<TileConfig<256, 1>>(space, "kq::tensor_amax", CombinePartials<AbsMax>{partials, amax}, 1, partials.count);
  return amax;
}

template <class Element, class ExecutionSpace>
void dynamic_block_format(const ExecutionSpace& space, const Request& r, const Operands& b) {
  if constexpr (!on_host<ExecutionSpace>) {
    const int lanes = lanes_of_group<Element>(r);
    if (fits_one_launch_of_groups<ExecutionSpace, Element>(r, b, lanes)) {
      return enqueue_groups_in_one_launch<Element>(space, r, b, lanes);
    }
    const bool from_tensor = finds_global_scale(r);
    float* const global_scale = has_global_scale(r) ? b.global_scale : nullptr;
    const GroupOfColumn<true> group_of(r.group_size);
    with_group_scales(r, b.scales, [&]<class Scales>(const Scales& scales) {
      if (lanes == 0 || r.granularity == Granularity::block || is_four_over_six(r)) {
        const float* const amax = from_tensor ? enqueue_tensor_amax<Element>(space, r, b) : nullptr;
        return with_block_format_rule<Element>(r, amax, [&]<class Rule>(const Rule& rule) {
          const LongGroup<Scales, Rule> kernel{input_rows<Element>(r, b),
                                               code_rows<typename Rule::Code>(r, b),
                                               r.num_tokens,
                                               rows_per_scale(r),
                                               r.group_size,
                                               groups_per_row(r),
                                               scales,
                                               global_scale,
                                               rule};
          launch<ChunkConfig<32, false>>(space, "kq::dynamic_long_group", kernel, num_scales(r),
                                         rows_per_scale(r) * r.group_size);
        });
      }
      const auto run = [&]<int Lanes, class Rule>(std::integral_constant<int, Lanes>, const Rule& rule,
                                                  const auto& launch_slices) {
        with_group_lanes<Element, Rule>(lanes, [&]<int GroupLanes>(std::integral_constant<int, GroupLanes> known) {
          with_chunks<Lanes, Element, typename Rule::Code>(
              space, r, b, [&]<class Config, class Slices>(Config config, const Slices& slices) {
                if constexpr (!Slices::is_flat || std::is_same_v<Scales, GroupScales>) {
                  launch_slices(config, slices, known, rule);
                }
              });
        });
      };
      if (from_tensor && r.dialect == Dialect::kqbench) {
        const Partials partials = enqueue_extremes<Element>(space, r, b);
        return run(std::integral_constant<int, 256>(), Nvfp4Rule<Element>(Nvfp4Global{1.0f}),
                   [&]<class Config, class Slices, int GroupLanes, class Rule>(
                       Config, const Slices& slices, std::integral_constant<int, GroupLanes>, const Rule&) {
                     const std::int64_t programs = std::min(slices.num_slices(), max_partials(space));
                     launch<Config>(space, "kq::dynamic_groups_of_tensor",
                                    GroupsOfTensor<Slices, Scales, Rule, GroupLanes>{slices, scales, b.global_scale,
                                                                                     group_of, lanes, partials},
                                    programs, host_grain);
                   });
      }
      const float* const amax = from_tensor ? enqueue_tensor_amax<Element>(space, r, b) : nullptr;
      with_block_format_rule<Element>(r, amax, [&]<class Its>(const Its& rule) {
        if constexpr (!Its::reads_span) {
          run(std::integral_constant<int, 32>(), rule,
              [&]<class Config, class Slices, int GroupLanes, class Rule>(
                  Config, const Slices& slices, std::integral_constant<int, GroupLanes>, const Rule& its) {
                const auto launch_by = [&]<class Launched, int Count>(Launched, std::integral_constant<int, Count>) {
                  launch<Launched>(space, "kq::dynamic_groups",
                                   GroupsOfSlices<Count, Slices, Scales, Rule, GroupLanes>{slices, scales, global_scale,
                                                                                           group_of, lanes, its},
                                   slices.num_slices() / Count, r.group_size);
                };
                const std::integral_constant<int, 1> one;
                if constexpr (!Slices::is_flat || !Config::whole) {
                  launch_by(Config{}, one);
                } else {
                  // One by one, slices need few registers: NVFP4 of 4096x8192 bfloat16 with a given scale of the tensor
                  // took 24.5 µs with room for 1536 threads on an H200's multiprocessors, 25.6 with 1024 (commit
                  // c7b75af).
                  if constexpr (Rule::Format::code_bits == 4 && GroupLanes > 0 && arch::all_kernels) {
                    const std::int64_t count = slices.num_slices();
                    if (takes_two_chunks(32 * count, multiprocessors(space)) && count % 2 == 0 &&
                        are_whole_waves(count / 2, 32)) {
                      return launch_by(WholeFlatConfig<32, 2, 1280>{}, std::integral_constant<int, 2>());
                    }
                  }
                  launch_by(WholeFlatConfig<32, 2, 1536>{}, one);
                }
              });
        }
      });
    });
  }
}

template <class Element, class ExecutionSpace>
void static_block_format(const ExecutionSpace& space, const Request& r, const Operands& b) {
  if constexpr (!on_host<ExecutionSpace>) {
    with_static_fp4_group_rule<Element>(r, b.global_scale, [&]<class Rule>(const Rule& rule) {
      with_chunks<32, Element, typename Rule::Code>(
          space, r, b, [&]<class Config, class Slices>(Config, const Slices& slices) {
            const auto run = [&]<bool PowerOfTwo>(const GroupOfColumn<PowerOfTwo>& group_of) {
              launch<Config>(
                  space, "kq::static_groups",
                  GivenGroupsOfSlice<Slices, Rule, PowerOfTwo>{slices, given_group_scales(r, b.scales), group_of, rule},
                  slices.num_slices(), r.group_size);
            };
            std::has_single_bit(static_cast<std::uint64_t>(r.group_size)) ? run(GroupOfColumn<true>(r.group_size))
                                                                          : run(GroupOfColumn<false>(r.group_size));
          });
    });
  }
}

KQ_INSTANTIATE_KERNEL(dynamic_block_format)
KQ_INSTANTIATE_KERNEL(static_block_format)
#define KQ_INSTANTIATE_AMAX(Space, unused) \
  template const float* enqueue_tensor_amax<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_AMAX, )

}  // namespace kq::detail
