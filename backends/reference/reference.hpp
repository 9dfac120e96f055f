// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The reference as an Implementation, so that it can be chosen and timed like any other. `kqbench::reference` in
/// backends/backend.hpp is the same computation on plain memory; here is the one for the way back.

#include <cstdint>
#include <memory>
#include <vector>

#include "backends/backend.hpp"

namespace kqbench {

/// The reference on host memory. It works when enqueued, in `threads` threads, and allocates.
std::unique_ptr<Implementation> make_reference_implementation(int threads);

/// What the codes of a request stand for: num_tokens * hidden_size floats, row by row. All but a NaN's bits are as
/// every dequantization must give them. Codes, scales, zero points and the tensor's scale are on the host, laid out as
/// the request says.
std::vector<float> reference_dequantized(const kq::Request& request, const void* codes, const void* scales,
                                         const std::int32_t* zero_points, const float* global_scale = nullptr);

}  // namespace kqbench
