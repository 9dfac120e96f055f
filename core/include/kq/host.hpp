// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Loops over consecutive elements on a host, written so that compilers vectorize them, or by vector instructions where
/// the target has them (arch/avx2.hpp). Extremes are found on the bit
/// patterns: an IEEE number's magnitude grows with its bits, so 16-bit elements need no conversion for it.

#include <algorithm>
#include <bit>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "kq/arch/avx2.hpp"
#include "kq/arch/config.hpp"
#include "kq/element.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"

namespace kq::host {

/// Elements handled at once: their floats stay in the first-level cache.
inline constexpr std::int64_t block_size = 1024;

/// The exact floats of `size` elements.
template <class Element>
KQ_HOST_DEVICE void to_floats(const Element* in, float* out, std::int64_t size) {
  std::int64_t i = 0;
#if KQ_HOST_F16C
  if constexpr (std::is_same_v<Element, half>) {
    for (; i + 8 <= size; i += 8) {
      _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i))));
    }
  }
#endif
  for (; i < size; ++i) {
    out[i] = to_float(in[i]);
  }
}

/// out[i] = function(in[i] as float, i). Input and output do not overlap. The function is taken by value, so that
/// nothing it holds can be thought to change with a store to `out`.
template <class Element, class Code, class Function>
KQ_HOST_DEVICE void map(const Element* in, Code* __restrict out, std::int64_t size, const Function function) {
  if constexpr (std::is_same_v<Element, float>) {
    for (std::int64_t i = 0; i < size; ++i) {
      out[i] = function(in[i], i);
    }
  } else {
    alignas(64) float floats[block_size];
    for (std::int64_t begin = 0; begin < size; begin += block_size) {
      const std::int64_t count = size - begin < block_size ? size - begin : block_size;
      to_floats(in + begin, floats, count);
      Code* __restrict const block = out + begin;
      for (std::int64_t i = 0; i < count; ++i) {
        block[i] = function(floats[i], begin + i);
      }
    }
  }
}

/// Prefetch distance, in elements: how far ahead of the element that is being quantized memory is asked for. What is
/// quantized has mostly been read before, and then what follows it comes next.
template <class Element>
KQ_HOST_DEVICE constexpr std::int64_t prefetch_distance(std::int64_t size) {
  constexpr std::int64_t least = 2048 / sizeof(Element);
  constexpr std::int64_t most = (1 << 18) / sizeof(Element);
  return size > most ? 2 * least : (size > least ? size : least);
}

/// out[i] = quantizer.code(in[i]). Meanwhile memory is asked for what is read next, `distance` elements after these.
template <class Element, class Quantizer>
KQ_HOST_DEVICE void quantize(const Element* in, typename Quantizer::Code* out, std::int64_t size,
                             const Quantizer& quantizer, [[maybe_unused]] std::int64_t distance) {
  quantizer.with_fast_path([&](const auto& fastest) {
#if KQ_HOST_AVX2
    if constexpr (avx2::has_codes<std::decay_t<decltype(fastest)>>) {
      if (size >= avx2::step) {
        return avx2::quantize(in, out, size, fastest, distance * std::int64_t{sizeof(Element)});
      }
    }
#endif
    map(in, out, size, [fastest](float x, std::int64_t) { return fastest.code(x); });
  });
}

/// A quantizer that gives codes one by one: the fastest there is, unless that takes pairs of elements.
template <class Fastest, class Quantizer>
KQ_HOST_DEVICE const auto& one_by_one(const Fastest& fastest, const Quantizer& quantizer) {
  if constexpr (requires(float x) { fastest.code(x); }) {
    return fastest;
  } else {
    return quantizer;
  }
}

/// codes[i] = quantizer.code(in[i]), two codes per byte; the half of a byte that the last one leaves is 0.
template <class Element, class Quantizer>
KQ_HOST_DEVICE void quantize(const Element* in, Code4* out, std::int64_t size, const Quantizer& quantizer,
                             std::int64_t /*distance*/) {
  quantizer.with_fast_path([&](const auto& fastest) {
    std::uint8_t codes[block_size];
    for (std::int64_t begin = 0; begin < size; begin += block_size) {
      const std::int64_t count = size - begin < block_size ? size - begin : block_size;
      map(in + begin, codes, count,
          [each = one_by_one(fastest, quantizer)](float x, std::int64_t) { return each.code(x); });
      if (count % 2 != 0) codes[count] = 0;
      for (std::int64_t i = 0; i < count; i += 2) {
        out[(begin + i) / 2].bits = static_cast<std::uint8_t>(codes[i] | codes[i + 1] << 4);
      }
    }
  });
}

/// The sum of p(0) to p(count - 1) in the order of kq/producers.hpp, 64 numbers at a time.
template <class Function>
KQ_HOST_DEVICE double sum_vectors(std::int64_t count, const Function& p) {
  constexpr int lanes = 64;
  double sums[lanes];
  sum_by_halves(
      next_power_of_two((count + lanes - 1) / lanes),
      [&](std::int64_t n, double(&sum)[lanes]) {
        for (int lane = 0; lane < lanes; ++lane) {
          sum[lane] = n * lanes + lane < count ? p(n * lanes + lane) : 0.0;
        }
      },
      sums);
  return sum_over_halves(sums);
}

