// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Tensors on the host, as tests write and read them.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "kq/tensors.hpp"

namespace kqbench::test {

/// What the reference reads.
inline kq::Operands given(const void* input, const void* scales = nullptr, const std::int32_t* zero_points = nullptr) {
  kq::Operands operands;
  operands.input = input;
  operands.scales = const_cast<void*>(scales);
  operands.zero_points = const_cast<std::int32_t*>(zero_points);
  return operands;
}

template <class Number>
std::vector<Number> numbers_of(std::span<const std::byte> bytes) {
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  if (!numbers.empty()) std::memcpy(numbers.data(), bytes.data(), numbers.size() * sizeof(Number));
  return numbers;
}

}  // namespace kqbench::test
