// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// How a launcher launches. Device compilers see the kernel and its launch here; a host compiler, which runs kernels in
/// emulated waves (tests/backends/gpu), sees nothing.

#if defined(__CUDACC__) || defined(__HIPCC__)

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/gpu/block.hpp"
#include "backends/gpu/kernels.hpp"
#include "backends/gpu/launcher.hpp"
#include "backends/gpu/runtime.hpp"
#include "kq/programmatic_launch.hpp"

namespace kqbench::gpu {

/// The kernel that every functor of this folder is launched as. The first block's number comes first, so that one line
/// of the constant cache holds it and the beginning of the functor: a warp waits for each line that it reads from (0.1
/// µs, H200).
template <class Kernel, class = kq::WaitsForPrerequisites>
__global__ void __launch_bounds__(Kernel::Config::threads,
                                  kq::arch::launch_bound(Kernel::Config::threads, Kernel::Config::resident_threads))
    run([[maybe_unused]] const std::int64_t first_block, [[maybe_unused]] const Kernel kernel) {
#if KQ_DEVICE_ANY
  kq::arch::begin_kernel();
  kernel(DeviceBlock(first_block));
#endif
}

/// Blocks of one grid: what every device takes, and fewer than 2^32 threads with them, which HIP asks for.
inline constexpr std::int64_t max_grid = std::int64_t{1} << 21;

template <class Kernel>
void DeviceLauncher::launch(const Kernel& kernel, std::int64_t blocks) const {
  for (std::int64_t first = 0; first < blocks; first += max_grid) {
    const auto grid = static_cast<unsigned>(std::min(blocks - first, max_grid));
    run<<<grid, Kernel::Config::threads, 0, stream>>>(first, kernel);
    check(KQ_GPU(GetLastError)(), "launching a kernel");
  }
}

template <class Kernel>
void DeviceLauncher::launch_together(Kernel kernel, int blocks, std::size_t tile_bytes) const {
  std::int64_t first_block = 0;
  void* arguments[] = {&first_block, &kernel};
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

/// macro(Element, argument) for KQ_ELEMENT or, where that is not given, for all element types.
#if defined(KQ_ELEMENT)
#define KQ_FOR_EACH_ELEMENT(macro, argument) macro(KQ_ELEMENT, argument)
#else
#define KQ_FOR_EACH_ELEMENT(macro, argument) \
  macro(kq::half, argument) macro(kq::bfloat16, argument) macro(float, argument)
#endif

#else
#define KQ_FOR_EACH_ELEMENT(macro, argument)
#endif

/// At the end of a kernel's file: its function, for each of those.
#define KQ_INSTANTIATE(function) KQ_FOR_EACH_ELEMENT(KQ_INSTANTIATE_FUNCTION, function)
#define KQ_INSTANTIATE_FUNCTION(Element, function) \
  template void function<Element>(const DeviceLauncher&, const kq::Request&, const Operands&);
