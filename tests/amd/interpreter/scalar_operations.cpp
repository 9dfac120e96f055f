// SPDX-License-Identifier: Apache-2.0

// What a wave does once: arithmetic in scalar registers, branches, waits, loads of constants.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>
#include <utility>

#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;

/// A result with a bit that goes to SCC.
template <class T>
struct WithScc {
  T value;
  bool scc;
};
/// Only a bit.
struct Scc {
  bool scc;
};

template <class T>
WithScc<T> not_zero(T value) {
  return {value, value != 0};
}

template <class Function>
struct ScalarSignature;
template <class R, class... A>
struct ScalarSignature<R (*)(A...)> {
  static constexpr std::size_t arguments = sizeof...(A);

  template <class F>
  static void run(Wave& wave, const Operation& operation) {
    bool known = true;
    const R result = [&]<std::size_t... N>(std::index_sequence<N...>) {
      return F{}(argument<A>(read_scalar(wave, operation.source[N], known))...);
    }
    (std::index_sequence_for<A...>());
    if constexpr (std::is_same_v<R, Scc>) {
      wave.scc = result.scc;
      wave.scc_known = known;
    } else if constexpr (requires { result.scc; }) {
      write_scalar(wave, operation.destination, static_cast<U64>(result.value), known);
      wave.scc = result.scc;
      wave.scc_known = known;
    } else {
      write_scalar(wave, operation.destination, result_bits(result), known);
    }
  }

  template <class T>
  static U64 result_bits(T value) {
    if constexpr (std::is_same_v<T, float>)
      return std::bit_cast<U>(value);
    else
      return static_cast<U64>(value);
  }

  template <class T>
  static T argument(U64 bits) {
    if constexpr (std::is_same_v<T, float>)
      return std::bit_cast<float>(static_cast<U>(bits));
    else
      return static_cast<T>(bits);
  }
};

/// The destination is the last operand too.
constexpr bool accumulates = true;

template <class F>
Entry scalar(F, bool with_destination = false) {
  using Of = ScalarSignature<decltype(+F{})>;
  Entry entry;
  entry.run = Of::template run<F>;
  entry.sources.assign(Of::arguments - (with_destination ? 1 : 0), Type::scalar);
  entry.accumulates = with_destination;
  return entry;
}
template <class F>
Entry test(F f) {
  Entry entry = scalar(f);
  entry.destinations = "";
  return entry;
}

Source as_source(const Operand& operand) {
  Source source;
  source.operand = operand;
  return source;
}

// --- SCC as an operand -----------------------------------------------------------------------------------------------

void add_with_carry(Wave& wave, const Operation& operation) {
  bool known = wave.scc_known;
  const U64 sum = U64{static_cast<U>(read_scalar(wave, operation.source[0], known))} +
                  static_cast<U>(read_scalar(wave, operation.source[1], known)) + (wave.scc ? 1 : 0);
  write_scalar(wave, operation.destination, static_cast<U>(sum), known);
  wave.scc = sum >> 32 != 0;
  wave.scc_known = known;
}

void subtract_with_borrow(Wave& wave, const Operation& operation) {
  bool known = wave.scc_known;
  const auto a = static_cast<U>(read_scalar(wave, operation.source[0], known));
  const U64 b = U64{static_cast<U>(read_scalar(wave, operation.source[1], known))} + (wave.scc ? 1 : 0);
  write_scalar(wave, operation.destination, static_cast<U>(a - b), known);
  wave.scc = b > a;
  wave.scc_known = known;
}

void select(Wave& wave, const Operation& operation) {
  const bool known = wave.scc_known;
  Bits bits = read_bits(wave, operation.source[wave.scc ? 0 : 1]);
  if (!known) bits.known = 0;
  write_bits(wave, operation.destination, bits);
}

void move_if(Wave& wave, const Operation& operation) {
  if (!wave.scc_known) throw ExecutionError("a condition that was never written");
  if (wave.scc) write_bits(wave, operation.destination, read_bits(wave, operation.source[0]));
}

