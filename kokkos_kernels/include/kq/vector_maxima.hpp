// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The greatest magnitudes of a lane's vectors, one for each vector, while lanes exchange them.

#include <cstdint>

#include "kq/arch/arch.hpp"
#include "kq/format.hpp"
#include "kq/reduce.hpp"
#include "kq/vector.hpp"

namespace kq {

/// max |x| of each of `Count` vectors; NaN is left out, and without any number it is 0. Where the processor compares
/// pairs of 16-bit elements, two vectors share a word, so that lanes exchange half as many.
template <class Element, int Count>
class VectorMaxima {
 public:
  /// Vector n. Vectors are set in their order, all of them.
  KQ_HOST_DEVICE void set(int n, const Vector16& v) {
    if constexpr (in_pairs) {
      std::uint32_t pair = 0;
      for (int i = 0; i < 4; ++i) {
        pair = arch::max_number2<Element>(pair, v.word[i] & 0x7fff7fffu);
      }
      put(n, pair);
    } else {
      AbsMax::Fold<Element> fold;
      fold.add(v);
      put(n, fold);
    }
  }
  /// Vector n is none.
  KQ_HOST_DEVICE void set_none(int n) { set(n, Vector16{}); }

  /// Takes in what other lanes have: exchange(x) is the float x of another lane.
  template <class Exchange>
  KQ_HOST_DEVICE void combine(const Exchange& exchange) {
    KQ_UNROLL
    for (int i = 0; i < words; ++i) {
      words_[i] = greater(words_[i], float_bits(exchange(bits_float(words_[i]))));
    }
  }

  KQ_HOST_DEVICE float operator[](int n) const { return value(words_[in_pairs ? n / 2 : n], n); }

  /// The maximum of vector n, for an n that is no constant; some vector's where there is no vector n. It is chosen by
  /// the bits of n: from comparisons with n the compiler would make a load by an index, from memory.
  KQ_HOST_DEVICE float at(int n) const {
    const int index = in_pairs ? n / 2 : n;
    std::uint32_t chosen[words];
    KQ_UNROLL
    for (int i = 0; i < words; ++i) {
      chosen[i] = words_[i];
    }
    KQ_UNROLL
    for (int bit = 1; bit < words; bit *= 2) {
      KQ_UNROLL
      for (int i = 0; i + bit < words; i += 2 * bit) {
        chosen[i] = (index & bit) != 0 ? chosen[i + bit] : chosen[i];
      }
    }
    return value(chosen[0], n);
  }

  /// The greatest of all vectors.
  KQ_HOST_DEVICE float greatest() const {
    std::uint32_t word = words_[0];
    KQ_UNROLL
    for (int i = 1; i < words; ++i) {
      word = greater(word, words_[i]);
    }
    return arch::max_number(value(word, 0), value(word, 1));
  }

 private:
  static constexpr bool in_pairs = detail::folds_pairs<Element>;
  static constexpr int words = in_pairs ? (Count + 1) / 2 : Count;

  KQ_HOST_DEVICE static std::uint32_t greater(std::uint32_t a, std::uint32_t b) {
    if constexpr (in_pairs) {
      return arch::max_number2<Element>(a, b);
    } else {
      return float_bits(arch::max_number(bits_float(a), bits_float(b)));
    }
  }
  /// A word's number, of the first or the second vector of its pair.
  KQ_HOST_DEVICE static float value(std::uint32_t word, int n) {
    if constexpr (in_pairs) {
      return n % 2 == 0 ? detail::low_element<Element>(word) : detail::high_element<Element>(word);
    } else {
      return bits_float(word);
    }
  }

  KQ_HOST_DEVICE void put(int n, const AbsMax::Fold<Element>& fold) {
    words_[n] = float_bits(Maxima<AbsMax>::of(fold).value[0]);
  }
  /// The greater of a pair goes to the low half for an even vector, to the high half for an odd one.
  KQ_HOST_DEVICE void put(int n, std::uint32_t pair) {
    std::uint32_t& word = words_[n / 2];
    if (n % 2 == 0) {
      word = n + 1 < Count ? pair : greater(pair, pair >> 16);
    } else {
      word = greater((word & 0xffffu) | pair << 16, word >> 16 | (pair & 0xffff0000u));
    }
  }

  std::uint32_t words_[words];
};

}  // namespace kq
