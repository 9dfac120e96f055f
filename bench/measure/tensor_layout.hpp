// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where some of a request's tensors lie in a block of memory.

#include <cstddef>
#include <vector>

#include "backends/backend.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// The tensors that are read, or those that are written, one after the other, each at a multiple of 256 bytes.
class TensorLayout {
 public:
  struct Part {
    kq::TensorSpec tensor;
    std::size_t offset;
  };

  /// The request is resolved. Matrices and sources begin `shift` of their elements after an aligned address, and at
  /// least `guard_bytes` follow each tensor.
  TensorLayout(const kq::Request& request, bool written, std::size_t shift, std::size_t guard_bytes);

  std::size_t bytes() const { return bytes_; }  ///< of the block, a multiple of 256
  const std::vector<Part>& parts() const { return parts_; }

  /// Sets the addresses of the tensors in a block.
  void set_addresses(std::byte* block, Operands& operands) const;

 private:
  std::vector<Part> parts_;
  std::size_t bytes_ = 0;
};

}  // namespace kqbench
