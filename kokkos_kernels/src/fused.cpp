// SPDX-License-Identifier: Apache-2.0

// A producer and a quantizer in one kernel: a row is loaded, mapped in registers, and quantized from there. The bytes
// are those of produce.cpp and a quantizer after it.

#include <bit>
#include <cstdint>
#include <type_traits>

#include "kernels.hpp"
#include "kq/producers.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"
#include "launch.hpp"
#include "produce.hpp"
#include "slices.hpp"

namespace kq::detail {
namespace {

// --- producers: the values of a token, as a tile ---------------------------------------------------------------------

/// What add_rms_norm reads and writes besides. It is a base, so that rms_norm's kernels do not have it among their
/// arguments (1x4096, static: 1.95 µs, with it 2.09, on an H200).
template <class Element, bool HasResidual>
struct Residual {
  Rows<const Element> residual;
  Rows<Element> residual_out;
};
template <class Element>
struct Residual<Element, false> {};

/// T((z * r) * weight), z being x or T(x + residual).
template <class Element, bool HasResidual>
struct NormedRow : Residual<Element, HasResidual> {
  static constexpr int tiles = HasResidual ? 2 : 1;  ///< held in registers at once
  static constexpr bool has_weight = true;
  static constexpr bool in_parts = false;

  Rows<const Element> input;
  Span<const Element> weight;
  float eps;

  template <class Tile, class Weight>
  struct Loaded {
    Tile z;
    Weight weight;
  };

  template <class Program>
  KQ_HOST_DEVICE auto load(const Program& program, std::int64_t token) const {
    const auto x = program.load(input.row(token));
    if constexpr (HasResidual) {
      const auto y = program.load(this->residual.row(token));
      const auto w = program.load_early(weight);
      const auto z = program.map([](float a, float b) { return a + b; }, x, y);
      program.store(this->residual_out.row(token), z);
      return Loaded<decltype(z), decltype(w)>{z, w};
    } else {
      const auto w = program.load_early(weight);
      return Loaded<decltype(x), decltype(w)>{x, w};
    }
  }

  template <class Program, class Loaded>
  KQ_HOST_DEVICE auto values(const Program& program, const Loaded& loaded) const {
    const float r = reciprocal_rms(program.sum_of_squares(loaded.z), weight.size, eps);
    return program.map([r](float a, float b) { return a * r * b; }, loaded.z, loaded.weight);
  }
};

/// T(T(gate / (1 + e^-gate)) * up).
template <class Element>
struct SiluMul {
  template <class Tile>
  struct Loaded {
    Tile gate;
    Tile up;
  };

  /// `size` elements of a token's gate from `begin` on, and as many of up, which begins at `hidden_size`.
  template <class Program>
  KQ_HOST_DEVICE static auto load_at(const Program& program, const Rows<const Element>& input, std::int64_t token,
                                     std::int64_t begin, std::int64_t size, std::int64_t hidden_size) {
    const auto gate = program.load(input.slice(token, begin, size));
    const auto up = program.load(input.slice(token, hidden_size + begin, size));
    return Loaded<decltype(gate)>{gate, up};
  }

  template <class Program, class Loaded>
  KQ_HOST_DEVICE static auto values(const Program& program, const Loaded& loaded) {
    return program.map([](float g, float u) { return silu_times<Element>(g, u, ProducerForm::plain); }, loaded.gate,
                       loaded.up);
  }
};

template <class Element>
struct SiluMulRow : SiluMul<Element> {
  static constexpr int tiles = 2;
  static constexpr bool has_weight = false;
  static constexpr bool in_parts = false;

  Rows<const Element> input;  ///< gate, then up
  std::int64_t hidden_size;

  template <class Program>
  KQ_HOST_DEVICE auto load(const Program& program, std::int64_t token) const {
    return this->load_at(program, input, token, 0, hidden_size, hidden_size);
  }
};

/// Parts of rows, as rows of their own (kq::may_be_cut).
template <class Element>
struct SiluMulPart : SiluMul<Element> {
  static constexpr bool in_parts = true;

  Rows<const Element> input;
  std::int64_t size;       ///< of a part
  std::int64_t row_parts;  ///< into which a row is cut

