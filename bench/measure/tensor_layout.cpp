// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/tensor_layout.hpp"

namespace kqbench {

TensorLayout::TensorLayout(const kq::Request& request, bool written, std::size_t shift, std::size_t guard_bytes) {
  constexpr std::size_t alignment = 256;
  for (const kq::TensorSpec& tensor : kq::tensors(request)) {
    if (tensor.is_written != written) continue;
    const std::size_t offset = bytes_ + (tensor.is_matrix || tensor.is_source ? shift * tensor.element_bytes : 0);
    parts_.push_back({tensor, offset});
    bytes_ = (offset + tensor.bytes() + guard_bytes + alignment - 1) / alignment * alignment;
  }
}

void TensorLayout::set_addresses(std::byte* block, Operands& operands) const {
  for (const Part& part : parts_)
    part.tensor.set(operands, block + part.offset);
}

}  // namespace kqbench
