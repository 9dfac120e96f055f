// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One wave to try instructions on, from their text.

#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "tests/amd/interpreter/half.hpp"
#include "tests/amd/interpreter/operations.hpp"

namespace kqbench::amd {

class Machine {
 public:
  explicit Machine(const std::string& target = "gfx942", const Options& options = {})
      : target_(target_of(target)),
        options_(options),
        group_(4096),
        wave_(target_, options_, memory_, group_, 512, 64) {
    wave_.set_pair(exec_register, wave_.all_lanes(), true);
  }

  Wave& wave() { return wave_; }
  Memory& memory() { return memory_; }

  /// Executes lines of one instruction each.
  void run(const std::string& text) {
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      for (const Instruction& instruction : parse_instruction(text.substr(begin, end - begin))) {
        execute(wave_, decode(instruction, target_));
      }
      begin = end + 1;
    }
  }

  void set(int index, std::uint32_t value) {
    for (int i = 0; i < max_lanes; ++i) {
      set_lane(index, i, value);
    }
  }
  void set(int index, float value) { set(index, std::bit_cast<std::uint32_t>(value)); }
  void set_double(int index, double value) {
    set(index, static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(value)));
    set(index + 1, static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(value) >> 32));
  }
  void set_lane(int index, int lane, std::uint32_t value) {
    wave_.vector.at(static_cast<std::size_t>(index)).lane[lane] = value;
    wave_.vector_known[static_cast<std::size_t>(index)] |= std::uint64_t{1} << lane;
  }
  /// Each lane's number.
  void count(int index) {
    for (int i = 0; i < max_lanes; ++i) {
      set_lane(index, i, static_cast<std::uint32_t>(i));
    }
  }
  void set_scalar(int index, std::uint32_t value) {
    wave_.scalar.at(static_cast<std::size_t>(index)) = value;
    wave_.scalar_known[static_cast<std::size_t>(index)] = ~std::uint32_t{0};
  }
  void set_address(int index, const void* address) {
    wave_.set_pair(index, reinterpret_cast<std::uintptr_t>(address), true);
  }

  std::uint32_t bits(int index, int lane = 0) const {
    return wave_.vector.at(static_cast<std::size_t>(index)).lane[lane];
  }
  float number(int index, int lane = 0) const { return std::bit_cast<float>(bits(index, lane)); }
  double number64(int index, int lane = 0) const {
    return std::bit_cast<double>(bits(index, lane) | std::uint64_t{bits(index + 1, lane)} << 32);
  }
  bool known(int index, int lane = 0) const {
    return (wave_.vector_known.at(static_cast<std::size_t>(index)) >> lane & 1) != 0;
  }
  std::uint32_t scalar(int index) const { return wave_.scalar.at(static_cast<std::size_t>(index)); }

 private:
  Target target_;
  Options options_;
  Memory memory_;
  Group group_;
  Wave wave_;
};

}  // namespace kqbench::amd
