// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Runs kernels of a code object: grids of groups of waves.

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tests/amd/interpreter/code_object.hpp"
#include "tests/amd/interpreter/operations.hpp"

namespace kqbench::amd {

/// A fault to plant: instructions whose text contains `from` have `to` in its place.
struct Fault {
  std::string from;
  std::string to;
};

/// A code object with its instructions.
class Program {
 public:
  /// `disassembly`: what `llvm-objdump -d` writes. Throws std::runtime_error, also for an instruction that the
  /// interpreter does not know, with all such names.
  Program(std::unique_ptr<CodeObject> object, std::string_view disassembly, const Fault& fault = {});

  CodeObject& object() { return *object_; }
  const Target& target() const { return target_; }

  /// The operation at an address, decoded when it is first needed. Throws ExecutionError if there is none.
  const Operation& at(std::uint64_t address);
  /// Instructions that a fault was planted in.
  int faults() const { return faults_; }

 private:
  void plant(const Fault& fault);

  std::unique_ptr<CodeObject> object_;
  Target target_;
  std::vector<Instruction> instructions_;
  std::vector<Operation> operations_;
  std::vector<std::int32_t> number_;  ///< of the instruction at an address / 4, or -1
  int faults_ = 0;
};

struct Grid {
  std::array<std::uint32_t, 3> groups{1, 1, 1};
  std::array<std::uint32_t, 3> threads{1, 1, 1};  ///< of a group
  std::size_t shared_bytes = 0;                   ///< of LDS, besides what the kernel has
  bool together = false;                          ///< all groups run at once
};

/// The argument segment of a launch: what the kernel's metadata says, from pointers to the arguments in order.
std::vector<std::byte> argument_segment(const Kernel& kernel, const Grid& grid, void* const* arguments);

struct Counts {
  std::int64_t launches = 0;
  std::int64_t waves = 0;
  std::int64_t instructions = 0;  ///< of waves
};

/// Runs a grid to its end. Throws ExecutionError: what went wrong, at which instruction, in which group and wave.
Counts run(Program& program, const Kernel& kernel, const Grid& grid, const std::vector<std::byte>& arguments,
           Memory& memory, const Options& options);

}  // namespace kqbench::amd