  template <class Program>
  KQ_HOST_DEVICE auto load(const Program& program, std::int64_t part) const {
    const std::int64_t token = divide(part, row_parts);
    return this->load_at(program, input, token, (part - token * row_parts) * size, size, row_parts * size);
  }
};

// --- kernels ---------------------------------------------------------------------------------------------------------

/// program_id: a token.
template <class Producer, class Rule>
struct FusedStatic {
  Producer producer;
  Rows<typename Rule::Code> codes;
  GivenScales scales;
  std::int64_t scale_step;  ///< 1: a scale for each token, 0: one for all
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto loaded = producer.load(program, token);
    const auto scale = rule.scale(scales, token * scale_step);
    const auto x = producer.values(program, loaded);
    program.store(codes.row(token), encode(x, scale));
  }
};

/// program_id: a token.
template <class Producer, class Rule>
struct FusedToken {
  Producer producer;
  Rows<typename Rule::Code> codes;
  FloatScales scales;
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = producer.values(program, producer.load(program, token));
    const auto scale = rule.scale(program.reduce(rule.reduction, x));
    program.store(codes.row(token), encode(x, scale));
    program.store(scales.at(token), scale);
  }
};

/// program_id: a token.
template <class Producer, class Rule, class Scales>
struct FusedGroup {
  Producer producer;
  Rows<typename Rule::Code> codes;
  Scales scales;
  int group_lanes;
  int group_shift;  ///< a group is 2^group_shift elements
  Rule rule;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = producer.values(program, producer.load(program, token));
    program.store_groups(codes.row(token), x, group_lanes, rule,
                         [&](std::int64_t first) { return scales.at(scales.place(token, first >> group_shift)); });
  }
};

// --- choices ---------------------------------------------------------------------------------------------------------

/// Whether groups are whole vectors of a power of two of lanes that exchange values, and rows whole groups.
template <class Element>
bool has_fused_groups(const Request& r) {
  constexpr std::int64_t width = vector_width<Element>;
  const std::int64_t lanes = r.group_size / width;
  return r.granularity == Granularity::group && r.group_size % width == 0 && lanes >= 8 && lanes <= 32 &&
         (lanes & (lanes - 1)) == 0 && r.hidden_size % r.group_size == 0;
}

/// For rows of which a team has several.
template <int Resident = 1024>
using ShortRowConfig = TileConfig<32, 4, true, Resident>;

/// Whether lanes to spare repeat a launch's last row (SubWarpPrograms), which must not be written where it is read.
template <class Element>
bool repeats_a_row(const Request& r) {
  using Config = ShortRowConfig<>;
  return r.hidden_size <= Config::capacity<Element> && r.num_tokens % (Config::team_size / Config::lanes) != 0;
}

/// The schemes that engines run behind producers. Others are less common: two launches serve them.
template <class Element>
bool has_fused_kernel(const Request& r) {
  if (r.dialect != Dialect::kqbench || r.asymmetric || is_block_format(r)) return false;
  if (r.format != Format::int8 && r.format != Format::fp8_e4m3fn) return false;
  if (r.granularity == Granularity::token) return true;
  return r.static_scale ? r.granularity == Granularity::tensor : has_fused_groups<Element>(r);
}

inline constexpr int part_lanes = 32;  ///< that share a part of a row of silu_mul, of a vector for each

template <class Function>
bool with_part_config(std::int64_t parts, const Function& function) {
  if (are_whole_waves(parts, part_lanes)) return function(WholeTileConfig<part_lanes, 1>{}), true;
  return function(TileConfig<part_lanes, 1, true>{}), true;
}

