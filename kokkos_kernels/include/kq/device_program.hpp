// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A program on a device, seen by one of its lanes.

#include <bit>
#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/block_tile.hpp"
#include "kq/column_maxima.hpp"
#include "kq/cooperative_partition.hpp"
#include "kq/device_tile.hpp"
#include "kq/encoded.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/tile_config.hpp"
#include "kq/vector.hpp"

namespace kq {

template <class Team, class Config, class Wave = kq::Wave>
class DeviceProgram {
 public:
  KQ_HOST_DEVICE DeviceProgram(const Team& team, std::int64_t id, std::int64_t count, const Wave& wave = {})
      : team_(team),
        wave_(wave),
        id_(id),
        count_(count),
        lane_(static_cast<int>(static_cast<unsigned>(team.team_rank()) % Config::lanes)) {
    if constexpr (scratch_bytes > 0) slots_ = static_cast<float*>(team.team_scratch(0).get_shmem(int{scratch_bytes}));
  }

  /// Team scratch memory that a program needs.
  static constexpr int scratch_bytes = !Config::is_team ? 0 : 4 * Config::lanes / 32 * int{sizeof(float)};

  /// What sums over the lanes take beside it, once for each that a kernel has.
  static constexpr int sum_scratch_bytes = Config::is_team ? Config::lanes * int{sizeof(double)} : 0;

  KQ_HOST_DEVICE std::int64_t id() const { return id_; }        ///< which program this is
  KQ_HOST_DEVICE std::int64_t count() const { return count_; }  ///< of how many

  // --- loads: what a program does first, and so where it waits for the launches before its own

  template <class Element>
  KQ_HOST_DEVICE auto load(Span<const Element> span) const {
    return DeviceTile<Element, Config>(span, lane_);
  }

  template <class Element>
  KQ_HOST_DEVICE auto load(const Block<const Element>& block) const {
    return DeviceBlockTile<Element, Config>(block, lane_);
  }

  /// This program's part of a tensor that all programs hold together: in registers if the configuration has some, else
  /// `scratch_vectors` of each lane in scratch memory.
  template <class Element>
  KQ_HOST_DEVICE auto load_partition(Span<const Element> tensor, const GridReduceWorkspace& workspace,
                                     [[maybe_unused]] int scratch_vectors) const {
    arch::wait_for_prerequisite_grids();
    if constexpr (Config::in_registers) {
      return RegisterPartition<Element, Config>(tensor, id_, count_, lane_, workspace);
    } else {
      constexpr int vector_row = Config::lanes * int{sizeof(Vector16)};
      void* const scratch = team_.team_scratch(0).get_shmem_aligned(scratch_vectors * vector_row, 16);
      return CachedPartition<Element, Config>(tensor, id_, count_, lane_, scratch, scratch_vectors, workspace);
    }
  }

  // --- reductions: AbsMax, AbsMaxOrNan or MinMax (kq/reduce.hpp)

  /// The reduction of a tile.
  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce(Reduction, const DeviceTile<Element, Config>& tile) const {
    return Reduction::value(reduce(partial(Reduction{}, tile)).value);
  }

  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce(Reduction, const DeviceBlockTile<Element, Config>& tile) const {
    return Reduction::value(reduce(tile.template partial<Reduction>()).value);
  }

  /// Of each column of a block, of DeviceColumnMaxima::capacity columns at most.
  template <class Reduction, class Element>
  KQ_HOST_DEVICE auto reduce_columns(Reduction, const Block<const Element>& block) const {
    return DeviceColumnMaxima<Reduction, Element, Config>(block, lane_);
  }

  /// The reduction of a whole tensor, of which every program holds a part.
  template <class Reduction, template <class, class> class Partition, class Element>
  KQ_HOST_DEVICE auto reduce(Reduction, Partition<Element, Config>& part) const {
    return Reduction::value(reduce_over_grid<Reduction, Element>(part).value);
  }

  /// What this lane finds in a tile: of a reduction over several tiles, which ends in a reduce().
  template <class Reduction, class Element>
  KQ_HOST_DEVICE Maxima<Reduction> partial(Reduction, const DeviceTile<Element, Config>& tile) const {
    typename Reduction::template Fold<Element> fold;
    tile.for_each([&](const Vector16& v, std::int64_t) { fold.add(v); }, [&](Element x, std::int64_t) { fold.add(x); });
    return Maxima<Reduction>::of(fold);
  }

  /// The maxima of all lanes.
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> reduce(Maxima<Reduction> maxima) const {
    max_over_program<typename Reduction::Key>(maxima.value);
    return maxima;
  }

