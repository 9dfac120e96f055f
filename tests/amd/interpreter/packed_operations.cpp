// SPDX-License-Identifier: Apache-2.0

// Two results at once: of 16 bits in a register, or floats in two; and fused multiply-adds of floats and halves mixed.

#include <algorithm>
#include <cstdint>

#include "tests/amd/interpreter/extremes.hpp"
#include "tests/amd/interpreter/half.hpp"
#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using U64 = std::uint64_t;
using W = std::uint16_t;
using S = std::int16_t;

/// A source of a packed operation without its modifiers: two 16-bit numbers.
struct Packed {
  Register scratch;
  Lanes32 values;
};

/// The operand that an operation's lower or upper result takes, in the lower bits.
U half_of(const Source& source, U both, bool high, bool is_float) {
  U value = (high ? source.high_from_upper : source.low_from_upper) ? both >> 16 : both & 0xffffU;
  if (is_float && (high ? source.negate_high : source.negate_low)) value ^= 0x8000U;
  return value;
}

template <class T>
constexpr T from16(U bits) {
  if constexpr (std::is_same_v<T, Half>)
    return Half{static_cast<W>(bits)};
  else
    return static_cast<T>(bits);
}

template <class R, class... A>
struct PackedSignature {
  template <class F>
  static void run(Wave& wave, const Operation& operation) {
    constexpr bool is_float = std::is_same_v<R, Half>;
    Register result;
    U64 known = ~U64{0};
    [&]<std::size_t... N>(std::index_sequence<N...>) {
      Packed sources[sizeof...(A)];
      ((sources[N].values = read32(wave, operation, N, Type::u32, sources[N].scratch)), ...);
      known = (known & ... & sources[N].values.known);
      for (int i = 0; i < max_lanes; ++i) {
        U both = 0;
        for (const bool high : {false, true}) {
          const R value = F{}(from16<A>(half_of(operation.source[N], sources[N].values.lane[i], high, is_float))...);
          both |= to_lane<R>(value) << (high ? 16 : 0);
        }
        result.lane[i] = both;
      }
    }
    (std::index_sequence_for<A...>());
    write32(wave, operation, result, known);
  }
};

template <class F, class R, class... A>
Entry packed_as(R (*)(A...)) {
  Entry entry;
  entry.run = PackedSignature<R, A...>::template run<F>;
  entry.sources.assign(sizeof...(A), std::is_same_v<R, Half> ? Type::packed_half : Type::packed);
  return entry;
}
template <class F>
Entry packed(F f) {
  return packed_as<F>(+f);
}

/// The register that one half of a packed operation's result takes from a source of two, sign changes made. The other
/// register does not matter, whatever it has.
Lanes32 one_of_two(Wave& wave, const Source& source, bool upper, bool negate, Register& scratch) {
  Lanes32 values{};
  if (source.operand.kind == Operand::Kind::vector) {
    const auto index = static_cast<std::size_t>(source.operand.index + (upper ? 1 : 0));
    values = {wave.vector.at(index).lane, wave.vector_known[index]};
    if (!negate) return values;
  } else {
    const Bits bits = read_bits(wave, source);
    const int shift = upper ? 32 : 0;
    std::fill_n(scratch.lane, max_lanes, static_cast<U>(bits.value >> shift));
    values = {scratch.lane, static_cast<U>(bits.known >> shift) == ~U{0} ? ~U64{0} : 0};
  }
  for (int i = 0; i < max_lanes; ++i) {
    scratch.lane[i] = values.lane[i] ^ (negate ? 0x80000000U : 0);
  }
  return {scratch.lane, values.known};
}

void write_two(Wave& wave, const Operation& operation, const Register (&result)[2], const U64 (&known)[2]) {
  const U64 lanes = written_lanes(wave, operation);
  for (int half = 0; half < 2; ++half) {
    write_register(wave, operation.destination.index + half, result[half], lanes, known[half]);
  }
}

