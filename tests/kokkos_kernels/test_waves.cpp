// SPDX-License-Identifier: Apache-2.0

// The tile layer's device programs in emulated waves of 32 and 64 lanes, against plain loops: what lanes exchange
// within a wave, through a team's scratch memory, and between the programs that share a tensor. What one lane does
// alone is in test_tile.cpp.

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "kq/numerics.hpp"
#include "kq/producers.hpp"
#include "kq/scale_rules.hpp"
#include "kq/tile.hpp"
#include "tests/support/emulated_block.hpp"
#include "tests/support/exhaustive.hpp"

namespace kqbench::test {
namespace {

/// What a program asks of the team that it is, or shares.
template <class Block>
class EmulatedTeam {
 public:
  EmulatedTeam(const Block& block, std::vector<kq::Vector16>& scratch) : block_(block), scratch_(scratch) {}

  int team_rank() const { return block_.thread(); }
  void team_barrier() const { block_.barrier(); }
  const EmulatedTeam& team_scratch(int) const { return *this; }
  void* get_shmem(int bytes) const { return get_shmem_aligned(bytes, 16); }
  /// Each lane asks for the same pieces in the same order, and gets the same.
  void* get_shmem_aligned(int bytes, int) const {
    void* const piece = scratch_.data() + used_;
    used_ += (static_cast<std::size_t>(bytes) + 15) / 16;
    EXPECT_LE(used_, scratch_.size());
    return piece;
  }

 private:
  const Block& block_;
  std::vector<kq::Vector16>& scratch_;
  mutable std::size_t used_ = 0;
};

template <class Block>
struct EmulatedExchange {
  static constexpr int size = Block::wave_size;
  static constexpr bool has_max = Block::has_wave_max;
  const Block* block;
  float exchange(float value, int mask) const { return kq::bits_float(block->exchange(kq::float_bits(value), mask)); }
  float from_lane(float value, int lane, int width) const {
    // By exchanges alone: the lane that differs from the wanted one in its highest bits takes it from there, and so on.
    const int mine = block->thread() % width;
    for (int mask = width / 2; mask > 0; mask /= 2) {
      const float other = exchange(value, mask);
      if (((mine ^ lane) & mask) != 0) value = other;
    }
    return value;
  }
  std::uint32_t max(std::uint32_t key) const { return block->wave_max(key); }
};

/// Runs kernel(program) for every lane of `count` programs, all at once.
template <class Block, class Config, class Kernel>
void run_programs(LaneOrder order, std::int64_t count, std::size_t scratch_bytes, const Kernel& kernel) {
  using Team = EmulatedTeam<Block>;
  using Wave = EmulatedExchange<Block>;
  using Program = kq::DeviceProgram<Team, Config, Wave>;
  constexpr int threads = Config::is_team ? Config::lanes : std::max(Config::lanes, Block::wave_size);
  constexpr int programs_per_block = threads / Config::lanes;
  const auto blocks = static_cast<int>((count + programs_per_block - 1) / programs_per_block);
  std::vector<EmulatedBlockState> states;
  std::vector<std::vector<kq::Vector16>> scratch;
  for (int i = 0; i < blocks; ++i) {
    states.emplace_back(threads, Block::wave_size, 0);
    scratch.emplace_back((static_cast<std::size_t>(Program::scratch_bytes) + 15) / 16 + scratch_bytes / 16);
  }
  Lanes lanes;
  lanes.run(blocks * threads, order, [&](int lane) {
    const auto index = static_cast<std::size_t>(lane / threads);
    const Block block(lanes, states[index], lane % threads, static_cast<std::int64_t>(index), blocks);
    const Team team(block, scratch[index]);
    // Lanes to spare repeat the last program, as launch.hpp has them do.
    const std::int64_t id = std::int64_t{lane / threads} * programs_per_block + lane % threads / Config::lanes;
    kernel(Program(team, std::min(id, count - 1), count, Wave{&block}));
  });
}

std::vector<kq::half> random_halves(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0.0f, 3.0f);
  std::vector<kq::half> values(count);
  for (kq::half& x : values) {
    x = kq::to_half(random() % 31 == 0 ? std::numeric_limits<float>::quiet_NaN() : normal(random));
  }
  return values;
}

/// The first place from here on that is a multiple of 16 bytes.
const kq::half* aligned(const kq::half* memory) {
  return memory + (8 - reinterpret_cast<std::uintptr_t>(memory) % 16 / sizeof(kq::half)) % 8;
}

struct Extremes {
  float amax = 0.0f;
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();

