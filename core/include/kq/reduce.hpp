// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Reductions over a span: AbsMax is max |x|, MinMax is min x and max x; NaN is left out of both. AbsMaxOrNan is AbsMax
/// and whether there was a NaN; AbsMaxUpToNan says the same by one number.
///
/// Every reduction is made of maxima, of which it has `count`: MinMax takes the minimum as max -x. extend() adds a
/// number to them. A lane gathers its elements in a Fold<Element>; what folds found is combined as Maxima. Where the
/// hardware compares a whole wave in one instruction, that is done by keys: unsigned integers in the order of the
/// floats that they stand for.

#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/element.hpp"
#include "kq/lanes.hpp"
#include "kq/span.hpp"
#include "kq/vector.hpp"

namespace kq {

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

/// Keys where no value is negative: their own bits.
struct AbsMaxKey {
  KQ_HOST_DEVICE static std::uint32_t of(float value) { return float_bits(value); }
  KQ_HOST_DEVICE static float value(std::uint32_t key) { return bits_float(key); }
};

/// Their own bits, where a NaN counts as above infinity.
struct UpToNanKey : AbsMaxKey {
  static constexpr bool has_nan = true;
};

namespace detail {

/// Whether this pass folds pairs of 16-bit elements at once.
template <class Element>
inline constexpr bool folds_pairs = arch::has_packed_extremes && sizeof(Element) == 2;

// Without the sign of a NaN, which no maximum takes.
template <class Element>
KQ_HOST_DEVICE float low_element(std::uint32_t word) {
  return unpack(Element{static_cast<std::uint16_t>(word)});
}
template <class Element>
KQ_HOST_DEVICE float high_element(std::uint32_t word) {
  return unpack(Element{static_cast<std::uint16_t>(word >> 16)});
}

/// Bits of +infinity in both 16-bit parts of a word.
template <class Element>
inline constexpr std::uint32_t infinity2 = std::is_same_v<Element, half> ? 0x7c007c00u : 0x7f807f80u;

/// function(x) for every element of a vector, as float.
template <class Element, class Function>
KQ_HOST_DEVICE void for_each_float(const Vector16& v, const Function& function) {
  for (int quarter = 0; quarter < vector_width<Element> / 4; ++quarter) {
    float x[4];
    unpack4<Element>(v, quarter, x);
    for (int i = 0; i < 4; ++i) {
      function(x[i]);
    }
  }
}

}  // namespace detail

/// max |x|; 0 where there is no number.
struct AbsMax {
  using Value = float;
  using Key = AbsMaxKey;
  static constexpr int count = 1;
  static constexpr float identity = 0.0f;

  KQ_HOST_DEVICE static Value value(const float (&maxima)[1]) { return maxima[0]; }
  KQ_HOST_DEVICE static void extend(float (&maxima)[1], float x) {
    maxima[0] = arch::max_number(maxima[0], __builtin_fabsf(x));
  }

  template <class Element>
  class Fold {
   public:
    KQ_HOST_DEVICE void add(Element x) { single_ = arch::max_number(single_, __builtin_fabsf(to_float(x))); }
    KQ_HOST_DEVICE void add(const Vector16& v) {
      if constexpr (detail::folds_pairs<Element>) {
        for (int i = 0; i < 4; ++i) {
          pair_ = arch::max_number2<Element>(pair_, v.word[i] & 0x7fff7fffu);
        }
      } else {
        detail::for_each_float<Element>(v, [&](float x) { single_ = arch::max_number(single_, __builtin_fabsf(x)); });
      }
    }
    KQ_HOST_DEVICE void to_maxima(float (&maxima)[1]) const {
      maxima[0] = single_;
      if constexpr (detail::folds_pairs<Element>) {
        const float pair = arch::max_number(detail::low_element<Element>(pair_), detail::high_element<Element>(pair_));
        maxima[0] = arch::max_number(single_, pair);
      }
    }

   private:
    float single_ = 0.0f;
    std::uint32_t pair_ = 0;
  };
};

/// min x and max x; min > max where there is no number.
struct MinMax {
  using Value = Range;
  using Key = OrderedKey;
  static constexpr int count = 2;
  static constexpr float identity = -__builtin_huge_valf();

  KQ_HOST_DEVICE static Value value(const float (&maxima)[2]) { return {-maxima[0], maxima[1]}; }
  KQ_HOST_DEVICE static void extend(float (&maxima)[2], float x) {
    maxima[0] = arch::max_number(maxima[0], -x);
    maxima[1] = arch::max_number(maxima[1], x);
  }

  template <class Element>
  class Fold {
   public:
    KQ_HOST_DEVICE void add(Element element) { add_float(to_float(element)); }
    KQ_HOST_DEVICE void add(const Vector16& v) {
      if constexpr (detail::folds_pairs<Element>) {
        for (int i = 0; i < 4; ++i) {
          min_pair_ = arch::min_number2<Element>(min_pair_, v.word[i]);
          max_pair_ = arch::max_number2<Element>(max_pair_, v.word[i]);
        }
      } else {
        detail::for_each_float<Element>(v, [&](float x) { add_float(x); });
      }
    }
    KQ_HOST_DEVICE void to_maxima(float (&maxima)[2]) const {
      float min = min_;
      float max = max_;
      if constexpr (detail::folds_pairs<Element>) {
        min = arch::min_number(
            min, arch::min_number(detail::low_element<Element>(min_pair_), detail::high_element<Element>(min_pair_)));
        max = arch::max_number(
            max, arch::max_number(detail::low_element<Element>(max_pair_), detail::high_element<Element>(max_pair_)));
      }
      maxima[0] = -min;
      maxima[1] = max;
    }

