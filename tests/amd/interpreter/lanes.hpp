// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reads and writes operands for all lanes of a wave at once, and makes operations of functions of one lane.

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <tuple>
#include <type_traits>
#include <utility>

#include "tests/amd/interpreter/table.hpp"

namespace kqbench::amd {

/// Bits of a half; functions convert.
struct Half {
  std::uint16_t bits;
};

struct Lanes32 {
  const std::uint32_t* lane;
  std::uint64_t known;
};
struct Register64 {
  alignas(64) std::uint64_t lane[max_lanes];
};
struct Lanes64 {
  const std::uint64_t* lane;
  std::uint64_t known;
};

/// A source's lanes, with its modifiers for that type. They are in `scratch` if not in a register as they are.
Lanes32 read32(Wave& wave, const Operation& operation, int source, Type type, Register& scratch);
Lanes64 read64(Wave& wave, const Operation& operation, int source, Type type, Register64& scratch);

/// Bits of a scalar operand, and which of them are known.
struct Bits {
  std::uint64_t value;
  std::uint64_t known;
};

/// A mask of lanes in scalar registers.
Bits read_mask(const Wave& wave, const Operand& operand);

/// A scalar operand. `known` is set to false where a bit is unknown, else left.
std::uint64_t read_scalar(const Wave& wave, const Source& source, bool& known);
Bits read_bits(const Wave& wave, const Source& source);
/// Writes as many scalar registers as the operand names.
void write_bits(Wave& wave, const Operand& operand, const Bits& bits);
void write_scalar(Wave& wave, const Operand& operand, std::uint64_t value, bool known);
/// What a comparison found in the lanes that are on, of which those in `known` are known; other lanes get 0.
void write_mask(Wave& wave, const Operand& operand, std::uint64_t mask, std::uint64_t known);
/// What an operation that is no comparison says of each lane, such as a carry: AMD's text does not say what lanes that
/// are off get, so that it is unknown.
void write_lanes_of_mask(Wave& wave, const Operand& operand, std::uint64_t mask, std::uint64_t known);

/// The lanes that an operation writes.
std::uint64_t written_lanes(const Wave& wave, const Operation& operation);

void write32(Wave& wave, const Operation& operation, const Register& result, std::uint64_t known);
void write64(Wave& wave, const Operation& operation, const Register64& result, std::uint64_t known);
/// A result of 16 bits.
void write16(Wave& wave, const Operation& operation, const Register& result, std::uint64_t known);
/// To a register of its own, whatever the operation says of parts.
void write_register(Wave& wave, int index, const Register& result, std::uint64_t lanes, std::uint64_t known);

template <class T>
constexpr Type type_of() {
  if constexpr (std::is_same_v<T, Half>)
    return Type::f16;
  else if constexpr (std::is_same_v<T, float>)
    return Type::f32;
  else if constexpr (std::is_same_v<T, double>)
    return Type::f64;
  else if constexpr (sizeof(T) == 2)
    return Type::u16;
  else if constexpr (sizeof(T) == 4)
    return Type::u32;
  else
    return Type::u64;
}

template <class T>
constexpr bool is_wide = sizeof(T) == 8;

template <class T>
constexpr T from_lane(std::conditional_t<is_wide<T>, std::uint64_t, std::uint32_t> bits) {
  if constexpr (std::is_same_v<T, Half>)
    return Half{static_cast<std::uint16_t>(bits)};
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(bits);
  else
    return std::bit_cast<T>(bits);
}
template <class T>
constexpr auto to_lane(T value) {
  if constexpr (std::is_same_v<T, Half>)
    return std::uint32_t{value.bits};
  else if constexpr (sizeof(T) == 2)
    return static_cast<std::uint32_t>(static_cast<std::uint16_t>(value));
  else if constexpr (is_wide<T>)
    return std::bit_cast<std::uint64_t>(value);
  else
    return std::bit_cast<std::uint32_t>(value);
}

template <class T>
using Scratch = std::conditional_t<is_wide<T>, Register64, Register>;

template <class T>
auto read(Wave& wave, const Operation& operation, int source, Scratch<T>& scratch) {
  if constexpr (is_wide<T>)
    return read64(wave, operation, source, type_of<T>(), scratch);
  else
    return read32(wave, operation, source, type_of<T>(), scratch);
}

template <class T>
void write(Wave& wave, const Operation& operation, const Scratch<T>& result, std::uint64_t known) {
  if constexpr (is_wide<T>)
    write64(wave, operation, result, known);
  else if constexpr (sizeof(T) == 2)
    write16(wave, operation, result, known);
  else
    write32(wave, operation, result, known);
}

/// Calls body(lane...) with each lane's values, and returns which lanes' values are known.
template <class... A, class Body>
std::uint64_t for_lanes(Wave& wave, const Operation& operation, const Body& body) {
  return [&]<std::size_t... I>(std::index_sequence<I...>) {
    std::tuple<Scratch<A>...> scratch;
    const auto values = std::tuple{read<A>(wave, operation, static_cast<int>(I), std::get<I>(scratch))...};
    for (int i = 0; i < max_lanes; ++i) {
      body(i, from_lane<A>(std::get<I>(values).lane[i])...);
    }
    return (~std::uint64_t{0} & ... & std::get<I>(values).known);
  }
  (std::index_sequence_for<A...>());
}

// How a float that comes out is changed: clamp to 0…1, times a power of two.
float modify_output(const Operation& operation, float value);

/// Toward zero; what is beyond the type becomes its last number, NaN 0.
template <class T>
T to_integer(double value) {
  if (std::isnan(value)) return 0;
  if (value <= static_cast<double>(std::numeric_limits<T>::min())) return std::numeric_limits<T>::min();
  if (value >= static_cast<double>(std::numeric_limits<T>::max())) return std::numeric_limits<T>::max();
  return static_cast<T>(value);
}

template <class Function>
struct Signature;
template <class R, class... A>
struct Signature<R (*)(A...)> {
  using Result = R;
  static std::vector<Type> types() { return {type_of<A>()...}; }

