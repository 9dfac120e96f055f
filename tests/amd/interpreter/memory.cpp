// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/memory.hpp"

#include <cstdio>
#include <iterator>
#include <utility>

namespace kqbench::amd {
namespace {

std::uint64_t number(const void* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace

void Memory::add(const void* address, std::size_t bytes, bool writable, std::string name) {
  pieces_[number(address)] = {bytes, writable, std::move(name)};
}

void Memory::remove(const void* address) {
  pieces_.erase(number(address));
  first_ = 1;
  last_ = 0;
}

bool Memory::find(std::uint64_t address, std::size_t bytes, bool write) const {
  auto piece = pieces_.upper_bound(address);
  if (piece == pieces_.begin()) return false;
  --piece;
  if (address + bytes > piece->first + piece->second.bytes || (write && !piece->second.writable)) return false;
  first_ = piece->first;
  last_ = piece->first + piece->second.bytes;
  writable_ = piece->second.writable;
  return true;
}

std::string Memory::describe(std::uint64_t address) const {
  char hexadecimal[32];
  std::snprintf(hexadecimal, sizeof hexadecimal, "0x%llx", static_cast<unsigned long long>(address));
  const auto next = pieces_.upper_bound(address);
  std::string text = hexadecimal;
  if (next != pieces_.begin()) {
    const auto before = std::prev(next);
    const std::uint64_t offset = address - before->first;
    const std::string name = "the " + std::to_string(before->second.bytes) + " bytes of " + before->second.name;
    if (offset < before->second.bytes) return text + " is byte " + std::to_string(offset) + " of " + name;
    text += " is " + std::to_string(offset - before->second.bytes) + " bytes behind " + name;
  }
  if (next != pieces_.end()) {
    text += next == pieces_.begin() ? " is " : " and ";
    text += std::to_string(next->first - address) + " bytes before those of " + next->second.name;
  }
  return text;
}

std::size_t Memory::size_of(const void* address) const {
  const auto piece = pieces_.find(number(address));
  return piece == pieces_.end() ? 0 : piece->second.bytes;
}

}  // namespace kqbench::amd
