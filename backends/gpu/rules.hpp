// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The schemes' formulas as kernels use them. A static rule makes a quantizer of a given scale; a dynamic rule says
/// which extremes of a span it needs and makes scale and quantizer of them. The formulas themselves are
/// kq/numerics.hpp.

#include <cstdint>

#include "backends/gpu/reduce.hpp"
#include "kq/device.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kqbench::gpu {

// --- extremes of a span, NaN left out: what a lane gathers, and the keys that lanes compare --------------------------

/// max |x|.
template <class Element>
class Magnitude : public kq::device::AbsMaxFold<Element> {
 public:
  static constexpr int keys = 1;
  KQ_HOST_DEVICE void to_keys(std::uint32_t (&key)[keys]) const { key[0] = magnitude_key(this->abs_max()); }
};

/// min x and max x; the minimum as max -x, so that both are maxima.
template <class Element>
class MinMax : public kq::device::RangeFold<Element> {
 public:
  static constexpr int keys = 2;
  KQ_HOST_DEVICE void to_keys(std::uint32_t (&key)[keys]) const {
    key[0] = OrderedKey::of(-this->min());
    key[1] = OrderedKey::of(this->max());
  }
};

// --- static rules ----------------------------------------------------------------------------------------------------

template <class Element_, class Format>
struct StaticFp8 {
  using Element = Element_;
  using Code = typename Format::Code;
  float qmax;
  KQ_HOST_DEVICE auto quantizer(float scale, const std::int32_t*) const {
    return kq::MultiplyQuantizer<Format>(1.0f / scale, qmax);
  }
};

template <class Element_>
struct StaticInt8 {
  using Element = Element_;
  using Code = kq::Int8::Code;
  float qmax;
  KQ_HOST_DEVICE auto quantizer(float scale, const std::int32_t*) const {
    return kq::DivideQuantizer<kq::Int8, Element>(scale, qmax);
  }
};

template <class Element_>
struct StaticAffine {
  using Element = Element_;
  using Code = kq::Int8::Code;
  float qmax;
  KQ_HOST_DEVICE auto quantizer(float scale, const std::int32_t* zero_point) const {
    return kq::AffineQuantizer(1.0f / scale, *zero_point, qmax);
  }
};

// --- dynamic rules ---------------------------------------------------------------------------------------------------

/// What a dynamic rule finds for a span.
template <class Quantizer>
struct ScaledQuantizer {
  Quantizer quantizer;
  float scale;
  std::int32_t zero_point;
};

template <class Element_, class Format>
struct TokenFp8 {
  using Element = Element_;
  using Code = typename Format::Code;
  using Extremes = Magnitude<Element>;
  static constexpr bool has_zero_point = false;
  float qmax;
  float scale_ub;
  KQ_HOST_DEVICE auto make_quantizer(const std::uint32_t (&key)[1]) const {
    const float amax = magnitude_of_key(key[0]);
    const float scale = kq::fp8_token_scale(amax, qmax, scale_ub);
    using Quantizer = kq::SpanDivideQuantizer<Format, Element>;
    return ScaledQuantizer<Quantizer>{Quantizer(scale, qmax, amax), scale, 0};
  }
};

template <class Element_, class Format>
struct TensorFp8 {
  using Element = Element_;
  using Code = typename Format::Code;
  using Extremes = Magnitude<Element>;
  static constexpr bool has_zero_point = false;
  float qmax;
  KQ_HOST_DEVICE auto make_quantizer(const std::uint32_t (&key)[1]) const {
    const float scale = kq::fp8_tensor_scale(magnitude_of_key(key[0]), qmax);
    using Quantizer = kq::MultiplyQuantizer<Format>;
    return ScaledQuantizer<Quantizer>{Quantizer(1.0f / scale, qmax), scale, 0};
  }
};

/// Symmetric int8 of a token or a tensor.
template <class Element_>
struct DynamicInt8 {
  using Element = Element_;
  using Code = kq::Int8::Code;
  using Extremes = Magnitude<Element>;
  static constexpr bool has_zero_point = false;
  float qmax;
  KQ_HOST_DEVICE auto make_quantizer(const std::uint32_t (&key)[1]) const {
    const float amax = magnitude_of_key(key[0]);
    using Quantizer = kq::MultiplyQuantizer<kq::Int8>;
    return ScaledQuantizer<Quantizer>{Quantizer(amax == 0.0f ? 0.0f : qmax / amax, qmax), amax / qmax, 0};
  }
};

/// Asymmetric int8 of a token or a tensor.
template <class Element_>
struct DynamicAffine {
  using Element = Element_;
  using Code = kq::Int8::Code;
  using Extremes = MinMax<Element>;
  static constexpr bool has_zero_point = true;
  float qmax;
  KQ_HOST_DEVICE auto make_quantizer(const std::uint32_t (&key)[2]) const {
    const kq::Affine affine = kq::affine_scale(-OrderedKey::value(key[0]), OrderedKey::value(key[1]), qmax);
    using Quantizer = kq::AffineQuantizer;
    return ScaledQuantizer<Quantizer>{Quantizer(1.0f / affine.scale, affine.zero_point, qmax), affine.scale,
                                      affine.zero_point};
  }
};

/// A group, of any format.
template <class Element_, class Format>
struct Group {
  using Element = Element_;
  using Code = typename Format::Code;
  using Extremes = Magnitude<Element>;
  static constexpr bool has_zero_point = false;
  float qmax;
  bool power_of_two;  ///< the scale is raised to one
  KQ_HOST_DEVICE auto make_quantizer(const std::uint32_t (&key)[1]) const {
    const float amax = magnitude_of_key(key[0]);
    const float exact = kq::group_scale(amax, qmax);
    const float scale = power_of_two ? kq::ceil_to_power_of_two(exact) : exact;
    using Quantizer = kq::SpanDivideQuantizer<Format, Element>;
    return ScaledQuantizer<Quantizer>{Quantizer(scale, qmax, amax), scale, 0};
  }
};

}  // namespace kqbench::gpu
