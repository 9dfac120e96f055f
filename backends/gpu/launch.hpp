// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How a launcher launches: for device compilers.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/gpu/block.hpp"
#include "backends/gpu/families.hpp"
#include "backends/gpu/launcher.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

/// What __launch_bounds__ is given beside a block's threads, so that a multiprocessor (compute unit) can hold at least
/// `resident` threads: blocks for CUDA, waves of 64 on each of four SIMDs for HIP.
constexpr int launch_bound(int threads, int resident) {
  return KQ_GPU_HIP ? std::max(1, std::max(threads, resident) / 256) : std::max(1, resident / threads);
}

/// Runs a body.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::Config::threads,
                                  launch_bound(Kernel::Config::threads, Kernel::Config::resident_threads))
    run([[maybe_unused]] const Kernel kernel, [[maybe_unused]] const std::int64_t first_block) {
#if KQ_DEVICE_CUDA || KQ_DEVICE_HIP
  kernel(DeviceBlock(first_block));
#endif
}

/// Blocks of one grid: what every device takes, and fewer than 2^32 threads with them, which HIP asks for.
inline constexpr std::int64_t max_grid = std::int64_t{1} << 21;

template <class Kernel>
void DeviceLauncher::launch(const Kernel& kernel, std::int64_t blocks) const {
  for (std::int64_t first = 0; first < blocks; first += max_grid) {
    const auto grid = static_cast<unsigned>(std::min(blocks - first, max_grid));
    run<<<grid, Kernel::Config::threads, 0, stream>>>(kernel, first);
    check(KQ_GPU(GetLastError)(), "launching a kernel");
  }
}

template <class Kernel>
void DeviceLauncher::launch_together(Kernel kernel, int blocks, std::size_t tile_bytes) const {
  std::int64_t first_block = 0;
  void* arguments[] = {&kernel, &first_block};
  const auto* const function = reinterpret_cast<const void*>(&run<Kernel>);
  const dim3 grid(static_cast<unsigned>(blocks));
  const dim3 block(Kernel::Config::threads);
  if (tile_bytes > 0) {
    check(KQ_GPU(FuncSetAttribute)(function, KQ_GPU(FuncAttributeMaxDynamicSharedMemorySize),
                                   static_cast<int>(tile_bytes)),
          "asking for shared memory");
  }
  if (blocks == 1) {
    check(KQ_GPU(LaunchKernel)(function, grid, block, arguments, tile_bytes, stream), "launching a kernel");
  } else {
    check(KQ_GPU(LaunchCooperativeKernel)(function, grid, block, arguments, static_cast<unsigned>(tile_bytes), stream),
          "launching a kernel of blocks that run at once");
  }
}

}  // namespace kqbench::gpu

/// A family for the element types it is compiled for: KQ_ELEMENT, or all where that is not given.
#if defined(KQ_ELEMENT)
#define KQ_INSTANTIATE(family) \
  template void family<KQ_ELEMENT>(const DeviceLauncher&, const kq::Request&, const Operands&);
#else
#define KQ_INSTANTIATE(family)                                                                    \
  template void family<kq::half>(const DeviceLauncher&, const kq::Request&, const Operands&);     \
  template void family<kq::bfloat16>(const DeviceLauncher&, const kq::Request&, const Operands&); \
  template void family<float>(const DeviceLauncher&, const kq::Request&, const Operands&);
#endif
