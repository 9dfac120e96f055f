// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// What one thread holds of a span whose groups are a few vectors long: consecutive vectors, so that their codes are
/// one store even where two of them are a byte.

#include <cstdint>

#include "backends/gpu/tile.hpp"
#include "kq/arch/arch.hpp"
#include "kq/vector.hpp"

namespace kqbench::gpu {

/// `count` of its `size` elements are there, the rest are 0.
template <class Element>
class Chunk {
 public:
  static constexpr int width = vector_width<Element>;
  static constexpr int vectors = 2;
  static constexpr int size = vectors * width;

  /// The first `count`, wherever they lie; with `Whole`, all of them, from an aligned address.
  template <bool Whole>
  KQ_HOST_DEVICE void load(const Element* address, int count) {
    const bool aligned = Whole || reinterpret_cast<std::uintptr_t>(address) % sizeof(Vector16) == 0;
    KQ_UNROLL
    for (int n = 0; n < vectors; ++n) {
      const bool is_vector = Whole || (aligned && (n + 1) * width <= count);
      vectors_[n] =
          is_vector ? kq::arch::load16(address + n * width) : kq::load_elements(address + n * width, count - n * width);
    }
  }

  template <class Fold>
  KQ_HOST_DEVICE void fold(Fold& gathered) const {
    KQ_UNROLL
    for (int n = 0; n < vectors; ++n) {
      gathered.add(vectors_[n]);
    }
  }

  /// Stores the first `count` codes; with `Whole`, all of them, to an address that takes them at once.
  template <bool Whole, class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Code* codes, int count, const Quantizer& quantizer) const {
    CodePack<Code, size> pack;
    kq::quantize_vector_into<0, Element>(vectors_[0], quantizer, pack);
    kq::quantize_vector_into<1, Element>(vectors_[1], quantizer, pack);
    if (Whole || count == size) {
      store_codes(codes, Whole || kq::takes_packs<Code, size>(codes), pack);
    } else {
      kq::store_first_codes(codes, count, pack);
    }
  }

  /// Stores its vectors at an address and every `step` vectors behind it.
  KQ_HOST_DEVICE void keep(Vector16* at, int step) const {
    KQ_UNROLL
    for (int n = 0; n < vectors; ++n) {
      at[n * step] = vectors_[n];
    }
  }
  /// Loads the vectors that keep() has stored.
  KQ_HOST_DEVICE void take(const Vector16* at, int step) {
    KQ_UNROLL
    for (int n = 0; n < vectors; ++n) {
      vectors_[n] = at[n * step];
    }
  }

 private:
  Vector16 vectors_[vectors];
};

/// Where a chunk is: its elements and codes, counted from the tensor's first, and its group. Of a flat tensor, in which
/// groups and their scales follow each other, `group` counts through all of them.
struct ChunkPlace {
  std::int64_t input;
  std::int64_t codes;
  int count;  ///< elements, 0 behind the end
  std::int64_t row;
  std::int64_t group;
};

/// The chunks of a tensor's rows. Each group begins with a chunk. With `PowerOfTwo`, a group's size is one.
template <class Element, class Code, bool Flat, bool PowerOfTwo>
struct Chunks {
  static constexpr int size = Chunk<Element>::size;
  static constexpr bool is_flat = Flat;

  Rows<Element, Code> rows;  ///< flat: a single one
  std::int64_t per_row;
  std::int64_t group_size;
  int group_shift;  ///< of a power of two

  KQ_HOST_DEVICE std::int64_t count() const { return rows.count * per_row; }
  /// Of any number; with `Whole`, of one that there is, whose chunk is whole.
  template <bool Whole>
  KQ_HOST_DEVICE ChunkPlace place(std::int64_t number) const {
    const std::int64_t row = Flat ? 0 : divide(number, per_row);
    const std::int64_t column = (Flat ? number : number - row * per_row) * size;
    const std::int64_t group = PowerOfTwo ? column >> group_shift : divide(column, group_size);
    int count = size;
    if constexpr (!Whole) {
      const std::int64_t left = row < rows.count ? rows.size - column : 0;
      count = left < size ? (left > 0 ? static_cast<int>(left) : 0) : size;
    }
    return {row * rows.input_stride + column, row * rows.codes_stride + column, count, row, group};
  }
  template <class Scales>
  KQ_HOST_DEVICE typename Scales::Place scale_place(const Scales& scales, const ChunkPlace& place) const {
    if constexpr (Flat) {
      return place.group;
    } else {
      return scales.place(place.row, place.group);
    }
  }
};

}  // namespace kqbench::gpu
