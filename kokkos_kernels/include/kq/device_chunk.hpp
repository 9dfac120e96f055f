// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// A span whose groups are a few vectors long, as the lanes of a device program hold it: each lane has consecutive
/// vectors, so that its codes are one store, even those of four bits.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

/// One lane's part: two vectors, counted from where the span begins, whatever its address. Elements behind
/// the span's end are 0. With `Config::whole`, the span ends with the last lane's part, and those of input and codes
/// are aligned.
template <class Element, class Config>
class DeviceChunk {
 public:
  static constexpr int width = vector_width<Element>;
  static constexpr int size = Config::vectors * width;  ///< elements of a lane
  static_assert(Config::vectors == 2);

  KQ_HOST_DEVICE DeviceChunk(Span<const Element> span, int lane) : begin_(lane * size), count_(size) {
    const Element* const mine = span.data + begin_;
    arch::wait_for_prerequisite_grids(mine, size);
    if constexpr (Config::whole) {
      KQ_UNROLL
      for (int n = 0; n < Config::vectors; ++n) {
        vectors_[n] = arch::load16(mine + n * width);
      }
    } else {
      const std::int64_t left = span.size - begin_;
      count_ = left < size ? (left > 0 ? static_cast<int>(left) : 0) : size;
      const bool aligned = reinterpret_cast<std::uintptr_t>(mine) % sizeof(Vector16) == 0;
      KQ_UNROLL
      for (int n = 0; n < Config::vectors; ++n) {
        const bool is_vector = aligned && (n + 1) * width <= count_;
        vectors_[n] = is_vector ? arch::load16(mine + n * width) : load_elements(mine + n * width, count_ - n * width);
      }
    }
    arch::launch_dependent_grids();
  }

  /// A span that is one lane's part alone, of vectors that were loaded elsewhere.
  KQ_HOST_DEVICE DeviceChunk(const Vector16& first, const Vector16& second)
      : begin_(0), count_(size), vectors_{first, second} {
    static_assert(Config::whole);
  }
  DeviceChunk() = default;

  KQ_HOST_DEVICE const Vector16& vector(int n) const { return vectors_[n]; }
  KQ_HOST_DEVICE int begin() const { return begin_; }
  KQ_HOST_DEVICE bool is_empty() const { return count_ == 0; }

  /// What a reduction finds, of which zeros change nothing.
  template <class Reduction>
  KQ_HOST_DEVICE Maxima<Reduction> partial() const {
    typename Reduction::template Fold<Element> fold;
    KQ_UNROLL
    for (int n = 0; n < Config::vectors; ++n) {
      fold.add(vectors_[n]);
    }
    return Maxima<Reduction>::of(fold);
  }

  template <class Code, class Quantizer>
  KQ_HOST_DEVICE void store(Span<Code> codes, const Quantizer& quantizer) const {
    CodePack<Code, size> pack;
    quantize_vector_into<0, Element>(vectors_[0], quantizer, pack);
    quantize_vector_into<1, Element>(vectors_[1], quantizer, pack);
    Code* const mine = element_address(codes.data, begin_);
    if (Config::whole || count_ == size) {
      store_codes(mine, Config::whole || takes_packs<Code, size>(mine), pack);
    } else {
      store_first_codes(mine, count_, pack);
    }
  }

 private:
  int begin_;
  int count_;  ///< elements that there are
  Vector16 vectors_[Config::vectors];
};

}  // namespace kq
