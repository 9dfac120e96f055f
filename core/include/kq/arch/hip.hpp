// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// AMD's processors. arch.hpp says what each function is.

#include <cstdint>
#include <type_traits>

#include "kq/arch/portable.hpp"

/// Which of the two kinds of fp8 this pass's processor converts to by an instruction: the MI300 series to its own FNUZ
/// formats, MI350 and RDNA 4 to OCP's. A compiler that knows no such instruction has none.
#if defined(__has_builtin)
#if __has_builtin(__builtin_amdgcn_cvt_pk_fp8_f32)
#if defined(__gfx940__) || defined(__gfx941__) || defined(__gfx942__)
#define KQ_AMD_CONVERTS_TO_FNUZ 1
#elif defined(__gfx950__) || defined(__gfx1200__) || defined(__gfx1201__)
#define KQ_AMD_CONVERTS_TO_OCP 1
#endif
#endif
#endif
/// MI350 converts to E2M1 too.
#if defined(__has_builtin)
#if __has_builtin(__builtin_amdgcn_cvt_scalef32_pk_fp4_f32) && defined(__gfx950__)
#define KQ_AMD_CONVERTS_TO_E2M1 1
#endif
#endif
#if !defined(KQ_AMD_CONVERTS_TO_FNUZ)
#define KQ_AMD_CONVERTS_TO_FNUZ 0
#endif
#if !defined(KQ_AMD_CONVERTS_TO_OCP)
#define KQ_AMD_CONVERTS_TO_OCP 0
#endif

namespace kq::arch {

using portable::clamp;
using portable::e2m1_codes8;
using portable::e2m1_codes8_of_products;
using portable::encodes_e2m1_in_eights;
using portable::even_bytes;
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

/// HIP's kernels begin in the mode named IEEE, in which v_max_f32 of a number and NaN that signals is NaN, and LLVM
/// makes no operand quiet before v_max3_f32: the numbers before it would be lost. Without that mode a number comes out
/// of every such instruction (AMD's ISA documents, V_MAX_F32). RDNA4 has no such mode, and always leaves NaN out.
KQ_HOST_DEVICE void begin_kernel() {
#if defined(__GFX9__) || defined(__GFX10__) || defined(__GFX11__)
  constexpr int mode = 1;      // the register's number, from bit 0 of what names a part of one
  constexpr int ieee = 9;      // the part's first bit, from bit 6
  constexpr int one_more = 0;  // its bits less one, from bit 11
  __builtin_amdgcn_s_setreg(mode | ieee << 6 | one_more << 11, 0);
#endif
}

KQ_HOST_DEVICE Vector16 load16_evict_first(const void* address) {
  return load16(address);
}
template <int Count>
KQ_HOST_DEVICE void store_words_evict_first(void* address, const std::uint32_t (&word)[Count]) {
  store_words(address, word);
}

KQ_HOST_DEVICE std::uint64_t read_slot(const std::uint64_t* slot) {
  return __hip_atomic_load(slot, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}
KQ_HOST_DEVICE void write_slot(std::uint64_t* slot, std::uint64_t value) {
  __hip_atomic_store(slot, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
}

KQ_HOST_DEVICE float half_to_float(std::uint16_t bits) {
  return static_cast<float>(__builtin_bit_cast(_Float16, bits));
}
KQ_HOST_DEVICE float unpack_half(std::uint16_t bits) {
  return half_to_float(bits);
}

KQ_HOST_DEVICE float max_number(float a, float b) {
  return __builtin_fmaxf(a, b);
}
KQ_HOST_DEVICE float min_number(float a, float b) {
  return __builtin_fminf(a, b);
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

/// E4M3 and E5M2 are "fp8" and "bf8" in AMD's names. The instructions are given nothing that they might treat in ways
/// of their own: numbers within the format's range. A NaN among the four sends all four the portable way.
/// OCP's formats have a zero of either sign: a quotient's last correction may have made +0 of -0.
template <class Format>
KQ_HOST_DEVICE bool encode4([[maybe_unused]] const float (&v)[4], [[maybe_unused]] std::uint32_t signs,
                            [[maybe_unused]] std::uint32_t& word) {
#if KQ_AMD_CONVERTS_TO_FNUZ || KQ_AMD_CONVERTS_TO_OCP
  constexpr bool is_ocp = Format::is_float8 && Format::has_negative_zero;
  constexpr bool is_fnuz = Format::is_float8 && !Format::has_negative_zero;
  if constexpr ((KQ_AMD_CONVERTS_TO_OCP && is_ocp) || (KQ_AMD_CONVERTS_TO_FNUZ && is_fnuz)) {
    if (__builtin_isunordered(v[0], v[1]) || __builtin_isunordered(v[2], v[3])) [[unlikely]]
      return false;
    float in_range[4];
    for (int i = 0; i < 4; ++i) {
      in_range[i] = __builtin_amdgcn_fmed3f(v[i], -Format::max, Format::max);
    }
    int codes = 0;
    if constexpr (Format::mantissa_bits == 3) {
      codes = __builtin_amdgcn_cvt_pk_fp8_f32(in_range[0], in_range[1], codes, false);
      codes = __builtin_amdgcn_cvt_pk_fp8_f32(in_range[2], in_range[3], codes, true);
    } else {
      codes = __builtin_amdgcn_cvt_pk_bf8_f32(in_range[0], in_range[1], codes, false);
      codes = __builtin_amdgcn_cvt_pk_bf8_f32(in_range[2], in_range[3], codes, true);
    }
    word = static_cast<std::uint32_t>(codes) | (is_ocp ? signs : 0);
    return true;
  }
#endif
#if defined(KQ_AMD_CONVERTS_TO_E2M1)
  // Two numbers to a byte, divided by a power of two, which is 1 here.
  if constexpr (Format::code_bits == 4) {
    if (__builtin_isunordered(v[0], v[1]) || __builtin_isunordered(v[2], v[3])) [[unlikely]]
      return false;
    float in_range[4];
    for (int i = 0; i < 4; ++i) {
      in_range[i] = __builtin_amdgcn_fmed3f(v[i], -Format::max, Format::max);
    }
    word = __builtin_amdgcn_cvt_scalef32_pk_fp4_f32(0, in_range[0], in_range[1], 1.0f, 0);
    word = __builtin_amdgcn_cvt_scalef32_pk_fp4_f32(word, in_range[2], in_range[3], 1.0f, 1);
    word |= portable::pack_nibbles(signs >> 4);
    return true;
  }
#endif
  return false;
}

/// RDNA's compilers default to waves of 32, CDNA (GFX9) knows only 64.
#if defined(__GFX9__)
inline constexpr int wave_size = 64;
#else
inline constexpr int wave_size = 32;
#endif

KQ_HOST_DEVICE float exchange(float value, int mask) {
  return __shfl_xor(value, mask);
}
KQ_HOST_DEVICE std::uint32_t exchange(std::uint32_t value, int mask) {
  return static_cast<std::uint32_t>(__shfl_xor(static_cast<int>(value), mask));
}

KQ_HOST_DEVICE float from_lane(float value, int lane, int width) {
  return __shfl(value, lane, width);
}
KQ_HOST_DEVICE float approximate_reciprocal(float x) {
  return __builtin_amdgcn_rcpf(x);
}

inline constexpr bool has_wave_max = false;
KQ_HOST_DEVICE std::uint32_t wave_max(std::uint32_t key) {
  return key;
}

}  // namespace kq::arch
