// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/output_check.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

namespace kqbench {
namespace {

constexpr std::size_t guard_bytes = 64;
constexpr std::size_t alignment = 256;

/// Where the next part begins after one of `size` bytes at `offset`.
std::size_t after(std::size_t offset, std::size_t size) {
  if (size == 0) return offset;
  return (offset + size + guard_bytes + alignment - 1) / alignment * alignment;
}

/// `size` bytes as one number, the lowest byte first.
std::string hexadecimal(const std::byte* bytes, std::size_t size) {
  std::uint32_t value = 0;
  std::memcpy(&value, bytes, size);
  return fmt::format("0x{:0{}x}", value, 2 * size);
}

}  // namespace

OutputLayout::OutputLayout(const kq::Request& request, std::size_t codes_offset) : codes_(codes_offset) {
  const bool dynamic = !request.static_scale;
  scales_ = std::max(alignment, after(0, codes_ + kq::codes_bytes(request)));  // a guard even where there is no code
  zero_points_ = after(scales_, dynamic ? kq::scales_bytes(request) : 0);
  bytes_ = after(zero_points_, dynamic ? kq::zero_points_bytes(request) : 0);
}

std::vector<std::byte> OutputLayout::image(const kq::Request& request, const Outputs& expected,
                                           std::byte poison) const {
  std::vector<std::byte> block(bytes_, poison);
  const auto row = static_cast<std::size_t>(request.hidden_size);
  for (std::int64_t token = 0; token < request.num_tokens; ++token) {
    const auto start = static_cast<std::size_t>(token * request.codes_stride);
    std::memcpy(block.data() + codes_ + start, expected.codes.data() + start, row);
  }
  if (!request.static_scale && request.num_tokens > 0) {
    const kq::ScaleRuns runs = kq::scale_runs(request);
    const std::size_t size = kq::scale_size(request);
    for (std::int64_t run = 0; run < runs.count; ++run) {
      const std::size_t start = static_cast<std::size_t>(run * runs.step) * size;
      std::memcpy(block.data() + scales_ + start, expected.scales.data() + start,
                  static_cast<std::size_t>(runs.size) * size);
    }
    if (request.asymmetric) {
      std::memcpy(block.data() + zero_points_, expected.zero_points.data(), kq::zero_points_bytes(request));
    }
  }
  return block;
}

std::string OutputLayout::describe(const kq::Request& request, std::size_t offset) const {
  if (offset >= zero_points_) {
    const std::size_t inside = offset - zero_points_;
    if (inside >= kq::zero_points_bytes(request)) return "the guard after the zero points";
    return fmt::format("zero_points[{}]", inside / sizeof(std::int32_t));
  }
  if (offset >= scales_) {
    const std::size_t inside = offset - scales_;
    if (inside >= kq::scales_bytes(request)) return "the guard after the scales";
    const std::size_t number = inside / kq::scale_size(request);
    const kq::ScaleRuns runs = kq::scale_runs(request);
    if (number % static_cast<std::size_t>(runs.step) >= static_cast<std::size_t>(runs.size)) {
      return fmt::format("the gap after column {} of the scales", number / static_cast<std::size_t>(runs.step));
    }
    return fmt::format("scales[{}]", number);
  }
  if (offset < codes_) return "the byte before the codes";
  const std::size_t inside = offset - codes_;
  if (inside >= kq::codes_bytes(request)) return "the guard after the codes";
  const auto stride = static_cast<std::size_t>(request.codes_stride);
  const std::size_t token = inside / stride;
  const std::size_t channel = inside % stride;
  if (channel >= static_cast<std::size_t>(request.hidden_size)) return fmt::format("the gap after token {}", token);
  return fmt::format("codes[token {}, channel {}]", token, channel);
}

std::string Mismatch::message() const {
  return fmt::format("{} is {}{} and must be {}; {} of {} bytes of copy {} are wrong", where, found,
                     untouched ? " (never written)" : "", expected, wrong_bytes, bytes, copy);
}

std::optional<Mismatch> compare(const kq::Request& request, const OutputLayout& layout,
                                std::span<const std::byte> image, std::span<const std::byte> found, std::byte poison) {
  if (std::memcmp(image.data(), found.data(), image.size()) == 0) return std::nullopt;
  const auto first =
      static_cast<std::size_t>(std::mismatch(image.begin(), image.end(), found.begin()).first - image.begin());
  // The whole number that the byte belongs to: a code or a guard's byte, a scale, a zero point.
  std::size_t size = 1;
  std::size_t start = first;
  if (first >= layout.scales() && !request.static_scale) {
    const bool in_scales = first < layout.zero_points();
    const std::size_t part = in_scales ? layout.scales() : layout.zero_points();
    size = in_scales ? kq::scale_size(request) : sizeof(std::int32_t);
    start = part + (first - part) / size * size;
  }
  Mismatch mismatch;
  mismatch.where = layout.describe(request, first);
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