  explicit Extremes(kq::Span<const kq::half> span) {
    for (std::int64_t i = 0; i < span.size; ++i) {
      const float x = kq::to_float(span.data[i]);
      if (std::isnan(x)) continue;
      amax = std::max(amax, std::fabs(x));
      min = std::min(min, x);
      max = std::max(max, x);
    }
  }
};

template <class BlockType, class ShapeType>
struct Case {
  using Block = BlockType;
  using Config = ShapeType;
};

using Nvidia = EmulatedBlock<32, true>;
using Rdna = EmulatedBlock<32, false>;
using Cdna = EmulatedBlock<64, false>;

// --- programs of their own spans -------------------------------------------------------------------------------------

template <class TestCase>
class RowProgram : public testing::Test {};

using RowCases = testing::Types<
    Case<Nvidia, kq::TileConfig<16, 1, true>>, Case<Cdna, kq::TileConfig<32, 1, true>>,
    Case<Nvidia, kq::TileConfig<4, 4, true>>, Case<Rdna, kq::TileConfig<4, 4, true>>,
    Case<Cdna, kq::TileConfig<4, 4, true>>, Case<Nvidia, kq::TileConfig<4, 4>>, Case<Rdna, kq::TileConfig<4, 4>>,
    Case<Cdna, kq::TileConfig<4, 4>>, Case<Nvidia, kq::TileConfig<32, 4>>, Case<Rdna, kq::TileConfig<32, 4>>,
    Case<Cdna, kq::TileConfig<32, 4>>, Case<Nvidia, kq::TileConfig<64, 4>>, Case<Cdna, kq::TileConfig<64, 4>>,
    Case<Nvidia, kq::TileConfig<256, 4>>, Case<Rdna, kq::TileConfig<256, 4>>, Case<Cdna, kq::TileConfig<256, 4>>,
    Case<Nvidia, kq::TileConfig<512, 6>>, Case<Cdna, kq::TileConfig<512, 6>>, Case<Nvidia, kq::TileConfig<1024, 0>>,
    Case<Rdna, kq::TileConfig<1024, 0>>, Case<Cdna, kq::TileConfig<1024, 0>>>;
TYPED_TEST_SUITE(RowProgram, RowCases);

/// Ragged rows, more than fill the last wave, with three reductions after each other, as kernels never have more.
TYPED_TEST(RowProgram, FindsTheExtremesOfItsRow) {
  using Config = typename TypeParam::Config;
  constexpr std::int64_t rows = sanitized ? 2 : 5;
  const std::int64_t full = Config::in_registers ? Config::template capacity<kq::half> : 20000;
  std::vector<std::int64_t> sizes{full, full / 2};
  if (!Config::aligned) sizes.insert(sizes.end(), {1, 7, 17, full - 1, full / 2 + 3});
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    for (const std::int64_t size : sizes) {
      const auto input = random_halves(static_cast<std::size_t>(rows * size), static_cast<std::uint32_t>(size));
      const auto row = [&](std::int64_t id) { return kq::Span<const kq::half>{input.data() + id * size, size}; };
      std::vector<Extremes> found(rows, Extremes({nullptr, 0}));
      run_programs<typename TypeParam::Block, Config>(order, rows, 0, [&](const auto& program) {
        const auto tile = program.load(row(program.id()));
        const float amax = program.reduce(kq::AbsMax{}, tile);
        const kq::Range range = program.reduce(kq::MinMax{}, tile);
        auto& to = found[static_cast<std::size_t>(program.id())];
        program.store(&to.amax, amax);
        program.store(&to.min, range.min);
        program.store(&to.max, range.max);
      });
      for (std::int64_t id = 0; id < rows; ++id) {
        const Extremes expected(row(id));
        const Extremes& actual = found[static_cast<std::size_t>(id)];
        EXPECT_EQ(actual.amax, expected.amax) << "row " << id << " of " << size;
        EXPECT_EQ(actual.min, expected.min) << "row " << id << " of " << size;
        EXPECT_EQ(actual.max, expected.max) << "row " << id << " of " << size;
      }
    }
  }
}

// --- programs that norm their row and quantize its groups -----------------------------------------------------------

template <class TestCase>
class FusedProgram : public testing::Test {};

