// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The code objects of the program that runs, found by kernel.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/amd/interpreter/launch.hpp"

namespace kqbench::amd {

class Programs {
 public:
  /// The target is KQ_AMD_TARGET.
  Programs();

  const std::string& target() const { return target_; }
  int faults() const;

  /// The program with that kernel: of the files in KQ_AMD_CODE, or of the bundle in memory. Throws std::runtime_error.
  Program& find(const void* bundle, const std::string& kernel, Memory& memory);
  /// As find(), of a variable.
  std::byte* variable(const void* bundle, const std::string& name, Memory& memory);

 private:
  Program& of_bundle(const void* bundle, Memory& memory);
  Program& add(std::vector<std::byte> elf, Memory& memory);
  void read_files(Memory& memory);

  std::string target_;
  std::string files_;
  Fault fault_;
  std::map<const void*, Program*> by_bundle_;
  std::vector<std::unique_ptr<Program>> all_;
  std::size_t from_files_ = 0;
};

}  // namespace kqbench::amd