void move_immediate(Wave& wave, const Operation& operation) {
  write_scalar(wave, operation.destination,
               static_cast<U64>(I64{static_cast<std::int16_t>(operation.source[0].constant)}), true);
}

template <bool Subtract>
void add_immediate(Wave& wave, const Operation& operation) {
  bool known = true;
  const auto a = static_cast<I>(read_scalar(wave, as_source(operation.destination), known));
  const I64 sum = I64{a} + static_cast<std::int16_t>(operation.source[0].constant);
  write_scalar(wave, operation.destination, static_cast<U>(sum), known);
  wave.scc = sum != static_cast<I>(sum);
  wave.scc_known = known;
}

void multiply_immediate(Wave& wave, const Operation& operation) {
  bool known = true;
  const auto a = static_cast<U>(read_scalar(wave, as_source(operation.destination), known));
  write_scalar(wave, operation.destination,
               a * static_cast<U>(I{static_cast<std::int16_t>(operation.source[0].constant)}), known);
}

template <class F>
void compare_immediate(Wave& wave, const Operation& operation) {
  bool known = true;
  const auto a = static_cast<U>(read_scalar(wave, operation.source[0], known));
  wave.scc = F{}(a, static_cast<U>(operation.source[1].constant));
  wave.scc_known = known;
}

// --- masks of lanes --------------------------------------------------------------------------------------------------

/// Destination = exec; exec = F(source, exec); SCC = exec is not empty.
template <class F>
void save_exec(Wave& wave, const Operation& operation) {
  const Bits source = read_mask(wave, operation.source[0].operand);
  const U64 exec = wave.exec();
  write_scalar(wave, operation.destination, exec, true);
  Operand to;
  to.kind = Operand::Kind::scalar;
  to.index = exec_register;
  to.count = wave.target.wave64 ? 2 : 1;
  // A bit of the source is of no consequence where the result is the same with either value of it.
  const U64 known = source.known | ~(F{}(~U64{0}, exec) ^ F{}(0, exec)) | ~wave.all_lanes();
  write_bits(wave, to, {F{}(source.value, exec) & wave.all_lanes(), known});
  wave.scc = wave.exec() != 0;
  wave.scc_known = true;
}

/// exec = F(source, exec); destination = exec.
template <class F>
void write_exec(Wave& wave, const Operation& operation) {
  save_exec<F>(wave, operation);
  write_scalar(wave, operation.destination, wave.exec(), true);
}

// --- where a wave goes -----------------------------------------------------------------------------------------------

void jump(Wave& wave, const Operation& operation) {
  wave.next = operation.source[1].constant;
}

template <bool Wanted>
void jump_scc(Wave& wave, const Operation& operation) {
  if (!wave.scc_known) throw ExecutionError("a branch on what was never written");
  if (wave.scc == Wanted) jump(wave, operation);
}
template <bool Zero>
void jump_exec(Wave& wave, const Operation& operation) {
  if ((wave.exec() == 0) == Zero) jump(wave, operation);
}
template <bool Zero>
void jump_vcc(Wave& wave, const Operation& operation) {
  Operand vcc;
  vcc.kind = Operand::Kind::scalar;
  vcc.index = vcc_register;
  vcc.count = 2;
  const Bits mask = read_mask(wave, vcc);
  const U64 value = mask.value & mask.known;
  if (value == 0 && ~mask.known != 0) throw ExecutionError("a branch on what was never written");
  if ((value == 0) == Zero) jump(wave, operation);
}