using FusedCases = testing::Types<Case<Nvidia, kq::TileConfig<32, 4, true>>, Case<Rdna, kq::TileConfig<32, 4, true>>,
                                  Case<Cdna, kq::TileConfig<32, 4, true>>, Case<Nvidia, kq::TileConfig<64, 1, true>>,
                                  Case<Cdna, kq::TileConfig<64, 2, true>>, Case<Nvidia, kq::TileConfig<128, 4, true>>,
                                  Case<Nvidia, kq::WholeTileConfig<128, 8>>, Case<Rdna, kq::TileConfig<128, 8, true>>,
                                  Case<Nvidia, kq::TileConfig<64, 3, true>>, Case<Cdna, kq::TileConfig<256, 4, true>>,
                                  Case<Nvidia, kq::TileConfig<512, 2, true>>>;
TYPED_TEST_SUITE(FusedProgram, FusedCases);

/// The sum of a row's squares in the order of kq/producers.hpp, by the definition.
double sum_by_definition(kq::Span<const kq::half> row) {
  constexpr std::int64_t width = kq::vector_width<kq::half>;
  std::vector<double> sums(static_cast<std::size_t>(kq::next_power_of_two(row.size / width)));
  for (std::int64_t i = 0; i < row.size / width; ++i) {
    float x[width];
    for (std::int64_t k = 0; k < width; ++k) {
      x[k] = kq::to_float(row.data[i * width + k]);
    }
    sums[static_cast<std::size_t>(i)] = kq::sum_of_squares(x);
  }
  for (std::size_t half = sums.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) {
      sums[i] += sums[i + half];
    }
  }
  return sums[0];
}

/// Rows that fill their registers, and rows that leave lanes without a vector.
TYPED_TEST(FusedProgram, NormsItsRowAndQuantizesGroups) {
  using Config = typename TypeParam::Config;
  constexpr std::int64_t rows = 3;
  constexpr std::int64_t group = 64;
  constexpr int group_lanes = group / kq::vector_width<kq::half>;
  const std::int64_t full = Config::template capacity<kq::half>;
  const kq::GroupRule<kq::half, kq::Fp8E4M3Fn> rule(448.0f, false);
  std::vector<std::int64_t> sizes{full};
  if (!Config::whole) sizes.insert(sizes.end(), {full - group, std::int64_t{2} * group});
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    for (const std::int64_t size : sizes) {
      auto input = random_halves(static_cast<std::size_t>(rows * size), static_cast<std::uint32_t>(size));
      const auto weight = random_halves(static_cast<std::size_t>(size), 3);
      for (kq::half& x : input) {
        if (std::isnan(kq::to_float(x))) x = kq::to_half(0.5f);
      }
      std::vector<kq::half> values(input.size());
      std::vector<kq::half> of_tiles(input.size());
      std::vector<std::uint8_t> codes(input.size(), 0xa5);
      std::vector<float> scales(input.size() / group, -1.0f);
      const auto of_row = [&](auto& all, std::int64_t id) {
        return kq::Span<std::remove_reference_t<decltype(all[0])>>{all.data() + id * size, size};
      };
      const auto row = [&](std::int64_t id) { return kq::Span<const kq::half>{input.data() + id * size, size}; };
      run_programs<typename TypeParam::Block, Config>(
          order, rows, Config::lanes * sizeof(double), [&](const auto& program) {
            const auto x = program.load(row(program.id()));
            const kq::Span<const kq::half> w{weight.data(), size};
            const float r = kq::reciprocal_rms(program.sum_of_squares(x), size, 1e-6f);
            const auto norm = [r](float a, float b) { return a * r * b; };
            program.store(of_row(of_tiles, program.id()), program.map(norm, x, program.load(w)));
            const auto y = program.map(norm, x, w);
            program.store(of_row(values, program.id()), y);
            const auto scale_at = [&](std::int64_t first) {
              return kq::FloatScales{scales.data(), nullptr}.at((program.id() * size + first) / group);
            };
            program.store_groups(of_row(codes, program.id()), y, group_lanes, rule, scale_at);
          });
      float r = 0.0f;
      for (std::int64_t i = 0; i < rows * size; ++i) {
        const auto at = static_cast<std::size_t>(i);
        if (i % size == 0) r = kq::reciprocal_rms(sum_by_definition(row(i / size)), size, 1e-6f);
        const float y = kq::to_float(input[at]) * r * kq::to_float(weight[at % static_cast<std::size_t>(size)]);
        ASSERT_EQ(values[at].bits, kq::rounded_bits<kq::half>(y)) << "value " << i << " of rows of " << size;
        ASSERT_EQ(of_tiles[at].bits, values[at].bits) << "value " << i << " of rows of " << size;
      }
      for (std::int64_t begin = 0; begin < rows * size; begin += group) {
        const Extremes expected({values.data() + begin, group});
        const auto scale = rule.scale(expected.amax);
        ASSERT_EQ(scales[static_cast<std::size_t>(begin / group)], scale.value())
            << "scale " << begin / group << " of rows of " << size;
        const auto quantizer = scale.quantizer();
        for (std::int64_t i = begin; i < begin + group; ++i) {
          const auto at = static_cast<std::size_t>(i);
          ASSERT_EQ(codes[at], quantizer.code(kq::to_float(values[at]))) << "code " << i << " of rows of " << size;
        }
      }
    }
  }
}

