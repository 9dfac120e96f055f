// SPDX-License-Identifier: Apache-2.0

#include "backends/host/stream.hpp"

#include <algorithm>
#include <cstdint>

#include "backends/host/threads.hpp"
#include "backends/host/vector.hpp"

namespace kqbench {
namespace {

/// Vectors in a cache line, which is what one step of the loop reads or writes of each stream.
constexpr int line = static_cast<int>(64 / sizeof(Vector));

/// The lines [begin, end) of `write`, each the sum (exclusive or) of `Reads` neighbouring lines of `read`. Without
/// writing, the sum of everything that was read.
template <int Reads, bool Writes, bool NonTemporal>
void stream_lines(const Vector* read, Vector* write, Slice lines) {
  Vector total[line] = {};
  for (std::int64_t i = lines.begin; i < lines.end; ++i) {
    for (int v = 0; v < line; ++v) {
      Vector sum = total[v];
      for (int n = 0; n < Reads; ++n) {
        sum ^= read[(i * Reads + n) * line + v];
      }
      if constexpr (!Writes) {
        total[v] = sum;
      } else if constexpr (NonTemporal) {
        store_non_temporal(write + i * line + v, sum);
      } else {
        write[i * line + v] = sum;
      }
    }
  }
  if constexpr (!Writes) asm volatile("" : : "m"(total));  // as far as the compiler knows, someone looks at it
  if constexpr (NonTemporal) fence_non_temporal();
}

/// Lines that neighbouring threads take in turn in the interleaved variants: a page of them.
constexpr std::int64_t turn = 4096 / 64;

template <int Reads, bool Writes, bool NonTemporal>
void stream(int threads, bool interleaved, const void* read, void* write, std::size_t bytes) {
  const auto* const from = static_cast<const Vector*>(read);
  auto* const to = static_cast<Vector*>(write);
  const auto lines = static_cast<std::int64_t>(bytes / (64 * (Reads + (Writes ? 1 : 0))));
  in_parallel(threads, [&](int part) {
    if (interleaved) {
      for (std::int64_t begin = part * turn; begin < lines; begin += threads * turn) {
        stream_lines<Reads, Writes, NonTemporal>(from, to, {begin, std::min(begin + turn, lines)});
      }
    } else {
      stream_lines<Reads, Writes, NonTemporal>(from, to, slice_of(lines, part, threads));
    }
  });
}

template <bool NonTemporal>
void stream(StreamMix mix, int threads, bool interleaved, const void* read, void* write, std::size_t bytes) {
  switch (mix) {
    case StreamMix::read_only:
      return stream<1, false, false>(threads, interleaved, read, write, bytes);
    case StreamMix::write_only:
      return stream<0, true, NonTemporal>(threads, interleaved, read, write, bytes);
    case StreamMix::copy:
      return stream<1, true, NonTemporal>(threads, interleaved, read, write, bytes);
    case StreamMix::read2_write1:
      return stream<2, true, NonTemporal>(threads, interleaved, read, write, bytes);
    case StreamMix::read4_write1:
      return stream<4, true, NonTemporal>(threads, interleaved, read, write, bytes);
  }
}

}  // namespace

// Bit 0: stores that go round the cache, so that no line is read before it is written.
// Bit 1: threads take pages in turn instead of one long part each.
int host_stream_variants() {
  return 4;
}

void host_stream(StreamMix mix, int variant, int threads, const void* read, void* write, std::size_t bytes) {
  const bool interleaved = (variant & 2) != 0;
  if ((variant & 1) != 0) {
    stream<true>(mix, threads, interleaved, read, write, bytes);
  } else {
    stream<false>(mix, threads, interleaved, read, write, bytes);
  }
}

}  // namespace kqbench
