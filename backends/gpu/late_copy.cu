// SPDX-License-Identifier: Apache-2.0

#include <cstdint>

#include "backends/gpu/late_copy.hpp"
#include "kq/arch/arch.hpp"
#include "kq/programmatic_launch.hpp"

namespace kqbench::gpu {
namespace {

constexpr unsigned threads = 1024;

/// One block, so that there is room for the launch behind it. Its name says that it waits (kq/programmatic_launch.hpp).
template <class = kq::WaitsForPrerequisites>
__global__ void late_copy([[maybe_unused]] unsigned char* to, [[maybe_unused]] const unsigned char* from,
                          [[maybe_unused]] std::size_t bytes) {
#if KQ_DEVICE_ANY
  kq::arch::launch_dependent_grids();
  kq::arch::wait_for_prerequisite_grids();
  constexpr long long late_cycles = 200000;  // a tenth of a millisecond: a launch has started long before
  const long long begin = clock64();
  while (clock64() - begin < late_cycles) {
  }
  for (std::size_t i = threadIdx.x; i < bytes; i += threads) {
    to[i] = from[i];
  }
#endif
}

}  // namespace

void enqueue_late_copy(Stream stream, void* to, const void* from, std::size_t bytes) {
  late_copy<>
      <<<1, threads, 0, stream>>>(static_cast<unsigned char*>(to), static_cast<const unsigned char*>(from), bytes);
  check(KQ_GPU(GetLastError)(), "launching a copy");
}

}  // namespace kqbench::gpu
