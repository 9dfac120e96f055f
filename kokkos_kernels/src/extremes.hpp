// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A dynamic tensor or token scale in two halves, between which the extremes may be combined with those of other parts
/// of the same tensor. Extremes are the maxima that a rule's reduction is made of (kq/reduce.hpp): extremes[scale *
/// count + k] is the k-th of a scale's elements, of the reduction's count.

#include "kq/request.hpp"
#include "kq/tensors.hpp"

namespace kq::detail {

template <class Element, class ExecutionSpace>
void tensor_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands, float* extremes);
template <class Element, class ExecutionSpace>
void tensor_by_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands,
                        const float* extremes);

template <class Element, class ExecutionSpace>
void token_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands, float* extremes);
template <class Element, class ExecutionSpace>
void token_by_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands,
                       const float* extremes);

}  // namespace kq::detail

/// At the end of a file: KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_HALVES, tensor) for tensor_extremes and tensor_by_extremes.
#define KQ_INSTANTIATE_HALVES(Space, granularity)                                                                 \
  template void granularity##_extremes<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&, float*); \
  template void granularity##_by_extremes<KQ_ELEMENT, Space>(const Space&, const Request&, const Operands&,       \
                                                             const float*);
