// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The native GPU kernels as an implementation on the host, in emulated waves.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "tests/support/exhaustive.hpp"
#include "tests/support/lanes.hpp"

namespace kqbench::test {

/// Waves as GPUs have them.
enum class Waves : std::uint8_t {
  of_32_with_max,  ///< NVIDIA's: a wave's greatest key in one instruction
  of_32,           ///< AMD's RDNA
  of_64,           ///< AMD's CDNA
};

/// Whether all kinds of waves are compiled, which takes minutes under a sanitizer. Where not, NVIDIA's with half do,
/// and the rest is left to plain builds.
inline constexpr bool emulates_all = !sanitized && !KQ_QUICK_TESTS;

inline std::vector<Waves> emulated_waves() {
  if constexpr (emulates_all) return {Waves::of_32_with_max, Waves::of_32, Waves::of_64};
  return {Waves::of_32_with_max};
}

/// Floats are tried where no device has run them. Bfloat16 goes the way that half goes.
constexpr bool emulates_floats(Waves waves) {
  return emulates_all && waves == Waves::of_64;
}
inline std::vector<kq::Element> emulated_elements(Waves waves) {
  if (emulates_floats(waves)) return {kq::Element::half, kq::Element::float32};
  return {kq::Element::half};
}

/// The native kernels for these elements, choices of shapes included, on a device of two multiprocessors. Where
/// `reducing_blocks` is not 0, so many blocks can run at once, each with `shared_bytes` of shared memory.
std::unique_ptr<Implementation> make_emulated_native(Waves waves, LaneOrder order, int reducing_blocks,
                                                     std::size_t shared_bytes);

/// Launches that a request of halfs is made of, of rows that begin at whole vectors or not.
int launches_of(const kq::Request& request, bool aligned);

}  // namespace kqbench::test
