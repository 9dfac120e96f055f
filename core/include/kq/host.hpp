// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Loops over consecutive elements on a host, written so that compilers vectorize them, or by vector instructions where
/// the target has them (arch/avx2.hpp). Extremes are found on the bit patterns: an IEEE number's magnitude grows with
/// its bits, so 16-bit elements need no conversion for it.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>
#include <utility>

#include "kq/arch/avx2.hpp"
#include "kq/arch/config.hpp"
#include "kq/element.hpp"
#include "kq/producers.hpp"
#include "kq/reduce.hpp"
#include "kq/scale_rules.hpp"

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

/// Prefetch distance, in elements. Caches still hold a span that was read for its scale: the prefetch is for the
/// elements behind it. In a span that is too long for them it is for those a short distance ahead.
template <class Element>
KQ_HOST_DEVICE constexpr std::int64_t prefetch_distance(std::int64_t size) {
  constexpr std::int64_t least = 2048 / sizeof(Element);
  constexpr std::int64_t most = (1 << 18) / sizeof(Element);
  return size > most ? 2 * least : (size > least ? size : least);
}

namespace detail {

/// out[i] = quantizer.code(in[i]); two codes of four bits per byte, the half of a byte that the last one leaves is 0.
template <class Element, class Code, class Quantizer>
KQ_HOST_NOINLINE KQ_HOST_DEVICE void quantize_one_by_one(const Element* in, Code* out, std::int64_t size,
                                                         const Quantizer& quantizer) {
  const auto code = [quantizer](float x, std::int64_t) { return quantizer.code(x); };
  if constexpr (!std::is_same_v<Code, Code4>) {
    map(in, out, size, code);
  } else {
    std::uint8_t codes[block_size];
    for (std::int64_t begin = 0; begin < size; begin += block_size) {
      const std::int64_t count = size - begin < block_size ? size - begin : block_size;
      map(in + begin, codes, count, code);
      if (count % 2 != 0) codes[count] = 0;
      for (std::int64_t i = 0; i < count; i += 2) {
        out[(begin + i) / 2].bits = static_cast<std::uint8_t>(codes[i] | codes[i + 1] << 4);
      }
    }
  }
}

}  // namespace detail

/// Whether arch/avx2.hpp makes a quantizer's codes.
template <class Quantizer>
inline constexpr bool has_vector_codes =
#if KQ_HOST_AVX2
    avx2::has_codes<Quantizer>;
#else
    false;
#endif

/// out[i] = quantizer.code(in[i]), of codes of four bits two per byte. Meanwhile memory is asked for what is read next,
/// `distance` elements after these.
template <class Element, class Code, class Quantizer>
KQ_HOST_DEVICE void quantize(const Element* in, Code* out, std::int64_t size, const Quantizer& quantizer,
                             [[maybe_unused]] std::int64_t distance) {
  if constexpr (has_vector_codes<Quantizer>) {
#if KQ_HOST_AVX2
    const std::int64_t ahead = distance * std::int64_t{sizeof(Element)};
    const std::int64_t done = avx2::quantize(in, out, size, quantizer, ahead);
    if (done < size) detail::quantize_one_by_one(in + done, element_address(out, done), size - done, quantizer);
#endif
  } else {
    quantizer.with_fast_path([&](const auto& fastest) {
      if constexpr (has_vector_codes<std::decay_t<decltype(fastest)>>) {
        quantize(in, out, size, fastest, distance);
      } else if constexpr (requires(float x) { fastest.code(x); }) {
        detail::quantize_one_by_one(in, out, size, fastest);
      } else {
        detail::quantize_one_by_one(in, out, size, quantizer);  // the fastest takes pairs of elements
      }
    });
  }
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

/// An element's bits, their type with and without sign, those of its magnitude, where its infinity lies, and the float
/// of an element's bits.
template <class Element>
struct Pattern {
  using Unsigned = std::uint16_t;
  using Signed = std::int16_t;
  static constexpr Unsigned magnitude_mask = 0x7fff;
  static constexpr Unsigned infinity = std::is_same_v<Element, half> ? 0x7c00 : 0x7f80;
  KQ_HOST_DEVICE static Unsigned bits(Element x) { return x.bits; }
  KQ_HOST_DEVICE static Element element(Unsigned bits) { return {bits}; }
  KQ_HOST_DEVICE static float number(Unsigned bits) {
#if KQ_HOST_F16C
    if constexpr (std::is_same_v<Element, half>) return _cvtsh_ss(bits);
#endif
    return to_float(element(bits));
  }
};
template <>
struct Pattern<float> {
  using Unsigned = std::uint32_t;
  using Signed = std::int32_t;
  static constexpr Unsigned magnitude_mask = 0x7fffffffu;
  static constexpr Unsigned infinity = 0x7f800000u;
  KQ_HOST_DEVICE static Unsigned bits(float x) { return std::bit_cast<std::uint32_t>(x); }
  KQ_HOST_DEVICE static float element(Unsigned bits) { return std::bit_cast<float>(bits); }
  KQ_HOST_DEVICE static float number(Unsigned bits) { return element(bits); }
};

/// The bits of the greatest magnitude, NaN above all; 0 where there is none.
template <class Element>
KQ_HOST_DEVICE typename Pattern<Element>::Unsigned greatest_magnitude(const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
#if KQ_HOST_AVX2
  return static_cast<Unsigned>(avx2::greatest_magnitude(x, size));
#else
  using Signed = typename P::Signed;
  Signed max = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto magnitude = static_cast<Signed>(P::bits(x[i]) & P::magnitude_mask);
    max = magnitude > max ? magnitude : max;
  }
  return static_cast<Unsigned>(max);
#endif
}

