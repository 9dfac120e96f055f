// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Producers: what makes the values that are quantized, as functions that every fast implementation shares
/// (docs/numerics.md, "Producers"). The reference has its own.
///
/// A sum of squares has one order, whatever adds it up: a row is cut into vectors of 16 bytes, counted from its start
/// and filled up with zeros to a power of two of them; a vector is summed by halves (x[i] + x[i + 4], ...), then the
/// vectors are (p[i] + p[i + P / 2], ...). A program whose lanes are a power of two holds vectors lane + n * lanes: it
/// sums over n by halves, and then over lanes from the highest bit of their number down. More zeros change nothing.

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "kq/arch/arch.hpp"
#include "kq/dialect_numerics.hpp"
#include "kq/element.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"
#include "kq/span.hpp"
#include "kq/tensors.hpp"
#include "kq/vector.hpp"

namespace kq {

/// How a producer rounds, which engines differ in.
enum class ProducerForm : std::uint8_t {
  plain,     ///< as kq::Producer has it
  twice,     ///< norms: T(T(z * r) * weight), z = x + residual not rounded
  product,   ///< silu_mul: T(T(gate * (1 / (1 + e^-gate))) * up)
  in_float,  ///< silu_mul: (gate * (1 / (1 + e^-gate))) * up, not rounded
};

inline ProducerForm producer_form(const Request& r) {
  if (r.dialect == Dialect::vllm_0_33_0 && !r.static_scale) {
    return has_norm(r.producer) ? ProducerForm::twice : ProducerForm::in_float;
  }
  return r.dialect == Dialect::sglang_0_5_23 ? ProducerForm::product : ProducerForm::plain;
}

/// The bits of T(v). A NaN has all of them set but the sign, as NVIDIA's processors make it.
template <class T>
KQ_HOST_DEVICE std::uint32_t rounded_bits(float v) {
  if constexpr (std::is_same_v<T, half>) {
    return is_nan(v) ? 0x7fffu : to_half(v).bits;
  } else if constexpr (std::is_same_v<T, bfloat16>) {
    return is_nan(v) ? 0x7fffu : to_bfloat16(v).bits;
  } else {
    return is_nan(v) ? 0x7fffffffu : float_bits(v);
  }
}

template <class T>
KQ_HOST_DEVICE T rounded_element(float v) {
  if constexpr (std::is_same_v<T, float>) {
    return bits_float(rounded_bits<float>(v));
  } else {
    return T{static_cast<std::uint16_t>(rounded_bits<T>(v))};
  }
}

/// Four numbers, rounded, to elements 4 * quarter to 4 * quarter + 3 of a vector.
template <class T>
KQ_HOST_DEVICE void pack4(const float (&x)[4], int quarter, Vector16& v) {
  if constexpr (std::is_same_v<T, float>) {
    for (int i = 0; i < 4; ++i) {
      v.word[i] = rounded_bits<float>(x[i]);
    }
  } else {
    for (int i = 0; i < 2; ++i) {
      if constexpr (arch::rounds_to_16_bits) {
        v.word[2 * quarter + i] = arch::round_pair<T>(x[2 * i], x[2 * i + 1]);
      } else {
        v.word[2 * quarter + i] = rounded_bits<T>(x[2 * i]) | rounded_bits<T>(x[2 * i + 1]) << 16;
      }
    }
  }
}

/// The vector of function(x, y), elements of two vectors as floats, rounded to their type.
template <class Element, class Function>
KQ_HOST_DEVICE Vector16 map_vector(const Function& function, const Vector16& x, const Vector16& y) {
  Vector16 mapped;
  KQ_UNROLL
  for (int quarter = 0; quarter < vector_width<Element> / 4; ++quarter) {
    float a[4];
    float b[4];
    unpack4<Element>(x, quarter, a);
    unpack4<Element>(y, quarter, b);
    KQ_UNROLL
    for (int i = 0; i < 4; ++i) {
      a[i] = function(a[i], b[i]);
    }
    pack4<Element>(a, quarter, mapped);
  }
  return mapped;
}

/// A row as vectors of 16 bytes, counted from its start whatever its address, the last one filled up with zeros.
template <class Element>
struct RowVectors {
  static constexpr int width = vector_width<Element>;
  const Element* data;
  std::int64_t size;

  KQ_HOST_DEVICE explicit RowVectors(Span<const Element> row) : data(row.data), size(row.size) {}
  KQ_HOST_DEVICE std::int64_t count() const { return (size + width - 1) / width; }

