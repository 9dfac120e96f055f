// SPDX-License-Identifier: Apache-2.0

// Integers and bits in vector registers.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>

#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;
using I64 = std::int64_t;
using W = std::uint16_t;
using S = std::int16_t;

constexpr U saturated_sum(U a, U b) {
  return a + b < a ? ~U{0} : a + b;
}
constexpr U saturated_difference(U a, U b) {
  return b > a ? 0 : a - b;
}

constexpr U permuted_byte(U64 bytes, U selector) {
  if (selector >= 13) return 0xff;
  if (selector == 12) return 0;
  if (selector >= 8) return (bytes >> (16 * (selector - 8) + 15) & 1) != 0 ? 0xff : 0;
  return static_cast<U>(bytes >> 8 * selector) & 0xff;
}

/// Results with a carry: sum of two and the carry that came in.
template <class F, bool CarryIn>
void with_carry(Wave& wave, const Operation& operation) {
  const Bits carry_in = CarryIn ? read_mask(wave, operation.source[2].operand) : Bits{0, ~U64{0}};
  Register result;
  U64 carry = 0;
  U64 known = for_lanes<U, U>(wave, operation, [&](int i, U a, U b) {
    const U64 value = F{}(a, b, static_cast<U>(carry_in.value >> i & 1));
    result.lane[i] = static_cast<U>(value);
    carry |= (value >> 32 & 1) << i;
  });
  known &= carry_in.known;
  write32(wave, operation, result, known);
  write_lanes_of_mask(wave, operation.mask, carry, known);
}

template <bool CarryIn, class F>
Entry carrying(F) {
  Entry entry;
  entry.run = with_carry<F, CarryIn>;
  entry.destinations = "dm";
  entry.sources = {Type::u32, Type::u32};
  if (CarryIn) entry.sources.push_back(Type::mask);
  return entry;
}

template <class T>
void multiply_add_wide(Wave& wave, const Operation& operation) {
  Register64 result;
  U64 carry = 0;
  const U64 known = for_lanes<U, U, U64>(wave, operation, [&](int i, U a, U b, U64 c) {
    const U64 product = std::is_signed_v<T> ? static_cast<U64>(I64{static_cast<I>(a)} * static_cast<I>(b)) : U64{a} * b;
    result.lane[i] = product + c;
    // Bit 64 of a sum of 65 bits.
    const U64 signs = std::is_signed_v<T> ? (product ^ c) >> 63 : 0;
    carry |= (static_cast<U64>(product + c < product ? 1 : 0) ^ signs) << i;
  });
  if ((wave.exec() & ~known) == 0) {
    write64(wave, operation, result, known);
  } else {
    // The lower half needs no more than the addend's: compilers leave the upper one where they take that half alone.
    Register low;
    Register high;
    const U64 low_known = for_lanes<U, U, U>(wave, operation, [&](int i, U, U, U) {
      low.lane[i] = static_cast<U>(result.lane[i]);
      high.lane[i] = static_cast<U>(result.lane[i] >> 32);
    });
    const U64 lanes = written_lanes(wave, operation);
    write_register(wave, operation.destination.index, low, lanes, low_known);
    write_register(wave, operation.destination.index + 1, high, lanes, known);
  }
  write_lanes_of_mask(wave, operation.mask, carry, known);
}

void select_by_mask(Wave& wave, const Operation& operation, Type type) {
  const Bits bits = read_mask(wave, operation.source[2].operand);
  const U64 mask = bits.value;
  Register scratch[2];
  const Lanes32 a = read32(wave, operation, 0, type, scratch[0]);
  const Lanes32 b = read32(wave, operation, 1, type, scratch[1]);
  Register result;
  for (int i = 0; i < max_lanes; ++i) {
    result.lane[i] = (mask >> i & 1) != 0 ? b.lane[i] : a.lane[i];
  }
  const U64 known = bits.known & ((mask & b.known) | (~mask & a.known));
  if (type == Type::u16)
    write16(wave, operation, result, known);
  else
    write32(wave, operation, result, known);
}

void select32(Wave& wave, const Operation& operation) {
  select_by_mask(wave, operation, Type::f32);
}
void select16(Wave& wave, const Operation& operation) {
  select_by_mask(wave, operation, Type::u16);
}

/// Bits of the mask in lanes before this one.
template <bool High>
void count_below(Wave& wave, const Operation& operation) {
  Register result;
  const U64 known = for_lanes<U, U>(wave, operation, [&](int i, U mask, U b) {
    const int lane = High ? i - 32 : i;
    const U below = lane <= 0 ? 0 : lane >= 32 ? ~U{0} : (U{1} << lane) - 1;
    result.lane[i] = static_cast<U>(std::popcount(mask & below)) + b;
  });
  write32(wave, operation, result, known);
}

