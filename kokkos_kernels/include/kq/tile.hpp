// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tile layer: kernels in Triton's manner on Kokkos.
///
/// A kernel is a functor called once for each *program*. A program works on whole spans of memory, with no thread index
/// in sight:
///
///     const auto x = program.load(input.row(program.id()));            // a tile
///     const float amax = program.abs_max(x);                     // a reduction over it
///     program.store(codes.row(program.id()), x, quantizer);            // a map over it, stored
///
/// On a GPU a program is a team, or a part of a wave, and a tile lies in registers as 16-byte vectors; a span that is
/// longer than its shape's registers is read again from memory instead. On a host a program is one thread and a tile is
/// a loop that the compiler vectorizes. `launch` in kokkos_kernels/src/launch.hpp chooses.
///
/// Where one scale serves the whole tensor, a tile is the program's part of it and a reduction goes over all programs:
///
///     auto x = program.partition(input, grid_reduce, scratch_vectors);
///     const float amax = program.abs_max(x);

#include <algorithm>
#include <cstdint>

#include "kq/config.hpp"
#include "kq/cooperative_partition.hpp"
#include "kq/device.hpp"
#include "kq/device_tile.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/host.hpp"
#include "kq/numerics.hpp"
#include "kq/span.hpp"

namespace kq {

// --- on a device -----------------------------------------------------------------------------------------------------

/// One program on a device, seen by one of its lanes.
template <class Team, class Config, class Wave = device::Wave>
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

  KQ_HOST_DEVICE std::int64_t id() const { return id_; }        ///< which program this is
  KQ_HOST_DEVICE std::int64_t count() const { return count_; }  ///< of how many

  template <class Element>
  KQ_HOST_DEVICE auto load(Span<const Element> span) const {
    return DeviceTile<Element, Config>(span, lane_);
  }

  /// This program's partition of what all programs hold together: in registers, if the shape has some; else
  /// `scratch_vectors` of each lane's may stay in scratch memory.
  template <class Element>
  KQ_HOST_DEVICE auto partition(Span<const Element> span, const GridReduceWorkspace& grid_reduce,
                                [[maybe_unused]] int scratch_vectors) const {
    if constexpr (Config::in_registers) {
      return RegisterPartition<Element, Config>(span, id_, count_, lane_, grid_reduce);
    } else {
      constexpr int vector_row = Config::lanes * int{sizeof(device::Vector16)};
      void* const scratch = team_.team_scratch(0).get_shmem_aligned(scratch_vectors * vector_row, 16);
      return CachedPartition<Element, Config>(span, id_, count_, lane_, scratch, scratch_vectors, grid_reduce);
    }
  }

  /// max |x| over a tile; NaN is left out, 0 where nothing is left.
  template <class Element>
  KQ_HOST_DEVICE float abs_max(const DeviceTile<Element, Config>& tile) const {
    return max_over_program<device::AbsMaxKey>(partial_abs_max(tile));
  }

  /// min and max over a tile; NaN is left out, min > max where nothing is left.
  template <class Element>
  KQ_HOST_DEVICE Range range(const DeviceTile<Element, Config>& tile) const {
    const Range partial = partial_range(tile);
    float value[2] = {-partial.min, partial.max};
    max_over_program<device::OrderedKey>(value);
    return {-value[0], value[1]};
  }

  /// The same over all programs' shares of a tensor.
  template <template <class, class> class Partition, class Element>
  KQ_HOST_DEVICE float abs_max(Partition<Element, Config>& partition) const {
    float value[1];
    find_extremes<device::AbsMaxFold<Element>>(partition, value);
    return value[0];
  }
  template <template <class, class> class Partition, class Element>
  KQ_HOST_DEVICE Range range(Partition<Element, Config>& partition) const {
    float value[2];
    find_extremes<device::RangeFold<Element>>(partition, value);
    return {-value[0], value[1]};
  }

  // For a reduction over several tiles: partial values, which are combined tile after tile and then once by max().

  /// A partial max |x|.
  template <class Element>
  KQ_HOST_DEVICE float partial_abs_max(const DeviceTile<Element, Config>& tile) const {
    device::AbsMaxFold<Element> fold;
    tile.for_each([&](const device::Vector16& v, std::int64_t) { fold.add(v); },
                  [&](Element x, std::int64_t) { fold.add(x); });
    return fold.abs_max();
  }

  /// A partial min and max.
  template <class Element>
  KQ_HOST_DEVICE Range partial_range(const DeviceTile<Element, Config>& tile) const {
    device::RangeFold<Element> fold;
    tile.for_each([&](const device::Vector16& v, std::int64_t) { fold.add(v); },
                  [&](Element x, std::int64_t) { fold.add(x); });
    return {fold.min(), fold.max()};
  }

  /// The greatest of a partial value over the whole program.
  KQ_HOST_DEVICE float max(float partial) const { return max_over_program<device::OrderedKey>(partial); }

