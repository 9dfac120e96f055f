// SPDX-License-Identifier: Apache-2.0

#include "kq/quantize.hpp"

#include <algorithm>
#include <cstddef>

#include "extremes.hpp"
#include "kernels.hpp"
#include "kq/producers.hpp"
#include "kq/scale_rules.hpp"
#include "produce.hpp"

namespace kq {
namespace {

/// Workspace of the quantizer alone.
template <class ExecutionSpace>
std::size_t quantizer_workspace_bytes(const ExecutionSpace& space, const Request& request) {
  const auto& kernel = detail::find_kernel<half, ExecutionSpace>(request);  // of any element
  return kernel.workspace_bytes == nullptr ? 0 : kernel.workspace_bytes(space, request);
}

template <class ExecutionSpace>
void enqueue_quantizer(const ExecutionSpace& space, const Request& request, const Operands& buffers) {
  with_element(request.element,
               [&]<class T>(T) { detail::find_kernel<T, ExecutionSpace>(request).enqueue(space, request, buffers); });
}

/// Where the values of a producer lie in the workspace: behind what the quantizer has of it, and behind the slots of
/// dynamic tensor scales, which may be asked for in the same workspace and must find those as they left them.
template <class ExecutionSpace>
std::size_t offset_of_values(const ExecutionSpace& space, const Request& quantizer) {
  const auto slots = static_cast<std::size_t>(GridReduceWorkspace::bytes(detail::max_sharing(space)));
  return values_offset(std::max(quantizer_workspace_bytes(space, quantizer), slots));
}

}  // namespace

template <class ExecutionSpace>
std::size_t workspace_bytes(const ExecutionSpace& space, const Request& request) {
  if (request.producer == Producer::none) return quantizer_workspace_bytes(space, request);
  return offset_of_values(space, quantizer_of(request)) + values_bytes(request);
}

template <class ExecutionSpace>
void enqueue(const ExecutionSpace& space, const Request& request, const Operands& buffers) {
  if (request.num_tokens == 0) return;
  if (request.producer == Producer::none) return enqueue_quantizer(space, request, buffers);
  bool done = false;
  with_element(request.element, [&]<class T>(T) { done = detail::enqueue_fused<T>(space, request, buffers); });
  if (done) return;
  const Request quantizer = quantizer_of(request);
  Operands quantized = buffers;
  void* const values = static_cast<std::byte*>(buffers.workspace) + offset_of_values(space, quantizer);
  quantized.input = values;
  with_element(request.element, [&]<class T>(T) { detail::produce<T>(space, request, buffers, values); });
  enqueue_quantizer(space, quantizer, quantized);
}

std::int64_t extremes_count(const Request& request) {
  const bool of_tensor = request.granularity == Granularity::tensor;
  std::int64_t per_scale = 0;  // of any element
  const auto see = [&]<class Rule>(const Rule&) { per_scale = Rule::Reduction::count; };
  of_tensor ? with_tensor_rule<half>(request, see) : with_token_rule<half>(request, nullptr, see);
  return per_scale * (of_tensor ? 1 : num_scales(request));  // a tensor's part without tokens has extremes, too
}

template <class ExecutionSpace>
void find_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands, float* extremes) {
  if (request.num_tokens == 0 && request.granularity == Granularity::token) return;  // there are none
  with_element(request.element, [&]<class T>(T) {
    if (request.granularity == Granularity::tensor)
      return detail::tensor_extremes<T>(space, request, operands, extremes);
    detail::token_extremes<T>(space, request, operands, extremes);
  });
}

template <class ExecutionSpace>
void quantize_by_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands,
                          const float* extremes) {
  if (request.num_tokens == 0) return;
  with_element(request.element, [&]<class T>(T) {
    if (request.granularity == Granularity::tensor) {
      return detail::tensor_by_extremes<T>(space, request, operands, extremes);
    }
    detail::token_by_extremes<T>(space, request, operands, extremes);
  });
}

#define KQ_INSTANTIATE(Space, unused)                                                        \
  template std::size_t workspace_bytes<Space>(const Space&, const Request&);                 \
  template void enqueue<Space>(const Space&, const Request&, const Operands&);               \
  template void find_extremes<Space>(const Space&, const Request&, const Operands&, float*); \
  template void quantize_by_extremes<Space>(const Space&, const Request&, const Operands&, const float*);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE, )

}  // namespace kq
