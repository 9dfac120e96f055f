// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/output_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace kqbench {
namespace {

constexpr std::size_t guard_bytes = 64;

/// `size` bytes as one number, the lowest byte first.
std::string hexadecimal(const std::byte* bytes, std::size_t size) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes, size);
  return fmt::format("0x{:0{}x}", value, 2 * size);
}

}  // namespace

OutputLayout::OutputLayout(const kq::Request& request, std::size_t shift)
    : TensorLayout(request, true, shift, guard_bytes) {}

std::vector<std::byte> OutputLayout::image(const HostTensors& expected, std::byte poison) const {
  std::vector<std::byte> block(bytes(), poison);
  for (const auto& [tensor, offset] : parts()) {
    const std::vector<std::byte>& bytes = expected.*tensor.on_host;
    for (std::int64_t row = 0; row < tensor.rows; ++row) {
      const std::size_t start = static_cast<std::size_t>(row) * tensor.row_stride;
      std::memcpy(block.data() + offset + start, bytes.data() + start, tensor.row_bytes);
    }
  }
  return block;
}

const OutputLayout::Part& OutputLayout::part_at(std::size_t offset) const {
  const auto after =
      std::find_if(parts().begin() + 1, parts().end(), [&](const Part& part) { return part.offset > offset; });
  return *(after - 1);
}

std::string OutputLayout::describe(std::size_t offset) const {
  const auto& [tensor, start] = part_at(offset);
  if (offset < start) return fmt::format("the byte before the {}", tensor.name);
  if (offset - start >= tensor.bytes()) return fmt::format("the guard after the {}", tensor.name);
  return tensor.describe(offset - start);
}

OutputLayout::Number OutputLayout::number_at(std::size_t offset) const {
  const auto& [tensor, start] = part_at(offset);
  if (offset < start || offset - start >= tensor.bytes()) return {offset, 1};
  return {offset - (offset - start) % tensor.element_bytes, tensor.element_bytes};
}

std::string Mismatch::message() const {
  const std::string agreement =
      agreeing < 2
          ? ""
          : fmt::format("; but all {} implementations agree with each other: is the reference wrong?", agreeing);
  return fmt::format("{} is {}{} and must be {}; {} of {} bytes of copy {} are wrong{}", where, found,
                     untouched ? " (never written)" : "", expected, wrong_bytes, bytes, copy, agreement);
}

std::optional<Mismatch> compare(const OutputLayout& layout, std::span<const std::byte> image,
                                std::span<const std::byte> found, std::byte poison) {
  if (std::memcmp(image.data(), found.data(), image.size()) == 0) return std::nullopt;
  const auto first =
      static_cast<std::size_t>(std::mismatch(image.begin(), image.end(), found.begin()).first - image.begin());
  const auto [start, size] = layout.number_at(first);
  Mismatch mismatch;
  mismatch.where = layout.describe(first);
  mismatch.expected = hexadecimal(image.data() + start, size);
  mismatch.found = hexadecimal(found.data() + start, size);
  mismatch.untouched = std::all_of(found.begin() + static_cast<std::ptrdiff_t>(start),
                                   found.begin() + static_cast<std::ptrdiff_t>(start + size),
                                   [poison](std::byte b) { return b == poison; });
  mismatch.bytes = image.size();
  for (std::size_t i = 0; i < image.size(); ++i) {
    mismatch.wrong_bytes += image[i] != found[i] ? 1 : 0;
  }
  return mismatch;
}

}  // namespace kqbench