// --- programs of many groups -----------------------------------------------------------------------------------------

template <class TestCase>
class ChunkProgram : public testing::Test {};

using ChunkCases = testing::Types<Case<Nvidia, kq::TileConfig<32, 2>>, Case<Rdna, kq::TileConfig<32, 2>>,
                                  Case<Cdna, kq::TileConfig<32, 2>>, Case<Nvidia, kq::WholeFlatConfig<32, 2>>,
                                  Case<Cdna, kq::WholeFlatConfig<32, 2>>, Case<Nvidia, kq::WholeTileConfig<256, 2>>,
                                  Case<Rdna, kq::TileConfig<256, 2>>, Case<Cdna, kq::TileConfig<256, 2>>>;
TYPED_TEST_SUITE(ChunkProgram, ChunkCases);

/// What programs leave of a span of halfs: codes, and a scale of each group of `size`. Behind both are bytes that stay.
template <class Rule>
struct GroupOutput {
  using Format = typename Rule::Format;
  using Code = typename Rule::Code;
  static constexpr std::uint8_t untouched = 0xa5;

  std::vector<kq::half> memory;
  kq::Span<const kq::half> input;
  std::int64_t size;
  std::size_t bytes = static_cast<std::size_t>(kq::code_bytes<Code>(input.size));
  std::vector<std::uint64_t> words = std::vector<std::uint64_t>(bytes / 8 + 3, untouched * 0x0101010101010101u);
  std::vector<std::uint8_t> scales =
      std::vector<std::uint8_t>(static_cast<std::size_t>((input.size + size - 1) / size) + 1, untouched);

  GroupOutput(std::int64_t span, std::int64_t group_size)
      : memory(random_halves(static_cast<std::size_t>(span) + 8, static_cast<std::uint32_t>(span))),
        input{aligned(memory.data()), span},
        size(group_size) {}

  Code* codes() { return reinterpret_cast<Code*>(words.data()); }
  kq::GroupScales to() { return {scales.data(), kq::ScaleFormat::ue8m0, 0, 1}; }

  void expect(const Rule& rule) const {
    const auto* const found = reinterpret_cast<const std::uint8_t*>(words.data());
    for (std::int64_t begin = 0; begin < input.size; begin += size) {
      const std::int64_t end = std::min(begin + size, input.size);
      float amax = 0.0f;
      for (std::int64_t i = begin; i < end; ++i) {
        const float x = kq::to_float(input.data[i]);
        amax =
            std::isnan(x) || std::isnan(amax) ? std::numeric_limits<float>::quiet_NaN() : std::max(amax, std::fabs(x));
      }
      const auto scale = rule.scale({amax, std::isnan(amax)});
      ASSERT_EQ(scales[static_cast<std::size_t>(begin / size)], scale.code())
          << "group at " << begin << " of " << input.size;
      for (std::int64_t i = begin; i < end; ++i) {
        const float x = kq::to_float(input.data[i]);
        ASSERT_EQ(kq::code_at<Format>(found, i), scale.quantizer().code(x)) << "code " << i << " of " << input.size;
      }
    }
    if (Format::code_bits == 4 && input.size % 2 != 0) {
      EXPECT_EQ(found[bytes - 1] >> 4, 0) << "the neighbour of the last of " << input.size;
    }
    EXPECT_EQ(found[bytes], untouched) << "behind the codes of " << input.size;
    EXPECT_EQ(scales.back(), untouched) << "behind the scales of " << input.size;
  }
};