/// Two floats, each in a register of its own.
template <int Count, class F>
void on_two_floats(Wave& wave, const Operation& operation) {
  Register result[2];
  U64 known[2] = {~U64{0}, ~U64{0}};
  for (int half = 0; half < 2; ++half) {
    Register scratch[Count];
    Lanes32 values[Count];
    for (int n = 0; n < Count; ++n) {
      const Source& source = operation.source[static_cast<std::size_t>(n)];
      values[n] = one_of_two(wave, source, half == 0 ? source.low_from_upper : source.high_from_upper,
                             half == 0 ? source.negate_low : source.negate_high, scratch[n]);
      known[half] &= values[n].known;
    }
    const auto number = [&](int n, int i) { return from_lane<float>(values[n].lane[i]); };
    for (int i = 0; i < max_lanes; ++i) {
      float value = 0;
      if constexpr (Count == 3)
        value = F{}(number(0, i), number(1, i), number(2, i));
      else
        value = F{}(number(0, i), number(1, i));
      result[half].lane[i] = to_lane(value);
    }
    if (operation.clamp) {
      for (int i = 0; i < max_lanes; ++i) {
        result[half].lane[i] = to_lane(modify_output(operation, from_lane<float>(result[half].lane[i])));
      }
    }
  }
  write_two(wave, operation, result, known);
}

template <int Count, class F>
Entry two_floats(F) {
  Entry entry;
  entry.run = on_two_floats<Count, F>;
  entry.sources.assign(Count, Type::packed_float);
  entry.clamps_floats = true;
  return entry;
}

/// The lower register from the first source, the upper from the second; which of each, `op_sel` says.
void move_two(Wave& wave, const Operation& operation) {
  Register result[2];
  U64 known[2];
  for (int half = 0; half < 2; ++half) {
    const Source& source = operation.source[static_cast<std::size_t>(half)];
    Register scratch;
    const Lanes32 values = one_of_two(wave, source, source.low_from_upper, false, scratch);
    std::copy_n(values.lane, max_lanes, result[half].lane);
    known[half] = values.known;
  }
  write_two(wave, operation, result, known);
}

/// Packs two numbers of 16 bits.
void pack(Wave& wave, const Operation& operation) {
  Register result;
  const U64 known = for_lanes<W, W>(wave, operation, [&](int i, W a, W b) { result.lane[i] = U{a} | U{b} << 16; });
  write32(wave, operation, result, known);
}

/// A multiply-add whose sources are floats or halves; `neg_hi` is their absolute value.
enum class MixTo : std::uint8_t { number, low_half, high_half };
template <MixTo To>
void mix(Wave& wave, const Operation& operation) {
  Register scratch[3];
  Lanes32 values[3];
  U64 known = ~U64{0};
  for (int n = 0; n < 3; ++n) {
    values[n] = read32(wave, operation, n, Type::u32, scratch[n]);
    known &= values[n].known;
  }
  const auto operand = [&](int n, int lane) {
    const Source& source = operation.source[static_cast<std::size_t>(n)];
    const U bits = values[n].lane[lane];
    float value = 0;
    if (source.high_from_upper)
      value = to_float(Half{static_cast<W>(source.low_from_upper ? bits >> 16 : bits)});
    else
      value = from_lane<float>(bits);
    if (source.negate_high) value = std::fabs(value);
    return source.negate_low ? -value : value;
  };
  Register result;
  for (int i = 0; i < max_lanes; ++i) {
    const float a = operand(0, i);
    const float b = operand(1, i);
    const float c = operand(2, i);
    if constexpr (To == MixTo::number) {
      result.lane[i] = to_lane(modify_output(operation, __builtin_fmaf(a, b, c)));
    } else {
      result.lane[i] = to_half(modify_output(operation, __builtin_fmaf(a, b, c))).bits;
    }
  }
  if constexpr (To == MixTo::number) {
    write32(wave, operation, result, known);
  } else {
    Operation to = operation;
    to.destination_upper = To == MixTo::high_half;
    to.preserves_other_half = true;
    write16(wave, to, result, known);
  }
}

