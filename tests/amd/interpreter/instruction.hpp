// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// An instruction as LLVM's disassembler writes it, taken apart; what it means is in operations.hpp.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace kqbench::amd {

/// Scalar registers that have names of their own, numbered as one file of registers. (The numbers of m0 and null differ
/// from target to target; here they do not.)
inline constexpr int vcc_register = 106;
inline constexpr int flat_scratch_register = 102;
inline constexpr int m0_register = 124;
inline constexpr int exec_register = 126;
inline constexpr int scalar_registers = 128;
/// Accumulation registers come behind a lane's others.
inline constexpr int first_accumulation_register = 256;

struct Operand {
  enum class Kind : std::uint8_t {
    vector,  ///< a register of each lane
    scalar,  ///< a register of the wave
    number,  ///< a constant
    real,    ///< a constant written as a floating-point number: its bits depend on the type of the operand
    scc,
    execz,
    vccz,
    shared_base,   ///< upper half of the addresses of LDS
    private_base,  ///< of memory private to a lane
    null,          ///< reads as 0, is not written
    off,           ///< no address
    word,          ///< anything else: a name
  };
  Kind kind = Kind::off;
  std::int16_t index = 0;  ///< of the first register
  std::int16_t count = 1;  ///< registers
  std::uint64_t number = 0;
  double real = 0.0;
  bool negate = false;
  bool absolute = false;
  bool sign_extend = false;
  std::int8_t half = -1;  ///< of a register: 0 lower, 1 upper, as RDNA3 writes .l and .h; -1: all of it
  std::string word;
};

struct Instruction {
  std::string mnemonic;
  std::vector<Operand> operands;
  std::map<std::string, std::string, std::less<>> modifiers;  ///< "offset" to "16", "sc0" to ""
  std::uint64_t address = 0;                                  ///< within the code object
  std::uint64_t next = 0;                                     ///< address of the next one
  std::string text;                                           ///< as it was written

  bool has(std::string_view modifier) const { return modifiers.contains(modifier); }
  /// The modifier's number, or `otherwise` if it is not there.
  std::int64_t number(std::string_view modifier, std::int64_t otherwise) const;
  /// The modifier's list of numbers, "[0,1,1]"; empty if it is not there.
  std::vector<int> list(std::string_view modifier) const;
};

/// Takes a line apart: "v_add_f32_e32 v1, v2, v3". Of two instructions in one (`v_dual_… :: v_dual_…`) there are two.
/// Throws std::runtime_error with the line.
std::vector<Instruction> parse_instruction(std::string_view text);

/// What `llvm-objdump -d` has written: instructions by address, which it writes as a comment. Of a branch the target's
/// address is the last operand. Throws std::runtime_error.
std::vector<Instruction> parse_disassembly(std::string_view text);

}  // namespace kqbench::amd
