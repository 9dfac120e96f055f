// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a device program does with a row whose values it makes first: maps of tiles that are aligned and in registers,
/// sums of squares, and the scales and codes of groups.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/chunk_partition.hpp"
#include "kq/device_chunk.hpp"
#include "kq/device_lanes.hpp"
#include "kq/device_tile.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"
#include "kq/vector_maxima.hpp"

namespace kq {

template <class Team, class Config, class Wave>
class DeviceRows : public DeviceLanes<Team, Config, Wave> {
 protected:
  using Lanes = DeviceLanes<Team, Config, Wave>;
  using Lanes::lane_;
  using Lanes::Lanes;
  using Lanes::wave_;

 public:
  /// The tile of function(x, y), elements of two tiles as floats, rounded to their type.
  template <class Element, class Function>
  KQ_HOST_DEVICE auto map(const Function& function, const DeviceTile<Element, Config>& x,
                          const DeviceTile<Element, Config>& y) const {
    return x.mapped([&](const Vector16& v, auto, int n) { return map_vector<Element>(function, v, y.held(n)); });
  }

  /// The tile of function(x, y), x an element of a tile and y that of an aligned span of as many elements. A vector of
  /// the span takes registers only while it is used: for what all programs read, which comes from the nearest cache.
  template <class Element, class Function>
  KQ_HOST_DEVICE auto map(const Function& function, const DeviceTile<Element, Config>& x, Span<const Element> y) const {
    const Element* const mine = y.data + x.begin();
    if constexpr (std::is_same_v<Element, half> && Config::vectors > 4) {
      // Compilers would load many vectors of halves at once, and save registers in memory for that. The test of `size`,
      // which no vector reaches, keeps them from it, and one is loaded ahead. Elsewhere the test only takes time:
      // 4096x8192 from bfloat16 behind rms_norm, static fp8, 28.0 µs, with it 28.7 (H200).
      using Tile = DeviceTile<Element, Config>;
      const int size = static_cast<int>(y.size);
      Vector16 ahead{};
      if (x.has(0)) ahead = arch::load16(mine);
      return x.mapped([&](const Vector16& v, int offset, int n) {
        const Vector16 u = ahead;
        if (n + 1 < Tile::room && x.has(n + 1)) ahead = arch::load16(mine + offset + Tile::row_size);
        if (offset >= size) return v;
        return map_vector<Element>(function, arch::unpacked_again(v), u);
      });
    } else {
      return x.mapped([&](const Vector16& v, int offset, int) {
        return map_vector<Element>(function, arch::unpacked_again(v), arch::load16(mine + offset));
      });
    }
  }

  /// What a map reads once a row has been reduced: loaded with the row, if that takes two vectors of a lane at most, so
  /// that nothing waits for it then; else where it lies in memory.
  template <class Element>
  KQ_HOST_DEVICE auto load_early(Span<const Element> span) const {
    if constexpr (Config::vectors <= 2) {
      return DeviceTile<Element, Config>(span, lane_);
    } else {
      return span;
    }
  }

  /// The sum of the squares of a row's elements, in the order of kq/producers.hpp.
  template <class Element>
  KQ_HOST_DEVICE double sum_of_squares(const DeviceTile<Element, Config>& row) const {
    return this->sum(sum_of_every<1>(0, row));
  }

  /// The sum of p(0) to p(count - 1) in the order of kq/producers.hpp. Waits as a load does.
  template <class Function>
  KQ_HOST_DEVICE double sum_vectors(std::int64_t count, const Function& p) const {
    arch::wait_for_prerequisite_grids();
    double sums[1];
    sum_by_halves(
        next_power_of_two((count + Config::lanes - 1) / Config::lanes),
        [&](std::int64_t n, double(&sum)[1]) {
          const std::int64_t i = lane_ + n * Config::lanes;
          sum[0] = i < count ? p(i) : 0.0;
        },
        sums);
    return this->sum(sums[0]);
  }

  /// The elements of a tile that is aligned and in registers.
  template <class Element>
  KQ_HOST_DEVICE void store(Span<Element> span, const DeviceTile<Element, Config>& tile) const {
    Element* const mine = span.data + tile.begin();
    tile.for_each([&](const Vector16& v, auto offset) { *reinterpret_cast<Vector16*>(mine + offset) = v; },
                  [](Element, auto) {});
  }

  /// Codes and scales of a chunk's groups. A group has `GroupLanes` consecutive lanes, a power of two, 32 at most, or
  /// `group_lanes` where that is 0. The scale of the group that begins at element i goes to scale_at(i).
  template <int GroupLanes, class Code, class Element, class Rule, class ScaleAt>
  KQ_HOST_DEVICE void store_groups(Span<Code> codes, const DeviceChunk<Element, Config>& chunk, int group_lanes,
                                   const Rule& rule, const ScaleAt& scale_at) const {
    using Reduction = typename Rule::Reduction;
    using Key = typename Reduction::Key;
    const int lanes = GroupLanes == 0 ? group_lanes : GroupLanes;
    Maxima<Reduction> maxima = chunk.template partial<Reduction>();
    for (float& value : maxima.value) {
      if constexpr (GroupLanes > 0) {
        value = max_over_lanes<GroupLanes, Key>(wave_, value);
      } else {
        for (int mask = lanes / 2; mask > 0; mask /= 2) {
          const float other = wave_.exchange(value, mask);
          value = Key::of(other) > Key::of(value) ? other : value;
        }
      }
    }
    const auto scale = rule.scale(Reduction::value(maxima.value));
    scale.quantizer().with_fast_path([&](const auto& quantizer) { chunk.store(codes, quantizer); });
    if (lane_ % lanes == 0 && !chunk.is_empty()) scale_at(chunk.begin()).write(scale);
  }