template <MixTo To>
Entry mixed() {
  Entry entry;
  entry.run = mix<To>;
  entry.sources.assign(3, Type::packed_float);
  entry.clamps_floats = true;
  entry.number = 1;  // op_sel_hi is 0 where it is not given
  return entry;
}

}  // namespace

void add_packed_operations(Table& table) {
  table.add("v_pk_add_f16", packed([](Half a, Half b) { return to_half(to_float(a) + to_float(b)); }));
  table.add("v_pk_mul_f16", packed([](Half a, Half b) { return to_half(to_float(a) * to_float(b)); }));
  table.add("v_pk_fma_f16", packed([](Half a, Half b, Half c) { return fused_multiply_add(a, b, c); }));
  table.add("v_pk_max_f16", by_mode(packed([](Half a, Half b) { return IeeeExtremes::greater(a, b); }),
                                    packed([](Half a, Half b) { return OtherExtremes::greater(a, b); })));
  table.add("v_pk_min_f16", by_mode(packed([](Half a, Half b) { return IeeeExtremes::less(a, b); }),
                                    packed([](Half a, Half b) { return OtherExtremes::less(a, b); })));
  table.add("v_pk_max_num_f16", packed([](Half a, Half b) { return NumberExtremes::greater(a, b); }));
  table.add("v_pk_min_num_f16", packed([](Half a, Half b) { return NumberExtremes::less(a, b); }));
  table.add("v_pk_add_u16", packed([](W a, W b) { return static_cast<W>(a + b); }));
  table.add("v_pk_sub_u16", packed([](W a, W b) { return static_cast<W>(a - b); }));
  table.add("v_pk_sub_i16", packed([](W a, W b) { return static_cast<W>(a - b); }));
  table.add("v_pk_add_i16", packed([](W a, W b) { return static_cast<W>(a + b); }));
  table.add("v_pk_mul_lo_u16", packed([](W a, W b) { return static_cast<W>(U{a} * b); }));
  table.add("v_pk_mad_u16", packed([](W a, W b, W c) { return static_cast<W>(U{a} * b + c); }));
  table.add("v_pk_max_u16", packed([](W a, W b) { return std::max(a, b); }));
  table.add("v_pk_min_u16", packed([](W a, W b) { return std::min(a, b); }));
  table.add("v_pk_max_i16", packed([](S a, S b) { return std::max(a, b); }));
  table.add("v_pk_min_i16", packed([](S a, S b) { return std::min(a, b); }));
  table.add("v_pk_lshlrev_b16", packed([](W a, W b) { return static_cast<W>(b << (a & 15)); }));
  table.add("v_pk_lshrrev_b16", packed([](W a, W b) { return static_cast<W>(b >> (a & 15)); }));
  table.add("v_pk_ashrrev_i16", packed([](S a, S b) { return static_cast<S>(b >> (a & 15)); }));
  table.add("v_pk_add_f32", two_floats<2>([](float a, float b) { return a + b; }));
  table.add("v_pk_mul_f32", two_floats<2>([](float a, float b) { return a * b; }));
  table.add("v_pk_fma_f32", two_floats<3>([](float a, float b, float c) { return __builtin_fmaf(a, b, c); }));
  Entry entry;
  entry.run = move_two;
  entry.sources = {Type::packed_float, Type::packed_float};
  table.add("v_pk_mov_b32", entry);
  entry.run = pack;
  entry.sources = {Type::f16, Type::f16};
  table.add("v_pack_b32_f16", entry);
  table.add({"v_fma_mix_f32", "v_mad_mix_f32"}, mixed<MixTo::number>());
  table.add({"v_fma_mixlo_f16"}, mixed<MixTo::low_half>());
  table.add({"v_fma_mixhi_f16"}, mixed<MixTo::high_half>());
}

}  // namespace kqbench::amd