void get_address(Wave& wave, const Operation& operation) {
  write_scalar(wave, operation.destination, wave.image + wave.next, true);
}
void set_address(Wave& wave, const Operation& operation) {
  bool known = true;
  const U64 address = read_scalar(wave, operation.source[0], known);
  if (!known) throw ExecutionError("a jump to an address that was never written");
  wave.next = address - wave.image;
}
void swap_address(Wave& wave, const Operation& operation) {
  bool known = true;
  const U64 address = read_scalar(wave, operation.source[0], known);
  if (!known) throw ExecutionError("a call of an address that was never written");
  write_scalar(wave, operation.destination, wave.image + wave.next, true);
  wave.next = address - wave.image;
}

void end(Wave& wave, const Operation&) {
  wave.state = State::ended;
}
void barrier(Wave& wave, const Operation&) {
  wave.state = State::at_barrier;
  ++wave.barriers;
}
void nothing(Wave&, const Operation&) {}

// --- loads of constants ----------------------------------------------------------------------------------------------

void load_constants(Wave& wave, const Operation& operation) {
  bool known = true;
  U64 address = read_scalar(wave, operation.source[0], known);
  const Operand& offset = operation.source[1].operand;
  if (offset.kind != Operand::Kind::off)
    address += static_cast<U64>(static_cast<I64>(read_scalar(wave, operation.source[1], known)));
  address += static_cast<U64>(operation.offset);
  if (!known) throw ExecutionError("reads from an address that was never written");
  const auto bytes = static_cast<std::size_t>(operation.number);
  if (!wave.memory.may_access(address, bytes, false)) {
    throw ExecutionError("reads " + std::to_string(bytes) +
                         " bytes where it must not: " + wave.memory.describe(address));
  }
  for (std::size_t i = 0; i < (bytes + 3) / 4; ++i) {
    U word = 0;
    std::memcpy(&word, reinterpret_cast<const void*>(address + 4 * i), std::min<std::size_t>(4, bytes - 4 * i));
    const auto index = static_cast<std::size_t>(operation.destination.index) + i;
    wave.scalar.at(index) = word;
    wave.scalar_known.at(index) = ~U{0};
  }
}

Entry plain(void (*run)(Wave&, const Operation&), std::string destinations, std::vector<Type> sources) {
  Entry entry;
  entry.run = run;
  entry.destinations = std::move(destinations);
  entry.sources = std::move(sources);
  return entry;
}

/// Bit by bit: a result is known where the unknown bits of the operands are of no consequence. SCC: it is not zero.
template <class F>
void on_bits(Wave& wave, const Operation& operation) {
  const Bits a = read_bits(wave, operation.source[0]);
  const Bits b = operation.sources > 1 ? read_bits(wave, operation.source[1]) : Bits{0, ~U64{0}};
  const U64 same_for_a = ~(F{}(U64{0}, b.value) ^ F{}(~U64{0}, b.value)) & b.known;
  const U64 same_for_b = ~(F{}(a.value, U64{0}) ^ F{}(a.value, ~U64{0})) & a.known;
  const U64 width = operation.destination.count > 1 ? ~U64{0} : 0xffffffffU;
  const Bits result{F{}(a.value, b.value), (a.known & b.known) | same_for_a | same_for_b};
  write_bits(wave, operation.destination, result);
  wave.scc = (result.value & width) != 0;
  wave.scc_known = (result.value & result.known & width) != 0 || (~result.known & width) == 0;
}

template <class F>
Entry bitwise(F, int operands = 2) {
  return plain(on_bits<F>, "d", std::vector<Type>(static_cast<std::size_t>(operands), Type::scalar));
}

void move_bits(Wave& wave, const Operation& operation) {
  write_bits(wave, operation.destination, read_bits(wave, operation.source[0]));
}

