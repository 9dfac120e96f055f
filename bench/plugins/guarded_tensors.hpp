// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The tensors of a request in the process's own memory, each between pages that nothing may touch: whoever reads or
/// writes behind one is stopped there and then.

#include <cstddef>
#include <vector>

#include "bench/plugins/crash_report.hpp"
#include "kq/request.hpp"
#include "kq/tensors.hpp"

namespace kqbench {

class GuardedTensors {
 public:
  /// `given` has what the request reads, and that can only be read here. Each tensor ends as close to the page behind
  /// it as its element and `alignment` allow; a workspace is aligned to 256 bytes. Throws std::bad_alloc.
  GuardedTensors(const kq::Request& request, const kq::HostTensors& given, std::size_t alignment,
                 std::size_t workspace_bytes);
  ~GuardedTensors();
  GuardedTensors(const GuardedTensors&) = delete;
  GuardedTensors& operator=(const GuardedTensors&) = delete;

  const kq::Operands& operands() const { return operands_; }

  /// What a crash in or beside them is described by.
  const std::vector<NamedMemory>& memory() const { return memory_; }

 private:
  struct Mapping {
    void* address;
    std::size_t bytes;
  };

  /// Memory for `bytes` bytes between forbidden pages.
  std::byte* map(std::size_t bytes, std::size_t alignment);

  std::vector<Mapping> mappings_;
  std::vector<NamedMemory> memory_;
  kq::Operands operands_;
};

}  // namespace kqbench
