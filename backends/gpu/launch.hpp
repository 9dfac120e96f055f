// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// From a request to a kernel's launch.

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "backends/backend.hpp"
#include "backends/gpu/block.hpp"
#include "backends/gpu/runtime.hpp"
#include "backends/gpu/tile.hpp"
#include "kq/format.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

/// What __launch_bounds__ is given beside a block's threads, so that a multiprocessor (compute unit) can hold at least
/// `resident` threads: blocks for CUDA, waves of 64 on each of four SIMDs for HIP.
constexpr int launch_bound(int threads, int resident) {
  return KQ_GPU_HIP ? std::max(1, std::max(threads, resident) / 256) : std::max(1, resident / threads);
}

/// Runs a body.
template <class Kernel>
__global__ void __launch_bounds__(Kernel::Shape::threads,
                                  launch_bound(Kernel::Shape::threads, Kernel::Shape::resident_threads))
    run([[maybe_unused]] const Kernel kernel, [[maybe_unused]] const std::int64_t first_block) {
#if KQ_DEVICE_CUDA || KQ_DEVICE_HIP
  kernel(DeviceBlock(first_block));
#endif
}

/// Blocks of one grid: what every device takes, and fewer than 2^32 threads with them, which HIP asks for.
inline constexpr std::int64_t max_grid = std::int64_t{1} << 21;

/// Puts `blocks` blocks on a stream, independent of each other.
template <class Kernel>
void launch(Stream stream, const Kernel& kernel, std::int64_t blocks) {
  for (std::int64_t first = 0; first < blocks; first += max_grid) {
    const auto grid = static_cast<unsigned>(std::min(blocks - first, max_grid));
    run<<<grid, Kernel::Shape::threads, 0, stream>>>(kernel, first);
    check(KQ_GPU(GetLastError)(), "launching a kernel");
  }
}

/// Puts a grid on a stream whose blocks, where there are several, all run at once.
template <class Kernel>
void launch_together(Stream stream, Kernel kernel, int blocks, std::size_t shared_bytes) {
  std::int64_t first_block = 0;
  void* arguments[] = {&kernel, &first_block};
  const auto* const function = reinterpret_cast<const void*>(&run<Kernel>);
  const dim3 grid(static_cast<unsigned>(blocks));
  const dim3 block(Kernel::Shape::threads);
  if (shared_bytes > 0) {
    check(KQ_GPU(FuncSetAttribute)(function, KQ_GPU(FuncAttributeMaxDynamicSharedMemorySize),
                                   static_cast<int>(shared_bytes)),
          "asking for shared memory");
  }
  if (blocks == 1) {
    check(KQ_GPU(LaunchKernel)(function, grid, block, arguments, shared_bytes, stream), "launching a kernel");
  } else {
    check(
        KQ_GPU(LaunchCooperativeKernel)(function, grid, block, arguments, static_cast<unsigned>(shared_bytes), stream),
        "launching a kernel of blocks that run at once");
  }
}

/// The request's tensors as rows.
template <class Element, class Code>
Rows<Element, Code> rows_of(const kq::Request& r, const Operands& o) {
  return {static_cast<const Element*>(o.input),
          static_cast<Code*>(o.codes),
          r.num_tokens,
          r.hidden_size,
          r.input_stride,
          r.codes_stride};
}

/// Whether input and codes are each one contiguous piece.
inline bool is_contiguous(const kq::Request& r) {
  return r.num_tokens == 1 || (r.input_stride == r.hidden_size && r.codes_stride == r.hidden_size);
}

/// A contiguous tensor as one span, cut.
template <class Element, class Code>
Cut<Element, Code, std::int64_t> tensor_of(const kq::Request& r, const Operands& o) {
  return {static_cast<const Element*>(o.input), static_cast<Code*>(o.codes), r.num_tokens * r.hidden_size};
}

/// Calls function(Format{}) with the type of an fp8 format.
template <class Function>
void with_fp8(kq::Format format, const Function& function) {
  switch (format) {
    case kq::Format::int8:
      return;
    case kq::Format::fp8_e4m3fn:
      return function(kq::Fp8E4M3Fn{});
    case kq::Format::fp8_e5m2:
      return function(kq::Fp8E5M2{});
    case kq::Format::fp8_e4m3fnuz:
      return function(kq::Fp8E4M3Fnuz{});
    case kq::Format::fp8_e5m2fnuz:
      return function(kq::Fp8E5M2Fnuz{});
  }
}

}  // namespace kqbench::gpu

/// A family's launcher for the element types it is compiled for: KQ_ELEMENT, or all where that is not given.
#if defined(KQ_ELEMENT)
#define KQ_INSTANTIATE(family) template void family<KQ_ELEMENT>(const Launcher&, const kq::Request&, const Operands&);
#else
#define KQ_INSTANTIATE(family)                                                              \
  template void family<kq::half>(const Launcher&, const kq::Request&, const Operands&);     \
  template void family<kq::bfloat16>(const Launcher&, const kq::Request&, const Operands&); \
  template void family<float>(const Launcher&, const kq::Request&, const Operands&);
#endif
