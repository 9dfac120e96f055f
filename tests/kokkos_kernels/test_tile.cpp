// SPDX-License-Identifier: Apache-2.0

// The device half of the tile layer, run on a host: its loads, partial folds and stores have no exchange between lanes,
// so the lanes of a program can take their turns one after the other. What lanes exchange through a wave and a team is
// tested with the backends on a device.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "kq/numerics.hpp"
#include "kq/scale_rules.hpp"
#include "kq/tile.hpp"

namespace {

/// What a program asks of its team until the first reduction.
struct LoneLane {
  int lane;
  int team_rank() const { return lane; }
  const LoneLane& team_scratch(int) const { return *this; }
  void* get_shmem(int) const { return nullptr; }
  void team_barrier() const { FAIL() << "a lone lane cannot wait for others"; }
};

template <class Element>
Element element(float value);
template <>
float element<float>(float value) {
  return value;
}
template <>
kq::half element<kq::half>(float value) {
  return kq::to_half(value);
}
template <>
kq::bfloat16 element<kq::bfloat16>(float value) {
  return kq::to_bfloat16(value);
}

template <class ElementType, class ShapeType>
struct Case {
  using Element = ElementType;
  using Config = ShapeType;
};

template <class TestCase>
class DeviceTileTest : public testing::Test {
 protected:
  using Input = typename TestCase::Element;
  using Layout = typename TestCase::Config;

  /// Calls function(program) for every lane of program `id`.
  template <class Function>
  static void for_each_lane(const Function& function) {
    for (int lane = 0; lane < Layout::lanes; ++lane) {
      const LoneLane team{lane};
      function(kq::DeviceProgram<LoneLane, Layout>(team, 0, 1));
    }
  }

