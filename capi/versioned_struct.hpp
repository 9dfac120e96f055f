// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Structs of the C interface from programs that were compiled with another version of it. Each begins with a size_t,
/// its size as the caller was compiled. A later version only adds fields at the end, for which 0 means what there was
/// before, and no padding behind them: a lone int32_t or float gets a reserved one beside it.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <stdexcept>
#include <string>

namespace kq::c {

/// No struct of any version is larger. A greater struct_size is memory that was never set.
inline constexpr std::size_t largest_struct = 4096;

/// Throws std::invalid_argument: "num_tokens: must be ...".
[[noreturn]] inline void reject(const std::string& field, const std::string& reason) {
  throw std::invalid_argument(field + ": " + reason);
}

/// The caller's struct_size, checked. `first_size` is the struct's size in the first version, `init` the macro that
/// sets struct_size.
template <class Struct>
std::size_t checked_size(const Struct* given, const char* name, std::size_t first_size, const char* init) {
  if (given == nullptr) reject(name, "must not be NULL");
  std::size_t size = 0;
  std::memcpy(&size, given, sizeof size);
  if (size < first_size || size > largest_struct) {
    reject(name, "struct_size is " + std::to_string(size) +
                     ", which no version has (the first: " + std::to_string(first_size) + "); begin with " + init);
  }
  return size;
}

/// The caller's struct as this library knows it: fields that the caller does not know are 0. Refused if the caller
/// knows more fields and has set one of them. `struct_size` is the caller's.
template <class Struct>
Struct from_caller(const Struct* given, const char* name, std::size_t first_size, const char* init) {
  const std::size_t size = checked_size(given, name, first_size, init);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(given);
  for (std::size_t i = sizeof(Struct); i < size; ++i) {
    if (bytes[i] != 0) {
      reject(name, "the field at byte " + std::to_string(i) + " is newer than this library, which knows " +
                       std::to_string(sizeof(Struct)) + " bytes; leave it 0 or install a newer library");
    }
  }
  Struct known{};
  std::memcpy(&known, given, std::min(size, sizeof(Struct)));
  return known;
}

/// Gives the caller as much of `known` as it knows. `known` comes from from_caller, so its struct_size is the caller's.
template <class Struct>
void to_caller(const Struct& known, Struct* given) {
  std::memcpy(given, &known, std::min(known.struct_size, sizeof(Struct)));
}

}  // namespace kq::c
