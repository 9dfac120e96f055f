// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The code objects that run, found by kernel: of the files in KQ_AMD_CODE, the first that has it, or of the program
/// itself. A program whose host part alone was compiled has none: its bundles are null.

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

  /// The code with that kernel. Throws std::runtime_error.
  Program& find(const void* bundle, const std::string& kernel, Memory& memory);
  /// Where that variable is: in each file that has one of that name, and in the bundle. Throws std::runtime_error if
  /// that is nowhere.
  std::vector<std::byte*> variables(const void* bundle, const std::string& name, Memory& memory);

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
