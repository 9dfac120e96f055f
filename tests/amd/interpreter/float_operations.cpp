// SPDX-License-Identifier: Apache-2.0

// Floating-point arithmetic in vector registers. Subnormal numbers are kept, as HIP's mode says; which of two NaN comes
// out is not modelled.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <string>

#include "tests/amd/interpreter/extremes.hpp"
#include "tests/amd/interpreter/half.hpp"
#include "tests/amd/interpreter/lanes.hpp"

namespace kqbench::amd {
namespace {

using U = std::uint32_t;
using I = std::int32_t;
using U64 = std::uint64_t;

/// NaN where one of two is.
float maximum(float a, float b) {
  return std::isnan(a) ? quiet(a) : std::isnan(b) ? quiet(b) : NumberExtremes::greater(a, b);
}
float minimum(float a, float b) {
  return std::isnan(a) ? quiet(a) : std::isnan(b) ? quiet(b) : NumberExtremes::less(a, b);
}

Half halved(float value) {
  return to_half(value);
}

// --- approximations --------------------------------------------------------------------------------------------------

/// The float beside the exact value that the option says: the nearest, the next one below or the next one above in
/// magnitude. AMD promises an error of less than a unit in the last place, so that any of them may come out of a
/// device.
float rounded(const Wave& wave, double exact) {
  const auto nearest = static_cast<float>(exact);
  const int direction = wave.options.perturbation;
  if (direction == 0 || !std::isfinite(nearest) || nearest == 0) return nearest;
  const double error = std::fabs(exact) - std::fabs(static_cast<double>(nearest));
  if (error * direction <= 0) return nearest;
  return std::bit_cast<float>(std::bit_cast<U>(nearest) + static_cast<U>(direction));
}

/// The instruction takes subnormal numbers for zeros and makes none; where it is perturbed it does so here, else not.
float flushed(const Wave& wave, float value) {
  if (wave.options.perturbation == 0 || std::fpclassify(value) != FP_SUBNORMAL) return value;
  return std::copysign(0.0F, value);
}

template <class F>
void approximate(Wave& wave, const Operation& operation) {
  Register result;
  const U64 known = for_lanes<float>(wave, operation, [&](int i, float a) {
    const double exact = F{}(static_cast<double>(flushed(wave, a)));
    result.lane[i] = to_lane(modify_output(operation, flushed(wave, rounded(wave, exact))));
  });
  write32(wave, operation, result, known);
}

/// In scalar registers, by the vector unit.
template <class F>
void approximate_scalar(Wave& wave, const Operation& operation) {
  bool known = true;
  const auto a = from_lane<float>(static_cast<U>(read_scalar(wave, operation.source[0], known)));
  const double exact = F{}(static_cast<double>(flushed(wave, a)));
  write_scalar(wave, operation.destination, to_lane(flushed(wave, rounded(wave, exact))), known);
}

template <class F>
void approximate_half(Wave& wave, const Operation& operation) {
  Register result;
  const U64 known = for_lanes<Half>(wave, operation, [&](int i, Half a) {
    Half exact = to_half(F{}(static_cast<double>(to_float(a))));
    const bool moves = (exact.bits & 0x7fffU) != 0 && (exact.bits & 0x7fffU) < 0x7c00U;
    if (moves) exact.bits = static_cast<std::uint16_t>(exact.bits + wave.options.perturbation);
    result.lane[i] = exact.bits;
  });
  write16(wave, operation, result, known);
}

/// AMD gives double's an error of up to 2^29 units, which the steps behind them make up for.
template <class F>
void approximate_double(Wave& wave, const Operation& operation) {
  Register64 result;
  const U64 known = for_lanes<double>(wave, operation, [&](int i, double a) {
    const double exact = F{}(a);
    const auto error = static_cast<U64>(std::int64_t{wave.options.perturbation} * (std::int64_t{1} << 28));
    result.lane[i] = std::bit_cast<U64>(exact) + (std::isnormal(exact) ? error : 0);
  });
  write64(wave, operation, result, known);
}

template <class F>
void add_approximation(Table& table, const std::string& name, F) {
  Entry entry;
  entry.run = approximate<F>;
  entry.sources = {Type::f32};
  entry.clamps_floats = true;
  table.add(name + "_f32", entry);
  entry.run = approximate_scalar<F>;
  table.add("v_s" + name.substr(1) + "_f32", entry);
  entry.clamps_floats = false;
  entry.run = approximate_half<F>;
  entry.sources = {Type::f16};
  table.add(name + "_f16", entry);
  entry.run = approximate_double<F>;
  entry.sources = {Type::f64};
  table.add(name + "_f64", entry);
}

// --- division in steps -----------------------------------------------------------------------------------------------

/// What the steps of a division take from a type.
template <class T>
struct Division;
template <>
struct Division<float> {
  using Bits = U;
  static constexpr int mantissa = 23;
  static constexpr int infinite = 0xff;  ///< exponent of what is not finite
  static constexpr int scaling = 64;     ///< steps scale by two to the power of it
  static constexpr int near_overflow = 96;
  static constexpr int tiny_numerator = 23;
  static constexpr int underflow = -150;
};
template <>
struct Division<double> {
  using Bits = U64;
  static constexpr int mantissa = 52;
  static constexpr int infinite = 0x7ff;
  static constexpr int scaling = 128;
  static constexpr int near_overflow = 768;
  static constexpr int tiny_numerator = 53;
  static constexpr int underflow = -1075;
};

template <class T>
int exponent_of(T value) {
  using Of = Division<T>;
  return static_cast<int>(std::bit_cast<typename Of::Bits>(value) >> Of::mantissa) & Of::infinite;
}

template <class T>
struct Scaled {
  T value;
  bool scaled_after;
};

template <class T>
Scaled<T> scale_for_division(T value, T denominator, T numerator) {
  constexpr int scaling = Division<T>::scaling;
  if (denominator == 0 || numerator == 0) return {std::numeric_limits<T>::quiet_NaN(), false};
  const auto is_subnormal = [](auto x) { return std::fpclassify(x) == FP_SUBNORMAL; };
  // AMD's text asks of float's reciprocal whether it is subnormal in double, which none is, and scales a denominator by
  // 2^64 where that and the quotient are subnormal, which would overflow. Compilers rely on float's own range and on
  // 2^-64: the reciprocal instruction makes no subnormal numbers.
  const bool tiny_reciprocal = is_subnormal(1 / denominator);
  const bool tiny_quotient = is_subnormal(numerator / denominator);
  if (exponent_of(numerator) - exponent_of(denominator) >= Division<T>::near_overflow) {
    return {value == denominator ? std::ldexp(value, scaling) : value, true};
  }
  if (is_subnormal(denominator)) return {std::ldexp(value, scaling), false};
  if (tiny_reciprocal && tiny_quotient) return {value == denominator ? std::ldexp(value, -scaling) : value, true};
  if (tiny_reciprocal) return {std::ldexp(value, -scaling), false};
  if (tiny_quotient) return {value == numerator ? std::ldexp(value, scaling) : value, true};
  if (exponent_of(numerator) <= Division<T>::tiny_numerator) return {std::ldexp(value, scaling), false};
  return {value, false};
}

template <class T>
void division_scale(Wave& wave, const Operation& operation) {
  Scratch<T> result;
  U64 mask = 0;
  const U64 known = for_lanes<T, T, T>(wave, operation, [&](int i, T a, T b, T c) {
    const Scaled<T> scaled = scale_for_division(a, b, c);
    result.lane[i] = to_lane(scaled.value);
    mask |= static_cast<U64>(scaled.scaled_after ? 1 : 0) << i;
  });
  write<T>(wave, operation, result, known);
  write_lanes_of_mask(wave, operation.mask, mask, known);
}

/// The sign of a * b + c - sum, exactly: of what rounding to `sum` left (S. Boldo, J.-M. Muller, "Exact and
/// approximated error of the FMA", 2011). Nothing in between may overflow or be subnormal.
template <class T>
T rest_of_fma(T a, T b, T c, T sum) {
  const T product = a * b;
  const T product_rest = std::fma(a, b, -product);
  const auto sum_of = [](T x, T y, T& rest) {
    const T of_both = x + y;
    const T of_y = of_both - x;
    rest = (x - (of_both - of_y)) + (y - of_y);
    return of_both;
  };
  T small_rest = 0;
  T large_rest = 0;
  const T small = sum_of(c, product_rest, small_rest);
  const T large = sum_of(product, small, large_rest);
  return ((large - sum) + large_rest) + small_rest;
}

/// (a * b + c) * 2^power, rounded once, where it becomes subnormal, too.
template <class T>
T scaled_fma(T a, T b, T c, int power) {
  const T sum = std::fma(a, b, c);
  const T scaled = std::ldexp(sum, power);
  const T lost = sum - std::ldexp(scaled, -power);
  if (lost == 0 || !std::isfinite(lost)) return scaled;
  // It was rounded twice: that matters where the first time made a tie, which the second could not see was none.
  const T neighbour = std::nextafter(scaled, std::copysign(std::numeric_limits<T>::infinity(), lost));
  if (std::ldexp(neighbour, -power) - sum != lost) return scaled;
  const T rest = rest_of_fma(a, b, c, sum);
  if (rest == 0) return scaled;
  return std::signbit(rest) == std::signbit(lost) ? neighbour : scaled;
}

template <class T>
void division_fma(Wave& wave, const Operation& operation) {
  Operand vcc;
  vcc.kind = Operand::Kind::scalar;
  vcc.index = vcc_register;
  vcc.count = 2;
  const Bits mask = read_mask(wave, vcc);
  Scratch<T> result;
  const U64 known = for_lanes<T, T, T>(wave, operation, [&](int i, T a, T b, T c) {
    const bool is_scaled = (mask.value >> i & 1) != 0;
    const bool large = exponent_of(c) > Division<T>::infinite / 2;
    const int power = large ? Division<T>::scaling : -Division<T>::scaling;
    result.lane[i] = to_lane(is_scaled ? scaled_fma(a, b, c, power) : std::fma(a, b, c));
  });
  write<T>(wave, operation, result, known & mask.known);
}

template <class T>
T fix_up_division(T quotient, T denominator, T numerator) {
  const bool negative = std::signbit(denominator) != std::signbit(numerator);
  const auto with_sign = [&](T value) { return negative ? -value : value; };
  constexpr T infinity = std::numeric_limits<T>::infinity();
  if (std::isnan(numerator)) return quiet(numerator);
  if (std::isnan(denominator)) return quiet(denominator);
  if ((denominator == 0 && numerator == 0) || (std::isinf(denominator) && std::isinf(numerator))) {
    return -std::numeric_limits<T>::quiet_NaN();
  }
  if (denominator == 0 || std::isinf(numerator)) return with_sign(infinity);
  if (std::isinf(denominator) || numerator == 0) return with_sign(T{0});
  if (exponent_of(numerator) - exponent_of(denominator) < Division<T>::underflow) return with_sign(T{0});
  // AMD's text leaves NaN as it is, which the steps before make of a quotient that overflows.
  if (std::isnan(quotient)) return with_sign(infinity);
  return with_sign(std::fabs(quotient));
}

// --- classes and parts -----------------------------------------------------------------------------------------------

template <class T>
bool is_of_class(T value, U classes) {
  using Of = Division<T>;
  const auto bits = std::bit_cast<typename Of::Bits>(value);
  const bool negative = std::signbit(value);
  int number = 0;
  if (std::isnan(value))
    number = (bits >> (Of::mantissa - 1) & 1) != 0 ? 1 : 0;
  else if (std::isinf(value))
    number = negative ? 2 : 9;
  else if (value == 0)
    number = negative ? 5 : 6;
  else if (std::fpclassify(value) == FP_SUBNORMAL)
    number = negative ? 4 : 7;
  else
    number = negative ? 3 : 8;
  return (classes >> number & 1) != 0;
}

template <class Extremes, class T>
std::map<std::string, Entry> extremes() {
  return {{"v_max", lanes([](T a, T b) { return Extremes::greater(a, b); })},
          {"v_min", lanes([](T a, T b) { return Extremes::less(a, b); })},
          {"v_max3", lanes([](T a, T b, T c) { return Extremes::greater(Extremes::greater(a, b), c); })},
          {"v_min3", lanes([](T a, T b, T c) { return Extremes::less(Extremes::less(a, b), c); })},
          {"v_med3", lanes([](T a, T b, T c) { return median<Extremes>(a, b, c); })},
          {"v_minmax", lanes([](T a, T b, T c) { return Extremes::greater(Extremes::less(a, b), c); })},
          {"v_maxmin", lanes([](T a, T b, T c) { return Extremes::less(Extremes::greater(a, b), c); })}};
}

template <class T>
void add_extremes_of(Table& table, const std::string& suffix) {
  for (const auto& [name, entry] : extremes<NumberExtremes, T>()) {
    table.add(name + "_num" + suffix, entry);
  }
  const auto in_ieee_mode = extremes<IeeeExtremes, T>();
  for (const auto& [name, entry] : extremes<OtherExtremes, T>()) {
    table.add(name + suffix, by_mode(in_ieee_mode.at(name), entry));
  }
}

void add_extremes(Table& table) {
  add_extremes_of<float>(table, "_f32");
  add_extremes_of<Half>(table, "_f16");
}

void add_arithmetic(Table& table) {
  table.add("v_add_f32", lanes([](float a, float b) { return a + b; }));
  table.add("v_sub_f32", lanes([](float a, float b) { return a - b; }));
  table.add("v_subrev_f32", lanes([](float a, float b) { return b - a; }));
  table.add("v_mul_f32", lanes([](float a, float b) { return a * b; }));
  const Entry fma = lanes([](float a, float b, float c) { return __builtin_fmaf(a, b, c); });
  table.add({"v_fma_f32", "v_fmamk_f32", "v_fmaak_f32"}, fma);
  table.add("v_fmac_f32", accumulating([](float a, float b, float c) { return __builtin_fmaf(a, b, c); }));
  // Times and plus are rounded each.
  table.add({"v_mad_f32", "v_madmk_f32", "v_madak_f32"}, lanes([](float a, float b, float c) { return a * b + c; }));
  table.add("v_mac_f32", accumulating([](float a, float b, float c) { return a * b + c; }));
  table.add("v_maximum_f32", lanes([](float a, float b) { return maximum(a, b); }));
  table.add("v_minimum_f32", lanes([](float a, float b) { return minimum(a, b); }));
  table.add("v_maximum3_f32", lanes([](float a, float b, float c) { return maximum(maximum(a, b), c); }));
  table.add("v_minimum3_f32", lanes([](float a, float b, float c) { return minimum(minimum(a, b), c); }));
  table.add({"v_maximumminimum_f32"}, lanes([](float a, float b, float c) { return minimum(maximum(a, b), c); }));
  table.add({"v_minimummaximum_f32"}, lanes([](float a, float b, float c) { return maximum(minimum(a, b), c); }));
  table.add("v_trunc_f32", lanes([](float a) { return std::trunc(a); }));
  table.add("v_floor_f32", lanes([](float a) { return std::floor(a); }));
  table.add("v_ceil_f32", lanes([](float a) { return std::ceil(a); }));
  table.add("v_rndne_f32", lanes([](float a) { return std::nearbyint(a); }));
  table.add("v_fract_f32", lanes([](float a) { return std::min(a - std::floor(a), 0x1.fffffep-1F); }));
  table.add("v_ldexp_f32", lanes([](float a, I b) { return std::ldexp(a, std::clamp(b, -400, 400)); }));
  table.add("v_frexp_exp_i32_f32",
            lanes([](float a) { return !std::isfinite(a) || a == 0 ? I{0} : std::ilogb(a) + 1; }));
  table.add("v_frexp_mant_f32",
            lanes([](float a) { return !std::isfinite(a) || a == 0 ? a : std::ldexp(a, -std::ilogb(a) - 1); }));
}

template <class T>
void add_division(Table& table, const std::string& suffix) {
  Entry entry;
  entry.run = division_scale<T>;
  entry.destinations = "dm";
  entry.sources = {type_of<T>(), type_of<T>(), type_of<T>()};
  table.add("v_div_scale" + suffix, entry);
  entry.run = division_fma<T>;
  entry.destinations = "d";
  table.add("v_div_fmas" + suffix, entry);
  table.add("v_div_fixup" + suffix, lanes([](T a, T b, T c) { return fix_up_division(a, b, c); }));
}

void add_halves(Table& table) {
  table.add("v_add_f16", lanes([](Half a, Half b) { return halved(to_float(a) + to_float(b)); }));
  table.add("v_sub_f16", lanes([](Half a, Half b) { return halved(to_float(a) - to_float(b)); }));
  table.add("v_subrev_f16", lanes([](Half a, Half b) { return halved(to_float(b) - to_float(a)); }));
  table.add("v_mul_f16", lanes([](Half a, Half b) { return halved(to_float(a) * to_float(b)); }));
  Entry fma = lanes([](Half a, Half b, Half c) { return fused_multiply_add(a, b, c); });
  table.add({"v_fmamk_f16", "v_fmaak_f16"}, fma);
  fma.keeps_half_on_gfx9 = true;
  table.add("v_fma_f16", fma);
  fma = accumulating([](Half a, Half b, Half c) { return fused_multiply_add(a, b, c); });
  fma.keeps_half_on_gfx9 = true;
  table.add("v_fmac_f16", fma);
  table.add("v_trunc_f16", lanes([](Half a) { return halved(std::trunc(to_float(a))); }));
  table.add("v_floor_f16", lanes([](Half a) { return halved(std::floor(to_float(a))); }));
  table.add("v_ceil_f16", lanes([](Half a) { return halved(std::ceil(to_float(a))); }));
  table.add("v_rndne_f16", lanes([](Half a) { return halved(std::nearbyint(to_float(a))); }));
  table.add("v_ldexp_f16", lanes([](Half a, std::int16_t b) {
              return to_half(std::ldexp(static_cast<double>(to_float(a)), std::clamp<int>(b, -100, 100)));
            }));
}

void add_doubles(Table& table) {
  table.add("v_add_f64", lanes([](double a, double b) { return a + b; }));
  table.add("v_mul_f64", lanes([](double a, double b) { return a * b; }));
  table.add("v_fma_f64", lanes([](double a, double b, double c) { return __builtin_fma(a, b, c); }));
  table.add("v_fmac_f64", accumulating([](double a, double b, double c) { return __builtin_fma(a, b, c); }));
  table.add("v_ldexp_f64", lanes([](double a, I b) { return std::ldexp(a, std::clamp(b, -3000, 3000)); }));
  table.add("v_trunc_f64", lanes([](double a) { return std::trunc(a); }));
  table.add("v_floor_f64", lanes([](double a) { return std::floor(a); }));
  table.add("v_rndne_f64", lanes([](double a) { return std::nearbyint(a); }));
}

template <class T>
void add_ordered(Table& table, const std::string& suffix) {
  const auto add = [&](const std::string& name, Entry entry) { table.add("v_cmp_" + name + suffix, std::move(entry)); };
  add("lt", comparison([](T a, T b) { return a < b; }));
  add("le", comparison([](T a, T b) { return a <= b; }));
  add("gt", comparison([](T a, T b) { return a > b; }));
  add("ge", comparison([](T a, T b) { return a >= b; }));
  add("eq", comparison([](T a, T b) { return a == b; }));
  if constexpr (std::is_integral_v<T>) {
    add("ne", comparison([](T a, T b) { return a != b; }));
  } else {
    add("lg", comparison([](T a, T b) { return a < b || a > b; }));
    add("o", comparison([](T a, T b) { return !std::isunordered(a, b); }));
    add("u", comparison([](T a, T b) { return std::isunordered(a, b); }));
    add("nlt", comparison([](T a, T b) { return !(a < b); }));
    add("nle", comparison([](T a, T b) { return !(a <= b); }));
    add("ngt", comparison([](T a, T b) { return !(a > b); }));
    add("nge", comparison([](T a, T b) { return !(a >= b); }));
    add("neq", comparison([](T a, T b) { return !(a == b); }));
    add("nlg", comparison([](T a, T b) { return !(a < b || a > b); }));
  }
}

void add_half_comparisons(Table& table) {
  const auto add = [&](const std::string& name, Entry entry) { table.add("v_cmp_" + name + "_f16", std::move(entry)); };
  add("lt", comparison([](Half a, Half b) { return to_float(a) < to_float(b); }));
  add("le", comparison([](Half a, Half b) { return to_float(a) <= to_float(b); }));
  add("gt", comparison([](Half a, Half b) { return to_float(a) > to_float(b); }));
  add("ge", comparison([](Half a, Half b) { return to_float(a) >= to_float(b); }));
  add("eq", comparison([](Half a, Half b) { return to_float(a) == to_float(b); }));
  add("lg", comparison([](Half a, Half b) { return to_float(a) < to_float(b) || to_float(a) > to_float(b); }));
  add("o", comparison([](Half a, Half b) { return !is_nan(a) && !is_nan(b); }));
  add("u", comparison([](Half a, Half b) { return is_nan(a) || is_nan(b); }));
  add("nlt", comparison([](Half a, Half b) { return !(to_float(a) < to_float(b)); }));
  add("nle", comparison([](Half a, Half b) { return !(to_float(a) <= to_float(b)); }));
  add("ngt", comparison([](Half a, Half b) { return !(to_float(a) > to_float(b)); }));
  add("nge", comparison([](Half a, Half b) { return !(to_float(a) >= to_float(b)); }));
  add("neq", comparison([](Half a, Half b) { return !(to_float(a) == to_float(b)); }));
}

}  // namespace

void add_float_operations(Table& table) {
  add_extremes(table);
  add_arithmetic(table);
  add_division<float>(table, "_f32");
  add_division<double>(table, "_f64");
  add_halves(table);
  add_doubles(table);
  add_approximation(table, "v_rcp", [](double a) { return 1.0 / a; });
  add_approximation(table, "v_rcp_iflag", [](double a) { return 1.0 / a; });
  add_approximation(table, "v_rsq", [](double a) { return 1.0 / std::sqrt(a); });
  add_approximation(table, "v_sqrt", [](double a) { return std::sqrt(a); });
  add_approximation(table, "v_log", [](double a) { return std::log2(a); });
  add_approximation(table, "v_exp", [](double a) { return std::exp2(a); });
}

void add_comparisons(Table& table) {
  add_ordered<float>(table, "_f32");
  add_ordered<double>(table, "_f64");
  add_ordered<std::int16_t>(table, "_i16");
  add_ordered<std::uint16_t>(table, "_u16");
  add_ordered<std::int32_t>(table, "_i32");
  add_ordered<std::uint32_t>(table, "_u32");
  add_ordered<std::int64_t>(table, "_i64");
  add_ordered<std::uint64_t>(table, "_u64");
  add_half_comparisons(table);
  table.add("v_cmp_class_f32", comparison([](float a, U b) { return is_of_class(a, b); }));
  table.add("v_cmp_class_f64", comparison([](double a, U b) { return is_of_class(a, b); }));
}

}  // namespace kqbench::amd
