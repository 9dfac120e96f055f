// SPDX-License-Identifier: Apache-2.0
#include "bench/plugins/guarded_tensors.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <new>

namespace kqbench {
namespace {

constexpr std::size_t guard_pages = 64;  ///< on either side
constexpr std::size_t workspace_alignment = 256;
constexpr int unwritten_byte = 0xa5;

std::size_t whole_units(std::size_t bytes, std::size_t unit) {
  return (bytes + unit - 1) / unit * unit;
}

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

}  // namespace

GuardedTensors::GuardedTensors(const kq::Request& request, const kq::HostTensors& given, std::size_t alignment,
                               std::size_t workspace_bytes) {
  for (const kq::TensorSpec& tensor : kq::tensors(request)) {
    std::byte* const at = map(tensor.bytes(), std::max(alignment, tensor.element_bytes));
    const Mapping& mapping = mappings_.back();
    if (tensor.is_written) {
      std::memset(at, unwritten_byte, tensor.bytes());
    } else {
      std::memcpy(at, (given.*tensor.on_host).data(), tensor.bytes());
      const std::size_t guard = guard_pages * page_bytes();
      ::mprotect(static_cast<std::byte*>(mapping.address) + guard, mapping.bytes - 2 * guard, PROT_READ);
    }
    tensor.set(operands_, at);
    memory_.push_back({tensor.name, at, tensor.bytes()});
  }
  if (workspace_bytes == 0) return;
  operands_.workspace = map(workspace_bytes, workspace_alignment);  // new pages are 0
  memory_.push_back({"workspace", static_cast<std::byte*>(operands_.workspace), workspace_bytes});
}

GuardedTensors::~GuardedTensors() {
  for (const Mapping& mapping : mappings_) {
    ::munmap(mapping.address, mapping.bytes);
  }
}

std::byte* GuardedTensors::map(std::size_t bytes, std::size_t alignment) {
  const std::size_t guard = guard_pages * page_bytes();
  const std::size_t inside = whole_units(bytes, page_bytes());
  const std::size_t all = inside + 2 * guard;
  void* const address = ::mmap(nullptr, all, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) throw std::bad_alloc();
  mappings_.push_back({address, all});
  std::byte* const begin = static_cast<std::byte*>(address) + guard;
  if (::mprotect(begin, inside, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
  return begin + inside - whole_units(bytes, alignment);
}

}  // namespace kqbench
