// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native GPU kernels as an implementation on the host, in emulated waves.

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "tests/support/lanes.hpp"

namespace kqbench::test {

/// Waves as GPUs have them. Those of 32 lanes that find no greatest key in one instruction, AMD's RDNA, differ in
/// backends/gpu/reduce.hpp alone, which is tried in them by itself.
enum class Waves : std::uint8_t {
  of_32_with_max,  ///< NVIDIA's
  of_64,           ///< AMD's CDNA
};
inline void PrintTo(Waves waves, std::ostream* out) {
  *out << (waves == Waves::of_64 ? "waves of 64" : "waves of 32 with a greatest key in one instruction");
}

/// Whether all kinds of waves are compiled, and producers with quantizers in one kernel, which takes minutes under a
/// sanitizer. Where not, NVIDIA's waves are, and the rest is left to plain builds and to the interpreter of tests/amd,
/// which watches every access.
inline constexpr bool emulates_all = !KQ_QUICK_TESTS;

inline std::vector<Waves> emulated_waves() {
  if constexpr (emulates_all) return {Waves::of_32_with_max, Waves::of_64};
  return {Waves::of_32_with_max};
}

/// Each kind of waves has an element, since compilers take minutes for all pairs: halfs in waves of 64 run in the
/// interpreter of tests/amd. Bfloat16 goes the way that half goes.
constexpr kq::Element emulated_element(Waves waves) {
  return waves == Waves::of_64 ? kq::Element::float32 : kq::Element::half;
}

/// The native kernels for that element, choices of shapes included, on a device of two multiprocessors. Where
/// `reducing_blocks` is not 0, so many blocks can run at once, each with `shared_bytes` of shared memory.
std::unique_ptr<Implementation> make_emulated_native(Waves waves, LaneOrder order, int reducing_blocks,
                                                     std::size_t shared_bytes);

/// Launches that a request of halfs is made of, of rows that begin at whole vectors or not.
int launches_of(const kq::Request& request, bool aligned);

}  // namespace kqbench::test
