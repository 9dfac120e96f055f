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

/// T((z * r) * weight), z being x or T(x + residual).
template <class Element, bool HasResidual>
struct NormedRow {
  static constexpr int tiles = HasResidual ? 2 : 1;  ///< held in registers at once
  /// Threads on a multiprocessor, but for a scale per token: add_rms_norm + static took 67 µs with 1024, 63 with 512,
  /// with a scale per token 61 and 65 (4096x8192 bfloat16, on an H200, by kernels that held the weights too).
  static constexpr int resident = HasResidual ? 512 : 1024;

  Rows<const Element> input;
  Span<const Element> weight;
  Rows<const Element> residual;
  Rows<Element> residual_out;
  float eps;

  template <class Program>
  KQ_HOST_DEVICE auto load(const Program& program, std::int64_t token) const {
    const auto x = program.load(input.row(token));
    if constexpr (HasResidual) {
      const auto y = program.load(residual.row(token));
      const auto z = program.map([](float a, float b) { return a + b; }, x, y);
      program.store(residual_out.row(token), z);
      return norm(program, z);
    } else {
      return norm(program, x);
    }
  }

 private:
  template <class Program, class Tile>
  KQ_HOST_DEVICE auto norm(const Program& program, const Tile& z) const {
    const float r = reciprocal_rms(program.sum_of_squares(z), weight.size, eps);
    return program.map([r](float a, float b) { return a * r * b; }, z, weight);
  }
};

/// T(T(gate / (1 + e^-gate)) * up).
template <class Element>
struct SiluMulRow {
  static constexpr int tiles = 2;
  static constexpr int resident = 1024;

  Rows<const Element> input;
  std::int64_t hidden_size;

  template <class Program>
  KQ_HOST_DEVICE auto load(const Program& program, std::int64_t token) const {
    const auto gate = program.load(input.slice(token, 0, hidden_size));
    const auto up = program.load(input.slice(token, hidden_size, hidden_size));
    return program.map([](float g, float u) { return silu_times<Element>(g, u, ProducerForm::plain); }, gate, up);
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
    const auto x = producer.load(program, token);
    const auto scale = rule.scale(scales, token * scale_step);
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
    const auto x = producer.load(program, token);
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
    const auto x = producer.load(program, token);
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

/// The schemes that engines run behind producers. Others are less common: two launches serve them.
template <class Element>
bool has_fused_kernel(const Request& r) {
  if (r.dialect != Dialect::kqbench || r.asymmetric || is_block_format(r)) return false;
  if (r.format != Format::int8 && r.format != Format::fp8_e4m3fn) return false;
  if (r.granularity == Granularity::token) return true;
  return r.static_scale ? r.granularity == Granularity::tensor : has_fused_groups<Element>(r);
}

/// Calls function(Config{}) for rows of `vectors`, and returns true; false for longer ones than registers hold. Few
/// lanes with several vectors each, since what a lane does once for a row has its price (rows of 8192 bfloat16 behind
/// rms_norm took 34 µs with 256 lanes, 53 with 512, at 4096 rows on an H200): eight where a lane holds one tile and
/// rows are many, four otherwise. Rows of 4096 and 8192 elements of 16 bits fill their tiles. `Resident` threads fit on
/// a multiprocessor.
template <int Tiles, int Resident, class ExecutionSpace, class Function>
bool with_fused_config(const ExecutionSpace& space, std::int64_t vectors, std::int64_t rows, const Function& function) {
  const bool few = rows <= multiprocessors(space);
  if constexpr (Tiles == 1) {
    const bool many = rows >= 7 * multiprocessors(space);
    if (many && vectors == 512) return function(WholeTileConfig<64, 8, Resident>{}), true;
    if (many && vectors == 1024) return function(WholeTileConfig<128, 8, Resident>{}), true;
  }
  if (vectors <= 128) return function(TileConfig<32, 4, true, Resident>{}), true;
  if (few && vectors <= 512) return function(TileConfig<512, 1, true, 1024>{}), true;
  if (vectors == 512) return function(WholeTileConfig<128, 4, Resident>{}), true;
  if (vectors == 1024) return function(WholeTileConfig<256, 4, Resident>{}), true;
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
  const auto run = [&]<int resident = 1024>(const char* name, const auto& kernel,
                                            std::integral_constant<int, resident> = {}) {
    return with_fused_config<Producer::tiles, resident>(space, vectors, r.num_tokens, [&]<class Config>(Config) {
      const int scratch = Config::is_team ? Config::lanes * int{sizeof(double)} : 0;
      launch<Config>(space, name, kernel, r.num_tokens, r.hidden_size, scratch);
    });
  };
  const std::integral_constant<int, Producer::resident> of_producer;
  const auto with_rule = [&]<class Rule>(const Rule& rule) {
    const auto codes = code_rows<typename Rule::Code>(r, b);
    if constexpr (requires { rule.scale(GivenScales{}, 0); }) {
      const GivenScales scales{static_cast<const float*>(b.scales), b.zero_points};
      const std::int64_t step = r.granularity == Granularity::tensor ? 0 : 1;
      return run("kq::fused_static", FusedStatic<Producer, Rule>{producer, codes, scales, step, rule}, of_producer);
    } else if constexpr (requires { rule.power_of_two; }) {
      const auto lanes = static_cast<int>(r.group_size / vector_width<Element>);
      const int shift = std::countr_zero(static_cast<std::uint64_t>(r.group_size));
      bool launched = false;
      with_group_scales(r, b.scales, [&]<class Scales>(const Scales& scales) {
        // Padding and the places of its scales take more than 64 registers.
        constexpr int resident = std::is_same_v<Scales, GroupScales> ? Producer::resident : 512;
        launched =
            run("kq::fused_group", FusedGroup<Producer, Rule, Scales>{producer, codes, scales, lanes, shift, rule},
                std::integral_constant<int, resident>());
      });
      return launched;
    } else {
      const FloatScales scales{static_cast<float*>(b.scales), nullptr};
      return run("kq::fused_token", FusedToken<Producer, Rule>{producer, codes, scales, rule});
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
    if (r.producer == Producer::silu_mul) {
      return launch_fused<Element>(space, r, b, SiluMulRow<Element>{input, r.hidden_size});
    }
    if (!has_norm(r.producer)) return false;
    const Span<const Element> weight{static_cast<const Element*>(b.weight), r.hidden_size};
    const Rows<const Element> residual{static_cast<const Element*>(b.residual), r.hidden_size, r.residual_stride};
    const Rows<Element> residual_out{static_cast<Element*>(b.residual_out), r.hidden_size, r.residual_stride};
    if (has_residual(r.producer)) {
      return launch_fused<Element>(space, r, b, NormedRow<Element, true>{input, weight, residual, residual_out, r.eps});
    }
    return launch_fused<Element>(space, r, b, NormedRow<Element, false>{input, weight, residual, residual_out, r.eps});
  }
}

#define KQ_INSTANTIATE_FUSED(Space, unused) \
  template bool enqueue_fused<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_FUSED, )

}  // namespace kq::detail
