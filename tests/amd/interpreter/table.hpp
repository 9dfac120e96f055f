// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The table of instructions: name, operands and what to do.

#include <cstdint>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/amd/interpreter/operations.hpp"

namespace kqbench::amd {

/// How an operand is read.
enum class Type : std::uint8_t {
  u16,
  f16,
  u32,
  f32,
  u64,
  f64,
  packed,        ///< two of 16 bits
  packed_half,   ///< two halves
  packed_float,  ///< two floats, in two registers
  mask,          ///< scalar: a bit for each lane
  scalar,        ///< scalar, 32 or 64 bits by the operation
  other,         ///< as it is written
};

struct Entry {
  void (*run)(Wave&, const Operation&) = nullptr;
  void (*in_ieee_mode)(Wave&, const Operation&) = nullptr;  ///< in its place in that mode, where that matters
  /// What comes before the sources: 'd' vector or scalar destination, 'm' mask. Empty: nothing.
  std::string destinations = "d";
  std::vector<Type> sources;
  bool accumulates = false;                            ///< the destination is the last source too
  void (*clamped)(Wave&, const Operation&) = nullptr;  ///< with `clamp`, where that is not floats' clamp
  bool clamps_floats = false;
  int number = 0;                   ///< Operation::number
  bool keeps_half_on_gfx9 = false;  ///< of its 16 bits: the register's other half stays
};

class Table {
 public:
  void add(std::string_view name, Entry entry) { entries_.insert_or_assign(std::string(name), std::move(entry)); }
  void add(std::initializer_list<std::string_view> names, const Entry& entry) {
    for (const std::string_view name : names)
      add(name, entry);
  }
  const Entry* find(const std::string& name) const {
    const auto found = entries_.find(name);
    return found == entries_.end() ? nullptr : &found->second;
  }

 private:
  std::map<std::string, Entry> entries_;
};

// Each adds what one file knows.
void add_scalar_operations(Table& table);
void add_integer_operations(Table& table);
void add_float_operations(Table& table);
void add_comparisons(Table& table);
void add_conversions(Table& table);
void add_packed_operations(Table& table);
void add_lane_operations(Table& table);
void add_memory_operations(Table& table);

}  // namespace kqbench::amd
