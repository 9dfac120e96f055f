// SPDX-License-Identifier: Apache-2.0
#include "bench/measure/memory_need.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <string>

#include "backends/host/memory.hpp"
#include "bench/measure/output_check.hpp"
#include "bench/measure/rotating_buffers.hpp"
#include "bench/requests/sweep.hpp"
#include "bench/support/bytes_text.hpp"

namespace kqbench {
namespace {

constexpr std::uint64_t everything = std::numeric_limits<std::uint64_t>::max();

/// What is asked for without looking at what is free, which takes longer than to use so little.
constexpr std::uint64_t little = std::uint64_t{1} << 22;

std::uint64_t add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? everything : sum;
}

[[noreturn]] void refuse(const kq::Request& request, std::uint64_t needed, const std::string& where,
                         std::uint64_t there) {
  throw DeviceError(fmt::format("not enough memory for {}: {} are needed, {} are free {}; take a smaller shape",
                                describe(request), bytes_text(needed), bytes_text(there), where));
}

/// The need for the tensors, without workspaces.
MemoryNeed need_of_tensors(const kq::Request& full, const BufferSizes& buffers) {
  const std::uint64_t outputs = OutputLayout(full).bytes();
  MemoryNeed need;
  need.device = buffers.per_copy;
  // The reference's outputs, their image, an untouched block, and a fetched one.
  for (const kq::TensorSpec& tensor : kq::tensors(full)) {
    if (tensor.is_source) need.host = add(need.host, tensor.bytes());
  }
  if (full.producer != kq::Producer::none) need.host = add(need.host, kq::values_bytes(full));
  for (int block = 0; block < 4; ++block) {
    need.host = add(need.host, outputs);
  }
  return need;
}

/// What is free for need.device: on a host, what need.host leaves.
std::uint64_t device_room(const Device& device, const MemoryNeed& need) {
  const std::uint64_t on_device = device.free_memory_bytes();
  if (!device.info().host_memory) return on_device;
  const std::uint64_t there = std::min(on_device, memory_available_bytes());
  return there - std::min(there, need.host);
}

}  // namespace

MemoryNeed memory_need(const kq::Request& request, std::span<Implementation* const> implementations) {
  const kq::Request full = kq::resolved(request);
  const BufferSizes buffers = buffer_sizes(full, implementations);
  MemoryNeed need = need_of_tensors(full, buffers);
  need.device = add(need.device, buffers.fixed);
  return need;
}

std::vector<TooLarge> take_out_too_large(const Device& device, const kq::Request& request,
                                         std::vector<Implementation*>& implementations) {
  const kq::Request full = kq::resolved(request);
  std::vector<TooLarge> taken_out;
  while (!implementations.empty()) {
    const BufferSizes buffers = buffer_sizes(full, implementations);
    const MemoryNeed tensors = need_of_tensors(full, buffers);
    if (add(add(tensors.device, buffers.fixed), tensors.host) <= little) break;
    const std::uint64_t room = device_room(device, tensors);
    if (tensors.device > room || add(tensors.device, buffers.fixed) <= room) break;
    const auto largest = std::max_element(implementations.begin(), implementations.end(),
                                          [&](const Implementation* a, const Implementation* b) {
                                            return a->workspace_bytes(full) < b->workspace_bytes(full);
                                          });
    taken_out.push_back(
        {*largest, fmt::format("it asks for a workspace of {}, and {} are free beside the tensors",
                               bytes_text((*largest)->workspace_bytes(full)), bytes_text(room - tensors.device))});
    implementations.erase(largest);
  }
  return taken_out;
}

void require_memory(const Device& device, const kq::Request& request,
                    std::span<Implementation* const> implementations) {
  const MemoryNeed need = memory_need(request, implementations);
  if (add(need.device, need.host) <= little) return;
  const std::uint64_t on_device = device.free_memory_bytes();
  const std::uint64_t on_host = memory_available_bytes();
  if (device.info().host_memory) {
    const std::uint64_t there = std::min(on_device, on_host);
    if (add(need.device, need.host) > there) refuse(request, add(need.device, need.host), "on this machine", there);
    return;
  }
  if (need.device > on_device) refuse(request, need.device, "on the device", on_device);
  if (need.host > on_host) refuse(request, need.host, "on the host", on_host);
}

}  // namespace kqbench