/// Groups of `size` halfs in a span, of which `GroupLanes` share one (0: as many as their size says), by a rule.
template <class TestCase, int GroupLanes, class Rule>
void expect_groups(LaneOrder order, std::int64_t span, std::int64_t size, const Rule& rule) {
  using Code = typename Rule::Code;
  GroupOutput<Rule> output(span, size);
  const auto to = output.to();
  run_programs<typename TestCase::Block, typename TestCase::Config>(order, 1, 0, [&](const auto& program) {
    const auto x = program.load_chunk(output.input);
    program.template store_groups<GroupLanes>(kq::Span<Code>{output.codes(), span}, x, static_cast<int>(size / 16),
                                              rule, [&](int first) { return to.at(first / size); });
  });
  output.expect(rule);
}

TYPED_TEST(ChunkProgram, FindsScalesAndCodesOfGroups) {
  using Config = typename TypeParam::Config;
  const std::int64_t full = Config::template capacity<kq::half>;
  std::vector<std::int64_t> spans{full};
  if (!Config::whole) spans.insert(spans.end(), {1, 7, 16, 31, 33, full - 1, full / 2 + 3});
  const kq::MxRule<kq::half, kq::Fp4E2M1> mxfp4(kq::ScaleRounding::floor);
  const kq::MxRule<kq::half, kq::Fp8E5M2> mxfp8(kq::ScaleRounding::rceil);
  const kq::Nvfp4Rule<kq::half> nvfp4(kq::Nvfp4Global{200.0f});
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    for (const std::int64_t span : spans) {
      expect_groups<TypeParam, 1>(order, span, 16, nvfp4);
      expect_groups<TypeParam, 2>(order, span, 32, mxfp4);
      expect_groups<TypeParam, 2>(order, span, 32, mxfp8);
      expect_groups<TypeParam, 0>(order, span, 64, nvfp4);
      expect_groups<TypeParam, 0>(order, span, 512, mxfp4);
    }
  }
}

// --- programs of blocks ----------------------------------------------------------------------------------------------

template <class TestCase>
class BlockProgram : public testing::Test {};

using BlockCases = testing::Types<Case<Nvidia, kq::TileConfig<32, 0, true>>, Case<Rdna, kq::TileConfig<32, 0, true>>,
                                  Case<Cdna, kq::TileConfig<32, 0, true>>, Case<Nvidia, kq::TileConfig<32, 0>>,
                                  Case<Cdna, kq::TileConfig<32, 0>>, Case<Nvidia, kq::TileConfig<256, 0, true>>,
                                  Case<Cdna, kq::TileConfig<256, 0, true>>, Case<Nvidia, kq::TileConfig<256, 0>>,
                                  Case<Rdna, kq::TileConfig<256, 0>>, Case<Cdna, kq::TileConfig<256, 0>>>;
TYPED_TEST_SUITE(BlockProgram, BlockCases);

/// A block of a tensor whose rows are longer, and its plain extremes and codes; nothing around the codes is written.
TYPED_TEST(BlockProgram, ReducesAndQuantizesItsBlock) {
  using Config = typename TypeParam::Config;
  struct Shape {
    std::int64_t rows, columns;
  };
  std::vector<Shape> shapes{{1, 16}, {3, 128}, {70, 64}, {5, 4096}};
  if (!Config::aligned) shapes.insert(shapes.end(), {{1, 1}, {7, 5}, {40, 17}, {33, 131}, {2, 2500}});
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    for (const auto& [rows, columns] : shapes) {
      const std::int64_t stride = columns + (Config::aligned ? 16 : 3);
      auto input = random_halves(static_cast<std::size_t>(rows * stride), static_cast<std::uint32_t>(columns));
      std::vector<std::uint8_t> codes(input.size(), 0xa5);
      const kq::Block<const kq::half> block{input.data(), rows, columns, stride};
      const kq::Block<std::uint8_t> coded{codes.data(), rows, columns, stride};
      const kq::GroupRule<kq::half, kq::Fp8E4M3Fn> rule(448.0f, false);
      Extremes found({nullptr, 0});
      run_programs<typename TypeParam::Block, Config>(order, 1, 0, [&](const auto& program) {
        const auto x = program.load(block);
        const kq::Range range = program.reduce(kq::MinMax{}, x);
        const float amax = program.reduce(kq::AbsMax{}, x);
        program.store(coded, kq::encode(x, rule.scale(amax)));
        program.store(&found.amax, amax);
        program.store(&found.min, range.min);
        program.store(&found.max, range.max);
      });
      Extremes expected({nullptr, 0});
      for (std::int64_t row = 0; row < rows; ++row) {
        const Extremes of_row(block.row(row));
        expected.amax = std::max(expected.amax, of_row.amax);
        expected.min = std::min(expected.min, of_row.min);
        expected.max = std::max(expected.max, of_row.max);
      }
      EXPECT_EQ(found.amax, expected.amax) << rows << " x " << columns;
      EXPECT_EQ(found.min, expected.min) << rows << " x " << columns;
      EXPECT_EQ(found.max, expected.max) << rows << " x " << columns;
      const auto quantizer = rule.scale(expected.amax).quantizer();
      for (std::int64_t i = 0; i < rows * stride; ++i) {
        const bool inside = i % stride < columns;
        const auto at = static_cast<std::size_t>(i);
        ASSERT_EQ(codes[at], inside ? quantizer.code(kq::to_float(input[at])) : 0xa5)
            << "row " << i / stride << ", column " << i % stride << " of " << rows << " x " << columns;
      }
    }
  }
}