namespace detail {

/// max |x| of elements with a NaN among them, which is left out.
template <class Element>
KQ_HOST_NOINLINE KQ_HOST_DEVICE typename Pattern<Element>::Unsigned greatest_number(const Element* x,
                                                                                    std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
  Unsigned max = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    const auto magnitude = static_cast<Unsigned>(P::bits(x[i]) & P::magnitude_mask);
    max = magnitude > max && magnitude <= P::infinity ? magnitude : max;
  }
  return max;
}

/// kq::host::abs_max() of elements whose greatest_magnitude() is known.
template <class Element>
KQ_HOST_DEVICE float abs_max(const Element* x, std::int64_t size, typename Pattern<Element>::Unsigned greatest) {
  using P = Pattern<Element>;
  if (greatest > P::infinity) [[unlikely]]
    greatest = greatest_number(x, size);
  return P::number(greatest);
}

}  // namespace detail

/// max |x|; NaN is left out, 0 where nothing is left.
template <class Element>
KQ_HOST_DEVICE float abs_max(const Element* x, std::int64_t size) {
  return detail::abs_max(x, size, greatest_magnitude(x, size));
}

/// min and max; NaN is left out, +inf and -inf where nothing is left. A negative number's magnitude bits are flipped,
/// so that signed integers are in the order of the numbers.
template <class Element>
KQ_HOST_DEVICE std::pair<float, float> range(const Element* x, std::int64_t size) {
  using P = Pattern<Element>;
  using Unsigned = typename P::Unsigned;
  using Signed = typename P::Signed;
  constexpr int sign_shift = 8 * sizeof(Signed) - 1;
  constexpr Unsigned magnitude_mask = P::magnitude_mask;
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
  Maxima<AbsMaxUpToNan> found;
  found.value[0] = Pattern<Element>::number(greatest_magnitude(x, size));
  return found;
}
template <class Element>
KQ_HOST_DEVICE Maxima<AbsMaxOrNan> maxima(AbsMaxOrNan, const Element* x, std::int64_t size) {
  const auto greatest = greatest_magnitude(x, size);
  Maxima<AbsMaxOrNan> found;
  found.value[0] = detail::abs_max(x, size, greatest);
  found.value[1] = greatest > Pattern<Element>::infinity ? 1.0f : 0.0f;
  return found;
}

/// Groups whose scales are computed together: each takes one division after the other, but none waits for another's.
inline constexpr int most_groups = 16;

namespace detail {

/// The codes of up to most_groups groups of `size` elements that follow each other, and their scales.
template <class Element, class Code, class Rule, class Scale>
KQ_HOST_NOINLINE KQ_HOST_DEVICE void quantize_some_groups(const Element* in, Code* out, std::int64_t groups,
                                                          std::int64_t size, const Rule& rule, Scale* scales) {
  using Reduction = typename Rule::Reduction;
  Maxima<Reduction> found[most_groups];
  for (std::int64_t i = 0; i < groups; ++i) {
    found[i] = maxima(rule.reduction, in + i * size, size);
  }
  for (std::int64_t i = 0; i < groups; ++i) {
    new (scales + i) Scale(scale_of_span(rule, Reduction::value(found[i].value), in + i * size, size));
  }
#if KQ_HOST_AVX2
  if constexpr (has_vector_codes<decltype(scales->quantizer())>) {
    const std::int64_t ahead = groups * size * std::int64_t{sizeof(Element)};
    if (avx2::quantize_groups<most_groups>(in, out, groups, size, scales, ahead)) return;
  }
#endif
  for (std::int64_t i = 0; i < groups; ++i) {
    quantize(in + i * size, element_address(out, i * size), size, scales[i].quantizer(), groups * size);
  }
}

}  // namespace detail

/// Codes and scales of consecutive groups of `group_size` elements, the last of which may be shorter, by a dynamic
/// rule. scale_at(i) is where the scale of group i goes.
template <class Element, class Code, class Rule, class ScaleAt>
KQ_HOST_DEVICE void quantize_groups(const Element* in, Code* out, std::int64_t size, std::int64_t group_size,
                                    const Rule& rule, const ScaleAt& scale_at) {
  using Scale =
      decltype(scale_of_span(rule, Rule::Reduction::value(Maxima<typename Rule::Reduction>().value), in, size));
  alignas(Scale) std::byte storage[most_groups * sizeof(Scale)];
  auto* const scales = reinterpret_cast<Scale*>(storage);
  std::int64_t group = 0;
  for (std::int64_t begin = 0; begin < size;) {
    const std::int64_t left = size - begin;
    const std::int64_t whole = left / group_size;
    const std::int64_t groups = whole == 0 ? 1 : (whole < most_groups ? whole : most_groups);
    const std::int64_t each = whole == 0 ? left : group_size;
    detail::quantize_some_groups(in + begin, element_address(out, begin), groups, each, rule, scales);
    for (std::int64_t i = 0; i < groups; ++i) {
      scale_at(group + i).write(scales[i]);
    }
    begin += groups * each;
    group += groups;
  }
}

}  // namespace kq::host