void add_sums(Table& table) {
  table.add({"v_add_u32", "v_add_nc_u32"},
            lanes_or_clamped([](U a, U b) { return a + b; }, [](U a, U b) { return saturated_sum(a, b); }));
  table.add({"v_sub_u32", "v_sub_nc_u32"},
            lanes_or_clamped([](U a, U b) { return a - b; }, [](U a, U b) { return saturated_difference(a, b); }));
  table.add({"v_subrev_u32", "v_subrev_nc_u32"},
            lanes_or_clamped([](U a, U b) { return b - a; }, [](U a, U b) { return saturated_difference(b, a); }));
  table.add({"v_add_i32", "v_add_nc_i32"}, lanes([](U a, U b) { return a + b; }));
  table.add({"v_sub_i32", "v_sub_nc_i32"}, lanes([](U a, U b) { return a - b; }));
  table.add("v_add3_u32", lanes([](U a, U b, U c) { return a + b + c; }));
  table.add({"v_add_u16", "v_add_nc_u16"}, lanes([](W a, W b) { return static_cast<W>(a + b); }));
  table.add({"v_sub_u16", "v_sub_nc_u16"},
            lanes_or_clamped([](W a, W b) { return static_cast<W>(a - b); },
                             [](W a, W b) { return static_cast<W>(b > a ? 0 : a - b); }));
  table.add({"v_subrev_u16"}, lanes([](W a, W b) { return static_cast<W>(b - a); }));
  constexpr auto sum = [](U a, U b, U carry) { return U64{a} + b + carry; };
  constexpr auto difference = [](U a, U b, U borrow) { return U64{a} - b - borrow; };
  constexpr auto reverse = [](U a, U b, U borrow) { return U64{b} - a - borrow; };
  table.add("v_add_co_u32", carrying<false>(sum));
  table.add("v_sub_co_u32", carrying<false>(difference));
  table.add("v_subrev_co_u32", carrying<false>(reverse));
  table.add({"v_addc_co_u32", "v_add_co_ci_u32"}, carrying<true>(sum));
  table.add({"v_subb_co_u32", "v_sub_co_ci_u32"}, carrying<true>(difference));
  table.add({"v_subbrev_co_u32", "v_subrev_co_ci_u32"}, carrying<true>(reverse));
}

void add_products(Table& table) {
  table.add("v_mul_lo_u32", lanes([](U a, U b) { return a * b; }));
  table.add("v_mul_hi_u32", lanes([](U a, U b) { return static_cast<U>(U64{a} * b >> 32); }));
  table.add("v_mul_hi_i32", lanes([](I a, I b) { return static_cast<U>(static_cast<U64>(I64{a} * b) >> 32); }));
  table.add("v_mul_u32_u24", lanes([](U a, U b) { return (a & 0xffffffU) * (b & 0xffffffU); }));
  table.add("v_mul_i32_i24", lanes([](U a, U b) {
              return static_cast<U>(static_cast<I>(a << 8) >> 8) * static_cast<U>(static_cast<I>(b << 8) >> 8);
            }));
  table.add("v_mul_hi_u32_u24",
            lanes([](U a, U b) { return static_cast<U>(U64{a & 0xffffffU} * (b & 0xffffffU) >> 32); }));
  table.add("v_mul_hi_i32_i24", lanes([](U a, U b) {
              const auto product = I64{static_cast<I>(a << 8) >> 8} * (static_cast<I>(b << 8) >> 8);
              return static_cast<U>(static_cast<U64>(product) >> 32);
            }));
  table.add("v_mad_u32_u24", lanes([](U a, U b, U c) { return (a & 0xffffffU) * (b & 0xffffffU) + c; }));
  table.add("v_mul_lo_u16", lanes([](W a, W b) { return static_cast<W>(U{a} * b); }));
  table.add({"v_mad_u16"}, lanes([](W a, W b, W c) { return static_cast<W>(U{a} * b + c); }));
  Entry wide;
  wide.destinations = "dm";
  wide.sources = {Type::u32, Type::u32, Type::u64};
  wide.run = multiply_add_wide<U>;
  table.add({"v_mad_u64_u32", "v_mad_co_u64_u32"}, wide);
  wide.run = multiply_add_wide<I>;
  table.add({"v_mad_i64_i32", "v_mad_co_i64_i32"}, wide);
  table.add("v_mad_u32_u16", lanes([](W a, W b, U c) { return U{a} * b + c; }));
}

