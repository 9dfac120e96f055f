// SPDX-License-Identifier: Apache-2.0

#include "kq/quantize.hpp"

#include "kernels.hpp"
#include "tensor_workspace.hpp"

namespace kq {
namespace detail {

template <class Element, class ExecutionSpace>
void enqueue_element(const ExecutionSpace& space, const Request& request, const Buffers& buffers) {
  for (const auto& kernel : kernel_table<Element, ExecutionSpace>) {
    if (kernel.static_scale == request.static_scale && kernel.granularity == request.granularity) {
      return kernel.enqueue(space, request, buffers);
    }
  }
}

}  // namespace detail

template <class ExecutionSpace>
std::size_t workspace_bytes(const ExecutionSpace& space, const Request& request) {
  if (request.static_scale || request.granularity != Granularity::tensor) return 0;
  return detail::tensor_workspace_bytes(space);
}

template <class ExecutionSpace>
void enqueue(const ExecutionSpace& space, const Request& request, const Buffers& buffers) {
  if (request.num_tokens == 0) return;
  switch (request.element) {
    case Element::half:
      return detail::enqueue_element<half>(space, request, buffers);
    case Element::bfloat16:
      return detail::enqueue_element<bfloat16>(space, request, buffers);
    case Element::float32:
      return detail::enqueue_element<float>(space, request, buffers);
  }
}

#define KQ_INSTANTIATE(Space, unused)                                        \
  template std::size_t workspace_bytes<Space>(const Space&, const Request&); \
  template void enqueue<Space>(const Space&, const Request&, const Buffers&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE, )

}  // namespace kq
