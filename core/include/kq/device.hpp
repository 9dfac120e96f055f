// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What the tile layer needs of a device, by vendor: 16-byte memory accesses, packed folds of two 16-bit elements, and
/// exchange among the lanes of a wave. Every function has a portable body beside its device ones.

#include <bit>
#include <cstdint>
#include <type_traits>
#if defined(__HIPCC__)
#include <hip/hip_runtime.h>
#endif

#include "kq/config.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"

namespace kq::device {

/// Sixteen bytes as one memory access moves them.
struct alignas(16) Vector16 {
  std::uint32_t word[4];
};

/// Elements of a type in sixteen bytes: 8 or 4.
template <class Element>
inline constexpr int width = static_cast<int>(16 / sizeof(Element));

/// Reads sixteen aligned bytes that no one writes meanwhile. Volatile, so that loads stay where they are written:
/// before what waits for them. (Asking the first-level cache not to keep them, by L1::no_allocate, made streaming
/// kernels 8 to 11 % slower on an H200.)
KQ_HOST_DEVICE Vector16 load16(const void* address) {
  Vector16 v;
#if KQ_DEVICE_CUDA
  asm volatile("ld.global.nc.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address));
#else
  v = *static_cast<const Vector16*>(address);
#endif
  return v;
}

/// For data that is not needed again while the kernel runs, in a kernel that comes back to other data later: a hint to
/// the last-level cache to give these lines up first.
#if KQ_DEVICE_CUDA && __CUDA_ARCH__ >= 800
KQ_HOST_DEVICE std::uint64_t evict_first_policy() {
  std::uint64_t policy;
  asm("createpolicy.fractional.L2::evict_first.b64 %0, 1.0;" : "=l"(policy));
  return policy;
}
#endif

/// load16 with that hint.
KQ_HOST_DEVICE Vector16 load16_evict_first(const void* address) {
#if KQ_DEVICE_CUDA && __CUDA_ARCH__ >= 800
  Vector16 v;
  asm volatile("ld.global.nc.L2::cache_hint.v4.u32 {%0, %1, %2, %3}, [%4], %5;"
               : "=r"(v.word[0]), "=r"(v.word[1]), "=r"(v.word[2]), "=r"(v.word[3])
               : "l"(address), "l"(evict_first_policy()));
  return v;
#else
  return load16(address);
#endif
}

/// Writes `count` words, 1 or 2, in one access; the address is aligned to their size.
template <int Count>
KQ_HOST_DEVICE void store_words(void* address, const std::uint32_t (&word)[Count]) {
  static_assert(Count == 1 || Count == 2);
  if constexpr (Count == 1) {
    *static_cast<std::uint32_t*>(address) = word[0];
  } else {
    *static_cast<std::uint64_t*>(address) = word[0] | static_cast<std::uint64_t>(word[1]) << 32;
  }
}

/// store_words with the hint of load16_evict_first.
template <int Count>
KQ_HOST_DEVICE void store_words_evict_first(void* address, const std::uint32_t (&word)[Count]) {
#if KQ_DEVICE_CUDA && __CUDA_ARCH__ >= 800
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
#else
  store_words(address, word);
#endif
}

/// An element of a 16-byte vector as float. The sign of a NaN may be lost: signs4 has it.
template <class Element>
KQ_HOST_DEVICE float unpack(Element x) {
#if KQ_DEVICE_CUDA
  if constexpr (std::is_same_v<Element, half>) return convert(x);
#endif
  return to_float(x);
}

/// Elements 4 * quarter to 4 * quarter + 3 of a vector, as floats.
template <class Element>
KQ_HOST_DEVICE void unpack4(const Vector16& v, int quarter, float (&x)[4]) {
  if constexpr (sizeof(Element) == 4) {
    for (int i = 0; i < 4; ++i) {
      x[i] = bits_float(v.word[i]);
    }
  } else {
    for (int i = 0; i < 4; ++i) {
      const std::uint32_t word = v.word[2 * quarter + i / 2];
      x[i] = unpack(Element{static_cast<std::uint16_t>(i % 2 == 0 ? word : word >> 16)});
    }
  }
}

/// The bytes of two words that hold the signs of `Count` elements in each, 1 or 2, in the low bytes of a word.
template <int Count>
KQ_HOST_DEVICE std::uint32_t sign_bytes(std::uint32_t first, std::uint32_t second) {
#if KQ_DEVICE_CUDA
  return __byte_perm(first, second, Count == 2 ? 0x7531 : 0x0073);
#else
  if constexpr (Count == 2) {
    return (first >> 8 & 0xffu) | (first >> 16 & 0xff00u) | (second << 8 & 0xff0000u) | (second & 0xff000000u);
  } else {
    return first >> 24 | (second >> 16 & 0xff00u);
  }
#endif
}

/// The signs of elements 4 * quarter to 4 * quarter + 3 of a vector, as kq::signs4 gives them.
template <class Element>
KQ_HOST_DEVICE std::uint32_t signs4(const Vector16& v, int quarter) {
  if constexpr (sizeof(Element) == 4) {
    const std::uint32_t low = sign_bytes<1>(v.word[0], v.word[1]);
    const std::uint32_t high = sign_bytes<1>(v.word[2], v.word[3]);
    return ((low & 0xffffu) | high << 16) & 0x80808080u;
  } else {
    return sign_bytes<2>(v.word[2 * quarter], v.word[2 * quarter + 1]) & 0x80808080u;
  }
}

/// The codes of a vector's elements, four to a word.
template <class Element, class Quantizer>
KQ_HOST_DEVICE void quantize_vector(const Vector16& v, const Quantizer& quantizer,
                                    std::uint32_t (&words)[width<Element> / 4]) {
  KQ_UNROLL
  for (int quarter = 0; quarter < width<Element> / 4; ++quarter) {
    float x[4];
    unpack4<Element>(v, quarter, x);
    words[quarter] = quantizer.codes4(x, signs4<Element>(v, quarter));
  }
}

/// Writes the codes of a vector: in one access where the address allows it (`wide`), else one by one. `Once` gives the
/// hint of load16_evict_first.
template <bool Once = false, class Code, int Words>
KQ_HOST_DEVICE void store_codes(Code* codes, bool wide, const std::uint32_t (&words)[Words]) {
  if (wide) [[likely]] {
    if constexpr (Once) {
      store_words_evict_first(codes, words);
    } else {
      store_words(codes, words);
    }
  } else {
    KQ_UNROLL
    for (int i = 0; i < 4 * Words; ++i) {
      codes[i] = static_cast<Code>(words[i / 4] >> (8 * (i % 4)));
    }
  }
}

// --- memory that programs of one launch tell each other things in ----------------------------------------------------

/// 64 bits that other programs write meanwhile, whole; unordered with everything else.
KQ_HOST_DEVICE std::uint64_t read_slot(const std::uint64_t* slot) {
#if KQ_DEVICE_CUDA
  std::uint64_t value;
  asm volatile("ld.relaxed.gpu.global.u64 %0, [%1];" : "=l"(value) : "l"(slot) : "memory");
  return value;
#elif KQ_DEVICE_HIP
  return __hip_atomic_load(slot, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
  return __atomic_load_n(slot, __ATOMIC_RELAXED);
#endif
}
KQ_HOST_DEVICE void write_slot(std::uint64_t* slot, std::uint64_t value) {
#if KQ_DEVICE_CUDA
  asm volatile("st.relaxed.gpu.global.u64 [%0], %1;" : : "l"(slot), "l"(value) : "memory");
#elif KQ_DEVICE_HIP
  __hip_atomic_store(slot, value, __ATOMIC_RELAXED, __HIP_MEMORY_SCOPE_AGENT);
#else
  __atomic_store_n(slot, value, __ATOMIC_RELAXED);
#endif
}

/// a / b for non-negative numbers, in 32 bits where both fit: a device divides those several times as fast.
KQ_HOST_DEVICE std::int64_t divide(std::int64_t a, std::int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
  return a / b;
}

// --- keys: floats as integers of the same order, for the greatest of a wave

/// Keys in the order of floats other than NaN: negative ones in reverse below the others, -0 before +0.
struct OrderedKey {
  KQ_HOST_DEVICE static std::uint32_t of(float value) {
    const std::uint32_t bits = float_bits(value);
    return (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  }
  KQ_HOST_DEVICE static float value(std::uint32_t key) {
    return bits_float((key & 0x80000000u) != 0 ? key & 0x7fffffffu : ~key);
  }
};

/// The same where no value is negative: their own bits.
struct AbsMaxKey {
  KQ_HOST_DEVICE static std::uint32_t of(float value) { return float_bits(value); }
  KQ_HOST_DEVICE static float value(std::uint32_t key) { return bits_float(key); }
};

// --- folds: running extremes of one lane's elements, NaN left out ---------------------------------------------------

/// max and min as IEEE 754-2019's maximumNumber and minimumNumber: a NaN operand is ignored.
KQ_HOST_DEVICE float max_number(float a, float b) {
#if KQ_DEVICE_CUDA || KQ_DEVICE_HIP
  return __builtin_fmaxf(a, b);
#else
  return b > a || is_nan(a) ? b : a;
#endif
}
KQ_HOST_DEVICE float min_number(float a, float b) {
#if KQ_DEVICE_CUDA || KQ_DEVICE_HIP
  return __builtin_fminf(a, b);
#else
  return b < a || is_nan(a) ? b : a;
#endif
}

#if KQ_DEVICE_CUDA && __CUDA_ARCH__ >= 800
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
#else
inline constexpr bool has_packed_extremes = false;
template <class Element>
KQ_HOST_DEVICE std::uint32_t max_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
template <class Element>
KQ_HOST_DEVICE std::uint32_t min_number2(std::uint32_t a, std::uint32_t) {
  return a;
}
#endif

/// Whether this pass folds pairs of 16-bit elements at once.
template <class Element>
inline constexpr bool folds_pairs = has_packed_extremes && sizeof(Element) == 2;

/// The two elements of a word, the greater one as float.
template <class Element>
KQ_HOST_DEVICE float greater_of_pair(std::uint32_t word) {
  return max_number(to_float(Element{static_cast<std::uint16_t>(word)}),
                    to_float(Element{static_cast<std::uint16_t>(word >> 16)}));
}
template <class Element>
KQ_HOST_DEVICE float lesser_of_pair(std::uint32_t word) {
  return min_number(to_float(Element{static_cast<std::uint16_t>(word)}),
                    to_float(Element{static_cast<std::uint16_t>(word >> 16)}));
}

/// Bits of +infinity in both halves of a word.
template <class Element>
inline constexpr std::uint32_t infinity2 = std::is_same_v<Element, half> ? 0x7c007c00u : 0x7f807f80u;

/// Running max |x|.
template <class Element>
class AbsMaxFold {
 public:
  using Key = AbsMaxKey;

  KQ_HOST_DEVICE void add(Element x) { single_ = max_number(single_, __builtin_fabsf(to_float(x))); }
  KQ_HOST_DEVICE void add(const Vector16& v) {
    if constexpr (folds_pairs<Element>) {
      for (int i = 0; i < 4; ++i) {
        pair_ = max_number2<Element>(pair_, v.word[i] & 0x7fff7fffu);
      }
    } else {
      for (int quarter = 0; quarter < width<Element> / 4; ++quarter) {
        float x[4];
        unpack4<Element>(v, quarter, x);
        for (int i = 0; i < 4; ++i) {
          single_ = max_number(single_, __builtin_fabsf(x[i]));
        }
      }
    }
  }
  KQ_HOST_DEVICE float abs_max() const {
    if constexpr (folds_pairs<Element>) return max_number(single_, greater_of_pair<Element>(pair_));
    return single_;
  }

 private:
  float single_ = 0.0f;
  std::uint32_t pair_ = 0;
};

/// Running min x and max x.
template <class Element>
class RangeFold {
 public:
  using Key = OrderedKey;

  KQ_HOST_DEVICE void add(Element element) {
    const float x = to_float(element);
    min_ = min_number(min_, x);
    max_ = max_number(max_, x);
  }
  KQ_HOST_DEVICE void add(const Vector16& v) {
    if constexpr (folds_pairs<Element>) {
      for (int i = 0; i < 4; ++i) {
        min_pair_ = min_number2<Element>(min_pair_, v.word[i]);
        max_pair_ = max_number2<Element>(max_pair_, v.word[i]);
      }
    } else {
      for (int quarter = 0; quarter < width<Element> / 4; ++quarter) {
        float x[4];
        unpack4<Element>(v, quarter, x);
        for (int i = 0; i < 4; ++i) {
          min_ = min_number(min_, x[i]);
          max_ = max_number(max_, x[i]);
        }
      }
    }
  }
  KQ_HOST_DEVICE float min() const {
    if constexpr (folds_pairs<Element>) return min_number(min_, lesser_of_pair<Element>(min_pair_));
    return min_;
  }
  KQ_HOST_DEVICE float max() const {
    if constexpr (folds_pairs<Element>) return max_number(max_, greater_of_pair<Element>(max_pair_));
    return max_;
  }

 private:
  float min_ = __builtin_huge_valf();
  float max_ = -__builtin_huge_valf();
  std::uint32_t min_pair_ = infinity2<Element>;
  std::uint32_t max_pair_ = infinity2<Element> | 0x80008000u;
};

// --- lanes of a wave -------------------------------------------------------------------------------------------------

/// Lanes that exchange registers in this pass. RDNA's compilers default to waves of 32, CDNA (GFX9) knows only 64.
#if KQ_DEVICE_HIP && defined(__GFX9__)
inline constexpr int wave_size = 64;
#else
inline constexpr int wave_size = 32;
#endif

/// The value of the lane whose number differs in the bits of `mask`. Every lane of the wave calls this.
KQ_HOST_DEVICE float exchange(float value, [[maybe_unused]] int mask) {
#if KQ_DEVICE_CUDA
  return __shfl_xor_sync(0xffffffffu, value, mask);
#elif KQ_DEVICE_HIP
  return __shfl_xor(value, mask);
#else
  return value;
#endif
}

/// Whether a whole wave finds its greatest key in one instruction, and that.
#if KQ_DEVICE_CUDA && __CUDA_ARCH__ >= 800
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

/// This pass's wave, as a tile program exchanges values through it. Tests have others.
struct Wave {
  static constexpr int size = wave_size;
  static constexpr bool has_max = has_wave_max;
  KQ_HOST_DEVICE float exchange(float value, int mask) const { return device::exchange(value, mask); }
  KQ_HOST_DEVICE std::uint32_t max(std::uint32_t key) const { return wave_max(key); }
};

/// The greatest value, none of them NaN, among `Lanes` consecutive lanes (a power of two), in every one of them. Every
/// lane of the wave calls this.
template <int Lanes, class Key, class Wave>
KQ_HOST_DEVICE float max_over_lanes(const Wave& wave, float value) {
  static_assert(Lanes <= Wave::size && (Lanes & (Lanes - 1)) == 0);
  if constexpr (Wave::has_max && Lanes == Wave::size) {
    return Key::value(wave.max(Key::of(value)));
  } else {
    for (int mask = Lanes / 2; mask > 0; mask /= 2) {
      value = max_number(value, wave.exchange(value, mask));
    }
    return value;
  }
}

}  // namespace kq::device