void add_bits(Table& table) {
  table.add({"v_mov_b32"}, lanes([](U a) { return a; }));
  table.add({"v_mov_b64"}, lanes([](U64 a) { return a; }));
  table.add({"v_mov_b16"}, lanes([](W a) { return a; }));
  table.add({"v_accvgpr_read_b32", "v_accvgpr_write_b32", "v_accvgpr_mov_b32"}, lanes([](U a) { return a; }));
  table.add("v_not_b32", lanes([](U a) { return ~a; }));
  table.add("v_not_b16", lanes([](W a) { return static_cast<W>(~a); }));
  table.add("v_and_b32", lanes([](U a, U b) { return a & b; }));
  table.add("v_or_b32", lanes([](U a, U b) { return a | b; }));
  table.add("v_xor_b32", lanes([](U a, U b) { return a ^ b; }));
  table.add("v_xnor_b32", lanes([](U a, U b) { return ~(a ^ b); }));
  table.add("v_and_b16", lanes([](W a, W b) { return static_cast<W>(a & b); }));
  table.add("v_or_b16", lanes([](W a, W b) { return static_cast<W>(a | b); }));
  table.add("v_xor_b16", lanes([](W a, W b) { return static_cast<W>(a ^ b); }));
  table.add("v_or3_b32", lanes([](U a, U b, U c) { return a | b | c; }));
  table.add("v_xor3_b32", lanes([](U a, U b, U c) { return a ^ b ^ c; }));
  table.add("v_and_or_b32", lanes([](U a, U b, U c) { return (a & b) | c; }));
  table.add("v_xad_u32", lanes([](U a, U b, U c) { return (a ^ b) + c; }));
  table.add("v_bfi_b32", lanes([](U a, U b, U c) { return (a & b) | (~a & c); }));
  table.add("v_bfe_u32", lanes([](U a, U b, U c) { return a >> (b & 31) & ((U{1} << (c & 31)) - 1); }));
  table.add("v_bfe_i32", lanes([](U a, U b, U c) {
              const U width = c & 31;
              if (width == 0) return U{0};
              const U field = a >> (b & 31);
              return static_cast<U>(static_cast<I>(field << (32 - width)) >> (32 - width));
            }));
  table.add("v_bfm_b32", lanes([](U a, U b) { return ((U{1} << (a & 31)) - 1) << (b & 31); }));
  table.add("v_bfrev_b32", lanes([](U a) {
              a = (a >> 1 & 0x55555555U) | (a & 0x55555555U) << 1;
              a = (a >> 2 & 0x33333333U) | (a & 0x33333333U) << 2;
              a = (a >> 4 & 0x0f0f0f0fU) | (a & 0x0f0f0f0fU) << 4;
              return __builtin_bswap32(a);
            }));
  table.add("v_bcnt_u32_b32", lanes([](U a, U b) { return static_cast<U>(std::popcount(a)) + b; }));
  table.add({"v_ffbh_u32", "v_clz_i32_u32"},
            lanes([](U a) { return a == 0 ? ~U{0} : static_cast<U>(std::countl_zero(a)); }));
  table.add({"v_ffbl_b32", "v_ctz_i32_b32"},
            lanes([](U a) { return a == 0 ? ~U{0} : static_cast<U>(std::countr_zero(a)); }));
  table.add("v_perm_b32", lanes([](U a, U b, U c) {
              const U64 bytes = U64{a} << 32 | b;
              return permuted_byte(bytes, c & 0xff) | permuted_byte(bytes, c >> 8 & 0xff) << 8 |
                     permuted_byte(bytes, c >> 16 & 0xff) << 16 | permuted_byte(bytes, c >> 24) << 24;
            }));
  table.add("v_alignbit_b32", lanes([](U a, U b, U c) { return static_cast<U>((U64{a} << 32 | b) >> (c & 31)); }));
  table.add("v_alignbyte_b32", lanes([](U a, U b, U c) { return static_cast<U>((U64{a} << 32 | b) >> 8 * (c & 3)); }));
}

/// Any function of three bits: bit 4 a + 2 b + c of its table.
constexpr U by_table(U a, U b, U c, int table) {
  U result = 0;
  for (int i = 0; i < 8; ++i) {
    if ((table >> i & 1) == 0) continue;
    result |= ((i & 4) != 0 ? a : ~a) & ((i & 2) != 0 ? b : ~b) & ((i & 1) != 0 ? c : ~c);
  }
  return result;
}

template <class T>
void look_up(Wave& wave, const Operation& operation) {
  Register result;
  const U64 known = for_lanes<T, T, T>(wave, operation, [&](int i, T a, T b, T c) {
    result.lane[i] = to_lane(static_cast<T>(by_table(a, b, c, operation.number)));
  });
  write<T>(wave, operation, result, known);
}

