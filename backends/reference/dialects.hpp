// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The reference of every dialect but kqbench's own: docs/dialects.md, engine by engine. `kqbench::reference` in
/// backends/backend.hpp runs whole requests of any dialect.

#include <cstdint>
#include <vector>

#include "backends/reference/definitions.hpp"
#include "backends/reference/span.hpp"
#include "kq/request.hpp"

namespace kqbench::reference_detail {

/// Sets scale, zero point and operand of a dynamic span whose elements were all added.
void set_dialect_scale(const kq::Request& request, Span& span);

/// Sets scale and operand of such a span whose scale is chosen of two, by the errors of its elements ("4 over 6").
void choose_dialect_scale(const kq::Request& request, Span& span, const std::vector<float>& elements);

/// What the scales of a tensor are multiplied by, or divided by, from its largest magnitude; and what is stored of it.
float dialect_global_scale(const kq::Request& request, float amax);
float dialect_tensor_scale(const kq::Request& request, float global_scale);

/// The code of an element under a span's scale, which is set or given. `fp8` is null for int8.
std::uint8_t dialect_code(const kq::Request& request, const Fp8Encoder* fp8, float x, const Span& span);

}  // namespace kqbench::reference_detail
