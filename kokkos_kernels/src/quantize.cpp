// SPDX-License-Identifier: Apache-2.0

#include "kq/quantize.hpp"

#include "families.hpp"
#include "launch.hpp"
#include "tensor_workspace.hpp"

namespace kq {
namespace detail {

template <class Element, class ExecutionSpace>
void enqueue_element(const ExecutionSpace& space, const Request& request, const Buffers& buffers) {
  if (request.static_scale) return static_scale<Element>(space, request, buffers);
  switch (request.granularity) {
    case Granularity::tensor:
      return dynamic_tensor<Element>(space, request, buffers);
    case Granularity::token:
      return dynamic_token<Element>(space, request, buffers);
    case Granularity::group:
      return dynamic_group<Element>(space, request, buffers);
    case Granularity::channel:
      return;  // static only; validate() refuses it
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
  switch (request.element) {
    case Element::half:
      return detail::enqueue_element<half>(space, request, buffers);
    case Element::bfloat16:
      return detail::enqueue_element<bfloat16>(space, request, buffers);
    case Element::float32:
      return detail::enqueue_element<float>(space, request, buffers);
  }
}

#define KQ_INSTANTIATE(Space)                                                \
  template std::size_t workspace_bytes<Space>(const Space&, const Request&); \
  template void enqueue<Space>(const Space&, const Request&, const Buffers&);

KQ_INSTANTIATE(detail::HostSpace)
#if defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP)
KQ_INSTANTIATE(detail::DeviceSpace)
#endif

}  // namespace kq