template <class TestCase>
class ColumnProgram : public testing::Test {};

using ColumnCases = testing::Types<Case<Nvidia, kq::TileConfig<32, 1, true>>, Case<Cdna, kq::TileConfig<32, 1, true>>,
                                   Case<Nvidia, kq::TileConfig<32, 1>>, Case<Cdna, kq::TileConfig<32, 1>>>;
TYPED_TEST_SUITE(ColumnProgram, ColumnCases);

TYPED_TEST(ColumnProgram, FindsTheMaximaOfEachColumn) {
  using Config = typename TypeParam::Config;
  constexpr std::int64_t stride = 272;
  std::vector<std::int64_t> sizes{8, 64, 256};
  if (!Config::aligned) sizes.insert(sizes.end(), {1, 7, 9, 131, 255});
  for (const std::int64_t rows : {0, 1, 3, 4, 21}) {
    for (const std::int64_t columns : sizes) {
      const auto input = random_halves(static_cast<std::size_t>(rows * stride + 1), 5);
      const kq::Block<const kq::half> block{input.data() + (Config::aligned ? 0 : 1), rows, columns, stride};
      constexpr float untouched = -77.0f;
      std::vector<float> found(600, untouched);
      run_programs<typename TypeParam::Block, Config>(LaneOrder::forward, 1, 0, [&](const auto& program) {
        program.store(kq::ColumnMaximaSlots{found.data(), 300}, program.reduce_columns(kq::MinMax{}, block));
      });
      for (std::int64_t i = 0; i < 300; ++i) {
        kq::Maxima<kq::MinMax> expected;
        for (std::int64_t row = 0; row < rows && i < columns; ++row) {
          const float x = kq::to_float(block.row(row).data[i]);
          if (!std::isnan(x)) kq::MinMax::extend(expected.value, x);
        }
        for (int k = 0; k < 2; ++k) {
          EXPECT_EQ(found[static_cast<std::size_t>(k * 300 + i)], i < columns ? expected.value[k] : untouched)
              << "column " << i << " of " << rows << " x " << columns;
        }
      }
    }
  }
}

// --- programs that share a tensor ------------------------------------------------------------------------------------

template <class TestCase>
class SharedTensor : public testing::Test {};

using SharedCases = testing::Types<Case<Nvidia, kq::TileConfig<256, 0, true>>, Case<Rdna, kq::TileConfig<256, 0, true>>,
                                   Case<Cdna, kq::TileConfig<256, 0, true>>, Case<Nvidia, kq::TileConfig<256, 4, true>>,
                                   Case<Rdna, kq::TileConfig<256, 4, true>>, Case<Cdna, kq::TileConfig<256, 4, true>>>;
TYPED_TEST_SUITE(SharedTensor, SharedCases);