  /// What programs have left in memory: `count` values, 1 or more, of the k-th maximum at values + k * count; none NaN.
  template <class Reduction>
  KQ_HOST_DEVICE auto reduce_stored(Reduction, const float* values, std::int64_t count) const {
    arch::wait_for_prerequisite_grids();
    Maxima<Reduction> maxima;
    for (int k = 0; k < Reduction::count; ++k) {
      for (std::int64_t i = lane_; i < count; i += Config::lanes) {
        maxima.value[k] = arch::max_number(maxima.value[k], values[k * count + i]);
      }
    }
    return Reduction::value(reduce(maxima).value);
  }

  // --- maps of tiles that are aligned and in registers

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
    return sum(sum_over_halves(sums));
  }

  // --- rows of vectors, of which the lanes take one after the other (kq/producers.hpp)

  /// function(i) for i in [0, count), each by one lane. Waits as a load does.
  template <class Function>
  KQ_HOST_DEVICE void for_each_vector(std::int64_t count, const Function& function) const {
    for_each_index(count, function);
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
    return sum(sums[0]);
  }

  // --- stores

  /// codes[i] = the code of tile element i.
  template <class Code, class Tile, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const Encoded<Tile, Quantizer>& encoded) const {
    encoded.quantizer.with_fast_path([&](const auto& quantizer) { store_by(codes, encoded.tile, quantizer); });
  }

  template <class Code, class Element, class Quantizer>
  KQ_HOST_DEVICE void store(const Block<Code>& codes,
                            const Encoded<const DeviceBlockTile<Element, Config>, Quantizer>& encoded) const {
    encoded.quantizer.with_fast_path([&](const auto& quantizer) { encoded.tile.store(codes, quantizer); });
  }

  /// codes[i] = the code of tile element i, each by a quantizer of its own: quantizer_of(i).
  template <class Element, class Code, class QuantizerOf>
  KQ_HOST_DEVICE void store(Span<Code> codes,
                            const EncodedEach<DeviceTile<Element, Config>, QuantizerOf>& encoded) const {
    encoded.tile.store_each(codes, encoded.quantizer_of);
  }

  /// The elements of a tile that is aligned and in registers.
  template <class Element>
  KQ_HOST_DEVICE void store(Span<Element> span, const DeviceTile<Element, Config>& tile) const {
    Element* const mine = span.data + tile.begin();
    tile.for_each([&](const Vector16& v, auto offset) { *reinterpret_cast<Vector16*>(mine + offset) = v; },
                  [](Element, auto) {});
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

    const CodeVectors<Element, Code, Config> to(codes.data + tile.begin());
    tile.for_each_held([&](const Vector16& v, auto offset, int n, bool here) {
      const auto scale = rule.with_scale(amax[n], wave_.from_lane(my_scale, n, group_lanes));
      if (!here) return;
      scale.quantizer().with_fast_path([&](const auto& quantizer) {
        std::uint32_t words[vector_width<Element> / 4];
        quantize_vector<Element>(v, quantizer, words);
        to.store(offset, words);
      });
    });
  }

  /// A span's scale, and its zero point if it has one, to where `slot` says.
  template <class Slot, class Scale>
  KQ_HOST_DEVICE void store(const Slot& slot, const Scale& scale) const requires requires {
    slot.write(scale);
  }
  {
    if (lane_ == 0) slot.write(scale);
  }

  template <class Reduction, class Element>
  KQ_HOST_DEVICE void store(const ColumnMaximaSlots& slots,
                            const DeviceColumnMaxima<Reduction, Element, Config>& maxima) const {
    maxima.store(slots, lane_);
  }

  /// function(i) for i in [0, count), each by one lane.
  template <class Function>
  KQ_HOST_DEVICE void for_each_index(std::int64_t count, const Function& function) const {
    arch::wait_for_prerequisite_grids();
    for (std::int64_t i = lane_; i < count; i += Config::lanes) {
      function(i);
    }
  }

  /// A float of the whole program. Waits: a program may have loaded nothing before.
  KQ_HOST_DEVICE void store(float* address, float value) const {
    arch::wait_for_prerequisite_grids();
    if (lane_ == 0) *address = value;
  }

 private:
  static constexpr int max_values = 2;  ///< that are reduced at once
  static constexpr int slots_per_value =
      Config::lanes / 32;  ///< one for each wave of 32 lanes, and one to spare for each of 64

  static constexpr int max_polls = 1 << 14;  ///< of another's slot, before its maxima are recomputed: some milliseconds

  /// The greatest of each value over the whole program.
  template <class Key, int Count>
  KQ_HOST_DEVICE void max_over_program(float (&value)[Count]) const {
    constexpr int in_wave = Config::is_team ? Wave::size : Config::lanes;
    for (int k = 0; k < Count; ++k) {
      value[k] = max_over_lanes<in_wave, Key>(wave_, value[k]);
    }
    if constexpr (Config::is_team) {
      // Two sets of slots alternate, so that one barrier is enough. Lanes beyond the waves read slots again.
      static_assert(Count <= max_values);
      constexpr int waves = Config::lanes / Wave::size;
      constexpr int lanes_that_compare = Wave::has_max ? Wave::size : waves;
      float* const slots = slots_ + (reductions_++ % 2) * max_values * slots_per_value;
      for (int k = 0; k < Count; ++k) {
        if (lane_ % Wave::size == 0) slots[k * slots_per_value + lane_ / Wave::size] = value[k];
      }
      team_.team_barrier();
      for (int k = 0; k < Count; ++k) {
        value[k] = max_over_lanes<lanes_that_compare, Key>(wave_, slots[k * slots_per_value + lane_ % waves]);
      }
    }
  }

  /// The sum over the lanes, from the highest bit of their number down. A team has room for a double of each lane in
  /// scratch memory (sum_scratch_bytes): its first wave adds up all waves, and tells the others.
  KQ_HOST_DEVICE double sum(double value) const {
    if constexpr (Config::is_team) {
      auto* const slots = static_cast<double*>(team_.team_scratch(0).get_shmem_aligned(int{sum_scratch_bytes}, 8));
      slots[lane_] = value;
      team_.team_barrier();
      if (lane_ < Wave::size) {
        double held[Config::lanes / Wave::size];
        KQ_UNROLL
        for (int wave = 0; wave < Config::lanes / Wave::size; ++wave) {
          held[wave] = slots[wave * Wave::size + lane_];
        }
        value = sum_over_wave<Wave::size>(sum_over_halves(held));
        if (lane_ == 0) slots[0] = value;
      }
      team_.team_barrier();
      return slots[0];
    } else {
      return sum_over_wave<Config::lanes>(value);
    }
  }

  template <int Lanes>
  KQ_HOST_DEVICE double sum_over_wave(double value) const {
    KQ_UNROLL
    for (int mask = Lanes / 2; mask > 0; mask /= 2) {
      value += exchange(value, mask);
    }
    return value;
  }

  KQ_HOST_DEVICE double exchange(double value, int mask) const {
    const auto bits = std::bit_cast<std::uint64_t>(value);
    const float low = wave_.exchange(bits_float(static_cast<std::uint32_t>(bits)), mask);
    const float high = wave_.exchange(bits_float(static_cast<std::uint32_t>(bits >> 32)), mask);
    return std::bit_cast<double>(std::uint64_t{float_bits(high)} << 32 | float_bits(low));
  }

  /// Reads a part for the first time, and combines what all programs find in theirs.
  template <class Reduction, class Element, class Partition>
  KQ_HOST_DEVICE Maxima<Reduction> reduce_over_grid(Partition& part) const {
    using Fold = typename Reduction::template Fold<Element>;
    Fold fold;
    part.read([&](const Vector16& v) { fold.add(v); });
    arch::launch_dependent_grids();
    Maxima<Reduction> maxima = reduce(Maxima<Reduction>::of(fold));
    if (Config::in_registers && count_ == 1) return maxima;
    part.grid_reduce().publish(id_, count_, lane_, Config::lanes, maxima.value);
    for (std::int64_t other = lane_; other < count_; other += Config::lanes) {
      Maxima<Reduction> theirs;
      if (!part.grid_reduce().await(other, max_polls, theirs.value)) {
        Fold missing;
        part.partition().read_all_of(other, [&](const Vector16& v) { missing.add(v); });
        theirs = Maxima<Reduction>::of(missing);
      }
      maxima.add(theirs);
    }
    return reduce(maxima);
  }

  template <class Code, template <class, class> class Tile, class Element, class Quantizer>
  KQ_HOST_DEVICE void store_by(Span<Code> codes, Tile<Element, Config>& tile, const Quantizer& quantizer) const {
    using Codes = CodeVectors<Element, Code, Config, Tile<Element, Config>::reads_again>;
    const Codes mine(codes.data + tile.begin());
    tile.for_each(
        [&](const Vector16& v, std::int64_t offset) {
          std::uint32_t words[vector_width<Element> / 4];
          quantize_vector<Element>(v, quantizer, words);
          mine.store(offset, words);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer.code(to_float(x)); });
  }
  template <class Code, template <class, class> class Tile, class Element, class Quantizer>
  KQ_HOST_DEVICE void store_by(Span<Code> codes, const Tile<Element, Config>& tile, const Quantizer& quantizer) const {
    store_by(codes, const_cast<Tile<Element, Config>&>(tile), quantizer);
  }

  const Team& team_;
  [[no_unique_address]] Wave wave_;
  std::int64_t id_;
  std::int64_t count_;
  int lane_;
  float* slots_ = nullptr;
  mutable int reductions_ = 0;
};

}  // namespace kq