  /// Sizes around every boundary: nothing, an edge alone, whole vectors, a full tile.
  static std::vector<std::int64_t> sizes() {
    constexpr std::int64_t width = kq::vector_width<Input>;
    const std::int64_t full = Layout::in_registers ? Layout::template capacity<Input> : 3 * Layout::lanes * width + 5;
    std::vector<std::int64_t> sizes{1, 2, width - 1, width, width + 1, 2 * width + 3, 16 * width};
    for (const std::int64_t size : {full / 2 + 1, full - width, full - 1, full}) {
      sizes.push_back(size);
    }
    std::erase_if(sizes, [&](std::int64_t size) { return size < 1 || size > full; });
    return sizes;
  }
};

using Cases = testing::Types<Case<kq::half, kq::TileConfig<8, 1>>, Case<kq::half, kq::TileConfig<4, 4>>,
                             Case<kq::half, kq::TileConfig<32, 4>>, Case<kq::half, kq::TileConfig<256, 2>>,
                             Case<kq::half, kq::TileConfig<512, 6>>, Case<kq::half, kq::TileConfig<512, 8>>,
                             Case<kq::half, kq::TileConfig<32, 0>>, Case<kq::bfloat16, kq::TileConfig<8, 4>>,
                             Case<kq::bfloat16, kq::TileConfig<256, 1>>, Case<float, kq::TileConfig<8, 1>>,
                             Case<float, kq::TileConfig<8, 4>>, Case<float, kq::TileConfig<256, 4>>,
                             Case<float, kq::TileConfig<512, 0>>>;
TYPED_TEST_SUITE(DeviceTileTest, Cases);

/// Every element of a span reaches exactly one lane, wherever in memory the span begins.
TYPED_TEST(DeviceTileTest, CoversEveryElementOnce) {
  using Element = typename TypeParam::Element;
  using Config = typename TypeParam::Config;
  constexpr int width = kq::vector_width<Element>;
  for (const std::int64_t size : this->sizes()) {
    for (int offset = 0; offset < width; ++offset) {
      std::vector<Element> memory(static_cast<std::size_t>(size + width));
      const kq::Span<const Element> span{memory.data() + offset, size};
      std::vector<int> seen(static_cast<std::size_t>(size));
      for (int lane = 0; lane < Config::lanes; ++lane) {
        const kq::DeviceTile<Element, Config> tile(span, lane);
        tile.for_each(
            [&](const kq::Vector16&, std::int64_t behind) {
              const std::int64_t begin = tile.begin() + behind;
              ASSERT_EQ(reinterpret_cast<std::uintptr_t>(span.data + begin) % 16, 0u);
              for (int i = 0; i < width; ++i) {
                ++seen.at(static_cast<std::size_t>(begin + i));
              }
            },
            [&](Element, std::int64_t index) { ++seen.at(static_cast<std::size_t>(index)); });
      }
      ASSERT_EQ(seen, std::vector<int>(seen.size(), 1)) << "size " << size << ", offset " << offset;
    }
  }
}

/// Partial extremes, combined over the lanes, leave NaN out and miss nothing.
TYPED_TEST(DeviceTileTest, FoldsMatchAPlainLoop) {
  using Element = typename TypeParam::Element;
  constexpr int width = kq::vector_width<Element>;
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  for (const std::int64_t size : this->sizes()) {
    for (const int offset : {0, 1, width - 1}) {
      std::vector<Element> memory(static_cast<std::size_t>(size + width));
      for (auto& x : memory) {
        x = element<Element>(random() % 5 == 0 ? std::numeric_limits<float>::quiet_NaN() : normal(random));
      }
      const kq::Span<const Element> span{memory.data() + offset, size};
      float amax = 0.0f;
      float min = std::numeric_limits<float>::infinity();
      float max = -min;
      for (std::int64_t i = 0; i < size; ++i) {
        const float x = kq::to_float(span.data[i]);
        if (std::isnan(x)) continue;
        amax = std::max(amax, std::fabs(x));
        min = std::min(min, x);
        max = std::max(max, x);
      }
      float folded_amax = 0.0f;
      kq::Range folded{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};
      this->for_each_lane([&](const auto& program) {
        const auto tile = program.load(span);
        folded_amax = std::max(folded_amax, kq::AbsMax::value(program.partial(kq::AbsMax{}, tile).value));
        const kq::Range partial = kq::MinMax::value(program.partial(kq::MinMax{}, tile).value);
        folded = {std::min(folded.min, partial.min), std::max(folded.max, partial.max)};
      });
      EXPECT_EQ(folded_amax, amax) << "size " << size << ", offset " << offset;
      EXPECT_EQ(folded.min, min) << "size " << size << ", offset " << offset;
      EXPECT_EQ(folded.max, max) << "size " << size << ", offset " << offset;
    }
  }
}

/// Codes are written for every element, at every mutual alignment of input and output, and nowhere else.
TYPED_TEST(DeviceTileTest, StoresEveryCodeAndNothingElse) {
  using Element = typename TypeParam::Element;
  constexpr int width = kq::vector_width<Element>;
  std::mt19937 random(11);
  std::normal_distribution<float> normal(0.0f, 100.0f);
  const kq::detail::ReciprocalScale<kq::Fp8E4M3Fn> scale{1.25f, 448.0f};
  const auto quantizer = scale.quantizer();
  for (const std::int64_t size : this->sizes()) {
    for (const int offset : {0, 1, width - 1}) {
      for (const int codes_offset : {0, 1, 3, 4}) {
        std::vector<Element> memory(static_cast<std::size_t>(size + width));
        for (auto& x : memory) {
          x = element<Element>(normal(random));
        }
        const kq::Span<const Element> span{memory.data() + offset, size};
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(size + 16), 0xa5);
        std::vector<std::uint8_t> each = codes;
        std::vector<std::uint8_t> expected = codes;
        for (std::int64_t i = 0; i < size; ++i) {
          expected[static_cast<std::size_t>(i + codes_offset)] = quantizer.code(kq::to_float(span.data[i]));
        }
        this->for_each_lane([&](const auto& program) {
          const auto tile = program.load(span);
          program.store(kq::Span<std::uint8_t>{codes.data() + codes_offset, size}, kq::encode(tile, scale));
          program.store(kq::Span<std::uint8_t>{each.data() + codes_offset, size},
                        kq::encode_each(tile, [&](std::int64_t) { return scale; }));
        });
        ASSERT_EQ(codes, expected) << "size " << size << ", offsets " << offset << " and " << codes_offset;
        ASSERT_EQ(each, expected) << "size " << size << ", offsets " << offset << " and " << codes_offset;
      }
    }
  }
}

}  // namespace
