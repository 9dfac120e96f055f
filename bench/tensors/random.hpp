// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reproducible input: element i is a function of the seed and i alone, made of integer arithmetic and one exactly
/// rounded float operation, so the same seed gives the same bytes on every machine, whatever the number of threads.

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "backends/backend.hpp"
#include "kq/request.hpp"

namespace kqbench {

/// 64 bits that look random, from a seed and a counter: the output function of SplitMix64 (Steele, Lea and Flood, "Fast
/// splittable pseudorandom number generators", 2014) at position `counter` of the stream that the seed starts.
constexpr std::uint64_t random_bits(std::uint64_t seed, std::uint64_t counter) {
  const auto mix = [](std::uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  };
  return mix(mix(seed + 0x9e3779b97f4a7c15u) + counter * 0x9e3779b97f4a7c15u);
}

/// A number of mean 0 and variance 1, near enough to normal for activations: the sum of four uniform 16-bit numbers
/// (Irwin and Hall), between -3.46 and 3.46.
constexpr float random_normal(std::uint64_t seed, std::uint64_t counter) {
  const std::uint64_t bits = random_bits(seed, counter);
  const auto sum =
      static_cast<std::int32_t>((bits & 0xffffu) + ((bits >> 16) & 0xffffu) + ((bits >> 32) & 0xffffu) + (bits >> 48));
  return static_cast<float>(2 * sum - 4 * 0xffff) * 0x1.bb67aep-17f;  // 1 / (2 * 65536 / sqrt(3))
}

/// What an input tensor is filled with. All but `normal` are there to find mistakes.
enum class Fill : std::uint8_t {
  normal,      ///< random_normal
  every_size,  ///< random bit patterns: finite numbers of every size, subnormals among them
  specials,    ///< normal, with infinities, zeros of both signs, the largest and the least numbers strewn in
  nans,        ///< normal, with NaN strewn in, and every third row nothing but NaN of both signs
  zeros,       ///< zeros of both signs
  constant,    ///< one number for a whole row; rows differ
  subnormals,  ///< the element's least numbers
  tiny,      ///< rows whose amax / qmax is about 2^-126 or far less, zeros among their numbers; half: its least numbers
  extremes,  ///< the element's largest numbers, of both signs
  rounding_ties  ///< numbers half-way between two codes once scaled, where rounding goes wrong if anywhere
};
std::string_view to_string(Fill fill);

/// All fills, `normal` first.
inline constexpr Fill all_fills[] = {Fill::normal,   Fill::every_size,   Fill::specials,   Fill::nans,
                                     Fill::zeros,    Fill::constant,     Fill::subnormals, Fill::tiny,
                                     Fill::extremes, Fill::rounding_ties};

/// The request's input, kq::input_bytes(request) bytes: rows at request.input_stride, the gap between them filled with
/// large numbers that would spoil any amax they were counted in. Element (t, c) depends on seed, t * columns + c and
/// fill alone.
std::vector<std::byte> make_input(const kq::Request& request, std::uint64_t seed, Fill fill = Fill::normal);

/// What a producer reads beside the input: a residual that is filled like one, and a weight around 1.
void make_other_sources(const kq::Request& request, std::uint64_t seed, Fill fill, HostTensors& sources);

/// The input and what a producer reads beside it.
HostTensors make_sources(const kq::Request& request, std::uint64_t seed, Fill fill = Fill::normal);

}  // namespace kqbench
