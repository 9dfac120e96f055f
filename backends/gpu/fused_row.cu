// SPDX-License-Identifier: Apache-2.0

// A producer and a quantizer in one launch, for schemes whose scales do not reach over rows: a row stays in registers
// from the loads to the codes. The bytes are those of produce.cu and a quantizer after it, which serve what is not
// here: rows that are not whole vectors, codes of four bits, and formats that few engines run behind a producer.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "backends/gpu/choose.hpp"
#include "backends/gpu/fused_row.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launch.hpp"
#include "backends/gpu/operands.hpp"
#include "backends/gpu/reduce.hpp"
#include "backends/gpu/tile_config.hpp"
#include "kq/format.hpp"
#include "kq/producers.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench::gpu {

/// The rows of a launch: where their codes go, and how long they are.
template <class Code>
struct FusedRows {
  kq::Rows<Code> codes;
  std::int64_t count;
  int vectors;  ///< of a row

  /// The row of this thread, and whether it has one: lanes to spare in the last block go with its last row's.
  template <class Config, class Block>
  KQ_HOST_DEVICE std::int64_t row(const Block& block, bool& has_row) const {
    has_row = Config::lanes == Config::threads ||
              block.index() * Config::spans_per_block + block.thread() / Config::lanes < count;
    return Config::span(block, count);
  }
};

/// Scales that are given: one for all rows, or one for each.
template <class Producer, class Rule, class Config_>
struct FusedStatic {
  using Config = Config_;
  using Row = ProducedRow<Producer, VectorsInTurn<Config>, Config>;

  Producer producer;
  FusedRows<typename Rule::Code> rows;
  GivenScales scales;
  std::int64_t scale_step;  ///< 1: a scale for each row, 0: one for all
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    auto& slots = block.template shared<RowSlots<Row::doubles, 1>>();
    bool has_row = true;
    const std::int64_t number = rows.template row<Config>(block, has_row);
    Row row(producer, {}, number, has_row ? rows.vectors : 0, Config::lane(block));
    // 1. Wait for the launch before this one, and load the row, as far as registers hold it.
    row.load(block);
    // 2. Look the scale up, before it is needed.
    const auto quantizer = rule.scale(scales, number * scale_step).quantizer();
    // 3. A norm: sum the squares.
    const float reciprocal = row.reciprocal(block, slots);
    // 4. Compute the values, quantize and store.
    row.compute(reciprocal);
    quantizer.with_fast_path([&](const auto& fastest) {
      row.template for_each_slice<true>(reciprocal, [&] { row.store(rows.codes.row(number).data, fastest); });
    });
  }
};

/// A row's own scale.
template <class Producer, class Rule, class Config_>
struct FusedToken {
  using Config = Config_;
  using Reduction = typename Rule::Reduction;
  using Row = ProducedRow<Producer, VectorsInTurn<Config>, Config>;

  Producer producer;
  FusedRows<typename Rule::Code> rows;
  FloatScales scales;
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    auto& slots = block.template shared<RowSlots<Row::doubles, Reduction::count>>();
    bool has_row = true;
    const std::int64_t number = rows.template row<Config>(block, has_row);
    const int lane = Config::lane(block);
    Row row(producer, {}, number, has_row ? rows.vectors : 0, lane);
    // 1. Wait for the launch before this one, and load the row, as far as registers hold it.
    row.load(block);
    // 2. A norm: sum the squares.
    const float reciprocal = row.reciprocal(block, slots);
    // 3. Compute the values, and fold them.
    typename Reduction::template Fold<typename Row::Value> fold;
    row.compute(reciprocal);
    row.template for_each_slice<false>(reciprocal, [&] { row.fold(fold); });
    // 4. Reduce over the lanes that share the row.
    std::uint32_t key[Reduction::count];
    to_keys<Reduction>(fold, key);
    max_over_lanes<Config::threads, Config::lanes>(block, slots.keys, key);
    // 5. Compute the scale, in every lane; quantize and store.
    const auto scale = rule.scale(value_of_keys<Reduction>(key));
    scale.quantizer().with_fast_path([&](const auto& fastest) {
      row.template for_each_slice<true>(reciprocal, [&] { row.store(rows.codes.row(number).data, fastest); });
    });
    // 6. One lane stores the scale.
    if (lane == 0 && has_row) scales.at(number).write(scale);
  }
};

