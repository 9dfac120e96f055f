// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native kernels' table: which file's function serves which schemes. Each file is compiled once per element type;
/// its function chooses a kernel and a tile configuration and has its launcher launch it.

#include <array>

#include "backends/backend.hpp"
#include "kq/element.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

template <class Element, class Launcher>
void static_scale(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_token(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_group(const Launcher& launcher, const kq::Request& request, const Operands& operands);
template <class Element, class Launcher>
void dynamic_tensor(const Launcher& launcher, const kq::Request& request, const Operands& operands);

template <class Launcher>
struct KernelEntry {
  bool static_scale;
  kq::Granularity granularity;
  void (*enqueue)(const Launcher& launcher, const kq::Request& request, const Operands& operands);
};

/// The first entry for a request's scheme serves it.
template <class Element, class Launcher>
inline constexpr std::array kernel_table = {
    KernelEntry<Launcher>{true, kq::Granularity::tensor, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::token, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{true, kq::Granularity::channel, static_scale<Element, Launcher>},
    KernelEntry<Launcher>{false, kq::Granularity::tensor, dynamic_tensor<Element, Launcher>},
    KernelEntry<Launcher>{false, kq::Granularity::token, dynamic_token<Element, Launcher>},
    KernelEntry<Launcher>{false, kq::Granularity::group, dynamic_group<Element, Launcher>},
};

/// Launches what the request asks for. The request is valid and resolved.
template <class Element, class Launcher>
void quantize(const Launcher& launcher, const kq::Request& request, const Operands& operands) {
  for (const auto& kernel : kernel_table<Element, Launcher>) {
    if (kernel.static_scale == request.static_scale && kernel.granularity == request.granularity) {
      return kernel.enqueue(launcher, request, operands);
    }
  }
}

}  // namespace kqbench::gpu
