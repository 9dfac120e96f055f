// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What instructions do. There are those that this project's kernels contain; another is an error by its name.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "tests/amd/interpreter/instruction.hpp"
#include "tests/amd/interpreter/wave.hpp"

namespace kqbench::amd {

/// Which part of a register an SDWA operand is.
enum class Part : std::uint8_t { all, byte0, byte1, byte2, byte3, word0, word1 };

/// How lanes get their first operand from other lanes.
struct LanePermutation {
  bool used = false;
  std::array<std::int8_t, max_lanes> from{};  ///< -1: from none
  std::uint64_t written = ~std::uint64_t{0};  ///< lanes that the row and bank masks let write
  bool zero = false;                          ///< a lane that gets from none reads 0; else it is not written
  bool fetch_inactive = false;
};

struct Source {
  Operand operand;
  std::uint64_t constant = 0;  ///< of a number, with the type that the operand has here
  bool negate = false;
  bool absolute = false;
  bool sign_extend = false;
  Part part = Part::all;
  bool upper = false;           ///< of 16-bit operands: the upper half of the register
  bool low_from_upper = false;  ///< of packed operands: where the lower result's comes from
  bool high_from_upper = true;
  bool negate_low = false;
  bool negate_high = false;
};

struct Operation {
  void (*run)(Wave&, const Operation&) = nullptr;
  void (*in_ieee_mode)(Wave&, const Operation&) = nullptr;  ///< in its place in that mode; null: it does not matter
  const Instruction* instruction = nullptr;
  Operand destination;  ///< of lanes, or scalar
  Operand mask;         ///< scalar that gets a bit for each lane
  std::array<Source, 4> source;
  int sources = 0;
  Part destination_part = Part::all;
  enum class Unused : std::uint8_t { zero, sign, preserve } unused = Unused::zero;
  bool destination_upper = false;     ///< of 16 bits: the upper half
  bool preserves_other_half = false;  ///< of 16 bits
  bool clamp = false;
  int output_scale = 0;  ///< as a power of two
  LanePermutation permutation;
  std::int64_t offset = 0;  ///< in bytes
  std::int64_t offset1 = 0;
  int number = 0;               ///< what else an operation needs
  bool pair_with_next = false;  ///< both read before either writes
};

/// Throws std::runtime_error with the instruction's text if it is not known, or with operands that are not.
Operation decode(const Instruction& instruction, const Target& target);

/// Whether there is an instruction of that name.
bool is_known(const Instruction& instruction);

/// Does what an operation does. Throws ExecutionError.
void perform(Wave& wave, const Operation& operation);

/// Executes one operation; `wave.next` must be the address of the next one.
void execute(Wave& wave, const Operation& operation);

}  // namespace kqbench::amd
