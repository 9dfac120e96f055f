// SPDX-License-Identifier: Apache-2.0

#include <cstdint>
#include <iterator>

#include "backends/gpu/stream.hpp"
#include "kq/arch/arch.hpp"

namespace kqbench::gpu {
namespace {

using kq::arch::Vector16;

/// Each thread reads `Reads` vectors and writes `Writes`, those of a block next to each other. What it writes depends
/// on all that it read; with nothing to write, it writes if a sum happens to have one value, so that it has to read.
template <int Reads, int Writes>
__global__ void stream_pass([[maybe_unused]] const Vector16* read, [[maybe_unused]] Vector16* write) {
#if KQ_DEVICE_ANY
  const std::int64_t block = blockIdx.x;
  const auto threads = static_cast<std::int64_t>(blockDim.x);
  const auto thread = static_cast<std::int64_t>(threadIdx.x);
  Vector16 sum{{1, 2, 3, 4}};
  if constexpr (Reads > 0) {
    Vector16 vectors[Reads];
    KQ_UNROLL
    for (int n = 0; n < Reads; ++n) {
      vectors[n] = kq::arch::load16(read + (block * Reads + n) * threads + thread);
    }
    KQ_UNROLL
    for (int n = 0; n < Reads; ++n) {
      for (int i = 0; i < 4; ++i) {
        sum.word[i] ^= vectors[n].word[i];
      }
    }
  }
  if constexpr (Writes > 0) {
    KQ_UNROLL
    for (int n = 0; n < Writes; ++n) {
      write[(block * Writes + n) * threads + thread] = sum;
    }
  } else if ((sum.word[0] ^ sum.word[1] ^ sum.word[2] ^ sum.word[3]) == 0x0badcafeu) {
    write[block * threads + thread] = sum;
  }
#endif
}

/// Whole blocks only: the last few kilobytes are left out where `bytes` is no multiple of what a block moves.
template <int Reads, int Writes>
void launch(Stream stream, int threads, const void* read, void* write, std::size_t bytes) {
  const std::size_t blocks = bytes / (sizeof(Vector16) * (Reads + Writes) * static_cast<unsigned>(threads));
  if (blocks == 0) return;
  stream_pass<Reads, Writes><<<static_cast<unsigned>(blocks), static_cast<unsigned>(threads), 0, stream>>>(
      static_cast<const Vector16*>(read), static_cast<Vector16*>(write));
  check(KQ_GPU(GetLastError)(), "launching a streaming kernel");
}

/// `Reads` vectors per thread, of which the mix makes its writes.
template <int Reads>
void launch(Stream stream, StreamMix mix, int threads, const void* read, void* write, std::size_t bytes) {
  switch (mix) {
    case StreamMix::read_only:
      return launch<Reads, 0>(stream, threads, read, write, bytes);
    case StreamMix::write_only:
      return launch<0, Reads>(stream, threads, read, write, bytes);
    case StreamMix::copy:
      return launch<Reads, Reads>(stream, threads, read, write, bytes);
    case StreamMix::read2_write1:
      return launch<Reads, Reads / 2>(stream, threads, read, write, bytes);
    case StreamMix::read4_write1:
      return launch<Reads, Reads / 4>(stream, threads, read, write, bytes);
  }
}

constexpr int threads_of_variant[] = {128, 256, 512, 1024};
constexpr int num_threads = static_cast<int>(std::size(threads_of_variant));

}  // namespace

int stream_variants() {
  return 2 * num_threads;
}

void enqueue_stream(Stream stream, StreamMix mix, int variant, const void* read, void* write, std::size_t bytes) {
  const int threads = threads_of_variant[variant % num_threads];
  if (variant < num_threads) {
    launch<4>(stream, mix, threads, read, write, bytes);
  } else {
    launch<8>(stream, mix, threads, read, write, bytes);
  }
}

}  // namespace kqbench::gpu
