// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A program on a device, seen by one of its lanes.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/block_tile.hpp"
#include "kq/chunk_partition.hpp"
#include "kq/column_maxima.hpp"
#include "kq/cooperative_partition.hpp"
#include "kq/device_rows.hpp"
#include "kq/device_tile.hpp"
#include "kq/encoded.hpp"
#include "kq/grid_reduce.hpp"
#include "kq/reduce.hpp"
#include "kq/span.hpp"
#include "kq/tile_config.hpp"
#include "kq/vector.hpp"

namespace kq {

template <class Team, class Config, class Wave = kq::Wave>
class DeviceProgram : public DeviceRows<Team, Config, Wave> {
  using Rows = DeviceRows<Team, Config, Wave>;
  using Rows::lane_;
  using Rows::team_;

 public:
  using Rows::store;

  KQ_HOST_DEVICE DeviceProgram(const Team& team, std::int64_t id, std::int64_t count, const Wave& wave = {})
      : Rows(team, wave), id_(id), count_(count) {}

  KQ_HOST_DEVICE std::int64_t id() const { return id_; }        ///< which program this is
  KQ_HOST_DEVICE std::int64_t count() const { return count_; }  ///< of how many

  // --- loads: what a program does first, and so where it waits for the launches before its own

  template <class Element>
  KQ_HOST_DEVICE auto load(Span<const Element> span) const {
    return DeviceTile<Element, Config>(span, lane_);
  }

  /// Elements of a chunk.
  template <class Element>
  static constexpr std::int64_t chunk_capacity = Config::template capacity<Element>;

  /// A span of Config::lanes * Config::vectors vectors at most, of which each lane has consecutive ones.
  template <class Element>
  KQ_HOST_DEVICE auto load_chunk(Span<const Element> span) const {
    return DeviceChunk<Element, Config>(span, lane_);
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
      return CachedPartition<Element, Config>(tensor, id_, count_, lane_, scratch_for(scratch_vectors), scratch_vectors,
                                              workspace);
    }
  }

  /// This program's part of a tensor of chunks that all programs hold together: some in registers, `scratch_chunks` of
  /// each lane in scratch memory.
  template <class Element>
  KQ_HOST_DEVICE auto load_chunk_partition(Span<const Element> tensor, const GridReduceWorkspace& workspace,
                                           int scratch_chunks) const {
    arch::wait_for_prerequisite_grids();
    return ChunkPartition<Element, Config>(tensor, id_, count_, lane_, scratch_for(Config::vectors * scratch_chunks),
                                           scratch_chunks, workspace);
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

  /// What this lane finds in a tile. For a reduction over several tiles: add up their maxima, then reduce() those.
  template <class Reduction, class Element>
  KQ_HOST_DEVICE Maxima<Reduction> partial(Reduction, const DeviceTile<Element, Config>& tile) const {
    typename Reduction::template Fold<Element> fold;
    tile.for_each([&](const Vector16& v, std::int64_t) { fold.add(v); }, [&](Element x, std::int64_t) { fold.add(x); });
    return Maxima<Reduction>::of(fold);
  }

  template <class Reduction, class Element>
  KQ_HOST_DEVICE Maxima<Reduction> partial(Reduction, const DeviceChunk<Element, Config>& chunk) const {
    return chunk.template partial<Reduction>();
  }

  /// The maxima of all lanes.
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> reduce(Maxima<Reduction> maxima) const {
    this->template max_over_program<typename Reduction::Key>(maxima.value);
    return maxima;
  }

  /// Maxima that programs have left in memory: `count` values, 1 or more, of the k-th at values + k * count; none NaN.
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> reduce_maxima(Reduction, const float* values, std::int64_t count) const {
    arch::wait_for_prerequisite_grids();
    Maxima<Reduction> maxima;
    for (int k = 0; k < Reduction::count; ++k) {
      for (std::int64_t i = lane_; i < count; i += Config::lanes) {
        maxima.value[k] = arch::max_number(maxima.value[k], values[k * count + i]);
      }
    }
    return reduce(maxima);
  }
  template <class Reduction>
  KQ_HOST_DEVICE auto reduce_stored(Reduction reduction, const float* values, std::int64_t count) const {
    return Reduction::value(reduce_maxima(reduction, values, count).value);
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
  static constexpr int max_polls = 1 << 14;  ///< of another's slot, before its maxima are recomputed: some milliseconds

  /// Scratch memory for so many vectors of each lane, null for none.
  KQ_HOST_DEVICE void* scratch_for(int vectors) const {
    if (vectors == 0) return nullptr;
    return team_.team_scratch(0).get_shmem_aligned(vectors * Config::lanes * int{sizeof(Vector16)}, 16);
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
    const Codes mine(element_address(codes.data, tile.begin()));
    tile.for_each(
        [&](const Vector16& v, std::int64_t offset) {
          CodePack<Code, vector_width<Element>> pack;
          quantize_vector<Element>(v, quantizer, pack);
          mine.store(offset, pack);
        },
        [&](Element x, std::int64_t index) { codes.data[index] = quantizer.code(to_float(x)); });
  }
  template <class Code, template <class, class> class Tile, class Element, class Quantizer>
  KQ_HOST_DEVICE void store_by(Span<Code> codes, const Tile<Element, Config>& tile, const Quantizer& quantizer) const {
    store_by(codes, const_cast<Tile<Element, Config>&>(tile), quantizer);
  }

  template <class Code, class Element, class Quantizer>
  KQ_HOST_DEVICE void store_by(Span<Code> codes, const DeviceChunk<Element, Config>& chunk,
                               const Quantizer& quantizer) const {
    chunk.store(codes, quantizer);
  }

  std::int64_t id_;
  std::int64_t count_;
};

}  // namespace kq
