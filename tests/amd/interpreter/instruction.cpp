// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/instruction.hpp"

#include <charconv>
#include <cstdlib>
#include <optional>
#include <stdexcept>

namespace kqbench::amd {
namespace {

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

/// Pieces between separators that are outside of all brackets.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i == text.size() || (depth == 0 && text[i] == separator)) {
      const std::string_view piece = trim(text.substr(begin, i - begin));
      if (!piece.empty()) pieces.push_back(piece);
      begin = i + 1;
    } else if (text[i] == '[' || text[i] == '(') {
      ++depth;
    } else if (text[i] == ']' || text[i] == ')') {
      --depth;
    }
  }
  return pieces;
}

std::optional<std::int64_t> integer(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  const bool hexadecimal = text.starts_with("0x");
  if (hexadecimal) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, hexadecimal ? 16 : 10);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return static_cast<std::int64_t>(negative ? 0 - value : value);
}

/// "3" or "[4:7]", behind the letter of a kind of registers.
bool parse_registers(std::string_view text, int offset, Operand& operand) {
  std::int64_t first = 0;
  std::int64_t last = 0;
  if (text.starts_with('[') && text.ends_with(']')) {
    text = text.substr(1, text.size() - 2);
    const auto colon = text.find(':');
    const auto begin = integer(text.substr(0, colon));
    const auto end = colon == std::string_view::npos ? begin : integer(text.substr(colon + 1));
    if (!begin || !end) return false;
    first = *begin;
    last = *end;
  } else {
    const auto number = integer(text);
    if (!number || text.starts_with('-')) return false;
    first = last = *number;
  }
  if (first < 0 || last < first || last > 255) return false;
  operand.index = static_cast<std::int16_t>(first + offset);
  operand.count = static_cast<std::int16_t>(last - first + 1);
  return true;
}

struct Named {
  std::string_view name;
  Operand::Kind kind;
  int index;
  int count;
};

constexpr Named named[] = {
    {"vcc", Operand::Kind::scalar, vcc_register, 2},
    {"vcc_lo", Operand::Kind::scalar, vcc_register, 1},
    {"vcc_hi", Operand::Kind::scalar, vcc_register + 1, 1},
    {"exec", Operand::Kind::scalar, exec_register, 2},
    {"exec_lo", Operand::Kind::scalar, exec_register, 1},
    {"exec_hi", Operand::Kind::scalar, exec_register + 1, 1},
    {"m0", Operand::Kind::scalar, m0_register, 1},
    {"flat_scratch", Operand::Kind::scalar, flat_scratch_register, 2},
    {"flat_scratch_lo", Operand::Kind::scalar, flat_scratch_register, 1},
    {"flat_scratch_hi", Operand::Kind::scalar, flat_scratch_register + 1, 1},
    {"scc", Operand::Kind::scc, 0, 1},
    {"src_scc", Operand::Kind::scc, 0, 1},
    {"src_execz", Operand::Kind::execz, 0, 1},
    {"src_vccz", Operand::Kind::vccz, 0, 1},
    {"src_shared_base", Operand::Kind::shared_base, 0, 2},
    {"src_private_base", Operand::Kind::private_base, 0, 2},
    {"null", Operand::Kind::null, 0, 1},
    {"off", Operand::Kind::off, 0, 0},
};

bool parse_register(std::string_view text, Operand& operand) {
  for (const Named& one : named) {
    if (text == one.name) {
      operand.kind = one.kind;
      operand.index = static_cast<std::int16_t>(one.index);
      operand.count = static_cast<std::int16_t>(one.count);
      return true;
    }
  }
  if (text.ends_with(".l") || text.ends_with(".h")) {
    operand.half = text.back() == 'h' ? 1 : 0;
    text.remove_suffix(2);
  }
  if (text.size() < 2) return false;
  if (text.starts_with("ttmp")) {
    operand.kind = Operand::Kind::scalar;
    return parse_registers(text.substr(4), 108, operand);
  }
  operand.kind = text[0] == 's' ? Operand::Kind::scalar : Operand::Kind::vector;
  if (text[0] != 'v' && text[0] != 'a' && text[0] != 's') return false;
  return parse_registers(text.substr(1), text[0] == 'a' ? first_accumulation_register : 0, operand);
}

bool strip(std::string_view& text, std::string_view prefix, std::string_view suffix) {
  if (!text.starts_with(prefix) || !text.ends_with(suffix) || text.size() <= prefix.size() + suffix.size())
    return false;
  text = text.substr(prefix.size(), text.size() - prefix.size() - suffix.size());
  return true;
}