  /// codes[i] = quantizer.code(x[i]) over a tile.
  template <class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const DeviceTile<Element, Config>& tile,
                            const Quantizer& quantizer) const {
    quantizer.with_fast_path([&](const auto& fastest) { store_by<Element>(codes, tile, fastest); });
  }
  /// The same over a partition, whose programs store a tensor's codes together.
  template <template <class, class> class Partition, class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, Partition<Element, Config>& partition, const Quantizer& quantizer) const {
    quantizer.with_fast_path([&](const auto& fastest) { store_by<Element>(codes, partition, fastest); });
  }

  /// codes[i] = quantizer_of(i).code(x[i]): every element with a quantizer of its own.
  template <class Element, class Code, class QuantizerOf>
  KQ_HOST_DEVICE void store_each(Span<Code> codes, const DeviceTile<Element, Config>& tile,
                                 const QuantizerOf& quantizer_of) const {
    constexpr int width = device::width<Element>;
    const CodeVectors<Element, Code> mine(codes.data + tile.begin());
    tile.for_each(
        [&](const device::Vector16& v, std::int64_t offset) {
          std::uint32_t words[width / 4];
          KQ_UNROLL
          for (int quarter = 0; quarter < width / 4; ++quarter) {
            const std::int64_t i = tile.begin() + offset + 4 * quarter;
            const decltype(quantizer_of(i)) quantizers[4] = {quantizer_of(i), quantizer_of(i + 1), quantizer_of(i + 2),
                                                             quantizer_of(i + 3)};
            float x[4];
            device::unpack4<Element>(v, quarter, x);
            words[quarter] = codes4_each(quantizers, x, device::signs4<Element>(v, quarter));
          }
          mine.store(offset, words);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer_of(index).code(to_float(x)); });
  }

  /// One value of the whole program to memory.
  template <class T>
  KQ_HOST_DEVICE void store(T* address, T value) const {
    if (lane_ == 0) *address = value;
  }

  /// The largest of `size` floats in memory, none of them NaN and one at least.
  KQ_HOST_DEVICE float max_of(const float* values, std::int64_t size) const {
    float partial = -__builtin_huge_valf();
    for (std::int64_t i = lane_; i < size; i += Config::lanes) {
      partial = device::max_number(partial, values[i]);
    }
    return max(partial);
  }

 private:
  /// The greatest of each value over the whole program, compared by keys.
  template <class Key, int Count>
  KQ_HOST_DEVICE void max_over_program(float (&value)[Count]) const {
    constexpr int in_wave = Config::is_team ? Wave::size : Config::lanes;
    for (int k = 0; k < Count; ++k) {
      value[k] = device::max_over_lanes<in_wave, Key>(wave_, value[k]);
    }
    if constexpr (Config::is_team) {
      // The waves of a team meet in scratch memory, where two sets of slots take turns, so that one barrier is enough.
      static_assert(Count <= max_values);
      constexpr int waves = Config::lanes / Wave::size;
      constexpr int lanes_that_compare = Wave::has_max ? Wave::size : waves;
      float* const slots = slots_ + (reductions_++ % 2) * max_values * slots_per_value;
      for (int k = 0; k < Count; ++k) {
        if (lane_ % Wave::size == 0) slots[k * slots_per_value + lane_ / Wave::size] = value[k];
      }
      team_.team_barrier();
      for (int k = 0; k < Count; ++k) {
        const float other = slots[k * slots_per_value + lane_ % waves];
        value[k] = device::max_over_lanes<lanes_that_compare, Key>(wave_, other);
      }
    }
  }

  template <class Key>
  KQ_HOST_DEVICE float max_over_program(float partial) const {
    float value[1] = {partial};
    max_over_program<Key>(value);
    return value[0];
  }

  static constexpr int max_values = 2;                        ///< that are reduced at once
  static constexpr int slots_per_value = Config::lanes / 32;  ///< one a wave

  /// How often a lane asks for a slot before it does an absent program's work itself: some milliseconds.
  static constexpr int max_polls = 1 << 14;

  // Extremes as values of which all programs want the greatest: max |x|, or max -x and max x.
  template <class Element>
  KQ_HOST_DEVICE static void to_values(const device::AbsMaxFold<Element>& fold, float (&value)[1]) {
    value[0] = fold.abs_max();
  }
  template <class Element>
  KQ_HOST_DEVICE static void to_values(const device::RangeFold<Element>& fold, float (&value)[2]) {
    value[0] = -fold.min();
    value[1] = fold.max();
  }

  /// Reads a partition for the first time; `value` are the whole tensor's extremes afterwards.
  template <class Fold, int Keys, class Partition>
  KQ_HOST_DEVICE void find_extremes(Partition& partition, float (&value)[Keys]) const {
    Fold fold;
    partition.read([&](const device::Vector16& v) { fold.add(v); });
    to_values(fold, value);
    max_over_program<typename Fold::Key>(value);
    if (Config::in_registers && count_ == 1) return;
    partition.grid_reduce().publish(id_, count_, lane_, Config::lanes, value);
    for (std::int64_t other = lane_; other < count_; other += Config::lanes) {
      float partial[Keys];
      if (!partition.grid_reduce().await(other, max_polls, partial)) {
        Fold missing;
        partition.partition().read_all_of(other, [&](const device::Vector16& v) { missing.add(v); });
        to_values(missing, partial);
      }
      for (int k = 0; k < Keys; ++k) {
        value[k] = device::max_number(value[k], partial[k]);
      }
    }
    max_over_program<typename Fold::Key>(value);
  }

  template <class Element, class Tile, class Code, class Quantizer>
  KQ_HOST_DEVICE void store_by(Span<Code> codes, Tile& tile, const Quantizer& quantizer) const {
    const CodeVectors<Element, Code, Tile::reads_again> mine(codes.data + tile.begin());
    tile.for_each(
        [&](const device::Vector16& v, std::int64_t offset) {
          std::uint32_t words[device::width<Element> / 4];
          device::quantize_vector<Element>(v, quantizer, words);
          mine.store(offset, words);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer.code(to_float(x)); });
  }

  /// Where a lane's vectors of codes go, which all are as aligned as the first.
  template <class Element, class Code, bool Once = false>
  struct CodeVectors {
    static constexpr int width = device::width<Element>;
    Code* first;
    bool wide;

    KQ_HOST_DEVICE explicit CodeVectors(Code* address)
        : first(address), wide(Config::aligned || reinterpret_cast<std::uintptr_t>(address) % width == 0) {}
    KQ_HOST_DEVICE void store(std::int64_t offset, const std::uint32_t (&words)[width / 4]) const {
      device::store_codes<Once>(first + offset, wide, words);
    }
  };

  const Team& team_;
  [[no_unique_address]] Wave wave_;
  std::int64_t id_;
  std::int64_t count_;
  int lane_;
  float* slots_ = nullptr;
  mutable int reductions_ = 0;
};

