// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Launches the native kernels on a host, as kqbench::gpu::DeviceLauncher does on a device.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "backends/gpu/grid_reduce.hpp"
#include "tests/support/emulated_block.hpp"

namespace kqbench::test {

template <class Block>
struct EmulatedLauncher {
  Lanes* lanes = nullptr;
  LaneOrder order = LaneOrder::forward;
  int multiprocessors = 2;
  std::size_t shared_bytes = 0;
  gpu::GridReduceWorkspace grid_reduce{nullptr, 0};

  template <class Kernel>
  void launch(const Kernel& kernel, std::int64_t blocks) const {
    launch_apart({&kernel, &call<Kernel>, Kernel::Config::threads}, blocks);
  }

  template <class Kernel>
  void launch_together(const Kernel& kernel, int blocks, std::size_t tile_bytes) const {
    run({&kernel, &call<Kernel>, Kernel::Config::threads}, 0, blocks, blocks, tile_bytes);
  }

 private:
  /// Some kernel. There are thousands, and what runs them is compiled once.
  struct AnyKernel {
    const void* kernel;
    void (*call)(const void* kernel, const Block& block);
    int threads;
  };

  template <class Kernel>
  static void call(const void* kernel, const Block& block) {
    (*static_cast<const Kernel*>(kernel))(block);
  }

  void launch_apart(const AnyKernel& kernel, std::int64_t blocks) const {
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::int64_t index = order == LaneOrder::forward ? i : blocks - 1 - i;
      run(kernel, index, 1, static_cast<int>(blocks), 0);
    }
  }

  /// Blocks `first` to `first + together - 1` of a grid of `count`, at once.
  void run(const AnyKernel& kernel, std::int64_t first, int together, int count, std::size_t tile_bytes) const {
    const int threads = kernel.threads;
    std::vector<EmulatedBlockState> states;
    for (int i = 0; i < together; ++i) {
      states.emplace_back(threads, Block::wave_size, tile_bytes);
    }
    lanes->run(together * threads, order, [&](int lane) {
      const int block = lane / threads;
      const Block mine(*lanes, states[static_cast<std::size_t>(block)], lane % threads, first + block, count);
      kernel.call(kernel.kernel, mine);
      EXPECT_TRUE(mine.waited()) << "a thread that does not wait for the launch before";
    });
  }
};

}  // namespace kqbench::test