/// A field of bits: its offset in the lower bits of the second operand, its width from bit 16 on.
template <class T>
void extract(Wave& wave, const Operation& operation) {
  bool known = true;
  const Bits from = read_bits(wave, operation.source[0]);
  const auto place = static_cast<U>(read_scalar(wave, operation.source[1], known));
  constexpr U bits = sizeof(T) * 8;
  const U offset = place % bits;
  const U width = std::min(place >> 16 & 0x7f, bits - offset);
  const U64 mask = width == 64 ? ~U64{0} : (U64{1} << width) - 1;
  U64 field = from.value >> offset & mask;
  if (std::is_signed_v<T> && width > 0 && (field >> (width - 1) & 1) != 0) field |= ~mask;
  known = known && (~(from.known >> offset) & mask) == 0;
  write_scalar(wave, operation.destination, field, known);
  wave.scc = static_cast<T>(field) != 0;
  wave.scc_known = known;
}

template <class F>
Entry entry_of_save_exec(F) {
  return plain(save_exec<F>, "d", {Type::scalar});
}
template <class F>
Entry entry_of_write_exec(F) {
  return plain(write_exec<F>, "d", {Type::scalar});
}
template <class F>
Entry immediate_test(F) {
  return plain(compare_immediate<F>, "", {Type::scalar, Type::scalar});
}

void add_arithmetic(Table& table) {
  table.add({"s_mov_b32", "s_mov_b64"}, plain(move_bits, "d", {Type::scalar}));
  table.add("s_movk_i32", plain(move_immediate, "d", {Type::scalar}));
  table.add({"s_cmov_b32", "s_cmov_b64"}, plain(move_if, "d", {Type::scalar}));
  table.add({"s_add_u32", "s_add_co_u32"}, scalar([](U a, U b) { return WithScc<U>{a + b, a + b < a}; }));
  table.add({"s_sub_u32", "s_sub_co_u32"}, scalar([](U a, U b) { return WithScc<U>{a - b, b > a}; }));
  table.add({"s_add_i32", "s_add_co_i32"}, scalar([](U a, U b) {
              return WithScc<U>{a + b, ((a ^ (a + b)) & (b ^ (a + b))) >> 31 != 0};
            }));
  table.add({"s_sub_i32", "s_sub_co_i32"}, scalar([](U a, U b) {
              return WithScc<U>{a - b, ((a ^ b) & (a ^ (a - b))) >> 31 != 0};
            }));
  table.add("s_add_u64", scalar([](U64 a, U64 b) { return a + b; }));
  table.add("s_add_nc_u64", scalar([](U64 a, U64 b) { return a + b; }));
  table.add("s_sub_nc_u64", scalar([](U64 a, U64 b) { return a - b; }));
  table.add({"s_addc_u32", "s_add_co_ci_u32"}, plain(add_with_carry, "d", {Type::scalar, Type::scalar}));
  table.add({"s_subb_u32", "s_sub_co_ci_u32"}, plain(subtract_with_borrow, "d", {Type::scalar, Type::scalar}));
  table.add({"s_addk_i32", "s_addk_co_i32"}, plain(add_immediate<false>, "d", {Type::scalar}));
  table.add("s_mulk_i32", plain(multiply_immediate, "d", {Type::scalar}));
  table.add("s_mul_i32", scalar([](U a, U b) { return a * b; }));
  table.add("s_mul_u64", scalar([](U64 a, U64 b) { return a * b; }));
  table.add("s_mul_hi_u32", scalar([](U a, U b) { return static_cast<U>(U64{a} * b >> 32); }));
  table.add("s_mul_hi_i32", scalar([](I a, I b) { return static_cast<U>(static_cast<U64>(I64{a} * b) >> 32); }));
  table.add("s_abs_i32", scalar([](U a) { return not_zero(a >> 31 != 0 ? 0 - a : a); }));
  table.add("s_min_i32", scalar([](I a, I b) { return WithScc<I>{a < b ? a : b, a < b}; }));
  table.add("s_min_u32", scalar([](U a, U b) { return WithScc<U>{a < b ? a : b, a < b}; }));
  table.add("s_max_i32", scalar([](I a, I b) { return WithScc<I>{a > b ? a : b, a > b}; }));
  table.add("s_max_u32", scalar([](U a, U b) { return WithScc<U>{a > b ? a : b, a > b}; }));
  table.add({"s_cselect_b32", "s_cselect_b64"}, plain(select, "d", {Type::scalar, Type::scalar}));
  table.add({"s_sext_i32_i16"}, scalar([](U a) { return static_cast<U>(I{static_cast<std::int16_t>(a)}); }));
  table.add({"s_sext_i32_i8"}, scalar([](U a) { return static_cast<U>(I{static_cast<std::int8_t>(a)}); }));
}