void add_shifts(Table& table) {
  table.add("v_lshlrev_b32", lanes([](U a, U b) { return b << (a & 31); }));
  table.add("v_lshrrev_b32", lanes([](U a, U b) { return b >> (a & 31); }));
  table.add("v_ashrrev_i32", lanes([](U a, I b) { return b >> (a & 31); }));
  table.add("v_lshlrev_b16", lanes([](W a, W b) { return static_cast<W>(b << (a & 15)); }));
  table.add("v_lshrrev_b16", lanes([](W a, W b) { return static_cast<W>(b >> (a & 15)); }));
  table.add("v_ashrrev_i16", lanes([](W a, S b) { return static_cast<S>(b >> (a & 15)); }));
  table.add("v_lshlrev_b64", lanes([](U a, U64 b) { return b << (a & 63); }));
  table.add("v_lshrrev_b64", lanes([](U a, U64 b) { return b >> (a & 63); }));
  table.add("v_ashrrev_i64", lanes([](U a, I64 b) { return b >> (a & 63); }));
  table.add("v_lshl_add_u32", lanes([](U a, U b, U c) { return (a << (b & 31)) + c; }));
  table.add("v_lshl_add_u64", lanes([](U64 a, U b, U64 c) { return (a << (b & 7)) + c; }));
  table.add("v_add_lshl_u32", lanes([](U a, U b, U c) { return (a + b) << (c & 31); }));
  table.add("v_lshl_or_b32", lanes([](U a, U b, U c) { return a << (b & 31) | c; }));
}

void add_extremes(Table& table) {
  table.add("v_min_u32", lanes([](U a, U b) { return std::min(a, b); }));
  table.add("v_max_u32", lanes([](U a, U b) { return std::max(a, b); }));
  table.add("v_min_i32", lanes([](I a, I b) { return std::min(a, b); }));
  table.add("v_max_i32", lanes([](I a, I b) { return std::max(a, b); }));
  table.add("v_min_u16", lanes([](W a, W b) { return std::min(a, b); }));
  table.add("v_max_u16", lanes([](W a, W b) { return std::max(a, b); }));
  table.add("v_min_i16", lanes([](S a, S b) { return std::min(a, b); }));
  table.add("v_max_i16", lanes([](S a, S b) { return std::max(a, b); }));
  table.add("v_min3_u32", lanes([](U a, U b, U c) { return std::min({a, b, c}); }));
  table.add("v_max3_u32", lanes([](U a, U b, U c) { return std::max({a, b, c}); }));
  table.add("v_min3_i32", lanes([](I a, I b, I c) { return std::min({a, b, c}); }));
  table.add("v_max3_i32", lanes([](I a, I b, I c) { return std::max({a, b, c}); }));
  table.add("v_med3_u32", lanes([](U a, U b, U c) { return std::max(std::min(a, b), std::min(std::max(a, b), c)); }));
  table.add("v_med3_i32", lanes([](I a, I b, I c) { return std::max(std::min(a, b), std::min(std::max(a, b), c)); }));
  table.add({"v_minmax_u32", "v_min_max_u32"}, lanes([](U a, U b, U c) { return std::max(std::min(a, b), c); }));
  table.add({"v_maxmin_u32", "v_max_min_u32"}, lanes([](U a, U b, U c) { return std::min(std::max(a, b), c); }));
  table.add({"v_minmax_i32", "v_min_max_i32"}, lanes([](I a, I b, I c) { return std::max(std::min(a, b), c); }));
  table.add({"v_maxmin_i32", "v_max_min_i32"}, lanes([](I a, I b, I c) { return std::min(std::max(a, b), c); }));
  table.add("v_sad_u32", lanes([](U a, U b, U c) { return (a > b ? a - b : b - a) + c; }));
}

}  // namespace

void add_integer_operations(Table& table) {
  add_sums(table);
  add_products(table);
  add_bits(table);
  add_shifts(table);
  add_extremes(table);
  Entry entry;
  entry.run = look_up<U>;
  entry.sources = {Type::u32, Type::u32, Type::u32};
  table.add("v_bitop3_b32", entry);
  entry.run = look_up<W>;
  entry.sources = {Type::u16, Type::u16, Type::u16};
  entry.keeps_half_on_gfx9 = true;
  table.add("v_bitop3_b16", entry);
  entry.run = select32;
  entry.sources = {Type::f32, Type::f32, Type::mask};
  table.add("v_cndmask_b32", entry);
  entry.run = select16;
  entry.sources = {Type::u16, Type::u16, Type::mask};
  table.add("v_cndmask_b16", entry);
  entry.sources = {Type::u32, Type::u32};
  entry.run = count_below<false>;
  table.add("v_mbcnt_lo_u32_b32", entry);
  entry.run = count_below<true>;
  table.add("v_mbcnt_hi_u32_b32", entry);
}

}  // namespace kqbench::amd
