// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scales and zero points as tensor files hold them, and the numbers that they are.

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/tensors/tensor_file.hpp"

namespace kqbench {

/// What follows the name of a tensor in those of its scales and its zero points. DeepSeek's checkpoints and Transformer
/// Engine say scale_inv for what codes are multiplied by, which is a scale here.
inline constexpr std::array<std::string_view, 4> scale_endings = {".scale", "_scale", "_scale_inv", ".scale_inv"};
inline constexpr std::array<std::string_view, 2> zero_point_endings = {".zero_point", "_zero_point"};

/// The first tensor whose name is `name` with one of the endings; null if there is none.
const StoredTensor* find_by_ending(const TensorFile& file, std::string_view name,
                                   std::span<const std::string_view> endings);

/// A tensor in a message: its file's name, and its own where the file has names.
std::string label_of(const TensorFile& file, const StoredTensor& tensor);

/// All of a tensor. Throws SystemError where that needs more memory than is free.
std::vector<std::byte> read_all(const TensorFile& file, const StoredTensor& tensor);

/// Numbers as they are in memory.
template <class Number>
std::vector<std::byte> to_bytes(const std::vector<Number>& numbers) {
  const auto bytes = std::as_bytes(std::span(numbers));
  return {bytes.begin(), bytes.end()};
}

/// Numbers of type `Stored`, each converted.
template <class Stored, class Number, class Convert>
std::vector<Number> converted(std::span<const std::byte> bytes, Convert convert) {
  std::vector<Number> numbers(bytes.size() / sizeof(Stored));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    Stored stored;
    std::memcpy(&stored, bytes.data() + i * sizeof(Stored), sizeof(Stored));
    numbers[i] = convert(stored);
  }
  return numbers;
}

/// Reads a tensor of float32, float16 or bfloat16; nothing for other types, of which nothing is read. `dtype` is the
/// tensor's, or what its bytes are known to be.
std::optional<std::vector<float>> read_floats(const TensorFile& file, const StoredTensor& tensor, DType dtype);

/// Reads a tensor of int32 or int8; nothing for other types, of which nothing is read.
std::optional<std::vector<std::int32_t>> read_integers(const TensorFile& file, const StoredTensor& tensor);

}  // namespace kqbench
