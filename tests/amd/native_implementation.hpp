// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native kernels of one element type, as an implementation on the stand-in's device.

#include <cstddef>
#include <memory>
#include <string>

#include "backends/backend.hpp"

namespace kqbench::test {

/// The element type that this program has kernels for.
kq::Element native_element();

/// The file of backends/gpu whose function quantizes for a request: "dynamic_token".
std::string quantizing_family_of(const kq::Request& request);

/// That file, or "produce" where the request has a producer.
std::string family_of(const kq::Request& request);

/// Where `reducing_blocks` is not 0, so many blocks run at once, each with `shared_bytes` of shared memory.
std::unique_ptr<Implementation> make_native(int reducing_blocks, std::size_t shared_bytes);

}  // namespace kqbench::test