  template <class F>
  static void run(Wave& wave, const Operation& operation) {
    Scratch<R> result;
    const std::uint64_t known =
        for_lanes<A...>(wave, operation, [&](int i, A... a) { result.lane[i] = to_lane<R>(F{}(a...)); });
    if constexpr (std::is_same_v<R, float>) {
      if (operation.clamp || operation.output_scale != 0) {
        for (int i = 0; i < max_lanes; ++i) {
          result.lane[i] = to_lane(modify_output(operation, from_lane<float>(result.lane[i])));
        }
      }
    }
    write<R>(wave, operation, result, known);
  }

  template <class F>
  static void compare(Wave& wave, const Operation& operation) {
    std::uint64_t mask = 0;
    const std::uint64_t known = for_lanes<A...>(
        wave, operation, [&](int i, A... a) { mask |= static_cast<std::uint64_t>(F{}(a...) ? 1 : 0) << i; });
    write_mask(wave, operation.mask, mask, known);
  }
};

/// An operation on each lane: its operands' types are those of the function, a lambda without captures.
template <class F>
Entry lanes(F) {
  using Of = Signature<decltype(+F{})>;
  Entry entry;
  entry.run = Of::template run<F>;
  entry.sources = Of::types();
  entry.clamps_floats = std::is_same_v<typename Of::Result, float>;
  return entry;
}

/// The destination is its last operand too.
template <class F>
Entry accumulating(F f) {
  Entry entry = lanes(f);
  entry.accumulates = true;
  entry.sources.pop_back();
  return entry;
}

template <class F, class Clamped>
Entry lanes_or_clamped(F f, Clamped) {
  Entry entry = lanes(f);
  entry.clamped = Signature<decltype(+Clamped{})>::template run<Clamped>;
  return entry;
}

/// An operation that differs in the mode named IEEE.
inline Entry by_mode(const Entry& in_ieee_mode, Entry otherwise) {
  otherwise.in_ieee_mode = in_ieee_mode.run;
  return otherwise;
}

template <class F>
Entry comparison(F) {
  using Of = Signature<decltype(+F{})>;
  Entry entry;
  entry.run = Of::template compare<F>;
  entry.destinations = "m";
  entry.sources = Of::types();
  return entry;
}

}  // namespace kqbench::amd