template <class T>
void add_bitwise(Table& table, const std::string& suffix) {
  table.add("s_and" + suffix, bitwise([](U64 a, U64 b) { return a & b; }));
  table.add("s_or" + suffix, bitwise([](U64 a, U64 b) { return a | b; }));
  table.add("s_xor" + suffix, bitwise([](U64 a, U64 b) { return a ^ b; }));
  table.add("s_nand" + suffix, bitwise([](U64 a, U64 b) { return ~(a & b); }));
  table.add("s_nor" + suffix, bitwise([](U64 a, U64 b) { return ~(a | b); }));
  table.add("s_xnor" + suffix, bitwise([](U64 a, U64 b) { return ~(a ^ b); }));
  for (const char* const name : {"s_andn2", "s_and_not1"}) {
    table.add(name + suffix, bitwise([](U64 a, U64 b) { return a & ~b; }));
  }
  for (const char* const name : {"s_orn2", "s_or_not1"}) {
    table.add(name + suffix, bitwise([](U64 a, U64 b) { return a | ~b; }));
  }
  table.add("s_not" + suffix, bitwise([](U64 a, U64) { return ~a; }, 1));
  constexpr U bits = sizeof(T) * 8;
  table.add("s_lshl" + suffix, scalar([](T a, U b) { return not_zero<T>(a << (b % bits)); }));
  table.add("s_lshr" + suffix, scalar([](T a, U b) { return not_zero<T>(a >> (b % bits)); }));
  const std::string integer = sizeof(T) == 4 ? "_i32" : "_i64";
  table.add("s_ashr" + integer, scalar([](T a, U b) {
              return not_zero<T>(static_cast<T>(static_cast<std::make_signed_t<T>>(a) >> (b % bits)));
            }));
  table.add("s_bfm" + suffix, scalar([](U a, U b) { return ((T{1} << (a % bits)) - 1) << (b % bits); }));
  table.add("s_brev" + suffix, scalar([](T a) {
              T reversed = 0;
              for (U i = 0; i < bits; ++i)
                reversed |= (a >> i & 1) << (bits - 1 - i);
              return reversed;
            }));
  table.add("s_bcnt1_i32" + suffix, scalar([](T a) { return not_zero<U>(static_cast<U>(std::popcount(a))); }));
  for (const char* const name : {"s_ff1_i32", "s_ctz_i32"}) {
    table.add(name + suffix, scalar([](T a) { return a == 0 ? ~U{0} : static_cast<U>(std::countr_zero(a)); }));
  }
  for (const std::string& name :
       {"s_flbit_i32" + suffix, std::string(sizeof(T) == 4 ? "s_clz_i32_u32" : "s_clz_i32_u64")}) {
    table.add(name, scalar([](T a) { return a == 0 ? ~U{0} : static_cast<U>(std::countl_zero(a)); }));
  }
  table.add("s_bitcmp0" + suffix, test([](T a, U b) { return Scc{(a >> (b % bits) & 1) == 0}; }));
  table.add("s_bitcmp1" + suffix, test([](T a, U b) { return Scc{(a >> (b % bits) & 1) != 0}; }));
  table.add("s_bitset0" + suffix, scalar([](U b, T a) { return a & ~(T{1} << (b % bits)); }, accumulates));
  table.add("s_bitset1" + suffix, scalar([](U b, T a) { return a | T{1} << (b % bits); }, accumulates));
  table.add(std::string("s_bfe") + (sizeof(T) == 4 ? "_u32" : "_u64"),
            plain(extract<T>, "d", {Type::scalar, Type::scalar}));
  table.add("s_bfe" + integer, plain(extract<std::make_signed_t<T>>, "d", {Type::scalar, Type::scalar}));
}

