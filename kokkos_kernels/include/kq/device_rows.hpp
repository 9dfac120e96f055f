// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What a device program does with a row whose values it makes first: maps of tiles that are aligned and in registers,
/// sums of squares, and the scales and codes of groups.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/device_chunk.hpp"
#include "kq/device_lanes.hpp"
#include "kq/device_tile.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

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
    return x.combined(y, [&](const Vector16& v, const Vector16& u) {
      Vector16 mapped;
      KQ_UNROLL
      for (int quarter = 0; quarter < vector_width<Element> / 4; ++quarter) {
        float a[4];
        float b[4];
        unpack4<Element>(v, quarter, a);
        unpack4<Element>(u, quarter, b);
        KQ_UNROLL
        for (int i = 0; i < 4; ++i) {
          a[i] = function(a[i], b[i]);
        }
        pack4<Element>(a, quarter, mapped);
      }
      return mapped;
    });
  }

  /// The sum of the squares of a row's elements, in the order of kq/producers.hpp.
  template <class Element>
  KQ_HOST_DEVICE double sum_of_squares(const DeviceTile<Element, Config>& row) const {
    constexpr int power = static_cast<int>(next_power_of_two(DeviceTile<Element, Config>::room));
    double sums[power] = {};
    row.for_each_held([&](const Vector16& v, auto, int n, bool here) {
      float x[vector_width<Element>];
      unpack_vector<Element>(v, x);
      if (here) sums[n] = kq::sum_of_squares(x);
    });
    return this->sum(sum_over_halves(sums));
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

  /// Codes and scales of a chunk's groups, each of `GroupLanes` consecutive lanes, a power of two, 32 at most; with 0,
  /// of `group_lanes`. scale_at(i) is where the scale of the group goes that begins at element i.
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

  /// Codes and scales of a tile's groups, each of `group_lanes` consecutive lanes' vectors: a power of two, at least as
  /// many as a lane has vectors, 32 at most. codes[i] = the code of element i, and scale_at(i) is where the scale of
  /// the group goes that begins at element i. The tile is aligned and in registers.
  template <class Code, class Element, class Rule, class ScaleAt>
  KQ_HOST_DEVICE void store_groups(Span<Code> codes, const DeviceTile<Element, Config>& tile, int group_lanes,
                                   const Rule& rule, const ScaleAt& scale_at) const {
    using Tile = DeviceTile<Element, Config>;
    // The lanes of a group find the amax of each of their vectors' groups, and then one scale each, all at once.
    float amax[Tile::room];
    const int mine = lane_ % group_lanes;
    float my_amax = 0.0f;
    std::int64_t my_group = -1;
    tile.for_each_held([&](const Vector16& v, auto offset, int n, bool here) {
      AbsMax::Fold<Element> fold;
      if (here) fold.add(v);
      amax[n] = Maxima<AbsMax>::of(fold).value[0];
      for (int mask = group_lanes / 2; mask > 0; mask /= 2) {
        amax[n] = arch::max_number(amax[n], wave_.exchange(amax[n], mask));
      }
      if (mine == n) {
        my_amax = amax[n];
        if (here) my_group = tile.begin() - mine * vector_width<Element> + offset;
      }
    });
    const float my_scale = rule.scale_of_amax(my_amax);
    if (my_group >= 0) scale_at(my_group).write(rule.with_scale(my_amax, my_scale));

    const CodeVectors<Element, Code, Config> to(element_address(codes.data, tile.begin()));
    tile.for_each_held([&](const Vector16& v, auto offset, int n, bool here) {
      const auto scale = rule.with_scale(amax[n], wave_.from_lane(my_scale, n, group_lanes));
      if (!here) return;
      scale.quantizer().with_fast_path([&](const auto& quantizer) {
        CodePack<Code, vector_width<Element>> pack;
        quantize_vector<Element>(v, quantizer, pack);
        to.store(offset, pack);
      });
    });
  }
};

}  // namespace kq
