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

/// Holds a producer's values, in the stand-in's memory, against the reference's, bit for bit: few of their bits are
/// left in the codes. Throws DeviceError where they differ. They have been computed.
void check_values(const kq::Request& request, const Operands& operands, const void* values);

/// What is printed before a family's name: "", or "portable_".
extern const char* const family_prefix;

/// The kernels as a request is commonly served.
std::unique_ptr<Implementation> make_implementation();

/// Some requests, served in another way; null where this program has none. The native kernels: dynamic scales of a
/// tensor by one launch of `blocks` blocks that wait for each other, each with `shared_bytes` of shared memory. The
/// portable ones: in two halves (kq::find_extremes), which does not ask what they are.
std::unique_ptr<Implementation> make_other_implementation(int blocks, std::size_t shared_bytes);

/// The file of what make_other_implementation() serves; "": the request's.
extern const char* const other_family;

}  // namespace kqbench::test