  /// Elements that vector i has.
  KQ_HOST_DEVICE int elements(std::int64_t i) const {
    const std::int64_t left = size - i * width;
    return left < width ? static_cast<int>(left) : width;
  }

  KQ_HOST_DEVICE void load(std::int64_t i, float (&x)[width]) const {
    const Element* const address = data + i * width;
    const int n = elements(i);
    const bool whole = n == width && reinterpret_cast<std::uintptr_t>(address) % sizeof(Vector16) == 0;
    unpack_vector<Element>(whole ? arch::load16(address) : load_elements(address, n), x);
  }
};

/// Rounds the first `count` of `Width` numbers and writes them where a row's vector i begins.
template <class T, int Width>
KQ_HOST_DEVICE void store_vector(T* row, std::int64_t i, int count, const float (&x)[Width]) {
  T* const address = row + i * Width;
  if (Width == vector_width<T> && count == Width && reinterpret_cast<std::uintptr_t>(address) % sizeof(Vector16) == 0) {
    Vector16 v;
    KQ_UNROLL
    for (int quarter = 0; quarter < Width / 4; ++quarter) {
      const float four[4] = {x[4 * quarter], x[4 * quarter + 1], x[4 * quarter + 2], x[4 * quarter + 3]};
      pack4<T>(four, quarter, v);
    }
    *reinterpret_cast<Vector16*>(address) = v;
    return;
  }
  KQ_UNROLL
  for (int k = 0; k < Width; ++k) {
    if (k < count) address[k] = rounded_element<T>(x[k]);
  }
}

// --- RMSNorm ---------------------------------------------------------------------------------------------------------

/// The sum by halves of `Lanes` sums, a power of two.
template <int Lanes>
KQ_HOST_DEVICE double sum_over_halves(double (&sums)[Lanes]) {
  KQ_UNROLL
  for (int half = Lanes / 2; half > 0; half /= 2) {
    KQ_UNROLL
    for (int lane = 0; lane < Lanes / 2; ++lane) {
      if (lane < half) sums[lane] += sums[lane + half];
    }
  }
  return sums[0];
}

/// The squares of a vector's elements, each rounded to float, summed by halves.
template <int Width>
KQ_HOST_DEVICE double sum_of_squares(const float (&x)[Width]) {
  double sum[Width];
  KQ_UNROLL
  for (int i = 0; i < Width; ++i) {
    sum[i] = static_cast<double>(x[i] * x[i]);
  }
  return sum_over_halves(sum);
}

/// sum_of_squares() of halves. Their squares are exact in float and in double, so that one operation squares a number
/// and adds it.
template <int Width>
KQ_HOST_DEVICE double sum_of_half_squares(const float (&x)[Width]) {
  double sum[Width / 2];
  KQ_UNROLL
  for (int i = 0; i < Width / 2; ++i) {
    const auto a = static_cast<double>(x[i]);
    const auto b = static_cast<double>(x[i + Width / 2]);
    sum[i] = __builtin_fma(a, a, b * b);
  }
  return sum_over_halves(sum);
}

/// The sums by halves of p(0) to p(count - 1), `count` a power of two up to 2^40: p(i) + p(i + count / 2), and so on,
/// of `Lanes` sums at once: p(i, sums) sets them. Numbers are asked for in the order of their bit-reversed indices, so
/// that few sums are held.
template <int Lanes, class Function>
KQ_HOST_DEVICE void sum_by_halves(std::int64_t count, const Function& p, double (&sums)[Lanes]) {
  double held[40][Lanes];
  for (std::int64_t k = 0; k < count; ++k) {
    std::int64_t reversed = 0;
    for (std::int64_t bit = 1, other = count / 2; bit < count; bit *= 2, other /= 2) {
      if ((k & bit) != 0) reversed += other;
    }
    p(reversed, sums);
    int level = 0;
    for (; ((k >> level) & 1) != 0; ++level) {
      for (int lane = 0; lane < Lanes; ++lane) {
        sums[lane] += held[level][lane];
      }
    }
    for (int lane = 0; lane < Lanes; ++lane) {
      held[level][lane] = sums[lane];
    }
  }
}

/// The least power of two that is not less than `count`, 1 or more.
KQ_HOST_DEVICE constexpr std::int64_t next_power_of_two(std::int64_t count) {
  std::int64_t power = 1;
  while (power < count) {
    power *= 2;
  }
  return power;
}

/// What a token's elements are multiplied by: 1 / sqrt(mean of squares + eps). The form `twice` rounds it once, as
/// comes closest to the reciprocal root that vLLM's kernels take in one.
KQ_HOST_DEVICE float reciprocal_rms(double sum_of_squares, std::int64_t hidden_size, float eps,
                                    ProducerForm form = ProducerForm::plain) {
  const float mean = static_cast<float>(sum_of_squares) / static_cast<float>(hidden_size) + eps;
  if (form == ProducerForm::twice) return static_cast<float>(1.0 / arch::square_root(static_cast<double>(mean)));
  return 1.0f / arch::square_root(mean);
}

/// A normed value, before its last rounding.
template <class T>
KQ_HOST_DEVICE float normed(float z, float reciprocal_rms, float weight, ProducerForm form) {
  const float scaled = z * reciprocal_rms;
  return (form == ProducerForm::twice ? detail::nearest<T>(scaled) : scaled) * weight;
}

// --- SiLU ------------------------------------------------------------------------------------------------------------

namespace detail {

/// Below it e^-x is no finite float.
inline constexpr float least_finite_exp = -88.7228317f;

/// e^-x, of x from least_finite_exp on.
KQ_HOST_DEVICE float finite_exp_minus(float x) {
  constexpr float round = 0x1.8p23f;
  const float t = x > 87.0f ? -87.0f : -x;
  const float shifted = __builtin_fmaf(t, 0x1.715476p0f, round);
  const float n = shifted - round;
  const float r = __builtin_fmaf(n, 0x1.bd0106p-13f, __builtin_fmaf(n, -0.693359375f, t));
  float q = __builtin_fmaf(0x1.a0d2cep-13f, r, 0x1.6e879cp-10f);
  q = __builtin_fmaf(q, r, 0x1.11121p-7f);
  q = __builtin_fmaf(q, r, 0x1.555382p-5f);
  q = __builtin_fmaf(q, r, 0x1.555554p-3f);
  q = __builtin_fmaf(q, r, 0.5f);
  const float e = __builtin_fmaf(q, r * r, r) + 1.0f;
  // Times 2^n: n is in the low bits of `shifted`, and n = 128 only comes with e below 1.
  return bits_float(float_bits(e) + (float_bits(shifted) << 23));
}

}  // namespace detail

/// e^-x in float, within 1 ulp; infinity below x = -88.72, and where x is large a number so small that 1 + it is 1.
/// -x = n ln 2 + r, |r| <= ln 2 / 2, in two steps (Cody and Waite); e^r by the polynomial of degree 7 that Cephes' expf
/// has (S. L. Moshier). Every implementation makes it of these operations, one rounding each.
KQ_HOST_DEVICE float exp_minus(float x) {
  return x < detail::least_finite_exp ? __builtin_huge_valf() : detail::finite_exp_minus(x);
}

namespace detail {

/// e^-x of a half, a quarter of it of a bfloat16, where that neither overflows nor is subnormal. -x log2(e) is n + f
/// with |f| <= 1/2, and 2^f comes of a polynomial: least in its largest error, then moved by a few units in the last
/// place of its coefficients, to where short_silu() gets every half right.
template <class T>
KQ_HOST_DEVICE float short_exp_minus(float x) {
  constexpr bool is_half = std::is_same_v<T, half>;
  constexpr float log2_e = 0x1.715476p0f;
  constexpr float round = is_half ? 0x1.8p23f : 0x1.8p23f - 2.0f;
  const float shifted = __builtin_fmaf(x, -log2_e, round);
  float f = __builtin_fmaf(x, -log2_e, round - shifted);
  float p;
  if constexpr (is_half) {
    f = __builtin_fmaf(x, -0x1.4ae0cp-26f, f);  // what log2_e lacks
    p = __builtin_fmaf(0x1.415fc8p-13f, f, 0x1.5f0934p-10f);
    p = __builtin_fmaf(p, f, 0x1.3b2dfap-7f);
    p = __builtin_fmaf(p, f, 0x1.c6af7ap-5f);
    p = __builtin_fmaf(p, f, 0x1.ebfbdcp-3f);
    p = __builtin_fmaf(p, f, 0x1.62e43p-1f);
  } else {
    p = __builtin_fmaf(0x1.5bba1p-10f, f, 0x1.3cea88p-7f);
    p = __builtin_fmaf(p, f, 0x1.c6b752p-5f);
    p = __builtin_fmaf(p, f, 0x1.ebf9bcp-3f);
    p = __builtin_fmaf(p, f, 0x1.62e42ap-1f);
  }
  // Times 2^n, or 2^(n - 2): the exponent is in the low bits of `shifted`.
  return bits_float(float_bits(__builtin_fmaf(p, f, 1.0f)) + (float_bits(shifted) << 23));
}

}  // namespace detail

/// silu(x) of a half or a bfloat16, so close that it is rounded to the element that x / (1 + e^-x) is rounded to, by a
/// reciprocal that may be 1 ulp off, and 0 where it is no normal number. tests/core/test_producers.cpp goes through all
/// elements.
template <class T, class Reciprocal>
KQ_HOST_DEVICE float short_silu(float x, const Reciprocal& reciprocal) {
  const float not_large = arch::min_number(x, 60.0f);  // 1 + e^-60 is 1
  if constexpr (std::is_same_v<T, half>) {
    // From -88 on all is zero. -x of infinity has no remainder but NaN, so that its quotient is limited.
    const float divisor = 1.0f + detail::short_exp_minus<T>(arch::max_number(not_large, -88.0f));
    const float inverse = reciprocal(divisor);
    const float quotient = arch::min_number(x * inverse, 0x1p100f);
    // The step makes +0 of -0.
    return __builtin_copysignf(detail::division_step(x, quotient, divisor, inverse), x);
  } else {
    // A quarter of 1 + e^-x has a normal reciprocal.
    const float divisor = 0.25f + detail::short_exp_minus<T>(not_large);
    const float estimate = reciprocal(divisor);
    const float inverse = __builtin_fmaf(estimate, __builtin_fmaf(-divisor, estimate, 1.0f), estimate);
    return x * (x < detail::least_finite_exp ? 0.0f : inverse * 0.25f);
  }
}

/// silu(gate) * up, before its last rounding.
template <class T>
KQ_HOST_DEVICE float silu_times(float gate, float up, ProducerForm form) {
  if constexpr (sizeof(T) == 2 && arch::is_device) {
    if (form == ProducerForm::plain) {
      return detail::nearest<T>(short_silu<T>(gate, [](float d) { return arch::approximate_reciprocal(d); })) * up;
    }
  }
  const float denominator = 1.0f + exp_minus(gate);
  if (form == ProducerForm::in_float) return gate * (1.0f / denominator) * up;
  const float silu = form == ProducerForm::product ? gate * (1.0f / denominator) : gate / denominator;
  return detail::nearest<T>(silu) * up;
}

// --- the rows of a launch, whoever goes through them -----------------------------------------------------------------

/// Whether all rows of what a producer reads and writes beside the input begin and end at whole vectors.
template <class Element>
bool has_aligned_sources(const Request& r, const Operands& o) {
  const auto whole = [](const void* address, std::int64_t stride) {
    return reinterpret_cast<std::uintptr_t>(address) % sizeof(Vector16) == 0 && stride % vector_width<Element> == 0;
  };
  return (!has_norm(r.producer) || whole(o.weight, 0)) &&
         (!has_residual(r.producer) ||
          (whole(o.residual, r.residual_stride) && whole(o.residual_out, r.residual_stride)));
}

/// Whether rows of silu_mul can be cut into parts of `size` elements that are quantized like rows of their own: nothing
/// is reduced over more of a row, and what belongs to the parts follows each other in memory.
inline bool may_be_cut(const Request& r, std::int64_t size) {
  if (r.producer != Producer::silu_mul || r.hidden_size % size != 0 || r.codes_stride != r.hidden_size) return false;
  if (r.granularity == Granularity::tensor) return r.static_scale;
  return r.granularity == Granularity::group && r.scale_layout == ScaleLayout::row && size % r.group_size == 0;
}

/// Such a request for the parts as rows. Its input_stride is still that of whole rows.
inline Request with_rows_cut(Request r, std::int64_t size) {
  r.num_tokens *= r.hidden_size / size;
  r.hidden_size = size;
  r.codes_stride = size;
  return r;
}

/// Where the values of a producer lie in a workspace of which what comes after it has the first bytes.
constexpr std::size_t values_offset(std::size_t bytes) {
  constexpr std::size_t alignment = 256;
  return (bytes + alignment - 1) / alignment * alignment;
}

/// What a norm reads and writes. A token's vectors are read twice: for the sum of their squares, and when the values
/// are stored.
template <class Element, bool HasResidual>
struct NormRows {
  static constexpr bool is_norm = true;
  static constexpr const char* name = "kq::norm";
  static constexpr int width = vector_width<Element>;