/// An element's bits, their type with and without sign, and where its infinity lies.
template <class Element>
struct Pattern {
  using Unsigned = std::uint16_t;
  using Signed = std::int16_t;
  static constexpr Unsigned infinity = std::is_same_v<Element, half> ? 0x7c00 : 0x7f80;
  KQ_HOST_DEVICE static Unsigned bits(Element x) { return x.bits; }
  KQ_HOST_DEVICE static Element element(Unsigned bits) { return {bits}; }
};
template <>
struct Pattern<float> {
  using Unsigned = std::uint32_t;
  using Signed = std::int32_t;
  static constexpr Unsigned infinity = 0x7f800000u;
  KQ_HOST_DEVICE static Unsigned bits(float x) { return std::bit_cast<std::uint32_t>(x); }
  KQ_HOST_DEVICE static float element(Unsigned bits) { return std::bit_cast<float>(bits); }
};

/// max |x|; NaN is left out, 0 where nothing is left.
template <class Element>
KQ_HOST_DEVICE float abs_max(const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
  using Signed = typename P::Signed;
  constexpr Unsigned magnitude_mask = static_cast<Unsigned>(~Unsigned{0}) >> 1;
  constexpr Unsigned to_top = magnitude_mask - P::infinity;  // infinity becomes the largest number, NaN a negative one
  Signed max = static_cast<Signed>(to_top);
  for (std::int64_t i = 0; i < size; ++i) {
    const auto magnitude = static_cast<Unsigned>(P::bits(x[i]) & magnitude_mask);
    const auto key = static_cast<Signed>(static_cast<Unsigned>(magnitude + to_top));
    max = key > max ? key : max;
  }
  return to_float(P::element(static_cast<Unsigned>(static_cast<Unsigned>(max) - to_top)));
}

/// min and max; NaN is left out, +inf and -inf where nothing is left. A negative number's magnitude bits are flipped,
/// so that signed integers are in the order of the numbers.
template <class Element>
KQ_HOST_DEVICE std::pair<float, float> range(const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
  using Signed = typename P::Signed;
  constexpr int sign_shift = 8 * sizeof(Signed) - 1;
  constexpr Unsigned magnitude_mask = static_cast<Unsigned>(~Unsigned{0}) >> 1;
  const auto ordered = [](Unsigned bits) {
    return static_cast<Signed>(bits ^
                               (static_cast<Unsigned>(static_cast<Signed>(bits) >> sign_shift) & magnitude_mask));
  };
  const auto value = [&](Signed key) {
    return to_float(P::element(static_cast<Unsigned>(ordered(static_cast<Unsigned>(key)))));
  };
  const Signed highest = static_cast<Signed>(P::infinity);
  const Signed lowest = ordered(static_cast<Unsigned>(P::infinity | static_cast<Unsigned>(~magnitude_mask)));
  Signed min = highest;
  Signed max = lowest;
  for (std::int64_t i = 0; i < size; ++i) {
    const Unsigned bits = P::bits(x[i]);
    const bool number = static_cast<Unsigned>(bits & magnitude_mask) <= P::infinity;
    const Signed key = ordered(bits);
    const Signed for_min = number ? key : highest;
    const Signed for_max = number ? key : lowest;
    min = for_min < min ? for_min : min;
    max = for_max > max ? for_max : max;
  }
  return {value(min), value(max)};
}

/// The maxima of a reduction over `size` elements (kq/reduce.hpp).
template <class Element>
KQ_HOST_DEVICE Maxima<AbsMax> maxima(AbsMax, const Element* x, std::int64_t size) {
  Maxima<AbsMax> found;
  found.value[0] = abs_max(x, size);
  return found;
}
template <class Element>
KQ_HOST_DEVICE Maxima<MinMax> maxima(MinMax, const Element* x, std::int64_t size) {
  const auto [min, max] = range(x, size);
  Maxima<MinMax> found;
  found.value[0] = -min;
  found.value[1] = max;
  return found;
}

/// max |x|, NaN above all.
template <class Element>
KQ_HOST_DEVICE Maxima<AbsMaxUpToNan> maxima(AbsMaxUpToNan, const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Signed = typename P::Signed;
  constexpr auto magnitude_mask = static_cast<typename P::Unsigned>(~typename P::Unsigned{0}) >> 1;
  Signed max = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto magnitude = static_cast<Signed>(P::bits(x[i]) & magnitude_mask);
    max = magnitude > max ? magnitude : max;
  }
  Maxima<AbsMaxUpToNan> found;
  found.value[0] = to_float(P::element(static_cast<typename P::Unsigned>(max)));
  return found;
}

/// Whether any element is NaN.
template <class Element>
KQ_HOST_DEVICE bool has_nan(const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
  constexpr Unsigned magnitude_mask = static_cast<Unsigned>(~Unsigned{0}) >> 1;
  Unsigned beyond = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    beyond |= static_cast<Unsigned>((P::bits(x[i]) & magnitude_mask) > P::infinity);
  }
  return beyond != 0;
}
template <class Element>
KQ_HOST_DEVICE Maxima<AbsMaxOrNan> maxima(AbsMaxOrNan, const Element* x, std::int64_t size) {
  Maxima<AbsMaxOrNan> found;
  found.value[0] = abs_max(x, size);
  found.value[1] = has_nan(x, size) ? 1.0f : 0.0f;
  return found;
}

}  // namespace kq::host
