// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native kernels by families of schemes. A family knows which kernel, of which shape, a request gets, and has its
/// launcher launch it; each is compiled once per element.

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

/// Launches what the request asks for.
template <class Element, class Launcher>
void quantize(const Launcher& launcher, const kq::Request& request, const Operands& operands) {
  if (request.static_scale) return static_scale<Element>(launcher, request, operands);
  switch (request.granularity) {
    case kq::Granularity::tensor:
      return dynamic_tensor<Element>(launcher, request, operands);
    case kq::Granularity::token:
      return dynamic_token<Element>(launcher, request, operands);
    case kq::Granularity::group:
      return dynamic_group<Element>(launcher, request, operands);
    case kq::Granularity::channel:
      return;  // static only: kq::validate refuses it
  }
}

}  // namespace kqbench::gpu
