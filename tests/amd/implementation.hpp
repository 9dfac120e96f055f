// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The kernels of one element type, the native or the portable ones, as an implementation on the stand-in's device.

#include <cstddef>
#include <memory>
#include <string>

#include "backends/backend.hpp"

namespace kqbench::test {

/// The element type that this program has kernels for.
kq::Element program_element();

/// The file of backends/gpu or kokkos_kernels/src whose function a request's scheme calls: "dynamic_token".
std::string called_family_of(const kq::Request& request);

/// That file, or "block_formats" where the function sends the request on to one there.
std::string quantizing_family_of(const kq::Request& request);

/// The quantizing family, or "produce" where the request has a producer.
std::string family_of(const kq::Request& request);

/// Whether blocks may wait for each other in any launch: Kokkos has none that says so.
extern const bool any_launch_is_together;

/// What is printed before a family's name: "", or "portable_".
extern const char* const family_prefix;

/// Where `reducing_blocks` is not 0, so many blocks run at once, each with `shared_bytes` of shared memory; null where
/// the kernels cannot be told.
std::unique_ptr<Implementation> make_implementation(int reducing_blocks, std::size_t shared_bytes);

}  // namespace kqbench::test