   private:
    KQ_HOST_DEVICE void add_float(float x) {
      min_ = arch::min_number(min_, x);
      max_ = arch::max_number(max_, x);
    }

    float min_ = __builtin_huge_valf();
    float max_ = -__builtin_huge_valf();
    std::uint32_t min_pair_ = detail::infinity2<Element>;
    std::uint32_t max_pair_ = detail::infinity2<Element> | 0x80008000u;
  };
};

/// max |x| of the numbers, and whether there is a NaN.
struct AbsMaxOrNan {
  struct Value {
    float amax;
    bool has_nan;
  };
  using Key = AbsMaxKey;
  static constexpr int count = 2;
  static constexpr float identity = 0.0f;

  KQ_HOST_DEVICE static Value value(const float (&maxima)[2]) { return {maxima[0], maxima[1] != 0.0f}; }
  KQ_HOST_DEVICE static void extend(float (&maxima)[2], float x) {
    maxima[0] = arch::max_number(maxima[0], __builtin_fabsf(x));
    maxima[1] = is_nan(x) ? 1.0f : maxima[1];
  }

  /// NaN is found on the bits: magnitudes above infinity's carry into the sign's place, where it is added to.
  template <class Element>
  class Fold {
   public:
    KQ_HOST_DEVICE void add(Element x) {
      numbers_.add(x);
      const std::uint32_t magnitude = float_bits(to_float(x)) & 0x7fffffffu;
      single_ |= magnitude + 0x007fffffu;
    }
    KQ_HOST_DEVICE void add(const Vector16& v) {
      numbers_.add(v);
      for (int i = 0; i < 4; ++i) {
        if constexpr (sizeof(Element) == 2) {
          pair_ |= (v.word[i] & 0x7fff7fffu) + (0x7fff7fffu - detail::infinity2<Element>);
        } else {
          single_ |= (v.word[i] & 0x7fffffffu) + 0x007fffffu;
        }
      }
    }
    KQ_HOST_DEVICE void to_maxima(float (&maxima)[2]) const {
      float numbers[1];
      numbers_.to_maxima(numbers);
      maxima[0] = numbers[0];
      maxima[1] = ((pair_ & 0x80008000u) | (single_ & 0x80000000u)) != 0 ? 1.0f : 0.0f;
    }

   private:
    AbsMax::Fold<Element> numbers_;
    std::uint32_t pair_ = 0;
    std::uint32_t single_ = 0;
  };
};

/// max |x|, NaN counting as above infinity: so it is NaN where there is one.
struct AbsMaxUpToNan {
  using Value = AbsMaxOrNan::Value;
  using Key = UpToNanKey;
  static constexpr int count = 1;
  static constexpr float identity = 0.0f;

  KQ_HOST_DEVICE static Value value(const float (&maxima)[1]) { return {maxima[0], is_nan(maxima[0])}; }
  KQ_HOST_DEVICE static void extend(float (&maxima)[1], float x) { maxima[0] = greater(maxima[0], __builtin_fabsf(x)); }
  /// The greater of two magnitudes.
  KQ_HOST_DEVICE static float greater(float a, float b) { return float_bits(b) > float_bits(a) ? b : a; }

  template <class Element>
  class Fold {
   public:
    KQ_HOST_DEVICE void add(Element x) { single_ = greater(single_, __builtin_fabsf(to_float(x))); }
    KQ_HOST_DEVICE void add(const Vector16& v) {
      if constexpr (detail::folds_pairs<Element>) {
        for (int i = 0; i < 4; ++i) {
          pair_ = arch::max_up_to_nan2<Element>(pair_, arch::magnitudes2<Element>(v.word[i]));
        }
      } else {
        detail::for_each_float<Element>(v, [&](float x) { single_ = greater(single_, __builtin_fabsf(x)); });
      }
    }
    KQ_HOST_DEVICE void to_maxima(float (&maxima)[1]) const {
      maxima[0] = single_;
      if constexpr (detail::folds_pairs<Element>) {
        const float pair = greater(detail::low_element<Element>(pair_), detail::high_element<Element>(pair_));
        maxima[0] = greater(single_, pair);
      }
    }

   private:
    float single_ = 0.0f;
    std::uint32_t pair_ = 0;
  };
};

/// What a reduction has found so far, over several tiles.
template <class Reduction>
struct Maxima {
  float value[Reduction::count];

  KQ_HOST_DEVICE Maxima() {
    for (float& v : value) {
      v = Reduction::identity;
    }
  }
  template <class Fold>
  KQ_HOST_DEVICE static Maxima of(const Fold& fold) {
    Maxima maxima;
    fold.to_maxima(maxima.value);
    return maxima;
  }
  KQ_HOST_DEVICE void add(const Maxima& other) {
    for (int k = 0; k < Reduction::count; ++k) {
      if constexpr (std::is_same_v<Reduction, AbsMaxUpToNan>) {
        value[k] = Reduction::greater(value[k], other.value[k]);
      } else {
        value[k] = arch::max_number(value[k], other.value[k]);
      }
    }
  }
};

}  // namespace kq