  /// The codes of a whole tensor's groups, and the scale of its i-th group to scale_at(i).
  template <int GroupLanes, class Code, class Element, class Rule, class ScaleAt>
  KQ_HOST_DEVICE void store_groups(Code* codes, const ChunkPartition<Element, Config>& part, int group_lanes,
                                   const Rule& rule, const ScaleAt& scale_at) const {
    const auto lanes = static_cast<unsigned>(GroupLanes == 0 ? group_lanes : GroupLanes);
    part.for_each_chunk([&](const DeviceChunk<Element, Config>& chunk, int number) {
      constexpr int size = DeviceChunk<Element, Config>::size;
      store_groups<GroupLanes>(Span<Code>{element_address(codes, std::int64_t{number} * size), size}, chunk,
                               group_lanes, rule, [&](int) { return scale_at(static_cast<unsigned>(number) / lanes); });
    });
  }

  /// Codes and scales of a tile's groups. A group is a vector of each of `group_lanes` consecutive lanes: a power of
  /// two, at least as many as a lane has vectors, 32 at most. codes[i] = the code of element i; the scale of the group
  /// that begins at element i goes to scale_at(i). The tile is aligned and in registers.
  template <class Code, class Element, class Rule, class ScaleAt>
  KQ_HOST_DEVICE void store_groups(Span<Code> codes, const DeviceTile<Element, Config>& tile, int group_lanes,
                                   const Rule& rule, const ScaleAt& scale_at) const {
    constexpr int width = vector_width<Element>;
    constexpr int room = DeviceTile<Element, Config>::room;
    constexpr int in_wave = Config::lanes < Wave::size ? Config::lanes : Wave::size;
    VectorMaxima<Element, room> maxima;
    KQ_UNROLL
    for (int n = 0; n < room; ++n) {
      tile.has(n) ? maxima.set(n, tile.held(n)) : maxima.set_none(n);
    }
    for (int mask = group_lanes / 2; mask > 0; mask /= 2) {
      maxima.combine([&](float x) { return wave_.exchange(x, mask); });
    }

    // These lanes share as many groups as each has vectors: the n-th lane among them makes the n-th group's scale.
    const int mine = lane_ % group_lanes;
    const float my_amax = maxima.at(mine);
    const float my_scale = rule.scale_of_amax(my_amax);
    if (mine < room && tile.has(mine)) {
      const int first = static_cast<int>(tile.begin()) + mine * (Config::lanes - 1) * width;
      scale_at(first).write(rule.with_scale(my_amax, my_scale));
    }

    // All lanes of a wave take the same branch, since they exchange scales in it.
    float greatest = maxima.greatest();
    for (int mask = group_lanes; mask < in_wave; mask *= 2) {
      greatest = arch::max_number(greatest, wave_.exchange(greatest, mask));
    }
    const CodeVectors<Element, Code, Config> to(element_address(codes.data, tile.begin()));
    const auto store_by = [&](const auto& quantizer_of) {
      tile.for_each_held([&](const Vector16& v, auto offset, int n, bool here) {
        const auto quantizer = quantizer_of(n, wave_.from_lane(my_scale, n, group_lanes));
        if (!here) return;
        CodePack<Code, width> pack;
        quantize_vector<Element>(v, quantizer, pack);
        to.store(offset, pack);
      });
    };
    if (rule.has_fast_quantizer(greatest)) {
      store_by([&](int, float scale) { return rule.fast_quantizer(scale); });
    } else {
      store_by([&](int n, float scale) { return rule.with_scale(maxima[n], scale).quantizer(); });
    }
  }

 private:
  /// The sum by halves of the squares of this lane's vectors first, first + Step, first + 2 * Step, and so on, Step a
  /// power of two. One after the other, so that few sums take registers at once.
  template <int Step, class Element>
  KQ_HOST_DEVICE static double sum_of_every(int first, const DeviceTile<Element, Config>& row) {
    constexpr int room = DeviceTile<Element, Config>::room;
    if constexpr (Step < static_cast<int>(next_power_of_two(room))) {
      const double sum = sum_of_every<2 * Step>(first, row);
      return first + Step < room ? sum + sum_of_every<2 * Step>(first + Step, row) : sum;
    } else {
      if (!row.has(first)) return 0.0;
      float x[vector_width<Element>];
      unpack_vector<Element>(row.held(first), x);
      if constexpr (arch::is_device && std::is_same_v<Element, half>) return sum_of_half_squares(x);
      return kq::sum_of_squares(x);
    }
  }
};

}  // namespace kq
