// SPDX-License-Identifier: Apache-2.0

#include "kq/quantize.hpp"

#include "kernels.hpp"

namespace kq {
template <class ExecutionSpace>
std::size_t workspace_bytes(const ExecutionSpace& space, const Request& request) {
  const auto& kernel = detail::find_kernel<half, ExecutionSpace>(request);  // of any element
  return kernel.workspace_bytes == nullptr ? 0 : kernel.workspace_bytes(space, request);
}

template <class ExecutionSpace>
void enqueue(const ExecutionSpace& space, const Request& request, const Operands& buffers) {
  if (request.num_tokens == 0) return;
  switch (request.element) {
    case Element::half:
      return detail::find_kernel<half, ExecutionSpace>(request).enqueue(space, request, buffers);
    case Element::bfloat16:
      return detail::find_kernel<bfloat16, ExecutionSpace>(request).enqueue(space, request, buffers);
    case Element::float32:
      return detail::find_kernel<float, ExecutionSpace>(request).enqueue(space, request, buffers);
  }
}

#define KQ_INSTANTIATE(Space, unused)                                        \
  template std::size_t workspace_bytes<Space>(const Space&, const Request&); \
  template void enqueue<Space>(const Space&, const Request&, const Operands&);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE, )

}  // namespace kq
