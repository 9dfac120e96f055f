// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Hosts, and the host's pass over device code. arch.hpp says what each function is.

#include <cstdint>

#include "kq/arch/portable.hpp"

namespace kq::arch {

using portable::approximate_reciprocal;
using portable::begin_kernel;
using portable::clamp;
using portable::e2m1_codes8;
using portable::e2m1_codes8_of_products;
using portable::encodes_e2m1_in_eights;
using portable::even_bytes;
using portable::half_to_float;
using portable::launch_dependent_grids;
using portable::limit_magnitude;
using portable::load16;
using portable::low_bytes;
using portable::magnitudes2;
using portable::reciprocal;
using portable::round_pair;
using portable::round_to_16_bits;
using portable::round_to_e4m3;
using portable::rounds_to_16_bits;
using portable::sign_bytes;
using portable::square_root;
using portable::store_words;
using portable::unpacked_again;
using portable::wait_for_prerequisite_grids;

KQ_HOST_DEVICE Vector16 load16_evict_first(const void* address) {
  return load16(address);
}
template <int Count>
KQ_HOST_DEVICE void store_words_evict_first(void* address, const std::uint32_t (&word)[Count]) {
  store_words(address, word);
}

KQ_HOST_DEVICE std::uint64_t read_slot(const std::uint64_t* slot) {
  return __atomic_load_n(slot, __ATOMIC_RELAXED);
}
KQ_HOST_DEVICE void write_slot(std::uint64_t* slot, std::uint64_t value) {
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
}

KQ_HOST_DEVICE float unpack_half(std::uint16_t bits) {
  return half_to_float(bits);
}

KQ_HOST_DEVICE float max_number(float a, float b) {
  return b > a || a != a ? b : a;
}
KQ_HOST_DEVICE float min_number(float a, float b) {
  return b < a || a != a ? b : a;
}

inline constexpr bool has_packed_extremes = false;
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t min_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_up_to_nan2(std::uint32_t a, std::uint32_t) {
  return a;
}

template <class Format>
KQ_HOST_DEVICE constexpr bool encode4(const float (&)[4], std::uint32_t, std::uint32_t&) {
  return false;
}

inline constexpr int wave_size = 32;
KQ_HOST_DEVICE float exchange(float value, int /*mask*/) {
  return value;
}
KQ_HOST_DEVICE std::uint32_t exchange(std::uint32_t value, int /*mask*/) {
  return value;
}

KQ_HOST_DEVICE float from_lane(float value, int /*lane*/, int /*width*/) {
  return value;
}

inline constexpr bool has_wave_max = false;
KQ_HOST_DEVICE std::uint32_t wave_max(std::uint32_t key) {
  return key;
}

}  // namespace kq::arch