/// Where the scales of groups go, in any layout.
struct FusedGroupScales {
  kq::AnyGroupScales scales;
  bool has_rows;  ///< layout row or column, without padding

  template <class Scale>
  KQ_HOST_DEVICE void write(std::int64_t row, std::int64_t group, const Scale& scale) const {
    if (has_rows) {
      const GroupScales plain{scales.scales, scales.format, scales.offset.row_step, scales.offset.column_step};
      plain.at(plain.place(row, group)).write(scale);
    } else {
      scales.at({row, group}).write(scale);
    }
  }
};

/// A scale for each group of a row, its own or, by a static rule, a given one.
template <class Producer, class Rule, class Scales, class Config_>
struct FusedGroup {
  using Config = Config_;
  using Reduction = typename Rule::Reduction;
  using Vectors = VectorsOfGroups<Config>;
  using Row = ProducedRow<Producer, Vectors, Config>;
  static constexpr bool is_given = std::is_same_v<Scales, GivenGroupScales>;

  Producer producer;
  FusedRows<typename Rule::Code> rows;
  Scales scales;
  std::int64_t rows_per_scale;  ///< 1, or more where they are given
  int group_lanes;
  int group_shift;  ///< a group is 2^group_shift elements
  Rule rule;

  template <class Block>
  KQ_HOST_DEVICE void operator()(const Block& block) const {
    auto& slots = block.template shared<RowSlots<Row::doubles, 1>>();
    bool has_row = true;
    const std::int64_t number = rows.template row<Config>(block, has_row);
    Row row(producer, Vectors{group_lanes}, number, has_row ? rows.vectors : 0, Config::lane(block));
    // 1. Wait for the launch before this one, and load the row, as far as registers hold it.
    row.load(block);
    // 2. A norm: sum the squares.
    const float reciprocal = row.reciprocal(block, slots);
    // 3. Compute the values.
    row.compute(reciprocal);
    row.template for_each_slice<true>(reciprocal, [&] {
      quantize_groups(block, row, number, std::make_integer_sequence<int, Row::held / Vectors::per_group>());
    });
  }

 private:
  template <class Block, int... Group>
  KQ_HOST_DEVICE void quantize_groups(const Block& block, const Row& row, std::int64_t number,
                                      std::integer_sequence<int, Group...>) const {
    (quantize_group<Group * Vectors::per_group>(block, row, number), ...);
  }

  /// Of the group of which the lane has vectors Begin and so on.
  template <int Begin, class Block>
  KQ_HOST_DEVICE void quantize_group(const Block& block, const Row& row, std::int64_t number) const {
    constexpr int end = Begin + Vectors::per_group;
    const std::int64_t group = row.place(Begin) >> group_shift;
    const auto store = [&](const auto& scale) {
      scale.quantizer().with_fast_path(
          [&](const auto& fastest) { row.template store<Begin, end>(rows.codes.row(number).data, fastest); });
    };
    if constexpr (is_given) {
      // 4. Look the group's scale up; quantize and store.
      if (!row.has(Begin)) return;
      const std::int64_t scale_row = rows_per_scale == 1 ? number : divide(number, rows_per_scale);
      store(rule.scale(scales, scales.place(scale_row, group)));
    } else {
      // 4. Fold the group's values, and reduce over the lanes that share them.
      typename Reduction::template Fold<typename Row::Value> fold;
      row.template fold<Begin, end>(fold);
      std::uint32_t key[Reduction::count];
      to_keys<Reduction>(fold, key);
      for (int mask = group_lanes / 2; mask > 0; mask /= 2) {
        KQ_UNROLL
        for (int k = 0; k < Reduction::count; ++k) {
          const std::uint32_t other = block.exchange(key[k], mask);
          key[k] = other > key[k] ? other : key[k];
        }
      }
      // 5. Compute the scale, in every lane; quantize and store. One lane stores the scale.
      const auto scale = rule.scale(value_of_keys<Reduction>(key));
      store(scale);
      if (row.has(Begin) && (Config::lane(block) & (group_lanes - 1)) == 0) scales.write(number, group, scale);
    }
  }
};

