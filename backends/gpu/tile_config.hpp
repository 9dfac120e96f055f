// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How threads share the work: `Lanes` of a block's `Threads` threads work on a span together, each with `Vectors`
/// 16-byte vectors in registers, or, where that is 0, reading the span again from memory each time.

#include <cstdint>

#include "kq/arch/config.hpp"

namespace kqbench::gpu {

/// `Resident` is how many threads a multiprocessor must be able to hold at once, which bounds the registers of each.
/// With `Whole`, every span has as many vectors as its lanes hold, so that none of them need ask whether it has one.
template <int Threads, int Lanes, int Vectors, int Resident = 1024, bool Whole = false>
struct TileConfig {
  static constexpr int threads = Threads;
  static constexpr int resident_threads = Resident;
  static constexpr int lanes = Lanes;
  static constexpr bool whole = Whole;
  static constexpr int vectors = Vectors;
  static constexpr int spans_per_block = Threads / Lanes;
  static constexpr int capacity = Lanes * Vectors;  ///< vectors of a span that fit in registers
  static_assert(Threads % Lanes == 0 && (Lanes & (Lanes - 1)) == 0);
  static_assert(Resident <= 16 * Threads, "multiprocessors of compute capability 8.6 hold 16 blocks");

  /// This thread's number among those that share its span.
  template <class Block>
  KQ_HOST_DEVICE static int lane(const Block& block) {
    const int thread = block.thread();
    if (thread < 0 || thread >= Threads) __builtin_unreachable();
    return static_cast<int>(static_cast<unsigned>(thread) % unsigned{Lanes});
  }

  /// The number of this thread's span among `count`. Lanes to spare in the last block share the last span with those it
  /// belongs to, so that none is missing when their wave exchanges values; they write what those write.
  template <class Block>
  KQ_HOST_DEVICE static std::int64_t span(const Block& block, std::int64_t count) {
    if constexpr (Lanes == Threads) return block.index();
    const std::int64_t span = block.index() * spans_per_block + static_cast<unsigned>(block.thread()) / unsigned{Lanes};
    return span < count ? span : count - 1;
  }

  /// The vectors of a span that has `count` of them.
  template <class Count>
  KQ_HOST_DEVICE static constexpr Count vectors_of(Count count) {
    return Whole ? Count{capacity} : count;
  }

  /// Blocks for so many spans.
  static constexpr std::int64_t blocks(std::int64_t count) { return (count + spans_per_block - 1) / spans_per_block; }
};

/// For spans that fill it.
template <int Threads, int Lanes, int Vectors, int Resident = 1024>
using WholeTileConfig = TileConfig<Threads, Lanes, Vectors, Resident, true>;

/// Vectors that a lane has in flight where a span is read from memory.
inline constexpr int streamed_vectors = 4;

}  // namespace kqbench::gpu
