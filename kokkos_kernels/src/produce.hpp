// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What comes before a quantizer, as a launch of its own (kq/producers.hpp).

#include <cstddef>

#include "kq/quantize.hpp"
#include "kq/request.hpp"

namespace kq::detail {

/// Stores the values of a request's producer, which is not none, at `values`: [num_tokens, hidden_size] elements of
/// kq::value_element. Stores residual_out, if the producer has one. The request is valid and resolved.
template <class Element, class ExecutionSpace>
void produce(const ExecutionSpace& space, const Request& request, const Operands& operands, void* values);

/// Puts a producer and its quantizer on an execution space in one launch, and returns true; returns false where there
/// is no kernel for that: on hosts, and for what is not aligned, longer than registers, or rare. The request is valid
/// and resolved, its producer not none.
template <class Element, class ExecutionSpace>
bool enqueue_fused(const ExecutionSpace& space, const Request& request, const Operands& operands);

}  // namespace kq::detail
