// SPDX-License-Identifier: Apache-2.0

// Conversions between types of numbers.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/amd/interpreter/extremes.hpp"
#include "tests/amd/interpreter/half.hpp"
#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;

/// A format of 8 bits or fewer, whose sign is bit 7.
struct Small {
  int mantissa_bits;
  int bias;
  U greatest;  ///< code of the greatest finite number
  U nan;
  bool negative_zero;
};

constexpr Small e4m3fn{3, 7, 0x7e, 0x7f, true};
constexpr Small e5m2{2, 15, 0x7b, 0x7f, true};
constexpr Small e4m3fnuz{3, 8, 0x7f, 0x80, false};
constexpr Small e5m2fnuz{2, 16, 0x7f, 0x80, false};
constexpr Small e2m1{1, 1, 7, 7, true};

/// To the nearest, subnormal results kept; NaN for a number beyond the format.
U encode(const Small& format, double value) {
  const U sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value)) return format.nan;
  const double size = std::fabs(value);
  const int least = 1 - format.bias;
  const int exponent = size == 0 ? least : std::max(std::ilogb(size), least);
  if (exponent > 40) return format.nan;
  const auto steps = static_cast<I>(std::nearbyint(std::ldexp(size, format.mantissa_bits - exponent)));
  const U code = static_cast<U>(steps + ((exponent - least) << format.mantissa_bits));
  if (code > format.greatest) return format.nan;
  if (code == 0 && !format.negative_zero) return 0;
  return code | sign;
}

/// What comes of NaN, and of a number beyond the format, depends on the target and on its modes: here it is unknown.
template <bool E4M3>
void convert_to_fp8(Wave& wave, const Operation& operation) {
  const Small& format = E4M3 ? (wave.target.fnuz ? e4m3fnuz : e4m3fn) : (wave.target.fnuz ? e5m2fnuz : e5m2);
  Register result;
  U64 is_outside = 0;
  const U64 exec = wave.exec();
  const U64 known = for_lanes<float, float>(wave, operation, [&](int i, float a, float b) {
    result.lane[i] = 0;
    if ((exec >> i & 1) == 0) return;
    const U first = encode(format, a);
    const U second = encode(format, b);
    result.lane[i] = first | second << 8;
    if (first == format.nan || second == format.nan) is_outside |= U64{1} << i;
  });
  write16(wave, operation, result, known & ~is_outside);
}

/// Two numbers, divided by the third's power of two, to codes of 4 bits in one byte of the destination; its others
/// stay. A number beyond the format becomes its greatest one; what comes of NaN, which the format lacks, is not known.
void convert_to_fp4(Wave& wave, const Operation& operation) {
  const int shift = 8 * (int{operation.source[2].upper} + 2 * int{operation.destination_upper});
  Register result;
  U64 is_nan = 0;
  const U64 known =
      for_lanes<float, float, float, U>(wave, operation, [&](int i, float a, float b, float scale, U old) {
        const int exponent = static_cast<int>(std::bit_cast<U>(scale) >> 23 & 0xff) - 127;
        if (std::isnan(a) || std::isnan(b)) is_nan |= U64{1} << i;
        const auto code = [exponent](float number) {
          const U eight = encode(e2m1, std::clamp(std::ldexp(static_cast<double>(number), -exponent), -6.0, 6.0));
          return (eight & 7) | eight >> 7 << 3;
        };
        result.lane[i] = (old & ~(0xffU << shift)) | (code(a) | code(b) << 4) << shift;
      });
  write32(wave, operation, result, known & ~is_nan);
}

}  // namespace

void add_conversions(Table& table) {
  table.add("v_cvt_f32_f16", lanes([](Half a) { return is_nan(a) ? quiet(to_float(a)) : to_float(a); }));
  table.add("v_cvt_f16_f32", lanes([](float a) { return to_half(a); }));
  table.add("v_cvt_f32_i32", lanes([](I a) { return static_cast<float>(a); }));
  table.add("v_cvt_f32_u32", lanes([](U a) { return static_cast<float>(a); }));
  table.add("v_cvt_i32_f32", lanes([](float a) { return to_integer<I>(a); }));
  table.add("v_cvt_u32_f32", lanes([](float a) { return to_integer<U>(a); }));
  table.add("v_cvt_f32_ubyte0", lanes([](U a) { return static_cast<float>(a & 0xff); }));
  table.add("v_cvt_f32_ubyte1", lanes([](U a) { return static_cast<float>(a >> 8 & 0xff); }));
  table.add("v_cvt_f32_ubyte2", lanes([](U a) { return static_cast<float>(a >> 16 & 0xff); }));
  table.add("v_cvt_f32_ubyte3", lanes([](U a) { return static_cast<float>(a >> 24); }));
  table.add("v_cvt_f16_i16", lanes([](std::int16_t a) { return to_half(a); }));
  table.add("v_cvt_f16_u16", lanes([](std::uint16_t a) { return to_half(a); }));
  table.add("v_cvt_i16_f16", lanes([](Half a) { return to_integer<std::int16_t>(to_float(a)); }));
  table.add("v_cvt_u16_f16", lanes([](Half a) { return to_integer<std::uint16_t>(to_float(a)); }));
  table.add({"v_cvt_flr_i32_f32", "v_cvt_floor_i32_f32"}, lanes([](float a) { return to_integer<I>(std::floor(a)); }));
  table.add({"v_cvt_rpi_i32_f32", "v_cvt_nearest_i32_f32"},
            lanes([](float a) { return to_integer<I>(std::floor(static_cast<double>(a) + 0.5)); }));
  table.add("v_cvt_f64_f32", lanes([](float a) { return static_cast<double>(a); }));
  table.add("v_cvt_f32_f64", lanes([](double a) { return static_cast<float>(a); }));
  table.add("v_cvt_f64_i32", lanes([](I a) { return static_cast<double>(a); }));
  table.add("v_cvt_f64_u32", lanes([](U a) { return static_cast<double>(a); }));
  table.add("v_cvt_i32_f64", lanes([](double a) { return to_integer<I>(a); }));
  table.add("v_cvt_u32_f64", lanes([](double a) { return to_integer<U>(a); }));
  table.add("v_cvt_i32_i16", lanes([](std::int16_t a) { return I{a}; }));
  table.add("v_cvt_u32_u16", lanes([](std::uint16_t a) { return U{a}; }));
  table.add({"v_cvt_pkrtz_f16_f32", "v_cvt_pk_rtz_f16_f32"},
            lanes([](float a, float b) { return U{to_half(a, true).bits} | U{to_half(b, true).bits} << 16; }));
  table.add("v_cvt_pk_u16_u32", lanes([](U a, U b) { return std::min(a, 0xffffU) | std::min(b, 0xffffU) << 16; }));
  Entry entry;
  entry.sources = {Type::f32, Type::f32};
  entry.keeps_half_on_gfx9 = true;
  entry.run = convert_to_fp8<true>;
  table.add("v_cvt_pk_fp8_f32", entry);
  entry.run = convert_to_fp8<false>;
  table.add("v_cvt_pk_bf8_f32", entry);
  entry.sources = {Type::f32, Type::f32, Type::f32};
  entry.accumulates = true;
  entry.run = convert_to_fp4;
  table.add("v_cvt_scalef32_pk_fp4_f32", entry);
}

}  // namespace kqbench::amd