/// Every program finds the whole tensor's extremes and quantizes its part, with parts in registers, parts that fit in
/// scratch memory and parts that do not, in one launch after the other with the same workspace, of different numbers
/// of programs.
TYPED_TEST(SharedTensor, IsReducedByAllItsPrograms) {
  using Block = typename TypeParam::Block;
  using Config = typename TypeParam::Config;
  constexpr int scratch_vectors = Config::in_registers ? 0 : 2;
  constexpr std::size_t scratch_bytes = std::size_t{scratch_vectors} * Config::lanes * sizeof(kq::Vector16);
  constexpr std::int64_t capacity = 4;
  const kq::detail::ReciprocalScale<kq::Fp8E4M3Fn> scale{0.3f, 448.0f};
  const auto quantizer = scale.quantizer();
  std::vector<std::uint64_t> slots(kq::GridReduceWorkspace::bytes(capacity) / sizeof(std::uint64_t));
  const kq::GridReduceWorkspace workspace{slots.data(), capacity};
  std::uint32_t seed = 1;
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    for (const std::int64_t programs :
         sanitized ? std::vector<std::int64_t>{3, 2} : std::vector<std::int64_t>{3, 1, 4, 2}) {
      const std::int64_t largest = Config::in_registers ? programs * Config::template capacity<kq::half> : 40000;
      for (const std::int64_t size : {std::int64_t{8}, std::int64_t{2048}, std::int64_t{6152}, largest}) {
        std::vector<kq::half> memory = random_halves(static_cast<std::size_t>(size) + 8, ++seed);
        const kq::Span<const kq::half> input{aligned(memory.data()), size};
        std::vector<std::uint64_t> words(static_cast<std::size_t>(size) / 8);
        auto* const codes = reinterpret_cast<std::uint8_t*>(words.data());
        const Extremes expected(input);
        std::vector<float> amaxes(static_cast<std::size_t>(programs));
        run_programs<Block, Config>(order, programs, scratch_bytes, [&](const auto& program) {
          auto part = program.load_partition(input, workspace, scratch_vectors);
          program.store(&amaxes[static_cast<std::size_t>(program.id())], program.reduce(kq::AbsMax{}, part));
          program.store(kq::Span<std::uint8_t>{codes, size}, kq::encode(part, scale));
        });
        EXPECT_EQ(amaxes, std::vector<float>(amaxes.size(), expected.amax)) << size << " of " << programs;
        for (std::int64_t i = 0; i < size; ++i) {
          ASSERT_EQ(codes[i], quantizer.code(kq::to_float(input.data[i]))) << i << " of " << size;
        }

        std::vector<float> ranges(2 * static_cast<std::size_t>(programs));
        run_programs<Block, Config>(order, programs, scratch_bytes, [&](const auto& program) {
          auto part = program.load_partition(input, workspace, scratch_vectors);
          const kq::Range range = program.reduce(kq::MinMax{}, part);
          float* const to = &ranges[2 * static_cast<std::size_t>(program.id())];
          program.store(to, range.min);
          program.store(to + 1, range.max);
        });
        for (std::size_t i = 0; i < ranges.size(); i += 2) {
          EXPECT_EQ(ranges[i], expected.min) << size << " of " << programs;
          EXPECT_EQ(ranges[i + 1], expected.max) << size << " of " << programs;
        }
      }
    }
  }
}

/// A lane hands over each of its vectors once and each chunk again, wherever it kept it, and who recomputes a program's
/// part reads what its lanes have.
TEST(ChunkPartition, HasEveryVectorOnceAndEveryChunkAgain) {
  using Config = kq::TileConfig<256, 2, true, 1024, true>;
  std::uint64_t slots[2 * 4] = {};
  const kq::GridReduceWorkspace workspace{slots, 4};
  for (const int count : {1, 3}) {
    for (const int scratch_chunks : {0, 1, 3}) {
      for (int rows = 0; rows <= 8; ++rows) {
        const auto chunks = static_cast<std::size_t>(count * rows * Config::lanes + 64);
        std::vector<kq::Vector16> tensor(2 * chunks);
        for (std::size_t i = 0; i < tensor.size(); ++i) {
          tensor[i].word[0] = static_cast<std::uint32_t>(i);
        }
        const kq::Span<const kq::half> span{reinterpret_cast<const kq::half*>(tensor.data()),
                                            static_cast<std::int64_t>(16 * chunks)};
        std::vector<int> read(tensor.size());
        std::vector<int> again(chunks);
        for (int id = 0; id < count; ++id) {
          std::vector<std::uint32_t> mine;
          std::vector<std::uint32_t> recomputed;
          std::vector<kq::Vector16> scratch(static_cast<std::size_t>(2 * scratch_chunks * Config::lanes + 1));
          for (int lane = 0; lane < Config::lanes; ++lane) {
            kq::ChunkPartition<kq::half, Config> part(span, id, count, lane, scratch.data(), scratch_chunks, workspace);
            part.read([&](const kq::Vector16& v) {
              ++read[v.word[0]];
              mine.push_back(v.word[0]);
            });
            part.for_each_chunk([&](const auto& chunk, int n) {
              EXPECT_EQ(chunk.vector(0).word[0], 2 * static_cast<std::uint32_t>(n));
              EXPECT_EQ(chunk.vector(1).word[0], 2 * static_cast<std::uint32_t>(n) + 1);
              ++again[static_cast<std::size_t>(n)];
            });
            if (lane > 0) continue;
            part.partition().read_all_of(id, [&](const kq::Vector16& v) { recomputed.push_back(v.word[0]); });
          }
          std::sort(mine.begin(), mine.end());
          std::sort(recomputed.begin(), recomputed.end());
          EXPECT_EQ(mine, recomputed);
        }
        EXPECT_EQ(read, std::vector<int>(read.size(), 1)) << rows << " rows of " << count;
        EXPECT_EQ(again, std::vector<int>(again.size(), 1)) << rows << " rows of " << count;
      }
    }
  }
}