  Rows<const Element> input;
  Rows<const Element> residual;
  Rows<Element> residual_out;
  Rows<Element> values;
  Span<const Element> weight;
  float eps;
  ProducerForm form;

  KQ_HOST_DEVICE std::int64_t vectors() const { return RowVectors<Element>(weight).count(); }

  /// The sum of the squares of vector i.
  KQ_HOST_DEVICE double squares(std::int64_t token, std::int64_t i) const {
    float z[width];
    load(token, i, z);
    return sum_of_squares(z);
  }

  /// What a token's elements are multiplied by.
  KQ_HOST_DEVICE float reciprocal(double sum) const { return reciprocal_rms(sum, weight.size, eps, form); }

  /// Stores the values of vector i, and its sum with the residual.
  KQ_HOST_DEVICE void store(std::int64_t token, std::int64_t i, float reciprocal) const {
    const RowVectors<Element> w(weight);
    float z[width];
    load(token, i, z);
    if constexpr (HasResidual) store_vector(residual_out.row(token).data, i, w.elements(i), z);
    float y[width];
    w.load(i, y);
    KQ_UNROLL
    for (int k = 0; k < width; ++k) {
      y[k] = normed<Element>(z[k], reciprocal, y[k], form);
    }
    store_vector(values.row(token).data, i, w.elements(i), y);
  }