/// Calls function(Config{}) for rows of `vectors`, and returns true; false for longer ones than registers hold. Few
/// lanes with several vectors each, since what a lane does once for a row has its price. All times are of an H200, from
/// bfloat16 to fp8, in µs; "overlapped" are launches that overlap.
/// - Eight vectors where a lane holds one tile and not all rows run at once. With room for 1024 threads a
///   multiprocessor runs 16 rows of 512 vectors at once, or 8 of 1024. Behind rms_norm with a static scale 4096x8192
///   took 28.0 with eight and 30.3 with four. Where all rows run at once, none loads while another computes: 2048x4096
///   took 10.1 with eight and 9.5 with four. For rows of 1024 vectors room for 896 threads is best with static scales
///   (27.6), and room for 1024 where values are reduced.
/// - Two where it holds two tiles and the values are not reduced: 1024x4096 behind add_rms_norm, static, 10.4, and 10.8
///   with four. But four for long rows of silu_mul: 41.7, with two 46.2.
/// - Where there are too few rows to fill the device, more lanes share one, with one vector each, or two if the values
///   are reduced: 1x4096 behind rms_norm, overlapped, static 1.42 and 1.57, dynamic tokens 2.02 and 1.91.
/// Rows of 4096 and 8192 elements of 16 bits fill their tiles. `Resident` threads fit on a multiprocessor.
template <class Producer, bool Reduces, int Resident, class ExecutionSpace, class Function>
bool with_fused_config(const ExecutionSpace& space, std::int64_t vectors, std::int64_t rows, const Function& function) {
  constexpr bool spreads = Producer::tiles > 1 && !Reduces;
  constexpr int resident_of_eight = Reduces ? Resident : 896;
  const auto more_than = [&](int rows_of_a_multiprocessor) {
    return rows > rows_of_a_multiprocessor * multiprocessors(space);
  };
  const bool few = !more_than(1);
  using ShortRows = ShortRowConfig<Resident>;
  if (vectors <= ShortRows::lanes * ShortRows::vectors) return function(ShortRows{}), true;
  if (vectors == 512) {
    if constexpr (!Reduces) {
      if (few) return function(WholeTileConfig<512, 1, 1024>{}), true;
    }
    if constexpr (Reduces || spreads) {
      if (few || spreads) return function(WholeTileConfig<256, 2, Resident>{}), true;
    }
    if constexpr (Producer::tiles == 1) {
      if (more_than(16)) return function(WholeTileConfig<64, 8, Resident>{}), true;
    }
    if constexpr (!spreads) return function(WholeTileConfig<128, 4, Resident>{}), true;
  }
  if (vectors == 1024) {
    if (few || (spreads && Producer::has_weight)) return function(WholeTileConfig<512, 2, Resident>{}), true;
    if constexpr (Producer::tiles == 1) {
      if (more_than(8)) return function(WholeTileConfig<128, 8, resident_of_eight>{}), true;
    }
    return function(WholeTileConfig<256, 4, Resident>{}), true;
  }
  if (few && vectors <= 512) return function(TileConfig<512, 1, true, 1024>{}), true;
  if (vectors <= 512) return function(TileConfig<128, 4, true, Resident>{}), true;
  if (vectors <= 1024) return function(TileConfig<256, 4, true, Resident>{}), true;
  if (vectors <= 2048) return function(TileConfig<512, 4, true, Resident>{}), true;
  if (vectors <= 4096) return function(TileConfig<512, 8, true, 512>{}), true;
  return false;
}

