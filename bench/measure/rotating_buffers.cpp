// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/rotating_buffers.hpp"

#include <algorithm>

namespace kqbench {
namespace {

constexpr std::size_t aligned(std::size_t bytes) {
  return (bytes + 255) / 256 * 256;
}

/// Copies are fetched from the device by so many bytes at a time, at least one copy.
constexpr std::size_t fetch_bytes = std::size_t{64} << 20;

struct InputLayout {
  std::size_t scales = 0;
  std::size_t zero_points = 0;
  std::size_t bytes = 0;

  InputLayout(const kq::Request& request, const Misalignment& misalignment) {
    scales = aligned(misalignment.input_bytes + kq::input_bytes(request));
    zero_points = scales + (request.static_scale ? aligned(kq::scales_bytes(request)) : 0);
    bytes = zero_points + (request.static_scale ? aligned(kq::zero_points_bytes(request)) : 0);
  }
};

}  // namespace

BufferSizes buffer_sizes(const kq::Request& request, std::span<Implementation* const> implementations,
                         const Misalignment& misalignment) {
  const std::uint64_t outputs = OutputLayout(request, misalignment.codes_bytes).bytes();
  BufferSizes sizes;
  sizes.per_copy = InputLayout(request, misalignment).bytes;
  for (const Implementation* implementation : implementations) {
    if (__builtin_add_overflow(sizes.per_copy, outputs, &sizes.per_copy)) sizes.per_copy = UINT64_MAX - outputs;
    sizes.fixed += aligned(implementation->workspace_bytes(request));
  }
  return sizes;
}

RotatingBuffers::RotatingBuffers(Device& device, DeviceArena& arena, const Problem& problem,
                                 std::span<Implementation* const> implementations, std::int64_t copies,
                                 const Misalignment& misalignment)
    : device_(device), problem_(problem), copies_(copies), layout_(problem.request, misalignment.codes_bytes) {
  const kq::Request& request = problem.request;
  const InputLayout inputs(request, misalignment);
  input_offset_ = misalignment.input_bytes;
  scales_offset_ = inputs.scales;
  zero_points_offset_ = inputs.zero_points;
  input_block_ = inputs.bytes;

  const BufferSizes sizes = buffer_sizes(request, implementations, misalignment);
  const auto count = static_cast<std::size_t>(copies);
  inputs_ = arena.take(count * sizes.per_copy + sizes.fixed);
  outputs_ = inputs_ + count * input_block_;
  std::byte* workspace = outputs_ + implementations.size() * count * layout_.bytes();
  for (const Implementation* implementation : implementations) {
    workspaces_.push_back(workspace);
    const std::size_t bytes = aligned(implementation->workspace_bytes(request));
    device.fill(workspace, 0, bytes);
    workspace += bytes;
  }
  launched_.assign(implementations.size(), std::vector<bool>(count));
  poisons_.resize(implementations.size());

  device.copy_to_device(inputs_ + input_offset_, problem.input.data(), problem.input.size());
  if (request.static_scale) {
    device.copy_to_device(inputs_ + scales_offset_, problem.scales.data(), kq::scales_bytes(request));
    if (request.asymmetric) {
      device.copy_to_device(inputs_ + zero_points_offset_, problem.zero_points.data(), kq::zero_points_bytes(request));
    }
  }
  for (std::size_t there = 1; there < count; there *= 2) {
    device.copy_on_device(inputs_ + there * input_block_, inputs_, std::min(there, count - there) * input_block_);
  }
}

std::byte* RotatingBuffers::outputs(std::size_t implementation, std::int64_t copy) const {
  return outputs_ +
         (implementation * static_cast<std::size_t>(copies_) + static_cast<std::size_t>(copy)) * layout_.bytes();
}

Operands RotatingBuffers::operands(std::size_t implementation, std::int64_t copy) const {
  const kq::Request& request = problem_.request;
  std::byte* const input = inputs_ + static_cast<std::size_t>(copy) * input_block_;
  std::byte* const output = outputs(implementation, copy);
  std::byte* const scales = request.static_scale ? input + scales_offset_ : output + layout_.scales();
  std::byte* const zero_points = request.static_scale ? input + zero_points_offset_ : output + layout_.zero_points();
  Operands operands;
  operands.input = input + input_offset_;
  operands.codes = output + layout_.codes();
  operands.scales = scales;
  operands.zero_points = request.asymmetric ? reinterpret_cast<std::int32_t*>(zero_points) : nullptr;
  operands.workspace = workspaces_[implementation];
  return operands;
}

void RotatingBuffers::poison(std::size_t implementation, std::byte value) {
  poisons_[implementation] = value;
  const auto count = static_cast<std::size_t>(copies_);
  device_.fill(outputs(implementation, 0), std::to_integer<unsigned char>(value), count * layout_.bytes());
  launched_[implementation].assign(count, false);
}

std::optional<Mismatch> RotatingBuffers::check(std::size_t implementation) const {
  device_.synchronize();
  const kq::Request& request = problem_.request;
  const std::size_t block = layout_.bytes();
  const std::byte poison = poisons_[implementation];
  const std::vector<std::byte> launched = layout_.image(request, problem_.expected, poison);
  const std::vector<std::byte> untouched(block, poison);
  const auto at_once =
      std::min<std::int64_t>(copies_, static_cast<std::int64_t>(std::max<std::size_t>(1, fetch_bytes / block)));
  std::vector<std::byte> fetched(static_cast<std::size_t>(at_once) * block);
  for (std::int64_t first = 0; first < copies_; first += at_once) {
    const std::int64_t count = std::min(at_once, copies_ - first);
    device_.copy_to_host(fetched.data(), outputs(implementation, first), static_cast<std::size_t>(count) * block);
    for (std::int64_t i = 0; i < count; ++i) {
      const bool was_launched = launched_[implementation][static_cast<std::size_t>(first + i)];
      const std::span<const std::byte> found(fetched.data() + static_cast<std::size_t>(i) * block, block);
      std::optional<Mismatch> mismatch = compare(request, layout_, was_launched ? launched : untouched, found, poison);
      if (mismatch) {
        mismatch->copy = first + i;
        return mismatch;
      }
    }
  }
  return std::nullopt;
}

}  // namespace kqbench
