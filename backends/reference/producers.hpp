// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What comes before quantization, for the reference alone (docs/numerics.md, "Producers").

#include <cstddef>
#include <vector>

#include "kq/request.hpp"
#include "kq/tensors.hpp"

namespace kqbench::reference_detail {

/// The values of a producer, [num_tokens, hidden_size] elements of kq::value_element, row after row. Stores
/// residual_out, if the producer has one. The request is valid and resolved, its producer not none.
std::vector<std::byte> produce(int threads, const kq::Request& request, const kq::Operands& operands);

}  // namespace kqbench::reference_detail
