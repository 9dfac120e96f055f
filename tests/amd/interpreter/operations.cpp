// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/operations.hpp"

#include <array>
#include <bit>
#include <stdexcept>
#include <utility>

#include "tests/amd/interpreter/half.hpp"
#include "tests/amd/interpreter/table.hpp"

namespace kqbench::amd {
namespace {

const Table& all_operations() {
  static const Table table = [] {
    Table made;
    add_scalar_operations(made);
    add_integer_operations(made);
    add_float_operations(made);
    add_comparisons(made);
    add_conversions(made);
    add_packed_operations(made);
    add_lane_operations(made);
    add_memory_operations(made);
    return made;
  }();
  return table;
}

[[noreturn]] void refuse(const Instruction& instruction, const std::string& why) {
  throw std::runtime_error(why + ": " + instruction.text);
}

/// "v_add_f32_e64_dpp" is "v_add_f32" in another encoding.
std::string base_name(const std::string& mnemonic) {
  std::string name = mnemonic;
  for (const char* const suffix : {"_dpp8", "_dpp", "_sdwa", "_e32", "_e64"}) {
    if (name.ends_with(suffix)) name.resize(name.size() - std::string_view(suffix).size());
  }
  return name;
}

std::uint64_t constant_of(const Operand& operand, Type type) {
  if (operand.kind == Operand::Kind::number) return operand.number;
  switch (type) {
    case Type::u16:
    case Type::f16:
    case Type::packed:
    case Type::packed_half:
      return to_half(operand.real).bits;
    case Type::f64:
      return std::bit_cast<std::uint64_t>(operand.real);
    default:
      return std::bit_cast<std::uint32_t>(static_cast<float>(operand.real));
  }
}

Part part_of(const Instruction& instruction, std::string_view modifier) {
  const auto found = instruction.modifiers.find(modifier);
  if (found == instruction.modifiers.end() || found->second == "DWORD") return Part::all;
  constexpr std::pair<std::string_view, Part> parts[] = {{"BYTE_0", Part::byte0}, {"BYTE_1", Part::byte1},
                                                         {"BYTE_2", Part::byte2}, {"BYTE_3", Part::byte3},
                                                         {"WORD_0", Part::word0}, {"WORD_1", Part::word1}};
  for (const auto& [name, part] : parts) {
    if (found->second == name) return part;
  }
  refuse(instruction, "an unknown part of a register");
}

bool is_packed(Type type) {
  return type == Type::packed || type == Type::packed_half || type == Type::packed_float;
}

void read_parts(const Instruction& instruction, Operation& operation) {
  operation.source[0].part = part_of(instruction, "src0_sel");
  operation.source[1].part = part_of(instruction, "src1_sel");
  operation.destination_part = part_of(instruction, "dst_sel");
  const auto unused = instruction.modifiers.find("dst_unused");
  if (unused == instruction.modifiers.end()) return;
  if (unused->second == "UNUSED_SEXT") operation.unused = Operation::Unused::sign;
  if (unused->second == "UNUSED_PRESERVE") operation.unused = Operation::Unused::preserve;
}

/// op_sel and its kin: of packed operands each half's source, of others of 16 bits the half that is meant.
void read_halves(const Instruction& instruction, const Entry& entry, Operation& operation) {
  const auto low = instruction.list("op_sel");
  const auto high = instruction.list("op_sel_hi");
  const auto negate_low = instruction.list("neg_lo");
  const auto negate_high = instruction.list("neg_hi");
  const bool is_mix = !entry.sources.empty() && is_packed(entry.sources[0]) && entry.number == 1;
  const auto flag = [](const std::vector<int>& list, std::size_t i, bool otherwise) {
    return i < list.size() ? list[i] != 0 : otherwise;
  };
  for (std::size_t i = 0; i < entry.sources.size() && i < operation.source.size(); ++i) {
    Source& source = operation.source[i];
    if (is_packed(entry.sources[i])) {
      source.low_from_upper = flag(low, i, false);
      source.high_from_upper = flag(high, i, !is_mix);
      source.negate_low = flag(negate_low, i, false) || source.negate;
      source.negate_high = flag(negate_high, i, false) || (is_mix && source.absolute);
      source.negate = source.absolute = false;
    } else {
      source.upper = flag(low, i, false) || source.operand.half == 1;
    }
  }
  if (!entry.sources.empty() && !is_packed(entry.sources[0])) {
    operation.destination_upper = flag(low, entry.sources.size(), false) || operation.destination.half == 1;
  }
}

/// Which lane lane i reads, by DPP's names. -1: none.
int permuted_lane(const Instruction& instruction, int i, int lanes) {
  const int row = i & ~15;
  const int in_row = i & 15;
  if (const auto list = instruction.list("quad_perm"); !list.empty())
    return (i & ~3) | list.at(static_cast<std::size_t>(i & 3));
  if (const auto list = instruction.list("dpp8"); !list.empty())
    return (i & ~7) | list.at(static_cast<std::size_t>(i & 7));
  const auto by = [&](std::string_view name) { return static_cast<int>(instruction.number(name, 0)); };
  const auto within_row = [&](int lane) { return lane >= 0 && lane < 16 ? row | lane : -1; };
  if (instruction.has("row_shl")) return within_row(in_row + by("row_shl"));
  if (instruction.has("row_shr")) return within_row(in_row - by("row_shr"));
  if (instruction.has("row_ror")) return row | ((in_row - by("row_ror")) & 15);
  if (instruction.has("wave_shl")) return i + 1 < lanes ? i + 1 : -1;
  if (instruction.has("wave_shr")) return i - 1;
  if (instruction.has("wave_rol")) return (i + 1) % lanes;
  if (instruction.has("wave_ror")) return (i + lanes - 1) % lanes;
  if (instruction.has("row_mirror")) return row | (15 - in_row);
  if (instruction.has("row_half_mirror")) return row | (in_row ^ 7);
  if (instruction.has("row_bcast")) {
    const int from = by("row_bcast");  // 15: the last lane of the row before; 31: lane 31 to the upper half
    if (from == 15) return row == 0 ? -1 : row - 1;
    return i < 32 ? -1 : 31;
  }
  if (instruction.has("row_newbcast")) return row | by("row_newbcast");
  if (instruction.has("row_share")) return row | by("row_share");
  if (instruction.has("row_xmask")) return row | (in_row ^ by("row_xmask"));
  return -2;
}

void read_permutation(const Instruction& instruction, const Target& target, Operation& operation) {
  LanePermutation& permutation = operation.permutation;
  const int lanes = target.wave64 ? 64 : 32;
  if (permuted_lane(instruction, 0, lanes) == -2) return;
  permutation.used = true;
  permutation.zero = instruction.has("bound_ctrl") || instruction.has("dpp8");
  permutation.fetch_inactive = instruction.number("fi", 0) != 0;
  const auto rows = instruction.number("row_mask", 15);
  const auto banks = instruction.number("bank_mask", 15);
  permutation.written = 0;
  for (int i = 0; i < lanes; ++i) {
    permutation.from[static_cast<std::size_t>(i)] = static_cast<std::int8_t>(permuted_lane(instruction, i, lanes));
    const bool is_written = (rows >> i / 16 & 1) != 0 && (banks >> i / 4 % 4 & 1) != 0;
    permutation.written |= static_cast<std::uint64_t>(is_written ? 1 : 0) << i;
  }
}

void read_output(const Instruction& instruction, const Entry& entry, Operation& operation) {
  operation.clamp = instruction.has("clamp");
  if (operation.clamp && entry.clamped != nullptr) {
    operation.run = entry.clamped;
    operation.clamp = false;
  }
  operation.output_scale = static_cast<int>(instruction.number("mul", 1)) / 2;  // mul:2, mul:4
  if (instruction.has("div")) operation.output_scale = -1;
  if ((operation.clamp || operation.output_scale != 0) && !entry.clamps_floats)
    refuse(instruction, "a change of its result");
}

/// Of an atomic operation.
bool returns_old_value(const Instruction& instruction) {
  const auto hint = instruction.modifiers.find("th");
  return instruction.has("sc0") || instruction.has("glc") ||
         (hint != instruction.modifiers.end() && hint->second.find("RETURN") != std::string::npos);
}

}  // namespace

Target target_of(const std::string& name) {
  Target target;
  target.is_gfx9 = name.starts_with("gfx9");
  target.wave64 = target.is_gfx9;
  target.is_gfx12 = name.starts_with("gfx12");
  target.fnuz = name.starts_with("gfx94");
  if (name != "gfx90a" && name != "gfx942" && name != "gfx950" && !name.starts_with("gfx11") && !target.is_gfx12) {
    throw std::runtime_error("the interpreter does not know " + name);
  }
  return target;
}

Operation decode(const Instruction& instruction, const Target& target) {
  std::string name = base_name(instruction.mnemonic);
  // Of RDNA3's pairs each half is an instruction that there is alone too.
  if (name.starts_with("v_dual_")) name.replace(0, 7, "v_");
  const bool writes_exec = name.starts_with("v_cmpx_");
  if (writes_exec) name.erase(5, 1);
  const Entry* const entry = all_operations().find(name);
  if (entry == nullptr) refuse(instruction, "unknown instruction " + instruction.mnemonic);

  Operation operation;
  operation.instruction = &instruction;
  operation.run = entry->run;
  operation.in_ieee_mode = entry->in_ieee_mode;
  operation.number = entry->number;
  std::size_t next = 0;
  const auto operand = [&]() -> const Operand& {
    if (next >= instruction.operands.size()) refuse(instruction, "an operand is missing");
    return instruction.operands[next++];
  };
  for (const char destination : entry->destinations) {
    if (destination == 'd') operation.destination = operand();
    if (destination == 'm' && !writes_exec) operation.mask = operand();
    // An atomic operation has a destination where it returns something.
    if (destination == 'r' && returns_old_value(instruction)) operation.destination = operand();
  }
  if (writes_exec) {
    if (target.is_gfx9) refuse(instruction, "a comparison that writes two masks");
    operation.mask.kind = Operand::Kind::scalar;
    operation.mask.index = exec_register;
    operation.mask.count = target.wave64 ? 2 : 1;
  }
  for (const Type type : entry->sources) {
    Source& source = operation.source.at(static_cast<std::size_t>(operation.sources++));
    const bool is_last = operation.sources == static_cast<int>(entry->sources.size());
    // The offset of a scalar load may be missing.
    if (is_last && next >= instruction.operands.size() && type == Type::scalar && name.starts_with("s_load")) continue;
    if (is_last && next >= instruction.operands.size() && type == Type::mask) {  // of pairs: it is not written
      source.operand.kind = Operand::Kind::scalar;
      source.operand.index = vcc_register;
      source.operand.count = 2;
      continue;
    }
    source.operand = operand();
    source.constant = constant_of(source.operand, type);
    if (type == Type::packed_float) source.constant |= source.constant << 32;
    source.negate = source.operand.negate;
    source.absolute = source.operand.absolute;
    source.sign_extend = source.operand.sign_extend;
  }
  if (!entry->sources.empty() && next < instruction.operands.size()) refuse(instruction, "an operand too many");
  if (entry->accumulates) {
    Source& source = operation.source.at(static_cast<std::size_t>(operation.sources++));
    source.operand = operation.destination;
  }
  read_parts(instruction, operation);
  read_halves(instruction, *entry, operation);
  read_permutation(instruction, target, operation);
  read_output(instruction, *entry, operation);
  operation.preserves_other_half = !target.is_gfx9 || entry->keeps_half_on_gfx9;
  operation.number = static_cast<int>(instruction.number("bitop3", operation.number));
  operation.offset = instruction.number("offset", instruction.number("offset0", 0));
  operation.offset1 = instruction.number("offset1", 0);
  return operation;
}

bool is_known(const Instruction& instruction) {
  std::string name = base_name(instruction.mnemonic);
  if (name.starts_with("v_dual_")) name.replace(0, 7, "v_");
  if (name.starts_with("v_cmpx_")) name.erase(5, 1);
  if (name == "v_illegal") return true;  // zeros between functions; to come there is an error
  return all_operations().find(name) != nullptr;
}

void perform(Wave& wave, const Operation& operation) {
  if (operation.in_ieee_mode == nullptr || !wave.ieee_mode) return operation.run(wave, operation);
  if (wave.options.refuses_ieee_mode)
    throw ExecutionError("NaN that signals would hide a number in the mode named IEEE");
  operation.in_ieee_mode(wave, operation);
}

void execute(Wave& wave, const Operation& operation) {
  perform(wave, operation);
  ++wave.executed;
}

}  // namespace kqbench::amd