Operand parse_operand(std::string_view text) {
  Operand operand;
  const std::string_view all = text;
  if (const auto number = integer(text)) {
    operand.kind = Operand::Kind::number;
    operand.number = static_cast<std::uint64_t>(*number);
    return operand;
  }
  char* end = nullptr;
  const std::string real(text);
  operand.real = std::strtod(real.c_str(), &end);
  if (end == real.c_str() + real.size() && real.find_first_not_of("-+.0123456789e") == std::string::npos) {
    operand.kind = Operand::Kind::real;
    return operand;
  }
  if (strip(text, "neg(", ")") || (text.starts_with('-') && strip(text, "-", ""))) operand.negate = true;
  if (strip(text, "|", "|") || strip(text, "abs(", ")")) operand.absolute = true;
  if (strip(text, "sext(", ")")) operand.sign_extend = true;
  if (parse_register(text, operand)) return operand;
  if (text.starts_with("0x") || (!text.empty() && text[0] >= '0' && text[0] <= '9')) {  // |1.0|, -0x…
    Operand inner = parse_operand(text);
    inner.negate = operand.negate;
    inner.absolute = operand.absolute;
    return inner;
  }
  operand.kind = Operand::Kind::word;
  operand.word = all;
  return operand;
}

Instruction parse_one(std::string_view text) {
  Instruction instruction;
  instruction.text = text;
  const auto end = text.find_first_of(" \t");
  instruction.mnemonic = text.substr(0, end);
  if (end == std::string_view::npos) return instruction;
  for (const std::string_view piece : split(text.substr(end), ',')) {
    const auto words = split(piece, ' ');
    instruction.operands.push_back(parse_operand(words.at(0)));
    for (std::size_t i = 1; i < words.size(); ++i) {
      const auto colon = words[i].find(':');
      instruction.modifiers[std::string(words[i].substr(0, colon))] =
          colon == std::string_view::npos ? "" : words[i].substr(colon + 1);
    }
  }
  return instruction;
}

}  // namespace

std::int64_t Instruction::number(std::string_view modifier, std::int64_t otherwise) const {
  const auto found = modifiers.find(modifier);
  if (found == modifiers.end()) return otherwise;
  const auto value = integer(found->second);
  if (!value) throw std::runtime_error("no number behind " + std::string(modifier) + ": " + text);
  return *value;
}

std::vector<int> Instruction::list(std::string_view modifier) const {
  const auto found = modifiers.find(modifier);
  if (found == modifiers.end()) return {};
  std::string_view numbers = found->second;
  std::vector<int> result;
  if (!strip(numbers, "[", "]")) throw std::runtime_error("no list behind " + std::string(modifier) + ": " + text);
  for (const std::string_view one : split(numbers, ',')) {
    result.push_back(static_cast<int>(integer(one).value_or(0)));
  }
  return result;
}

std::vector<Instruction> parse_instruction(std::string_view text) {
  std::vector<Instruction> result;
  const auto both = text.find(" :: ");
  result.push_back(parse_one(trim(text.substr(0, both))));
  if (both != std::string_view::npos) {
    result.push_back(parse_one(trim(text.substr(both + 4))));
    result[0].text = result[1].text = trim(text);
  }
  return result;
}

std::vector<Instruction> parse_disassembly(std::string_view text) {
  std::vector<Instruction> result;
  while (!text.empty()) {
    const auto newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    const auto comment = line.find("//");
    if (!line.starts_with('\t') || comment == std::string_view::npos) continue;
    const std::string_view note = trim(line.substr(comment + 2));  // "000000001A00: BF85FF94 <kernel+0x50>"
    const auto colon = note.find(':');
    const auto address = integer("0x" + std::string(note.substr(0, colon)));
    if (colon == std::string_view::npos || !address) throw std::runtime_error("no address: " + std::string(line));
    std::uint64_t next = static_cast<std::uint64_t>(*address);
    for (const std::string_view word : split(note.substr(colon + 1), ' ')) {
      if (word.size() == 8 && word.find_first_not_of("0123456789ABCDEF") == std::string_view::npos) next += 4;
    }
    for (Instruction& instruction : parse_instruction(trim(line.substr(0, comment)))) {
      instruction.address = static_cast<std::uint64_t>(*address);
      instruction.next = next;
      if (instruction.mnemonic.starts_with("s_branch") || instruction.mnemonic.starts_with("s_cbranch")) {
        Operand target;
        target.kind = Operand::Kind::number;
        const auto words = static_cast<std::int16_t>(instruction.operands.at(0).number);
        target.number = next + static_cast<std::uint64_t>(words * std::int64_t{4});
        instruction.operands.push_back(target);
      }
      result.push_back(std::move(instruction));
    }
  }
  return result;
}

}  // namespace kqbench::amd
