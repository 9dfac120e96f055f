// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native kernels' table: which file's function serves which schemes. Each file is compiled once per element type;
/// its function chooses a kernel and a tile configuration and has its launcher launch it.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "backends/backend.hpp"
#include "backends/gpu/choose.hpp"
#include "backends/gpu/grid_reduce.hpp"
#include "kq/element.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

template <class Element, class Launcher>
void static_scale(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void static_group(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_token(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_group(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_tensor(const Launcher& launcher, const kq::Request& request, const Operands& operands);

template <class Element, class Launcher>
void dynamic_block(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_channel(const Launcher& launcher, const kq::Request& request, const Operands& operands);

/// Groups and blocks of block formats: MX's rounded exponents, and codes of four bits. dynamic_group, dynamic_block and
/// static_group hand these requests on.
template <class Element, class Launcher>
void dynamic_block_format(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void static_block_format(const Launcher& launcher, const kq::Request& request, const Operands& operands);

/// Stores the values of a request's producer, which is not none, at `values`: [num_tokens, hidden_size] elements of
/// kq::value_element. Stores residual_out, if the producer has one.
template <class Element, class Launcher>
void produce(const Launcher& launcher, const kq::Request& request, const Operands& operands, void* values);

/// Launches a producer, which is not none, and the quantizer behind it as one kernel, and returns true; returns false
/// where there is none, for a launch of each.
template <class Element, class Launcher>
bool fused_row(const Launcher& launcher, const kq::Request& request, const Operands& operands);

/// Scratch memory that they need, in bytes.
inline std::size_t tensor_workspace_bytes(const kq::Request& /*request*/, int multiprocessors) {
  return sizeof(std::uint32_t) * max_keys * static_cast<std::size_t>(max_slice_blocks(multiprocessors));
}
inline std::size_t group_workspace_bytes(const kq::Request& r, int /*multiprocessors*/) {
  return kq::finds_global_scale(r) ? sizeof(float) : 0;
}
inline std::size_t channel_workspace_bytes(const kq::Request& r, int multiprocessors) {
  const int count = r.asymmetric ? kq::MinMax::count : kq::AbsMax::count;
  return sizeof(float) * static_cast<std::size_t>(count * channel_slabs(r, multiprocessors) * r.hidden_size);
}

template <class Launcher>
struct KernelEntry {
  bool static_scale;
  kq::Granularity granularity;
  void (*enqueue)(const Launcher& launcher, const kq::Request& request, const Operands& operands);
  std::size_t (*workspace_bytes)(const kq::Request& request, int multiprocessors) = nullptr;  ///< null: 0
};

template <class Element, class Launcher>
inline constexpr std::array kernel_table = {
    KernelEntry<Launcher>{true, kq::Granularity::tensor, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::token, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::channel, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::group, static_group<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::block, static_group<Element, Launcher>},
    KernelEntry<Launcher>{false, kq::Granularity::tensor, dynamic_tensor<Element, Launcher>, tensor_workspace_bytes},
    KernelEntry<Launcher>{false, kq::Granularity::token, dynamic_token<Element, Launcher>},
    KernelEntry<Launcher>{false, kq::Granularity::group, dynamic_group<Element, Launcher>, group_workspace_bytes},
    KernelEntry<Launcher>{false, kq::Granularity::block, dynamic_block<Element, Launcher>, group_workspace_bytes},
    KernelEntry<Launcher>{false, kq::Granularity::channel, dynamic_channel<Element, Launcher>, channel_workspace_bytes},
};

/// The entry for a request's scheme; there is one for every valid request.
template <class Element, class Launcher>
const KernelEntry<Launcher>& find_kernel(const kq::Request& request) {
  const auto& table = kernel_table<Element, Launcher>;
  return *std::find_if(table.begin(), table.end(), [&](const KernelEntry<Launcher>& kernel) {
    return kernel.static_scale == request.static_scale && kernel.granularity == request.granularity;
  });
}

/// Where the values of a producer lie in the workspace: behind what the quantizer has of it.
template <class Launcher>
std::size_t values_offset(const Launcher& launcher, const kq::Request& request) {
  const auto& kernel = find_kernel<kq::half, Launcher>(request);  // of any element
  const std::size_t bytes =
      kernel.workspace_bytes == nullptr ? 0 : kernel.workspace_bytes(request, launcher.multiprocessors);
  return kq::values_offset(bytes);
}

/// Bytes of scratch memory that a producer and quantize() need.
template <class Launcher>
std::size_t workspace_bytes(const Launcher& launcher, const kq::Request& request) {
  if (request.num_tokens == 0) return 0;
  return values_offset(launcher, request) + (request.producer == kq::Producer::none ? 0 : kq::values_bytes(request));
}

/// Launches what the request asks for. The request is valid and resolved.
template <class Element, class Launcher>
void quantize(const Launcher& launcher, const kq::Request& request, const Operands& operands) {
  find_kernel<Element, Launcher>(request).enqueue(launcher, request, operands);
}

/// Launches the producer of a request, if it has one, and its quantizer: in one kernel, where there is one, or one
/// after the other. with_element(e, f) calls f with a value of element type e.
template <class Launcher, class WithElement>
void enqueue(const Launcher& launcher, const kq::Request& request, const Operands& operands,
             const WithElement& with_element) {
  const kq::Request quantizer = kq::quantizer_of(request);
  Operands quantized = operands;
  if (request.producer != kq::Producer::none) {
    bool is_done = false;
    with_element(request.element, [&]<class T>(T) { is_done = fused_row<T>(launcher, request, operands); });
    if (is_done) return;
    void* const values = static_cast<std::byte*>(operands.workspace) + values_offset(launcher, request);
    quantized.input = values;
    with_element(request.element, [&]<class T>(T) { produce<T>(launcher, request, operands, values); });
  }
  with_element(quantizer.element, [&]<class T>(T) { quantize<T>(launcher, quantizer, quantized); });
}

}  // namespace kqbench::gpu
