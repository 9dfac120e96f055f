// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// NVIDIA's processors. arch.hpp says what each function is.

#include <cstdint>
#include <type_traits>

#include "kq/arch/config.hpp"
#include "kq/arch/e2m1.hpp"
#include "kq/arch/portable.hpp"

namespace kq {
struct half;
}

namespace kq::arch {

using portable::begin_kernel;
using portable::store_words;

/// Volatile, so that loads stay where they are written: before what waits for them. (Asking the first-level cache not
/// to keep them, by L1::no_allocate, made streaming kernels 8 to 11 % slower on an H200.)
KQ_HOST_DEVICE Vector16 load16(const void* address) {
  Vector16 v;
  asm volatile("ld.global.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address));
  return v;
}

#if __CUDA_ARCH__ >= 800
/// The second-level cache gives lines of this policy up first.
KQ_HOST_DEVICE std::uint64_t evict_first_policy() {
  std::uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}

KQ_HOST_DEVICE Vector16 load16_evict_first(const void* address) {
  Vector16 v;
  asm volatile("ld.global.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address), "l"(evict_first_policy()));
  return v;
}

template <int Count>
KQ_HOST_DEVICE void store_words_evict_first(void* address, const std::uint32_t (&word)[Count]) {
  static_assert(Count == 1 || Count == 2);
  if constexpr (Count == 1) {
    asm volatile("st.global.L2::cache_hint.u32 [%0], %1, %2;"
                 :
                 : "l"(address), "r"(word[0]), "l"(evict_first_policy())
                 : "memory");
  } else {
    asm volatile("st.global.L2::cache_hint.v2.u32 [%0], {%1, %2}, %3;"
                 :
                 : "l"(address), "r"(word[0]), "r"(word[1]), "l"(evict_first_policy())
                 : "memory");
  }
}
#else
KQ_HOST_DEVICE Vector16 load16_evict_first(const void* address) {
  return load16(address);
}
template <int Count>
KQ_HOST_DEVICE void store_words_evict_first(void* address, const std::uint32_t (&word)[Count]) {
  store_words(address, word);
}
#endif

KQ_HOST_DEVICE std::uint64_t read_slot(const std::uint64_t* slot) {
  std::uint64_t value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(slot) : "memory");
  return value;
}
KQ_HOST_DEVICE void write_slot(std::uint64_t* slot, std::uint64_t value) {
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" : : "l"(slot), "l"(value) : "memory");
}

KQ_HOST_DEVICE Vector16 unpacked_again(const Vector16& v) {
  Vector16 same = v;
  asm volatile("" : "+r"(same.word[0]), "+r"(same.word[1]), "+r"(same.word[2]), "+r"(same.word[3]));
  return same;
}

/// The instruction makes every NaN a positive one.
KQ_HOST_DEVICE float unpack_half(std::uint16_t bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
KQ_HOST_DEVICE float half_to_float(std::uint16_t bits) {
  const auto value = std::bit_cast<std::uint32_t>(unpack_half(bits));
  return std::bit_cast<float>((value & 0x7fffffffu) | static_cast<std::uint32_t>(bits & 0x8000u) << 16);
}

#if __CUDA_ARCH__ >= 800
inline constexpr bool rounds_to_16_bits = true;
/// A bfloat16 is converted as the first of a pair with 0, which is the float already, and which other units do than the
/// slow ones that convert a single bfloat16.
template <class Element>
KQ_HOST_DEVICE float round_to_16_bits(float v) {
  if constexpr (std::is_same_v<Element, half>) {
    std::uint16_t bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    return unpack_half(bits);
  } else {
    std::uint32_t word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(v), "f"(0.0f));
    return std::bit_cast<float>(word);
  }
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t round_pair(float low, float high) {
  std::uint32_t word;
  if constexpr (std::is_same_v<Element, half>) {
    asm("cvt.rn.f16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(low), "f"(high));
  } else {
    asm("cvt.rn.bf16x2.f32 %0, %2, %1;" : "=r"(word) : "f"(low), "f"(high));
  }
  return word;
}
#else
using portable::round_pair;
using portable::round_to_16_bits;
using portable::rounds_to_16_bits;
#endif

KQ_HOST_DEVICE float square_root(float x) {
  return __fsqrt_rn(x);
}
KQ_HOST_DEVICE double square_root(double x) {
  return __dsqrt_rn(x);
}

KQ_HOST_DEVICE float limit_magnitude(float v, float bound) {
#if __CUDA_ARCH__ >= 860
  asm("min.xorsign.abs.f32 %0, %0, %1;" : "+f"(v) : "f"(bound));
  return v;
#else
  return portable::limit_magnitude(v, bound);
#endif
}

KQ_HOST_DEVICE float clamp(float v, float low, float high) {
#if __CUDA_ARCH__ >= 800
  asm("{ max.NaN.f32 %0, %0, %1; min.NaN.f32 %0, %0, %2; }" : "+f"(v) : "f"(low), "f"(high));
  return v;
#else
  return portable::clamp(v, low, high);
#endif
}

KQ_HOST_DEVICE float approximate_reciprocal(float x) {
  float estimate;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(estimate) : "f"(x));
  return estimate;
}

/// What nvcc makes of 1 / x, without its branch for numbers outside this range.
KQ_HOST_DEVICE float reciprocal(float x) {
  const float estimate = approximate_reciprocal(x);
  const float error = -__builtin_fmaf(x, estimate, -1.0f);
  return __builtin_fmaf(estimate, error, estimate);
}

KQ_HOST_DEVICE float max_number(float a, float b) {
  return __builtin_fmaxf(a, b);
}
KQ_HOST_DEVICE float min_number(float a, float b) {
  return __builtin_fminf(a, b);
}

#if __CUDA_ARCH__ >= 800
inline constexpr bool has_packed_extremes = true;
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_number2(std::uint32_t a, std::uint32_t b) {
  std::uint32_t r;
  if constexpr (std::is_same_v<Element, half>) {
    asm("max.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  } else {
    asm("max.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  }
  return r;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t min_number2(std::uint32_t a, std::uint32_t b) {
  std::uint32_t r;
  if constexpr (std::is_same_v<Element, half>) {
    asm("min.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  } else {
    asm("min.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  }
  return r;
}
/// By an addition: comparisons are on the other pipe, which block formats keep busier. A NaN stays NaN.
template <class Element>
KQ_HOST_DEVICE std::uint32_t magnitudes2(std::uint32_t pair) {
  std::uint32_t r;
  if constexpr (std::is_same_v<Element, half>) {
    asm("abs.f16x2 %0, %1;" : "=r"(r) : "r"(pair));
  } else {
    asm("abs.bf16x2 %0, %1;" : "=r"(r) : "r"(pair));
  }
  return r;
}
/// A NaN becomes the canonical one, 0x7fff, which is above infinity.
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_up_to_nan2(std::uint32_t a, std::uint32_t b) {
  std::uint32_t r;
  if constexpr (std::is_same_v<Element, half>) {
    asm("max.NaN.f16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  } else {
    asm("max.NaN.bf16x2 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b));
  }
  return r;
}
#else
inline constexpr bool has_packed_extremes = false;
using portable::magnitudes2;
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_up_to_nan2(std::uint32_t a, std::uint32_t) {
  return a;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t min_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
#endif

template <int Count>
KQ_HOST_DEVICE std::uint32_t sign_bytes(std::uint32_t first, std::uint32_t second) {
  return __byte_perm(first, second, Count == 2 ? 0x7531 : 0x0073);
}
KQ_HOST_DEVICE std::uint32_t low_bytes(std::uint32_t a, std::uint32_t b, std::uint32_t c, std::uint32_t d) {
  return __byte_perm(__byte_perm(a, b, 0x0040), __byte_perm(c, d, 0x0040), 0x5410);
}
KQ_HOST_DEVICE std::uint32_t even_bytes(std::uint32_t word) {
  return __byte_perm(word, 0, 0x4420);
}

/// Whether this pass's processor converts to E2M1: the targets of one architecture ("a") or family ("f") from compute
/// capability 10.0 on.
#if defined(__CUDA_ARCH_SPECIFIC__) || defined(__CUDA_ARCH_FAMILY_SPECIFIC__)
#if __CUDA_ARCH__ >= 1000
#define KQ_CUDA_CONVERTS_TO_E2M1 1
#endif
#endif

/// A conversion to floats gives NaN without its sign; every other code has it already. One to integers saturates and
/// makes NaN 0.
template <class Format>
KQ_HOST_DEVICE bool encode4([[maybe_unused]] const float (&v)[4], [[maybe_unused]] std::uint32_t signs,
                            [[maybe_unused]] std::uint32_t& word) {
  if constexpr (Format::is_integer) {
    asm("{ .reg .s32 a, b, c, d; .reg .b32 high;"
        " cvt.rni.s32.f32 a, %1; cvt.rni.s32.f32 b, %2; cvt.rni.s32.f32 c, %3; cvt.rni.s32.f32 d, %4;"
        " cvt.pack.sat.s8.s32.b32 high, d, c, 0; cvt.pack.sat.s8.s32.b32 %0, b, a, high; }"
        : "=r"(word)
        : "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]));
    return true;
  }
#if __CUDA_ARCH__ >= 890
  if constexpr (Format::is_float8 && Format::has_negative_zero) {
    if constexpr (Format::mantissa_bits == 3) {
      asm("{ .reg .b16 low, high; cvt.rn.satfinite.e4m3x2.f32 low, %2, %1; cvt.rn.satfinite.e4m3x2.f32 high, %4, %3; "
          "mov.b32 %0, {low, high}; }"
          : "=r"(word)
          : "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]));
    } else {
      asm("{ .reg .b16 low, high; cvt.rn.satfinite.e5m2x2.f32 low, %2, %1; cvt.rn.satfinite.e5m2x2.f32 high, %4, %3; "
          "mov.b32 %0, {low, high}; }"
          : "=r"(word)
          : "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]));
    }
    word |= signs;
    return true;
  }
#endif
#if defined(KQ_CUDA_CONVERTS_TO_E2M1)
  if constexpr (Format::code_bits == 4) {
    asm("{ .reg .b8 low, high; cvt.rn.satfinite.e2m1x2.f32 low, %2, %1; cvt.rn.satfinite.e2m1x2.f32 high, %4, %3; "
        "mov.b32 %0, {low, high, 0, 0}; }"
        : "=r"(word)
        : "f"(v[0]), "f"(v[1]), "f"(v[2]), "f"(v[3]));
    word |= portable::pack_nibbles(signs >> 4);
    return true;
  }
#endif
  return false;
}

#if __CUDA_ARCH__ >= 890
KQ_HOST_DEVICE bool round_to_e4m3(float v, std::uint8_t& code, float& value) {
  std::uint16_t pair;
  std::uint32_t halves;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(pair) : "f"(0.0f), "f"(v));
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(halves) : "h"(pair));
  code = static_cast<std::uint8_t>(pair);
  value = unpack_half(static_cast<std::uint16_t>(halves));
  return true;
}
#else
using portable::round_to_e4m3;
#endif

#if __CUDA_ARCH__ >= 900 && !defined(KQ_CUDA_CONVERTS_TO_E2M1)
/// Instructions that compute with pairs of elements and compare three numbers: e2m1.hpp says what each function is.
struct E2M1Target {
  template <class Element>
  KQ_HOST_DEVICE static std::uint32_t fma2(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    std::uint32_t r;
    if constexpr (std::is_same_v<Element, half>) {
      asm("fma.rn.f16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    } else {
      asm("fma.rn.bf16x2 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c));
    }
    return r;
  }
  template <class Element>
  KQ_HOST_DEVICE static std::uint32_t magnitudes2(std::uint32_t pair) {
    return arch::magnitudes2<Element>(pair);
  }
  KQ_HOST_DEVICE static std::uint32_t min3(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return __vimin3_u32(a, b, c);
  }
  KQ_HOST_DEVICE static std::uint32_t min3x2(std::uint32_t a, std::uint32_t b, std::uint32_t c) {
    return __vimin3_u16x2(a, b, c);
  }
  KQ_HOST_DEVICE static std::uint32_t min2x2(std::uint32_t a, std::uint32_t b) { return __vminu2(a, b); }
  template <std::uint32_t selector>
  KQ_HOST_DEVICE static std::uint32_t permute(std::uint32_t a, std::uint32_t b) {
    std::uint32_t r;
    asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "n"(selector));
    return r;
  }
};

inline constexpr bool encodes_e2m1_in_eights = true;
template <class Element, bool Limited>
KQ_HOST_DEVICE std::uint32_t e2m1_codes8(const std::uint32_t (&word)[4], std::uint32_t twice_factor) {
  return e2m1::codes8<E2M1Target, Element, std::is_same_v<Element, half>, Limited>(word, twice_factor);
}
KQ_HOST_DEVICE std::uint32_t e2m1_codes8_of_products(const float (&x)[8], const std::uint32_t (&word)[4],
                                                     float factor) {
  return e2m1::codes8_of_products<E2M1Target>(x, word, factor);
}
#else
using portable::e2m1_codes8;
using portable::e2m1_codes8_of_products;
using portable::encodes_e2m1_in_eights;
#endif

inline constexpr int wave_size = 32;

KQ_HOST_DEVICE float exchange(float value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}
KQ_HOST_DEVICE std::uint32_t exchange(std::uint32_t value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

KQ_HOST_DEVICE float from_lane(float value, int lane, int width) {
  return __shfl_sync(0xffffffffu, value, lane, width);
}

#if __CUDA_ARCH__ >= 800
inline constexpr bool has_wave_max = true;
KQ_HOST_DEVICE std::uint32_t wave_max(std::uint32_t key) {
  return __reduce_max_sync(0xffffffffu, key);
}
#else
inline constexpr bool has_wave_max = false;
KQ_HOST_DEVICE std::uint32_t wave_max(std::uint32_t key) {
  return key;
}
#endif

/// Programmatic dependent launch (PTX ISA, griddepcontrol). A launch without a programmatic edge before it does not
/// wait here, and one without such an edge after it starts nothing. The memory clobber keeps accesses on their side.
KQ_HOST_DEVICE void wait_for_prerequisite_grids() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" : : : "memory");
#endif
}
/// The assembler moves the bare instruction as far up as it can, and computes addresses behind it. Under a condition
/// that holds for every address and count, which it does not know, these are ready when the wait ends.
KQ_HOST_DEVICE void wait_for_prerequisite_grids([[maybe_unused]] const void* address,
                                                [[maybe_unused]] std::int32_t count) {
#if __CUDA_ARCH__ >= 900
  asm volatile("{ .reg .pred p; setp.ne.u64 p, %0, 0; setp.ne.and.s32 p, %1, -1, p; @p griddepcontrol.wait; }"
               :
               : "l"(address), "r"(count)
               : "memory");
#endif
}
KQ_HOST_DEVICE void launch_dependent_grids() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" : : : "memory");
#endif
}

}  // namespace kq::arch