 private:
  /// Vector i of a token, with the residual's.
  KQ_HOST_DEVICE void load(std::int64_t token, std::int64_t i, float (&z)[width]) const {
    RowVectors<Element>(input.row(token)).load(i, z);
    if constexpr (HasResidual) {
      float other[width];
      RowVectors<Element>(residual.row(token)).load(i, other);
      KQ_UNROLL
      for (int k = 0; k < width; ++k) {
        const float sum = z[k] + other[k];
        z[k] = form == ProducerForm::twice ? sum : detail::nearest<Element>(sum);
      }
    }
  }
};

/// What silu_mul reads and writes.
template <class Element, class Value>
struct SiluMulRows {
  static constexpr bool is_norm = false;
  static constexpr const char* name = "kq::silu_mul";
  static constexpr int width = vector_width<Element>;

  Rows<const Element> input;  ///< gate, then up
  Rows<Value> values;
  ProducerForm form;

  KQ_HOST_DEVICE std::int64_t vectors() const { return (values.size + width - 1) / width; }

  /// Stores the values of vector i.
  KQ_HOST_DEVICE void store(std::int64_t token, std::int64_t i) const {
    const RowVectors<Element> gate(input.slice(token, 0, values.size));
    const RowVectors<Element> up(input.slice(token, values.size, values.size));
    float g[width];
    float y[width];
    gate.load(i, g);
    up.load(i, y);
    KQ_UNROLL
    for (int k = 0; k < width; ++k) {
      y[k] = silu_times<Element>(g[k], y[k], form);
    }
    store_vector(values.row(token).data, i, gate.elements(i), y);
  }
};

/// Calls function(rows) for a request's producer, which is not none: with the rows of its kernel, NormRows or
/// SiluMulRows. `memory` has room for values_bytes(r). The request is valid and resolved.
template <class Element, class Function>
void with_producer_rows(const Request& r, const Operands& o, void* memory, const Function& function) {
  const ProducerForm form = producer_form(r);
  const Rows<const Element> input{static_cast<const Element*>(o.input), input_columns(r), r.input_stride};
  const Rows<Element> values{static_cast<Element*>(memory), r.hidden_size, r.hidden_size};
  const auto norm = [&]<bool HasResidual>(std::bool_constant<HasResidual>) {
    const Rows<const Element> residual{static_cast<const Element*>(o.residual), r.hidden_size, r.residual_stride};
    const Rows<Element> sum{static_cast<Element*>(o.residual_out), r.hidden_size, r.residual_stride};
    const Span<const Element> weight{static_cast<const Element*>(o.weight), r.hidden_size};
    function(NormRows<Element, HasResidual>{input, residual, sum, values, weight, r.eps, form});
  };
  switch (r.producer) {
    case Producer::none:
      return;
    case Producer::rms_norm:
      return norm(std::false_type());
    case Producer::add_rms_norm:
      return norm(std::true_type());
    case Producer::silu_mul:
      if (form == ProducerForm::in_float) {
        const Rows<float> floats{static_cast<float*>(memory), r.hidden_size, r.hidden_size};
        return function(SiluMulRows<Element, float>{input, floats, form});
      }
      return function(SiluMulRows<Element, Element>{input, values, form});
  }
}

}  // namespace kq
