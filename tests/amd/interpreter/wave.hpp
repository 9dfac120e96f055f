// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A wave of lanes with its registers, and the group that it is in.
///
/// Registers know whether they were written: of each vector register there is a bit for each lane, of a scalar one,
/// which may be a mask of lanes, one for each bit. What is computed from what was never written is unknown too. That is
/// no error yet, since compilers copy and combine registers whose contents nobody uses: it is one where an address, a
/// stored number or a branch of the whole wave comes from it.

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/amd/interpreter/instruction.hpp"
#include "tests/amd/interpreter/memory.hpp"

namespace kqbench::amd {

inline constexpr int max_lanes = 64;

/// Upper halves of addresses that mean LDS, and memory private to a lane.
inline constexpr std::uint64_t shared_aperture = 0x00010000;
inline constexpr std::uint64_t private_aperture = 0x00020000;

/// What code did that it must not do. The message says what; who runs the code adds where.
class ExecutionError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How to do what the architecture leaves open.
struct Options {
  /// Which of the two floats around an approximation's exact value comes out (reciprocal, square root and its
  /// reciprocal): the smaller one in magnitude, -1; the nearest, 0; the greater one, 1.
  int perturbation = 0;
  bool backward = false;               ///< waves and groups take turns from the last to the first
  std::uint32_t poison = 0xdbdbdbdbU;  ///< in registers and LDS at first
  bool trace = false;                  ///< print instructions whose results are unknown
  bool together = false;               ///< all groups of a launch run at once, whether it asks for that or not
  /// The greater or the less of two numbers in the mode named IEEE is an error: NaN that signals would hide a number.
  bool refuses_ieee_mode = false;
};

struct Target {
  bool wave64 = true;     ///< waves of 64 lanes
  bool is_gfx9 = true;    ///< CDNA
  bool is_gfx12 = false;  ///< RDNA4
  bool fnuz = false;      ///< its fp8 is FNUZ, not OCP's
};

/// Throws std::runtime_error for one that the interpreter does not know.
Target target_of(const std::string& name);

struct Register {
  alignas(64) std::uint32_t lane[max_lanes];
};

struct Group {
  explicit Group(std::size_t shared_bytes) : shared(shared_bytes), written(shared_bytes) {}
  std::vector<std::byte> shared;      ///< LDS
  std::vector<std::uint8_t> written;  ///< 1 where a byte of it was
};

enum class State : std::uint8_t { ready, at_barrier, ended };

struct Wave {
  Wave(const Target& of, const Options& how, Memory& device_memory, Group& in_group, int registers,
       std::size_t private_bytes)
      : target(of),
        options(how),
        memory(device_memory),
        group(in_group),
        vector(static_cast<std::size_t>(registers)),
        vector_known(static_cast<std::size_t>(registers)),
        private_size(private_bytes),
        private_memory(private_bytes * max_lanes) {}

  const Target& target;
  const Options& options;
  Memory& memory;
  Group& group;

  std::vector<Register> vector;
  std::vector<std::uint64_t> vector_known;  ///< a bit for each lane
  std::array<std::uint32_t, scalar_registers> scalar{};
  std::array<std::uint32_t, scalar_registers> scalar_known{};  ///< bit by bit
  bool scc = false;
  bool scc_known = false;
  bool ieee_mode = true;  ///< as HIP's kernels begin: what comes of NaN that signals (extremes.hpp). Not from RDNA4 on

  std::uint64_t pc = 0;     ///< address of the instruction that is executed, within the code object
  std::uint64_t next = 0;   ///< of the one to be executed then
  std::uint64_t image = 0;  ///< where address 0 of the code object is
  State state = State::ready;
  std::int64_t barriers = 0;  ///< that it has come to
  std::int64_t executed = 0;  ///< instructions

  std::size_t private_size;               ///< bytes a lane
  std::vector<std::byte> private_memory;  ///< lane by lane

  std::uint64_t pair(int index) const {
    return scalar[static_cast<std::size_t>(index)] | std::uint64_t{scalar[static_cast<std::size_t>(index) + 1]} << 32;
  }
  void set_pair(int index, std::uint64_t value, bool known) {
    scalar[static_cast<std::size_t>(index)] = static_cast<std::uint32_t>(value);
    scalar[static_cast<std::size_t>(index) + 1] = static_cast<std::uint32_t>(value >> 32);
    scalar_known[static_cast<std::size_t>(index)] = scalar_known[static_cast<std::size_t>(index) + 1] =
        known ? ~std::uint32_t{0} : 0;
  }
  int lanes() const { return target.wave64 ? 64 : 32; }
  std::uint64_t all_lanes() const { return target.wave64 ? ~std::uint64_t{0} : 0xffffffffU; }
  std::uint64_t exec() const { return target.wave64 ? pair(exec_register) : scalar[exec_register]; }
};

}  // namespace kqbench::amd
