// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A span of a tensor as the lanes that share it hold it: 16-byte vectors where the input is aligned to 16 bytes,
/// single elements at the two ends where it is not.
///
/// A row of odd length starts anywhere. It is split at the addresses that 16-byte loads want: a few elements remain in
/// front of the first and behind the last such address (head and tail). A lane takes one of them, so that they cost one
/// load and one store more, and everything between moves at full width. Codes follow the input: a vector of 8 or 4
/// elements becomes one store of as many bytes if the codes are aligned to that, which they are in a contiguous tensor,
/// and single bytes otherwise.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/element.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kqbench::gpu {

using kq::CodePack;
using kq::divide;
using kq::element_address;
using kq::quantize_vector;
using kq::store_codes;
using kq::Vector16;
using kq::vector_width;

/// A tensor's rows, and where their codes go.
template <class Element, class Code>
struct Rows {
  const Element* input;
  Code* codes;
  std::int64_t count;
  std::int64_t size;          ///< elements in a row
  std::int64_t input_stride;  ///< elements from a row to the next
  std::int64_t codes_stride;  ///< codes from a row to the next
};

/// A span split at the addresses that are aligned to 16 bytes: `head` elements, `vectors` vectors, `tail` elements.
/// `Index` counts elements: 32 bits where the span is known to be short.
template <class Element, class Code, class Index>
struct AlignedSplit {
  static constexpr int width = vector_width<Element>;

  const Element* body;  ///< the first vector
  Code* codes;          ///< where its codes go
  Index vectors;
  int head;
  int tail;
  bool wide;  ///< the codes of each vector can be written at once

  KQ_HOST_DEVICE AlignedSplit(const Element* input, Code* output, Index size) {
    const unsigned before =
        (0u - static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(input))) % 16u / sizeof(Element);
    head = static_cast<Index>(before) < size ? static_cast<int>(before) : static_cast<int>(size);
    const auto rest = static_cast<std::make_unsigned_t<Index>>(size - head);
    vectors = static_cast<Index>(rest / unsigned{width});
    tail = static_cast<int>(rest % unsigned{width});
    body = input + head;
    codes = element_address(output, head);
    wide = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(codes)) % unsigned{CodePack<Code, width>::bytes} == 0;
  }

  /// Single elements at both ends.
  KQ_HOST_DEVICE int edges() const { return head + tail; }
  /// Where one of them is, counted from the body's begin; negative in front of it.
  KQ_HOST_DEVICE Index edge(int number) const {
    return number < head ? Index{number} - head : vectors * width + (number - head);
  }
};

/// A span whose input and codes are aligned to whole vectors of them, and whose size is a multiple of those.
template <class Element, class Code, class Index>
struct WholeVectors {
  static constexpr int width = vector_width<Element>;
  static constexpr bool wide = true;

  const Element* body;
  Code* codes;
  Index vectors;

  KQ_HOST_DEVICE WholeVectors(const Element* input, Code* output, Index size)
      : body(input),
        codes(output),
        vectors(static_cast<Index>(static_cast<std::make_unsigned_t<Index>>(size) / unsigned{width})) {}

  KQ_HOST_DEVICE static constexpr int edges() { return 0; }
  KQ_HOST_DEVICE static constexpr int edge(int) { return 0; }
};

/// The split of spans that are known to be aligned, or of any.
template <class Element, class Code, class Index, bool Aligned>
using SplitOf = std::conditional_t<Aligned, WholeVectors<Element, Code, Index>, AlignedSplit<Element, Code, Index>>;

/// A row, split.
template <class Index, bool Aligned = false, class Element, class Code>
KQ_HOST_DEVICE SplitOf<Element, Code, Index, Aligned> split_row(const Rows<Element, Code>& rows, std::int64_t row) {
  return {rows.input + row * rows.input_stride, element_address(rows.codes, row * rows.codes_stride),
          static_cast<Index>(rows.size)};
}

/// Of a split span's vectors `capacity` from `begin` on, fewer where they end; `count` is not positive behind them.
template <class Element, class Code>
struct Slice {
  const Element* input;
  Code* codes;
  int count;

  template <class Split, class Index>
  KQ_HOST_DEVICE Slice(const Split& span, Index begin, int capacity)
      : input(span.body + begin * vector_width<Element>),
        codes(element_address(span.codes, begin * vector_width<Element>)) {
    const Index left = span.vectors - begin;
    count = left < capacity ? static_cast<int>(left) : capacity;
  }
};

/// Up to `Vectors` vectors per lane, in registers: of consecutive vectors, lane i holds i, i + Lanes, i + 2 Lanes, ...
template <class Element, int Lanes, int Vectors>
class Tile {
 public:
  static constexpr int width = vector_width<Element>;
  static constexpr int capacity = Lanes * Vectors;  ///< vectors

  /// A lane's first vector.
  KQ_HOST_DEVICE static const Element* first(const Element* address, int lane) { return address + lane * width; }

  /// The first `count` vectors at `address`, of all lanes together.
  KQ_HOST_DEVICE void load(const Element* address, int count, int lane) {
    const Element* const mine = first(address, lane);
    KQ_UNROLL
    for (int n = 0; n < Vectors; ++n) {
      if (lane + n * Lanes < count) vectors_[n] = kq::arch::load16(mine + n * Lanes * width);
    }
  }

  template <class Fold>
  KQ_HOST_DEVICE void fold(Fold& gathered, int count, int lane) const {
    KQ_UNROLL
    for (int n = 0; n < Vectors; ++n) {
      if (lane + n * Lanes < count) gathered.add(vectors_[n]);
    }
  }

  template <class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Code* codes, bool wide, int count, int lane, const Quantizer& quantizer) const {
    Code* const mine = element_address(codes, lane * width);
    KQ_UNROLL
    for (int n = 0; n < Vectors; ++n) {
      if (lane + n * Lanes < count) {
        CodePack<Code, width> pack;
        quantize_vector<Element>(vectors_[n], quantizer, pack);
        store_codes(element_address(mine, n * Lanes * width), wide, pack);
      }
    }
  }

 private:
  Vector16 vectors_[Vectors];
};

/// The single elements at a span's ends, spread over the lanes.
template <class Element, int Lanes>
class HeadTail {
 public:
  template <class Split>
  KQ_HOST_DEVICE void load(const Split& split, int lane) {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      const int number = lane + n * Lanes;
      if (number < split.edges()) elements_[n] = split.body[split.edge(number)];
    }
  }

  template <class Split, class Fold>
  KQ_HOST_DEVICE void fold(Fold& gathered, const Split& split, int lane) const {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      if (lane + n * Lanes < split.edges()) gathered.add(elements_[n]);
    }
  }

  template <class Split, class Quantizer>
  KQ_HOST_DEVICE void store(const Split& split, int lane, const Quantizer& quantizer) const {
    KQ_UNROLL
    for (int n = 0; n < held; ++n) {
      const int number = lane + n * Lanes;
      if (number < split.edges()) split.codes[split.edge(number)] = quantizer.code(kq::to_float(elements_[n]));
    }
  }

 private:
  static constexpr int held = (2 * vector_width<Element> - 2 + Lanes - 1) / Lanes;
  Element elements_[held];
};

}  // namespace kqbench::gpu