template <U Shift>
WithScc<U> shift_and_add(U a, U b) {
  const U64 sum = (U64{a} << Shift) + b;
  return {static_cast<U>(sum), sum >> 32 != 0};
}

template <class T>
void add_integer_tests(Table& table, const std::string& suffix) {
  table.add("s_cmp_eq" + suffix, test([](T a, T b) { return Scc{a == b}; }));
  table.add("s_cmp_lg" + suffix, test([](T a, T b) { return Scc{a != b}; }));
  table.add("s_cmp_gt" + suffix, test([](T a, T b) { return Scc{a > b}; }));
  table.add("s_cmp_ge" + suffix, test([](T a, T b) { return Scc{a >= b}; }));
  table.add("s_cmp_lt" + suffix, test([](T a, T b) { return Scc{a < b}; }));
  table.add("s_cmp_le" + suffix, test([](T a, T b) { return Scc{a <= b}; }));
}

/// RDNA4's.
void add_floats(Table& table) {
  table.add("s_add_f32", scalar([](float a, float b) { return a + b; }));
  table.add("s_sub_f32", scalar([](float a, float b) { return a - b; }));
  table.add("s_mul_f32", scalar([](float a, float b) { return a * b; }));
  table.add("s_fmac_f32", scalar([](float a, float b, float c) { return __builtin_fmaf(a, b, c); }, accumulates));
  table.add({"s_fmamk_f32", "s_fmaak_f32"}, scalar([](float a, float b, float c) { return __builtin_fmaf(a, b, c); }));
  table.add("s_trunc_f32", scalar([](float a) { return std::trunc(a); }));
  table.add("s_rndne_f32", scalar([](float a) { return std::nearbyint(a); }));
  table.add("s_floor_f32", scalar([](float a) { return std::floor(a); }));
  table.add("s_ceil_f32", scalar([](float a) { return std::ceil(a); }));
  table.add("s_cvt_f32_u32", scalar([](U a) { return static_cast<float>(a); }));
  table.add("s_cvt_f32_i32", scalar([](I a) { return static_cast<float>(a); }));
  table.add("s_cvt_i32_f32", scalar([](float a) { return to_integer<I>(a); }));
  table.add("s_cvt_u32_f32", scalar([](float a) { return to_integer<U>(a); }));
  const auto add = [&](const std::string& name, const Entry& entry) { table.add("s_cmp_" + name + "_f32", entry); };
  add("lt", test([](float a, float b) { return Scc{a < b}; }));
  add("le", test([](float a, float b) { return Scc{a <= b}; }));
  add("gt", test([](float a, float b) { return Scc{a > b}; }));
  add("ge", test([](float a, float b) { return Scc{a >= b}; }));
  add("eq", test([](float a, float b) { return Scc{a == b}; }));
  add("lg", test([](float a, float b) { return Scc{a < b || a > b}; }));
  add("o", test([](float a, float b) { return Scc{!std::isunordered(a, b)}; }));
  add("u", test([](float a, float b) { return Scc{std::isunordered(a, b)}; }));
  add("nlt", test([](float a, float b) { return Scc{!(a < b)}; }));
  add("nle", test([](float a, float b) { return Scc{!(a <= b)}; }));
  add("ngt", test([](float a, float b) { return Scc{!(a > b)}; }));
  add("nge", test([](float a, float b) { return Scc{!(a >= b)}; }));
  add("neq", test([](float a, float b) { return Scc{!(a == b)}; }));
}

