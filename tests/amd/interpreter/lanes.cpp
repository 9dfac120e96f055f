// SPDX-License-Identifier: Apache-2.0
#include "tests/amd/interpreter/lanes.hpp"

#include <algorithm>
#include <cmath>

namespace kqbench::amd {
namespace {

constexpr std::uint64_t every_lane = ~std::uint64_t{0};
constexpr std::uint64_t every_bit = ~std::uint64_t{0};

std::size_t slot(const Wave& wave, int index) {
  const auto place = static_cast<std::size_t>(index);
  if (place >= wave.vector.size())
    throw ExecutionError("uses vector register " + std::to_string(index) + ", which the kernel does not have");
  return place;
}

std::uint32_t part_of(std::uint32_t value, Part part, bool sign_extend) {
  switch (part) {
    case Part::all:
      return value;
    case Part::word0:
    case Part::word1: {
      const auto word = static_cast<std::uint16_t>(part == Part::word1 ? value >> 16 : value);
      return sign_extend ? static_cast<std::uint32_t>(static_cast<std::int16_t>(word)) : word;
    }
    default: {
      const int shift = 8 * (static_cast<int>(part) - static_cast<int>(Part::byte0));
      const auto byte = static_cast<std::uint8_t>(value >> shift);
      return sign_extend ? static_cast<std::uint32_t>(static_cast<std::int8_t>(byte)) : byte;
    }
  }
}

/// What the lanes of a source get from others (DPP).
Lanes32 permuted(const Wave& wave, const Operation& operation, Lanes32 values, Register& scratch) {
  const LanePermutation& permutation = operation.permutation;
  const std::uint64_t exec = wave.exec();
  Register from{};
  std::uint64_t known = 0;
  for (int i = 0; i < wave.lanes(); ++i) {
    const int other = permutation.from[static_cast<std::size_t>(i)];
    const bool readable = other >= 0 && (permutation.fetch_inactive || (exec >> other & 1) != 0);
    from.lane[i] = readable ? values.lane[other] : 0;
    known |= static_cast<std::uint64_t>(readable ? values.known >> other & 1 : 1) << i;
  }
  scratch = from;
  return {scratch.lane, known};
}

std::uint32_t sign_bit(Type type) {
  return type == Type::f16 ? 0x8000U : 0x80000000U;
}

void change_sign(Register& scratch, const Lanes32& values, const Source& source, std::uint32_t sign) {
  const std::uint32_t keep = source.absolute ? ~sign : ~std::uint32_t{0};
  const std::uint32_t flip = source.negate ? sign : 0;
  for (int i = 0; i < max_lanes; ++i) {
    scratch.lane[i] = (values.lane[i] & keep) ^ flip;
  }
}

}  // namespace

Bits read_mask(const Wave& wave, const Operand& operand) {
  Source source;
  source.operand = operand;
  source.constant = operand.number;
  if (operand.kind == Operand::Kind::scalar && !wave.target.wave64) source.operand.count = 1;
  const Bits all = read_bits(wave, source);
  return {all.value & wave.all_lanes(), all.known | ~wave.all_lanes()};
}

void write_mask(Wave& wave, const Operand& operand, std::uint64_t mask, std::uint64_t known) {
  const std::uint64_t exec = wave.exec();
  write_bits(wave, operand, {mask & exec, known | ~exec});
}

void write_lanes_of_mask(Wave& wave, const Operand& operand, std::uint64_t mask, std::uint64_t known) {
  const std::uint64_t exec = wave.exec();
  write_bits(wave, operand, {mask & exec, (known & exec) | ~wave.all_lanes()});
}

std::uint64_t read_scalar(const Wave& wave, const Source& source, bool& known) {
  const Bits bits = read_bits(wave, source);
  if (bits.known != every_bit) known = false;
  return bits.value;
}

Bits read_bits(const Wave& wave, const Source& source) {
  const Operand& operand = source.operand;
  const auto index = static_cast<std::size_t>(operand.index);
  switch (operand.kind) {
    case Operand::Kind::scalar: {
      constexpr std::uint64_t upper = ~std::uint64_t{0} << 32;
      if (operand.count == 1) return {wave.scalar[index], wave.scalar_known[index] | upper};
      return {wave.pair(operand.index), wave.scalar_known[index] | std::uint64_t{wave.scalar_known[index + 1]} << 32};
    }
    case Operand::Kind::number:
    case Operand::Kind::real:
      return {source.constant, every_bit};
    case Operand::Kind::scc:
      return {wave.scc ? 1U : 0U, wave.scc_known ? every_bit : 0};
    case Operand::Kind::execz:
      return {wave.exec() == 0 ? 1U : 0U, every_bit};
    case Operand::Kind::vccz:
      return {(wave.pair(vcc_register) & wave.all_lanes()) == 0 ? 1U : 0U, every_bit};
    case Operand::Kind::shared_base:
      return {shared_aperture << (operand.count == 1 ? 0 : 32), every_bit};
    case Operand::Kind::private_base:
      return {private_aperture << (operand.count == 1 ? 0 : 32), every_bit};
    case Operand::Kind::null:
    case Operand::Kind::off:
      return {0, every_bit};
    default:
      throw ExecutionError("a scalar operand of an unexpected kind");
  }
}

void write_bits(Wave& wave, const Operand& operand, const Bits& bits) {
  if (operand.kind == Operand::Kind::null) return;
  if (operand.kind != Operand::Kind::scalar) throw ExecutionError("a scalar result to something else");
  const auto index = static_cast<std::size_t>(operand.index);
  const int count = std::min<int>(operand.count, 2);
  for (int i = 0; i < count; ++i) {
    wave.scalar[index + static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(bits.value >> 32 * i);
    wave.scalar_known[index + static_cast<std::size_t>(i)] = static_cast<std::uint32_t>(bits.known >> 32 * i);
    // Lanes may be on or off by what they do not have, as long as they store nothing of it.
    if (index + static_cast<std::size_t>(i) >= exec_register)
      wave.scalar_known[index + static_cast<std::size_t>(i)] = ~std::uint32_t{0};
  }
}

void write_scalar(Wave& wave, const Operand& operand, std::uint64_t value, bool known) {
  write_bits(wave, operand, {value, known ? every_bit : 0});
}

Lanes32 read32(Wave& wave, const Operation& operation, int number, Type type, Register& scratch) {
  const Source& source = operation.source[static_cast<std::size_t>(number)];
  Lanes32 values{};
  if (source.operand.kind == Operand::Kind::vector) {
    const std::size_t index = slot(wave, source.operand.index);
    values = {wave.vector[index].lane, wave.vector_known[index]};
  } else {
    bool known = true;
    const auto value = static_cast<std::uint32_t>(read_scalar(wave, source, known));
    std::fill_n(scratch.lane, max_lanes, value);
    values = {scratch.lane, known ? every_lane : 0};
  }
  if (number == 0 && operation.permutation.used) values = permuted(wave, operation, values, scratch);
  if (source.part != Part::all) {
    for (int i = 0; i < max_lanes; ++i) {
      scratch.lane[i] = part_of(values.lane[i], source.part, source.sign_extend);
    }
    values.lane = scratch.lane;
  }
  if (type == Type::f16 || type == Type::u16) {
    const int shift = source.upper ? 16 : 0;
    for (int i = 0; i < max_lanes; ++i) {
      scratch.lane[i] = values.lane[i] >> shift & 0xffffU;
    }
    values.lane = scratch.lane;
  }
  if (source.negate || source.absolute) {
    change_sign(scratch, values, source, sign_bit(type));
    values.lane = scratch.lane;
  }
  return values;
}

Lanes64 read64(Wave& wave, const Operation& operation, int number, Type type, Register64& scratch) {
  const Source& source = operation.source[static_cast<std::size_t>(number)];
  Lanes64 values{scratch.lane, every_lane};
  if (source.operand.kind == Operand::Kind::vector) {
    const std::size_t low = slot(wave, source.operand.index);
    const std::size_t high = slot(wave, source.operand.index + 1);
    for (int i = 0; i < max_lanes; ++i) {
      scratch.lane[i] = wave.vector[low].lane[i] | std::uint64_t{wave.vector[high].lane[i]} << 32;
    }
    values.known = wave.vector_known[low] & wave.vector_known[high];
  } else {
    bool known = true;
    std::fill_n(scratch.lane, max_lanes, read_scalar(wave, source, known));
    values.known = known ? every_lane : 0;
  }
  if (type == Type::f64 && (source.negate || source.absolute)) {
    constexpr std::uint64_t sign = std::uint64_t{1} << 63;
    for (std::uint64_t& lane : scratch.lane) {
      lane = (source.absolute ? lane & ~sign : lane) ^ (source.negate ? sign : 0);
    }
  }
  return values;
}

std::uint64_t written_lanes(const Wave& wave, const Operation& operation) {
  std::uint64_t lanes = wave.exec();
  const LanePermutation& permutation = operation.permutation;
  if (!permutation.used) return lanes;
  lanes &= permutation.written;
  if (permutation.zero) return lanes;
  const std::uint64_t exec = wave.exec();
  for (int i = 0; i < wave.lanes(); ++i) {
    const int other = permutation.from[static_cast<std::size_t>(i)];
    const bool readable = other >= 0 && (permutation.fetch_inactive || (exec >> other & 1) != 0);
    if (!readable) lanes &= ~(std::uint64_t{1} << i);
  }
  return lanes;
}

void write_register(Wave& wave, int number, const Register& result, std::uint64_t lanes, std::uint64_t known) {
  const std::size_t index = slot(wave, number);
  std::uint32_t* const to = wave.vector[index].lane;
  if (lanes == every_lane) {
    wave.vector[index] = result;
  } else {
    for (int i = 0; i < max_lanes; ++i) {
      const std::uint32_t mask = 0U - static_cast<std::uint32_t>(lanes >> i & 1);
      to[i] = (to[i] & ~mask) | (result.lane[i] & mask);
    }
  }
  std::uint64_t& all_known = wave.vector_known[index];
  all_known = (all_known & ~lanes) | (known & lanes);
}

void write32(Wave& wave, const Operation& operation, const Register& result, std::uint64_t known) {
  const std::uint64_t lanes = written_lanes(wave, operation);
  if (operation.destination_part == Part::all) {
    write_register(wave, operation.destination.index, result, lanes, known);
    return;
  }
  // SDWA: one part is the result, the others are zeros, its sign, or what they were.
  const std::size_t index = slot(wave, operation.destination.index);
  Register whole;
  const bool is_word = operation.destination_part >= Part::word0;
  const int bits = is_word ? 16 : 8;
  const int shift = is_word ? 16 * (static_cast<int>(operation.destination_part) - static_cast<int>(Part::word0))
                            : 8 * (static_cast<int>(operation.destination_part) - static_cast<int>(Part::byte0));
  const std::uint32_t ones = (1U << bits) - 1;
  for (int i = 0; i < max_lanes; ++i) {
    const std::uint32_t part = result.lane[i] & ones;
    const std::uint32_t old = wave.vector[index].lane[i];
    std::uint32_t value = part << shift;
    if (operation.unused == Operation::Unused::preserve) value |= old & ~(ones << shift);
    if (operation.unused == Operation::Unused::sign && (part >> (bits - 1)) != 0) {
      value |= shift + bits == 32 ? 0 : ~std::uint32_t{0} << (shift + bits);
    }
    whole.lane[i] = value;
  }
  write_register(wave, operation.destination.index, whole, lanes, known);
}

void write16(Wave& wave, const Operation& operation, const Register& result, std::uint64_t known) {
  if (operation.destination_part != Part::all) return write32(wave, operation, result, known);
  const std::size_t index = slot(wave, operation.destination.index);
  Register whole;
  for (int i = 0; i < max_lanes; ++i) {
    const std::uint32_t part = result.lane[i] & 0xffffU;
    const std::uint32_t old = wave.vector[index].lane[i];
    if (operation.destination_upper) {
      whole.lane[i] = part << 16 | (old & 0xffffU);
    } else {
      whole.lane[i] = part | (operation.preserves_other_half ? old & 0xffff0000U : 0);
    }
  }
  write_register(wave, operation.destination.index, whole, written_lanes(wave, operation), known);
}

void write64(Wave& wave, const Operation& operation, const Register64& result, std::uint64_t known) {
  Register low;
  Register high;
  for (int i = 0; i < max_lanes; ++i) {
    low.lane[i] = static_cast<std::uint32_t>(result.lane[i]);
    high.lane[i] = static_cast<std::uint32_t>(result.lane[i] >> 32);
  }
  const std::uint64_t lanes = written_lanes(wave, operation);
  write_register(wave, operation.destination.index, low, lanes, known);
  write_register(wave, operation.destination.index + 1, high, lanes, known);
}

float modify_output(const Operation& operation, float value) {
  if (operation.output_scale != 0) value = std::ldexp(value, operation.output_scale);
  if (operation.clamp) value = value > 0.0F ? std::min(value, 1.0F) : 0.0F;  // NaN becomes 0
  return value;
}

}  // namespace kqbench::amd
