// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Codes in registers and in memory, by the bits that one takes. A row of codes begins at a byte, and its codes follow
/// each other without a gap: those of 8 bits one per byte, those of 4 bits two per byte, the even column in the low
/// half.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"

namespace kq {

/// A code of 4 bits. As a value it is one code, in the low half. In memory it is a byte of two codes: a Code4* says
/// where a row's codes lie, and element_address() counts along it.
struct Code4 {
  std::uint8_t bits;
};

/// Bits of one code; 8 also for types that are no code.
template <class Code>
inline constexpr int bits_of_code = 8;
template <>
inline constexpr int bits_of_code<Code4> = 4;

/// What codes of a format are in memory: the format's own type, or Code4.
template <class Format>
using StoredCode = std::conditional_t<Format::code_bits == 4, Code4, typename Format::Code>;

/// Bytes of so many codes of a row, the last one's neighbour included.
template <class Code>
KQ_HOST_DEVICE constexpr std::int64_t code_bytes(std::int64_t count) {
  return (count * int{bits_of_code<Code>} + 7) / 8;
}

/// Where element i of a row lies that begins at `first`, of a type that holds one, or of Code4: then i is even.
template <class T, class Index>
KQ_HOST_DEVICE constexpr T* element_address(T* first, Index i) {
  if constexpr (bits_of_code<std::remove_const_t<T>> == 8) {
    return first + i;
  } else {
    return first + i / (8 / bits_of_code<std::remove_const_t<T>>);
  }
}

/// `Count` codes that follow each other, a multiple of four: what a vector of elements becomes.
template <class Code, int Count>
struct CodePack {
  static constexpr int bits = bits_of_code<Code>;
  static constexpr int bytes = Count * bits / 8;
  static constexpr int words = (bytes + 3) / 4;
  static_assert(Count % 4 == 0);

  std::uint32_t word[words];  ///< code i from bit i * bits on

  /// Codes 4 * quarter to 4 * quarter + 3, from the lowest bits of `codes` on; all bits above them are 0. Quarters are
  /// put in their order.
  KQ_HOST_DEVICE void put4(int quarter, std::uint32_t codes) {
    if constexpr (bits == 8) {
      word[quarter] = codes;
    } else if (quarter % 2 == 0) {
      word[quarter / 2] = codes;
    } else {
      word[quarter / 2] |= codes << 16;
    }
  }

  KQ_HOST_DEVICE std::uint8_t byte(int i) const { return static_cast<std::uint8_t>(word[i / 4] >> (8 * (i % 4))); }
};

/// Whether a pack can be written to an address in one access.
template <class Code, int Count>
KQ_HOST_DEVICE bool takes_packs(const Code* address) {
  return reinterpret_cast<std::uintptr_t>(address) % int{CodePack<Code, Count>::bytes} == 0;
}

/// Writes a pack: in one access where the address allows it (`wide`), else byte by byte. `EvictFirst` asks the
/// last-level cache to give their lines up first.
template <bool EvictFirst = false, class Code, int Count>
KQ_HOST_DEVICE void store_codes(Code* codes, bool wide, const CodePack<Code, Count>& pack) {
  constexpr int bytes = CodePack<Code, Count>::bytes;
  if (wide) [[likely]] {
    if constexpr (bytes == 2) {
      *reinterpret_cast<std::uint16_t*>(codes) = static_cast<std::uint16_t>(pack.word[0]);
    } else if constexpr (EvictFirst) {
      arch::store_words_evict_first(codes, pack.word);
    } else {
      arch::store_words(codes, pack.word);
    }
  } else {
    KQ_UNROLL
    for (int i = 0; i < bytes; ++i) {
      reinterpret_cast<std::uint8_t*>(codes)[i] = pack.byte(i);
    }
  }
}

/// Writes a pack's first `count` codes, byte by byte. If the last of them has a neighbour in its byte, that becomes 0.
template <class Code, int Count>
KQ_HOST_DEVICE void store_first_codes(Code* codes, int count, const CodePack<Code, Count>& pack) {
  using Pack = CodePack<Code, Count>;
  KQ_UNROLL
  for (int i = 0; i < Pack::bytes; ++i) {
    if constexpr (Pack::bits == 8) {
      if (i < count) reinterpret_cast<std::uint8_t*>(codes)[i] = pack.byte(i);
    } else {
      if (2 * i < count) {
        const unsigned both = pack.byte(i);
        reinterpret_cast<std::uint8_t*>(codes)[i] = static_cast<std::uint8_t>(2 * i + 1 < count ? both : both & 0x0fu);
      }
    }
  }
}

}  // namespace kq