// --- on a host -------------------------------------------------------------------------------------------------------

/// A span as a host program sees it.
template <class Element>
struct HostTile {
  Span<const Element> span;
};

/// One program on a host: a single thread. Every loop is over consecutive elements without a branch in its body.
/// (Marked for devices too, because kernels are, but never called there.)
class HostProgram {
 public:
  KQ_HOST_DEVICE HostProgram(std::int64_t id, std::int64_t count) : id_(id), count_(count) {}

  KQ_HOST_DEVICE std::int64_t id() const { return id_; }
  KQ_HOST_DEVICE std::int64_t count() const { return count_; }

  template <class Element>
  KQ_HOST_DEVICE HostTile<Element> load(Span<const Element> span) const {
    return {span};
  }

  /// A host's only program holds the whole tensor.
  template <class Element>
  KQ_HOST_DEVICE HostTile<Element> partition(Span<const Element> span, const GridReduceWorkspace&, int) const {
    return {span};
  }

  template <class Element>
  KQ_HOST_DEVICE float abs_max(const HostTile<Element>& tile) const {
    return host::abs_max(tile.span.data, tile.span.size);
  }

  template <class Element>
  KQ_HOST_DEVICE Range range(const HostTile<Element>& tile) const {
    const auto [min, max] = host::range(tile.span.data, tile.span.size);
    return {min, max};
  }

  template <class Element>
  KQ_HOST_DEVICE float partial_abs_max(const HostTile<Element>& tile) const {
    return abs_max(tile);
  }
  template <class Element>
  KQ_HOST_DEVICE Range partial_range(const HostTile<Element>& tile) const {
    return range(tile);
  }
  KQ_HOST_DEVICE float max(float partial) const { return partial; }

  template <class Element, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const HostTile<Element>& tile, const Quantizer& quantizer) const {
    host::quantize(tile.span.data, codes.data, tile.span.size, quantizer,
                   host::distance_after<Element>(tile.span.size));
  }

  template <class Element, class Code, class QuantizerOf>
  KQ_HOST_DEVICE void store_each(Span<Code> codes, const HostTile<Element>& tile,
                                 const QuantizerOf& quantizer_of) const {
    host::map(tile.span.data, codes.data, tile.span.size,
              [quantizer_of](float x, std::int64_t i) { return quantizer_of(i).code(x); });
  }

  template <class T>
  KQ_HOST_DEVICE void store(T* address, T value) const {
    *address = value;
  }

  KQ_HOST_DEVICE float max_of(const float* values, std::int64_t size) const {
    return *std::max_element(values, values + size);
  }

 private:
  std::int64_t id_;
  std::int64_t count_;
};

}  // namespace kq
