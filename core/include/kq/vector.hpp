// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Elements and codes of a 16-byte vector.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/code_pack.hpp"
#include "kq/element.hpp"
#include "kq/format.hpp"

namespace kq {

using arch::Vector16;

/// Elements of a type in sixteen bytes: 8 or 4.
template <class Element>
inline constexpr int vector_width = static_cast<int>(16 / sizeof(Element));

/// An element of a vector as float. The sign of a NaN may be lost: signs4 has it.
template <class Element>
KQ_HOST_DEVICE float unpack(Element x) {
  if constexpr (std::is_same_v<Element, half>) {
    return arch::unpack_half(x.bits);
  } else {
    return to_float(x);
  }
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

/// All elements of a vector, as floats.
template <class Element>
KQ_HOST_DEVICE void unpack_vector(const Vector16& v, float (&x)[vector_width<Element>]) {
  KQ_UNROLL
  for (int quarter = 0; quarter < vector_width<Element> / 4; ++quarter) {
    float four[4];
    unpack4<Element>(v, quarter, four);
    for (int i = 0; i < 4; ++i) {
      x[4 * quarter + i] = four[i];
    }
  }
}

/// The first `count` elements at an address that need not be aligned, as a vector; zeros after them.
template <class Element>
KQ_HOST_DEVICE Vector16 load_elements(const Element* address, int count) {
  Vector16 v{};
  KQ_UNROLL
  for (int i = 0; i < vector_width<Element>; ++i) {
    if (i >= count) break;
    if constexpr (sizeof(Element) == 4) {
      v.word[i] = float_bits(address[i]);
    } else {
      v.word[i / 2] |= static_cast<std::uint32_t>(address[i].bits) << (16 * (i % 2));
    }
  }
  return v;
}

/// The signs of elements 4 * quarter to 4 * quarter + 3 of a vector, as kq::signs4 gives them.
template <class Element>
KQ_HOST_DEVICE std::uint32_t signs4(const Vector16& v, int quarter) {
  if constexpr (sizeof(Element) == 4) {
    const std::uint32_t low = arch::sign_bytes<1>(v.word[0], v.word[1]);
    const std::uint32_t high = arch::sign_bytes<1>(v.word[2], v.word[3]);
    return ((low & 0xffffu) | high << 16) & 0x80808080u;
  } else {
    return arch::sign_bytes<2>(v.word[2 * quarter], v.word[2 * quarter + 1]) & 0x80808080u;
  }
}

/// The codes of a vector's elements, as the n-th of a pack's vectors.
template <int n, class Element, class Quantizer, class Code, int Count>
KQ_HOST_DEVICE void quantize_vector_into(const Vector16& v, const Quantizer& quantizer, CodePack<Code, Count>& codes) {
  if constexpr (requires { quantizer.codes8(v); }) {
    codes.word[n] = quantizer.codes8(v);
  } else {
    constexpr int quarters = vector_width<Element> / 4;
    KQ_UNROLL
    for (int quarter = 0; quarter < quarters; ++quarter) {
      float x[4];
      unpack4<Element>(v, quarter, x);
      codes.put4(n * quarters + quarter, quantizer.codes4(x, signs4<Element>(v, quarter)));
    }
  }
}

/// The codes of a vector's elements.
template <class Element, class Quantizer, class Code>
KQ_HOST_DEVICE void quantize_vector(const Vector16& v, const Quantizer& quantizer,
                                    CodePack<Code, vector_width<Element>>& codes) {
  quantize_vector_into<0, Element>(v, quantizer, codes);
}

/// a / b for non-negative numbers, in 32 bits where both fit: a device divides those several times as fast.
KQ_HOST_DEVICE std::int64_t divide(std::int64_t a, std::int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<std::uint32_t>(a) / static_cast<std::uint32_t>(b);
  return a / b;
}

}  // namespace kq
