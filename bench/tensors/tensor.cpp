// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/tensor.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <limits>

namespace kqbench {

std::size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::float32:
    case DType::int32:
      return 4;
    case DType::float16:
    case DType::bfloat16:
    case DType::uint16:
      return 2;
    case DType::fp8_e4m3fn:
    case DType::fp8_e5m2:
    case DType::fp8_e4m3fnuz:
    case DType::fp8_e5m2fnuz:
    case DType::ue8m0:
    case DType::int8:
    case DType::uint8:
      return 1;
    case DType::other:
      return 0;
  }
  return 0;
}

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::float16:
      return "float16";
    case DType::bfloat16:
      return "bfloat16";
    case DType::float32:
      return "float32";
    case DType::fp8_e4m3fn:
      return "fp8_e4m3fn";
    case DType::fp8_e5m2:
      return "fp8_e5m2";
    case DType::fp8_e4m3fnuz:
      return "fp8_e4m3fnuz";
    case DType::fp8_e5m2fnuz:
      return "fp8_e5m2fnuz";
    case DType::ue8m0:
      return "ue8m0";
    case DType::int8:
      return "int8";
    case DType::uint8:
      return "uint8";
    case DType::uint16:
      return "uint16";
    case DType::int32:
      return "int32";
    case DType::other:
      return "another type";
  }
  return "another type";
}

bool is_fp8(DType dtype) {
  return dtype == DType::fp8_e4m3fn || dtype == DType::fp8_e5m2 || dtype == DType::fp8_e4m3fnuz ||
         dtype == DType::fp8_e5m2fnuz;
}

std::int64_t StoredTensor::num_tokens() const {
  std::int64_t tokens = 1;
  for (std::size_t i = 0; i + 1 < shape.size(); ++i) {
    tokens *= shape[i];
  }
  return tokens;
}

std::int64_t StoredTensor::hidden_size() const {
  return shape.empty() ? 1 : shape.back();
}

std::optional<std::uint64_t> byte_count(const std::vector<std::int64_t>& shape, std::size_t element_size) {
  // The product of the dimensions that are not zero must fit as well: num_tokens() multiplies some of them.
  auto product = static_cast<std::int64_t>(element_size);
  bool empty = false;
  for (const std::int64_t dimension : shape) {
    if (dimension < 0) return std::nullopt;
    if (dimension == 0) {
      empty = true;
    } else if (__builtin_mul_overflow(product, dimension, &product)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : static_cast<std::uint64_t>(product);
}

std::string shape_text(const std::vector<std::int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

}  // namespace kqbench
