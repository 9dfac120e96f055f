// SPDX-License-Identifier: Apache-2.0

// Lanes that read from other lanes.

#include <bit>
#include <cstdint>

#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using U64 = std::uint64_t;

/// The register of a vector operand's lanes, read whole.
Lanes32 whole(Wave& wave, const Operation& operation, int source, Register& scratch) {
  return read32(wave, operation, source, Type::u32, scratch);
}

void read_first_lane(Wave& wave, const Operation& operation) {
  Register scratch;
  const Lanes32 values = whole(wave, operation, 0, scratch);
  const U64 exec = wave.exec();
  const int lane = exec == 0 ? 0 : std::countr_zero(exec);
  write_scalar(wave, operation.destination, values.lane[lane], (values.known >> lane & 1) != 0);
}

int lane_number(Wave& wave, const Source& source) {
  bool known = true;
  const U64 lane = read_scalar(wave, source, known);
  if (!known) throw ExecutionError("the number of a lane that was never written");
  return static_cast<int>(lane % static_cast<U64>(wave.lanes()));
}

void read_lane(Wave& wave, const Operation& operation) {
  Register scratch;
  const Lanes32 values = whole(wave, operation, 0, scratch);
  const int lane = lane_number(wave, operation.source[1]);
  write_scalar(wave, operation.destination, values.lane[lane], (values.known >> lane & 1) != 0);
}

void write_lane(Wave& wave, const Operation& operation) {
  bool known = true;
  const U64 value = read_scalar(wave, operation.source[0], known);
  const int lane = lane_number(wave, operation.source[1]);
  Register result{};
  result.lane[lane] = static_cast<U>(value);
  write_register(wave, operation.destination.index, result, U64{1} << lane, known ? ~U64{0} : 0);
}

/// Lane i gets the value of lane from(i); what an inactive lane has is unknown.
template <class From>
void gather(Wave& wave, const Operation& operation, const Lanes32& values, const From& from) {
  Register result{};
  const U64 exec = wave.exec();
  U64 known = 0;
  for (int i = 0; i < wave.lanes(); ++i) {
    const int other = from(i);
    if ((exec >> other & 1) == 0) continue;
    result.lane[i] = values.lane[other];
    known |= (values.known >> other & 1) << i;
  }
  write32(wave, operation, result, known);
}

void permute_backward(Wave& wave, const Operation& operation) {
  Register scratch[2];
  const Lanes32 addresses = whole(wave, operation, 0, scratch[0]);
  const Lanes32 values = whole(wave, operation, 1, scratch[1]);
  if ((wave.exec() & ~addresses.known) != 0) throw ExecutionError("the number of a lane that was never written");
  gather(wave, operation, values, [&](int i) {
    return static_cast<int>((addresses.lane[i] + static_cast<U>(operation.offset)) / 4 % static_cast<U>(wave.lanes()));
  });
}

/// Within 32 lanes: and, or, xor on the lane's number; or within four lanes.
void swizzle(Wave& wave, const Operation& operation) {
  Register scratch;
  const Lanes32 values = whole(wave, operation, 0, scratch);
  const auto pattern = static_cast<int>(operation.offset);
  gather(wave, operation, values, [&](int i) {
    if ((pattern & 0x8000) != 0) return (i & ~3) | (pattern >> 2 * (i & 3) & 3);
    return (i & ~31) | ((((i & pattern) | pattern >> 5) ^ pattern >> 10) & 31);
  });
}

/// Lane i of a row of 16 gets the lane of its row (or of the row beside) that the 64 bits of two scalars say.
template <bool Across>
void permute_row(Wave& wave, const Operation& operation) {
  Register scratch;
  const Lanes32 values = whole(wave, operation, 0, scratch);
  bool known = true;
  const U64 low = read_scalar(wave, operation.source[1], known) & 0xffffffffU;
  const U64 selectors = low | read_scalar(wave, operation.source[2], known) << 32;
  if (!known) throw ExecutionError("the number of a lane that was never written");
  gather(wave, operation, values, [&](int i) {
    const int row = Across ? (i & ~15) ^ 16 : i & ~15;
    return row | static_cast<int>(selectors >> 4 * (i & 15) & 15);
  });
}

/// The other half of 64 lanes.
void exchange_halves(Wave& wave, const Operation& operation) {
  Register scratch;
  const Lanes32 values = whole(wave, operation, 0, scratch);
  gather(wave, operation, values, [](int i) { return i ^ 32; });
}

/// Exchanges rows of `Size` lanes between two registers: odd ones of the first with even ones of the second.
template <int Size>
void swap_rows(Wave& wave, const Operation& operation) {
  const int first = operation.destination.index;
  const int second = operation.source[0].operand.index;
  const Register a = wave.vector.at(static_cast<std::size_t>(first));
  const Register b = wave.vector.at(static_cast<std::size_t>(second));
  const U64 a_known = wave.vector_known[static_cast<std::size_t>(first)];
  const U64 b_known = wave.vector_known[static_cast<std::size_t>(second)];
  Register new_a = a;
  Register new_b = b;
  U64 new_a_known = a_known;
  U64 new_b_known = b_known;
  for (int i = 0; i < wave.lanes(); ++i) {
    if ((i & Size) == 0) continue;
    const int even = i - Size;
    new_a.lane[i] = b.lane[even];
    new_b.lane[even] = a.lane[i];
    const U64 odd_bit = U64{1} << i;
    const U64 even_bit = U64{1} << even;
    new_a_known = (new_a_known & ~odd_bit) | (b_known >> even & 1) << i;
    new_b_known = (new_b_known & ~even_bit) | (a_known >> i & 1) << even;
  }
  const U64 exec = wave.exec();
  write_register(wave, first, new_a, exec, new_a_known);
  write_register(wave, second, new_b, exec, new_b_known);
}

Entry entry_of(void (*run)(Wave&, const Operation&), std::vector<Type> sources) {
  Entry entry;
  entry.run = run;
  entry.sources = std::move(sources);
  return entry;
}

}  // namespace

void add_lane_operations(Table& table) {
  table.add("v_readfirstlane_b32", entry_of(read_first_lane, {Type::u32}));
  table.add("v_readlane_b32", entry_of(read_lane, {Type::u32, Type::scalar}));
  table.add("v_writelane_b32", entry_of(write_lane, {Type::scalar, Type::scalar}));
  table.add("ds_bpermute_b32", entry_of(permute_backward, {Type::u32, Type::u32}));
  table.add("ds_swizzle_b32", entry_of(swizzle, {Type::u32}));
  table.add("v_permlane16_b32", entry_of(permute_row<false>, {Type::u32, Type::scalar, Type::scalar}));
  table.add("v_permlanex16_b32", entry_of(permute_row<true>, {Type::u32, Type::scalar, Type::scalar}));
  table.add("v_permlane64_b32", entry_of(exchange_halves, {Type::u32}));
  table.add("v_permlane32_swap_b32", entry_of(swap_rows<32>, {Type::u32}));
  table.add("v_permlane16_swap_b32", entry_of(swap_rows<16>, {Type::u32}));
}

}  // namespace kqbench::amd