/// Launches the kernel of a producer for a request's scheme.
template <class Element, class ExecutionSpace, class Producer>
bool launch_fused(const ExecutionSpace& space, const Request& r, const Operands& b, const Producer& producer) {
  const std::int64_t vectors = r.hidden_size / vector_width<Element>;
  const auto run = [&]<bool Reduces, int Resident>(const char* name, const auto& kernel, std::bool_constant<Reduces>,
                                                   std::integral_constant<int, Resident>) {
    const auto launch_it = [&]<class Config>(Config) {
      const int scratch = Config::is_team ? Config::lanes * int{sizeof(double)} : 0;
      launch<Config>(space, name, kernel, r.num_tokens, r.hidden_size, scratch);
    };
    if constexpr (Producer::in_parts) {
      return with_part_config(r.num_tokens, launch_it);
    } else {
      return with_fused_config<Producer, Reduces, Resident>(space, vectors, r.num_tokens, launch_it);
    }
  };
  const std::integral_constant<int, 1024> resident;
  const auto with_rule = [&]<class Rule>(const Rule& rule) {
    const auto codes = code_rows<typename Rule::Code>(r, b);
    if constexpr (requires { rule.scale(GivenScales{}, 0); }) {
      const GivenScales scales{static_cast<const float*>(b.scales), b.zero_points};
      const std::int64_t step = r.granularity == Granularity::tensor ? 0 : 1;
      return run("kq::fused_static", FusedStatic<Producer, Rule>{producer, codes, scales, step, rule},
                 std::false_type(), resident);
    } else if constexpr (requires { rule.power_of_two; }) {
      const auto lanes = static_cast<int>(r.group_size / vector_width<Element>);
      const int shift = std::countr_zero(static_cast<std::uint64_t>(r.group_size));
      bool launched = false;
      with_group_scales(r, b.scales, [&]<class Scales>(const Scales& scales) {
        constexpr bool plain = std::is_same_v<Scales, GroupScales>;
        const std::integral_constant<int, plain ? 1024 : 512> of_scales;  // others take more than 64 registers
        if constexpr (plain || !Producer::in_parts) {
          launched =
              run("kq::fused_group", FusedGroup<Producer, Rule, Scales>{producer, codes, scales, lanes, shift, rule},
                  std::true_type(), of_scales);
        }
      });
      return launched;
    } else if constexpr (!Producer::in_parts) {
      const FloatScales scales{static_cast<float*>(b.scales), nullptr};
      return run("kq::fused_token", FusedToken<Producer, Rule>{producer, codes, scales, rule}, std::true_type(),
                 resident);
    } else {
      return false;
    }
  };
  const bool integer = r.format == Format::int8;
  const bool power_of_two = r.scale_format != ScaleFormat::float32;
  if (r.static_scale) {
    return integer ? with_rule(StaticInt8Rule<Element>(r.qmax)) : with_rule(StaticFp8Rule<Element, Fp8E4M3Fn>(r.qmax));
  }
  if (r.granularity == Granularity::group) {
    return integer ? with_rule(GroupRule<Element, Int8>(r.qmax, power_of_two))
                   : with_rule(GroupRule<Element, Fp8E4M3Fn>(r.qmax, power_of_two));
  }
  return integer ? with_rule(SymmetricInt8Rule<Element>(r.qmax))
                 : with_rule(TokenFp8Rule<Element, Fp8E4M3Fn>(r.qmax, UpperBound{r.scale_ub, b.scale_ub}));
}

/// Very few rows of silu_mul are cut, so that more multiprocessors have a part: into parts of a vector for each lane of
/// a wave.
template <class Element, class ExecutionSpace>
bool launch_silu_mul(const ExecutionSpace& space, const Request& r, const Operands& b, Rows<const Element> input) {
  constexpr std::int64_t part = part_lanes * vector_width<Element>;
  if (r.num_tokens * r.hidden_size <= 4 * part * multiprocessors(space) && may_be_cut(r, part)) {
    const SiluMulPart<Element> parts{{}, input, part, r.hidden_size / part};
    return launch_fused<Element>(space, with_rows_cut(r, part), b, parts);
  }
  return launch_fused<Element>(space, r, b, SiluMulRow<Element>{{}, input, r.hidden_size});
}

}  // namespace

template <class Element, class ExecutionSpace>
bool enqueue_fused([[maybe_unused]] const ExecutionSpace& space, [[maybe_unused]] const Request& r,
                   [[maybe_unused]] const Operands& b) {
  if constexpr (on_host<ExecutionSpace>) {
    return false;
  } else {
    if (!has_fused_kernel<Element>(r)) return false;
    if (!is_aligned<Element>(r, b) || !has_aligned_sources<Element>(r, b)) return false;
    const Rows<const Element> input{static_cast<const Element*>(b.input), input_columns(r), r.input_stride};
    if (r.producer == Producer::silu_mul) return launch_silu_mul<Element>(space, r, b, input);
    if (!has_norm(r.producer)) return false;
    if (has_residual(r.producer) && b.residual == b.residual_out && repeats_a_row<Element>(r)) return false;
    const Span<const Element> weight{static_cast<const Element*>(b.weight), r.hidden_size};
    const Rows<const Element> residual{static_cast<const Element*>(b.residual), r.hidden_size, r.residual_stride};
    const Rows<Element> residual_out{static_cast<Element*>(b.residual_out), r.hidden_size, r.residual_stride};
    if (has_residual(r.producer)) {
      return launch_fused<Element>(space, r, b,
                                   NormedRow<Element, true>{{residual, residual_out}, input, weight, r.eps});
    }
    return launch_fused<Element>(space, r, b, NormedRow<Element, false>{{}, input, weight, r.eps});
  }
}

#define KQ_INSTANTIATE_FUSED(Space, unused) \
  template bool enqueue_fused<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_FUSED, )

}  // namespace kq::detail
