// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/stored_numbers.hpp"

#include <fmt/format.h>

#include "bench/support/in_quotes.hpp"
#include "kq/element.hpp"

namespace kqbench {

const StoredTensor* find_by_ending(const TensorFile& file, std::string_view name,
                                   std::span<const std::string_view> endings) {
  for (const std::string_view ending : endings) {
    if (const StoredTensor* const found = file.find_if_there(fmt::format("{}{}", name, ending))) return found;
  }
  return nullptr;
}

std::string label_of(const TensorFile& file, const StoredTensor& tensor) {
  return file.has_names() ? fmt::format("{}: {}", file.name(), in_quotes(tensor.name)) : file.name();
}

std::vector<std::byte> read_all(const TensorFile& file, const StoredTensor& tensor) {
  require_memory(file, 2 * tensor.bytes);
  std::vector<std::byte> bytes(tensor.bytes);
  file.read_rows(tensor, 0, bytes);
  return bytes;
}

std::optional<std::vector<float>> read_floats(const TensorFile& file, const StoredTensor& tensor, DType dtype) {
  switch (dtype) {
    case DType::float32:
      return converted<float, float>(read_all(file, tensor), [](float x) { return x; });
    case DType::float16:
      return converted<kq::half, float>(read_all(file, tensor), [](kq::half x) { return kq::to_float(x); });
    case DType::bfloat16:
      return converted<kq::bfloat16, float>(read_all(file, tensor), [](kq::bfloat16 x) { return kq::to_float(x); });
    default:
      return std::nullopt;
  }
}

std::optional<std::vector<std::int32_t>> read_integers(const TensorFile& file, const StoredTensor& tensor) {
  switch (tensor.dtype) {
    case DType::int32:
      return converted<std::int32_t, std::int32_t>(read_all(file, tensor), [](std::int32_t x) { return x; });
    case DType::int8:
      return converted<std::uint8_t, std::int32_t>(read_all(file, tensor),
                                                   [](std::uint8_t x) { return x < 128 ? int{x} : int{x} - 256; });
    default:
      return std::nullopt;
  }
}

}  // namespace kqbench
