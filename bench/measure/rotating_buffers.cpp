// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/rotating_buffers.hpp"

#include <algorithm>

namespace kqbench {
namespace {

/// In whole units of 256 bytes; of what does not fit, the most that does.
constexpr std::size_t aligned(std::size_t bytes) {
  constexpr std::size_t most = SIZE_MAX / 256 * 256;
  return bytes > most ? most : (bytes + 255) / 256 * 256;
}

/// Copies are fetched from the device by so many bytes at a time, at least one copy.
constexpr std::size_t fetch_bytes = std::size_t{64} << 20;

/// Of the tensors that are read: nothing writes around them.
TensorLayout input_layout(const kq::Request& request, const Misalignment& misalignment) {
  return {request, false, misalignment.sources, 0};
}

}  // namespace

BufferSizes buffer_sizes(const kq::Request& request, std::span<Implementation* const> implementations,
                         const Misalignment& misalignment) {
  const std::uint64_t outputs = OutputLayout(request, misalignment.outputs).bytes();
  BufferSizes sizes;
  sizes.per_copy = input_layout(request, misalignment).bytes();
  for (const Implementation* implementation : implementations) {
    if (__builtin_add_overflow(sizes.per_copy, outputs, &sizes.per_copy)) sizes.per_copy = UINT64_MAX - outputs;
    const std::uint64_t workspace = aligned(implementation->workspace_bytes(request));
    if (__builtin_add_overflow(sizes.fixed, workspace, &sizes.fixed)) sizes.fixed = UINT64_MAX;
  }
  return sizes;
}

RotatingBuffers::RotatingBuffers(Device& device, DeviceArena& arena, const Problem& problem,
                                 std::span<Implementation* const> implementations, std::int64_t copies,
                                 const Misalignment& misalignment)
    : device_(device),
      problem_(problem),
      copies_(copies),
      layout_(problem.request, misalignment.outputs),
      input_layout_(input_layout(problem.request, misalignment)) {
  const kq::Request& request = problem.request;
  const BufferSizes sizes = buffer_sizes(request, implementations, misalignment);
  const auto count = static_cast<std::size_t>(copies);
  inputs_ = arena.take(count * sizes.per_copy + sizes.fixed);
  outputs_ = inputs_ + count * input_layout_.bytes();
  std::byte* workspace = outputs_ + implementations.size() * count * layout_.bytes();
  for (const Implementation* implementation : implementations) {
    workspaces_.push_back(workspace);
    const std::size_t bytes = aligned(implementation->workspace_bytes(request));
    device.fill(workspace, 0, bytes);
    workspace += bytes;
  }
  launched_.assign(implementations.size(), std::vector<bool>(count));
  poisons_.resize(implementations.size());

  for (const auto& [tensor, offset] : input_layout_.parts()) {
    device.copy_to_device(inputs_ + offset, (problem.given.*tensor.on_host).data(), tensor.bytes());
  }
  for (std::size_t there = 1; there < count; there *= 2) {
    device.copy_on_device(inputs_ + there * input_layout_.bytes(), inputs_,
                          std::min(there, count - there) * input_layout_.bytes());
  }
}

std::byte* RotatingBuffers::outputs(std::size_t implementation, std::int64_t copy) const {
  return outputs_ +
         (implementation * static_cast<std::size_t>(copies_) + static_cast<std::size_t>(copy)) * layout_.bytes();
}

Operands RotatingBuffers::operands(std::size_t implementation, std::int64_t copy) const {
  Operands operands;
  input_layout_.set_addresses(inputs_ + static_cast<std::size_t>(copy) * input_layout_.bytes(), operands);
  layout_.set_addresses(outputs(implementation, copy), operands);
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
  const std::size_t block = layout_.bytes();
  const std::byte poison = poisons_[implementation];
  const std::vector<std::byte> launched = layout_.image(problem_.expected, poison);
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
      std::optional<Mismatch> mismatch = compare(layout_, was_launched ? launched : untouched, found, poison);
      if (mismatch) {
        mismatch->copy = first + i;
        return mismatch;
      }
    }
  }
  return std::nullopt;
}

std::vector<std::byte> RotatingBuffers::fetch(std::size_t implementation, std::int64_t copy) const {
  device_.synchronize();
  std::vector<std::byte> bytes(layout_.bytes());
  device_.copy_to_host(bytes.data(), outputs(implementation, copy), bytes.size());
  return bytes;
}

void RotatingBuffers::note_agreement(std::span<std::optional<Mismatch>* const> mismatches) const {
  if (mismatches.size() < 2) return;
  const auto right = [](const std::optional<Mismatch>* mismatch) { return !mismatch->has_value(); };
  if (std::any_of(mismatches.begin(), mismatches.end(), right)) return;
  const std::vector<std::byte> first = fetch(0, (*mismatches[0])->copy);
  for (std::size_t i = 1; i < mismatches.size(); ++i) {
    if (fetch(i, (*mismatches[i])->copy) != first) return;
  }
  for (std::optional<Mismatch>* const mismatch : mismatches) {
    (*mismatch)->agreeing = mismatches.size();
  }
}

}  // namespace kqbench
