// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Who launches the native kernels on a device. Families are templates over their launcher, so that tests/backends/gpu
/// can put another in its place, which runs the same kernels on a host.

#include <cstddef>
#include <cstdint>

#include "backends/gpu/grid_reduce.hpp"
#include "backends/gpu/runtime.hpp"

namespace kqbench::gpu {

struct DeviceLauncher {
  Stream stream = nullptr;
  int multiprocessors = 1;
  std::size_t shared_bytes = 0;  ///< shared memory that a block may ask for
  GridReduceWorkspace grid_reduce{nullptr,
                                  0};  ///< for blocks that run at once; capacity 0 where the device cannot promise that

  /// Puts `blocks` blocks on the stream, independent of each other.
  template <class Kernel>
  void launch(const Kernel& kernel, std::int64_t blocks) const;

  /// Puts a grid on the stream whose blocks, where there are several, all run at once, with so many bytes of tile
  /// memory each.
  template <class Kernel>
  void launch_together(Kernel kernel, int blocks, std::size_t tile_bytes) const;
};

}  // namespace kqbench::gpu