// --- choices ---------------------------------------------------------------------------------------------------------

/// Rules of dialects other than kqbench's own, in which producers may have a form of theirs.
template <class Rule>
inline constexpr bool is_of_dialect = false;
template <class Element, class Format, kq::Granularity granularity>
inline constexpr bool is_of_dialect<kq::DialectRule<Element, Format, granularity>> = true;

/// Rules that few requests with a producer have.
template <class Rule>
inline constexpr bool is_rare = Rule::has_zero_point;
template <class Element, class Format>
inline constexpr bool is_rare<kq::LimitedStaticRule<Element, Format>> = true;
template <class Element, class Format>
inline constexpr bool is_rare<kq::MxRule<Element, Format>> = true;
template <class Element, class Format, kq::Granularity granularity>
inline constexpr bool is_rare<kq::DialectRule<Element, Format, granularity>> = true;

/// The formats that engines quantize to behind a producer. Others would be kernels that nobody runs, of which each
/// takes its time to be compiled.
template <class Format>
inline constexpr bool is_fused_format = Format::is_integer || std::is_same_v<Format, kq::Fp8E4M3Fn>;

/// Whether there is a kernel of a rule behind a producer: of the pairs that requests have.
template <class Producer, class Rule>
inline constexpr bool has_fused_rule = is_fused_format<typename Rule::Format>&& is_of_dialect<Rule> ==
                                           (Producer::form != ProducerForm::plain) &&
                                       !std::is_same_v<Rule, kq::AffineInTypeRule<typename Rule::Element>> &&
                                       std::is_same_v<typename Producer::Value, typename Rule::Element>;

/// Whether groups are vectors of a power of two of lanes, each with `per_group` of them, and rows whole groups.
template <class Element>
bool has_fused_groups(const kq::Request& r, int per_group) {
  const std::int64_t elements = std::int64_t{vector_width<Element>} * per_group;
  const std::int64_t lanes = r.group_size / elements;
  return r.group_size % elements == 0 && lanes <= 32 && std::has_single_bit(static_cast<std::uint64_t>(lanes)) &&
         r.hidden_size % r.group_size == 0;
}

