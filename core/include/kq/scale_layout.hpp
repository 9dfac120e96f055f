// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where scales lie in memory, as kernels see it.

#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kq {

/// The place of the scale of (row, block), counted in scales: a block is a group of a row, or its only part.
struct ScaleOffset {
  std::int64_t row_step;
  std::int64_t block_step;

  KQ_HOST_DEVICE std::int64_t operator()(std::int64_t row, std::int64_t block) const {
    return row * row_step + block * block_step;
  }
};

/// As the request says. The request is valid and resolved.
inline ScaleOffset scale_offset(const Request& r) {
  switch (r.granularity) {
    case Granularity::tensor:
      return {0, 0};
    case Granularity::token:
      return {1, 0};
    case Granularity::channel:
      return {0, 1};
    case Granularity::group:
      break;
  }
  if (r.scale_layout == ScaleLayout::row) return {groups_per_row(r), 1};
  return {1, r.num_tokens};
}

/// Columns of the tensor that share a scale within a row. The request is valid and resolved.
inline std::int64_t scale_columns(const Request& r) {
  if (r.granularity == Granularity::channel) return 1;
  return r.granularity == Granularity::group ? r.group_size : r.hidden_size;
}

/// Scales of type float, with zero points where a scheme has them: where programs store them.
struct FloatScales {
  struct Slot {
    float* scales;
    std::int32_t* zero_points;
    std::int64_t index;

    template <class Scale>
    KQ_HOST_DEVICE void write(const Scale& scale) const {
      scales[index] = scale.value();
      if constexpr (requires { scale.zero_point(); }) zero_points[index] = scale.zero_point();
    }
  };

  float* scales;
  std::int32_t* zero_points;  ///< null unless the scheme is asymmetric

  KQ_HOST_DEVICE Slot at(std::int64_t index) const { return {scales, zero_points, index}; }
};

/// Scales that are given, for static rules.
struct GivenScales {
  const float* scales;
  const std::int32_t* zero_points;  ///< null unless the scheme is asymmetric
};

/// Scales of type float, or 8-bit exponents (UE8M0).
struct GroupScales {
  struct Slot {
    void* scales;
    bool exponents;
    std::int64_t index;

    template <class Scale>
    KQ_HOST_DEVICE void write(const Scale& s) const {
      if (exponents) {
        static_cast<std::uint8_t*>(scales)[index] = ue8m0_code(s.value());
      } else {
        static_cast<float*>(scales)[index] = s.value();
      }
    }
  };

  void* scales;
  bool exponents;

  KQ_HOST_DEVICE Slot at(std::int64_t index) const { return {scales, exponents, index}; }
};

}  // namespace kq