template <class TestCase>
class SharedTensorOfGroups : public testing::Test {};

using SharedGroupCases = testing::Types<Case<Nvidia, kq::TileConfig<256, 2, true, 1024, true>>,
                                        Case<Rdna, kq::TileConfig<256, 2, true, 1024, true>>,
                                        Case<Cdna, kq::TileConfig<256, 2, true, 1024, true>>>;
TYPED_TEST_SUITE(SharedTensorOfGroups, SharedGroupCases);

/// Every program finds the tensor's amax and, with the scale that comes of it, scales and codes of its groups: of
/// chunks in registers, in scratch memory, and of those that are read again, one at a time and two; some lanes have
/// none.
TYPED_TEST(SharedTensorOfGroups, IsQuantizedByAllItsPrograms) {
  using Block = typename TypeParam::Block;
  using Config = typename TypeParam::Config;
  using Rule = kq::Nvfp4Rule<kq::half>;
  constexpr std::int64_t capacity = 4;
  std::vector<std::uint64_t> slots(kq::GridReduceWorkspace::bytes(capacity) / sizeof(std::uint64_t));
  const kq::GridReduceWorkspace workspace{slots.data(), capacity};
  const auto check = [&]<int GroupLanes>(std::integral_constant<int, GroupLanes>, LaneOrder order,
                                         std::int64_t programs, int scratch_chunks, std::int64_t size,
                                         std::int64_t group_size) {
    GroupOutput<Rule> output(size, group_size);
    const auto to = output.to();
    std::vector<float> amaxes(static_cast<std::size_t>(programs));
    const auto scratch_bytes = static_cast<std::size_t>(scratch_chunks) * 2 * Config::lanes * sizeof(kq::Vector16);
    run_programs<Block, Config>(order, programs, scratch_bytes, [&](const auto& program) {
      auto x = program.load_chunk_partition(output.input, workspace, scratch_chunks);
      const float amax = program.reduce(kq::AbsMax{}, x);
      const Rule rule(kq::Nvfp4Global{kq::nvfp4_global_scale(amax)});
      program.template store_groups<GroupLanes>(output.codes(), x, static_cast<int>(group_size / 16), rule,
                                                [&](std::int64_t group) { return to.at(group); });
      program.store(&amaxes[static_cast<std::size_t>(program.id())], amax);
    });
    const float amax = Extremes(output.input).amax;
    EXPECT_EQ(amaxes, std::vector<float>(amaxes.size(), amax)) << size << " of " << programs;
    output.expect(Rule(kq::Nvfp4Global{kq::nvfp4_global_scale(amax)}));
  };
  constexpr std::int64_t row = Config::template capacity<kq::half>;  // a chunk of each lane
  for (const LaneOrder order : {LaneOrder::forward, LaneOrder::backward}) {
    check(std::integral_constant<int, 1>(), order, 1, 0, 1024, 16);
    check(std::integral_constant<int, 1>(), order, 2, 1, 2 * 2 * row, 16);
    check(std::integral_constant<int, 0>(), order, 3, 2, 3 * 5 * row + 1024, 32);
    if (!sanitized) check(std::integral_constant<int, 1>(), order, 2, 3, 2 * 9 * row + 3 * 1024, 16);
  }
}

}  // namespace
}  // namespace kqbench::test
