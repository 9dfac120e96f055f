// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native kernels' launchers, a family of schemes each, as native.cpp calls them. Each is compiled once per
/// element.

#include <cstddef>

#include "backends/backend.hpp"
#include "backends/gpu/meeting.hpp"
#include "backends/gpu/runtime.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

/// What launchers know of the device.
struct Launcher {
  Stream stream = nullptr;
  int multiprocessors = 1;
  std::size_t shared_bytes = 0;  ///< shared memory that a block may ask for
  Meeting meeting{nullptr, 0};   ///< for blocks that run at once; capacity 0 where the device cannot promise that
};

template <class Element>
void static_scale(const Launcher& launcher, const kq::Request& request, const Operands& operands);

template <class Element>
void dynamic_token(const Launcher& launcher, const kq::Request& request, const Operands& operands);

template <class Element>
void dynamic_group(const Launcher& launcher, const kq::Request& request, const Operands& operands);

template <class Element>
void dynamic_tensor(const Launcher& launcher, const kq::Request& request, const Operands& operands);

}  // namespace kqbench::gpu