/// Launches the kernel of a producer and of a quantizer's request `q`, and returns whether there is one.
template <class Element, class Producer, class Launcher>
bool launch_fused(const Launcher& launcher, const kq::Request& q, const Operands& o, const Producer& producer) {
  using Value = typename Producer::Value;
  const auto vectors = static_cast<int>(q.hidden_size / vector_width<Element>);
  const auto fused_rows = [&]<class Rule>(const Rule&) {
    using Code = typename Rule::Code;
    return FusedRows<Code>{{static_cast<Code*>(o.codes), q.hidden_size, q.codes_stride}, q.num_tokens, vectors};
  };
  bool launched = false;
  const auto with_config = [&]<class Rule, class Scales>(const Rule&, const Scales&, const auto& function) {
    if constexpr (Producer::in_parts) {
      function(PartConfig{});
    } else {
      constexpr bool is_usual = !is_rare<Rule> && !std::is_same_v<Scales, GivenGroupScales>;
      if constexpr (is_usual || kq::arch::all_kernels) {
        with_fused_config<Producer, is_usual>(vectors, q.num_tokens, launcher.multiprocessors, function);
      }
    }
  };
  const auto launch = [&](const auto& kernel) {
    launcher.launch(kernel, std::decay_t<decltype(kernel)>::Config::blocks(q.num_tokens));
    launched = true;
  };

  if (kq::has_groups(q.granularity)) {
    const auto with_rule = [&]<class Rule, class Scales>(const Rule& rule, const Scales& scales) {
      if constexpr (has_fused_rule<Producer, Rule>) {
        const auto try_config = [&]<class Config>(Config) {
          constexpr int per_group = VectorsOfGroups<Config>::per_group;
          if (!has_fused_groups<Element>(q, per_group)) return;
          const auto lanes = static_cast<int>(q.group_size / (per_group * vector_width<Element>));
          const int shift = std::countr_zero(static_cast<std::uint64_t>(q.group_size));
          launch(FusedGroup<Producer, Rule, Scales, Config>{producer, fused_rows(rule), scales, kq::rows_per_scale(q),
                                                            lanes, shift, rule});
        };
        with_config(rule, scales, try_config);
        // A group has 32 lanes at most: a long one needs four vectors in each.
        using FourVectors = TileConfig<256, 256, 4, Producer::resident_threads>;
        if constexpr (!Producer::in_parts) {
          if (!launched && vectors <= FourVectors::capacity) try_config(FourVectors{});
        }
      }
    };
    if (q.static_scale) {
      kq::with_static_group_rule<Value>(
          q, [&](const auto& rule) { with_rule(rule, kq::given_group_scales(q, o.scales)); });
    } else if (q.granularity == kq::Granularity::group) {
      const bool has_rows = q.scale_layout == kq::ScaleLayout::row || q.scale_layout == kq::ScaleLayout::column;
      kq::with_group_rule<Value>(q, [&](const auto& rule) {
        with_rule(rule, FusedGroupScales{kq::any_group_scales(q, o.scales), has_rows});
      });
    }
  } else {
    if (q.static_scale && q.granularity != kq::Granularity::channel) {
      const GivenScales scales{static_cast<const float*>(o.scales), o.zero_points};
      const std::int64_t step = q.granularity == kq::Granularity::tensor ? 0 : 1;
      kq::with_static_rule<Value>(q, [&]<class Rule>(const Rule& rule) {
        if constexpr (has_fused_rule<Producer, Rule>) {
          with_config(rule, scales, [&]<class Config>(Config) {
            launch(FusedStatic<Producer, Rule, Config>{producer, fused_rows(rule), scales, step, rule});
          });
        }
      });
    } else if (q.granularity == kq::Granularity::token) {
      const FloatScales scales{static_cast<float*>(o.scales), o.zero_points};
      kq::with_token_rule<Value>(q, o.scale_ub, [&]<class Rule>(const Rule& rule) {
        if constexpr (has_fused_rule<Producer, Rule> && !Producer::in_parts) {
          with_config(rule, scales, [&]<class Config>(Config) {
            launch(FusedToken<Producer, Rule, Config>{producer, fused_rows(rule), scales, rule});
          });
        }
      });
    }
  }
  return launched;
}

template <class Element, class Launcher>
bool fused_row(const Launcher& launcher, const kq::Request& r, const Operands& o) {
  constexpr std::int64_t longest = std::int64_t{1} << 26;  // offsets are in 32 bits
  constexpr std::int64_t part = part_lanes * vector_width<Element>;
  const kq::Request whole = kq::quantizer_of(r);
  // Very few rows of silu_mul are cut, so that more multiprocessors have a part.
  const bool cut = r.num_tokens * r.hidden_size <= 4 * part * launcher.multiprocessors && kq::may_be_cut(whole, part);
  const kq::Request q = cut ? kq::with_rows_cut(whole, part) : whole;
  if (r.producer == Producer::none || q.format == kq::Format::fp4_e2m1 || r.hidden_size > longest) return false;
  if (!is_aligned(rows_of<Element, std::uint8_t>(r, o)) || !kq::has_aligned_sources<Element>(r, o)) return false;
  bool launched = false;
  with_fused_producer<Element>(
      r, o, q.hidden_size, [&](const auto& producer) { launched = launch_fused<Element>(launcher, q, o, producer); });
  return launched;
}

#define KQ_INSTANTIATE_FUSED(Element, unused) \
  template bool fused_row<Element>(const DeviceLauncher&, const kq::Request&, const Operands&);
KQ_FOR_EACH_ELEMENT(KQ_INSTANTIATE_FUSED, )

}  // namespace kqbench::gpu