template <bool IsSigned>
void add_immediate_tests(Table& table) {
  using T = std::conditional_t<IsSigned, I, U>;
  using Short = std::conditional_t<IsSigned, std::int16_t, std::uint16_t>;
  const std::string suffix = IsSigned ? "_i32" : "_u32";
  table.add("s_cmpk_eq" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) == T{static_cast<Short>(b)}; }));
  table.add("s_cmpk_lg" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) != T{static_cast<Short>(b)}; }));
  table.add("s_cmpk_gt" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) > T{static_cast<Short>(b)}; }));
  table.add("s_cmpk_ge" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) >= T{static_cast<Short>(b)}; }));
  table.add("s_cmpk_lt" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) < T{static_cast<Short>(b)}; }));
  table.add("s_cmpk_le" + suffix,
            immediate_test([](U a, U b) { return static_cast<T>(a) <= T{static_cast<Short>(b)}; }));
}

void add_masks(Table& table) {
  for (const char* const bits : {"_b32", "_b64"}) {
    const auto add = [&](std::initializer_list<const char*> names, const Entry& one) {
      for (const char* const name : names)
        table.add(std::string(name) + bits, one);
    };
    add({"s_and_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return a & exec; }));
    add({"s_or_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return a | exec; }));
    add({"s_xor_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return a ^ exec; }));
    add({"s_andn2_saveexec", "s_and_not1_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return a & ~exec; }));
    add({"s_orn2_saveexec", "s_or_not1_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return a | ~exec; }));
    add({"s_andn1_saveexec", "s_and_not0_saveexec"}, entry_of_save_exec([](U64 a, U64 exec) { return ~a & exec; }));
    add({"s_andn2_wrexec", "s_and_not1_wrexec"}, entry_of_write_exec([](U64 a, U64 exec) { return a & ~exec; }));
    add({"s_andn1_wrexec", "s_and_not0_wrexec"}, entry_of_write_exec([](U64 a, U64 exec) { return ~a & exec; }));
  }
}

/// Of the modes that there are only the one named IEEE is changed, which RDNA4 does not have. Behind such a change
/// compilers may set rounding to nearest even, which it is.
void set_mode(Wave& wave, const Operation& operation) {
  const std::string& part = operation.source[0].operand.word;
  const U64 value = operation.source[1].constant;
  if (part == "hwreg(HW_REG_MODE, 2, 2)" && value == 0) return;  // of half and double
  if (part != "hwreg(HW_REG_MODE, 9, 1)" || value > 1 || wave.target.is_gfx12) throw ExecutionError("an unknown mode");
  wave.ieee_mode = value == 1;
}

void add_control(Table& table) {
  const std::vector<Type> target{Type::other, Type::scalar};
  table.add("s_branch", plain(jump, "", target));
  table.add("s_cbranch_scc0", plain(jump_scc<false>, "", target));
  table.add("s_cbranch_scc1", plain(jump_scc<true>, "", target));
  table.add("s_cbranch_execz", plain(jump_exec<true>, "", target));
  table.add("s_cbranch_execnz", plain(jump_exec<false>, "", target));
  table.add("s_cbranch_vccz", plain(jump_vcc<true>, "", target));
  table.add("s_cbranch_vccnz", plain(jump_vcc<false>, "", target));
  table.add({"s_getpc_b64"}, plain(get_address, "d", {}));
  table.add({"s_setpc_b64"}, plain(set_address, "", {Type::scalar}));
  table.add({"s_swappc_b64"}, plain(swap_address, "d", {Type::scalar}));
  table.add("s_endpgm", plain(end, "", {}));
  table.add("s_setreg_imm32_b32", plain(set_mode, "", {Type::other, Type::scalar}));
  // A wave that has come to a barrier waits for it at once: RDNA4's two halves have nothing between them that matters
  // here.
  table.add({"s_barrier", "s_barrier_signal"}, plain(barrier, "", {}));
  // Waits, hints and caches: memory here is up to date at once.
  table.add({"s_waitcnt",
             "s_nop",
             "s_barrier_wait",
             "s_waitcnt_depctr",
             "s_waitcnt_vscnt",
             "s_waitcnt_vmcnt",
             "s_waitcnt_expcnt",
             "s_waitcnt_lgkmcnt",
             "s_wait_idle",
             "s_wait_loadcnt",
             "s_wait_storecnt",
             "s_wait_dscnt",
             "s_wait_kmcnt",
             "s_wait_samplecnt",
             "s_wait_bvhcnt",
             "s_wait_expcnt",
             "s_wait_alu",
             "s_wait_loadcnt_dscnt",
             "s_wait_storecnt_dscnt",
             "s_delay_alu",
             "s_clause",
             "s_sleep",
             "s_setprio",
             "s_sendmsg",
             "s_inst_prefetch",
             "s_set_inst_prefetch_distance",
             "s_code_end",
             "s_icache_inv",
             "s_dcache_wb",
             "s_dcache_inv",
             "s_gl1_inv",
             "buffer_inv",
             "buffer_wbl2",
             "buffer_wbinvl1",
             "buffer_wbinvl1_vol",
             "buffer_invl2",
             "buffer_gl0_inv",
             "buffer_gl1_inv",
             "global_inv",
             "global_wb",
             "global_wbinv",
             "v_nop",
             "s_prefetch_inst",
             "s_prefetch_data",
             "s_version",
             "s_prefetch_inst_pc_rel"},
            plain(nothing, "", {}));
}

void add_loads(Table& table) {
  const auto load = [](int bytes) {
    Entry entry = plain(load_constants, "d", {Type::scalar, Type::scalar});
    entry.number = bytes;
    return entry;
  };
  table.add({"s_load_dword", "s_load_b32"}, load(4));
  table.add({"s_load_dwordx2", "s_load_b64"}, load(8));
  table.add("s_load_b96", load(12));
  table.add({"s_load_dwordx4", "s_load_b128"}, load(16));
  table.add({"s_load_dwordx8", "s_load_b256"}, load(32));
  table.add({"s_load_dwordx16", "s_load_b512"}, load(64));
  table.add("s_load_u8", load(1));
  table.add("s_load_u16", load(2));
}

}  // namespace

void add_scalar_operations(Table& table) {
  add_arithmetic(table);
  add_bitwise<U>(table, "_b32");
  add_bitwise<U64>(table, "_b64");
  table.add("s_lshl1_add_u32", scalar([](U a, U b) { return shift_and_add<1>(a, b); }));
  table.add("s_lshl2_add_u32", scalar([](U a, U b) { return shift_and_add<2>(a, b); }));
  table.add("s_lshl3_add_u32", scalar([](U a, U b) { return shift_and_add<3>(a, b); }));
  table.add("s_lshl4_add_u32", scalar([](U a, U b) { return shift_and_add<4>(a, b); }));
  table.add("s_pack_ll_b32_b16", scalar([](U a, U b) { return (a & 0xffffU) | b << 16; }));
  table.add("s_pack_lh_b32_b16", scalar([](U a, U b) { return (a & 0xffffU) | (b & 0xffff0000U); }));
  table.add("s_pack_hh_b32_b16", scalar([](U a, U b) { return a >> 16 | (b & 0xffff0000U); }));
  table.add("s_pack_hl_b32_b16", scalar([](U a, U b) { return a >> 16 | b << 16; }));
  // Leading bits that are as the sign is; -1 where all are.
  table.add({"s_flbit_i32", "s_cls_i32"}, scalar([](I a) {
              const int count = std::countl_zero(static_cast<U>(a < 0 ? ~a : a));
              return count == 32 ? ~U{0} : static_cast<U>(count);
            }));
  add_integer_tests<U>(table, "_u32");
  add_integer_tests<I>(table, "_i32");
  add_integer_tests<U64>(table, "_u64");
  add_immediate_tests<true>(table);
  add_immediate_tests<false>(table);
  add_floats(table);
  add_masks(table);
  add_control(table);
  add_loads(table);
}

}  // namespace kqbench::amd
