// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What device code may touch: the host's memory, as far as somebody has allocated it for the device.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace kqbench::amd {

class Memory {
 public:
  /// From now on device code may read these bytes, and write them unless they are constant. `name` is for messages.
  void add(const void* address, std::size_t bytes, bool writable, std::string name);
  void remove(const void* address);

  bool may_access(std::uint64_t address, std::size_t bytes, bool write) const {
    if (address < first_ || address + bytes > last_ || (write && !writable_)) return find(address, bytes, write);
    return true;
  }
  /// "0x7f… is 2 bytes behind the 4096 bytes of hipMalloc"
  std::string describe(std::uint64_t address) const;

  /// Bytes that are allocated under that address; 0 if it is not the address of an allocation.
  std::size_t size_of(const void* address) const;

 private:
  struct Piece {
    std::size_t bytes;
    bool writable;
    std::string name;
  };
  bool find(std::uint64_t address, std::size_t bytes, bool write) const;

  std::map<std::uint64_t, Piece> pieces_;
  // The piece that was found last.
  mutable std::uint64_t first_ = 1;
  mutable std::uint64_t last_ = 0;
  mutable bool writable_ = false;
};

}  // namespace kqbench::amd
