// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Where scales lie in memory, as kernels see it.

#include <cstdint>

#include "kq/arch/config.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"
#include "kq/request.hpp"

namespace kq {

/// Where scales lie within a tile. All members are base-2 logarithms, so that kernels shift; they are constants there,
/// which take no registers. A tile's rows are in batches of 2^low_rows rows; where it has eight columns, the last four
/// begin 2 scales after the first four.
struct ScaleTile {
  int rows = 0;  ///< of a tile
  int columns = 2;
  int column_step = 0;  ///< scales from a column to the next, within four columns
  int low_rows = 5;     ///< rows of a batch
  int row_step = 0;     ///< scales from a row to the next, within a batch
  int high_step = 2;    ///< scales from a batch to the next

  KQ_HOST_DEVICE std::int64_t operator()(std::int64_t row, std::int64_t column) const {
    const int r = static_cast<int>(row) & ((1 << rows) - 1);
    const int c = static_cast<int>(column) & ((1 << columns) - 1);
    return ((c & 3) << column_step) + ((c >> 2) << 1) + ((r & ((1 << low_rows) - 1)) << row_step) +
           ((r >> low_rows) << high_step);
  }
};

/// The place of the scale of (row, column), counted in scales: a row for each token or row of blocks, a column for each
/// channel, group or block of a row.
struct ScaleOffset {
  std::int64_t row_step;  ///< in tiles: from one tile's rows to the next one's
  std::int64_t column_step;
  std::int64_t pack_step = 0;  ///< packed, in tiles: from the scales of four columns, or a tile's, to those of the next
  ScaleTile tile{};            ///< packed: of one row

  KQ_HOST_DEVICE std::int64_t operator()(std::int64_t row, std::int64_t column) const {
    if (pack_step == 0) [[likely]]
      return row * row_step + column * column_step;
    return (row >> tile.rows) * row_step + (column >> tile.columns) * pack_step + tile(row, column);
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
    case Granularity::block:
      break;
  }
  if (r.scale_layout == ScaleLayout::row) return {groups_per_row(r), 1};
  if (r.scale_layout == ScaleLayout::packed) return {4, 1, 4 * padded_scale_rows(r)};
  if (r.scale_layout == ScaleLayout::swizzled_128x4) return {128 * padded_scale_columns(r), 1, 512, {7, 2, 0, 5, 4, 2}};
  if (r.scale_layout == ScaleLayout::swizzled_8x4) return {8 * padded_scale_columns(r), 1, 32, {3, 2, 0, 5, 2, 2}};
  if (r.scale_layout == ScaleLayout::shuffled_32x8) return {32 * padded_scale_columns(r), 1, 256, {5, 3, 6, 4, 2, 0}};
  return {1, scale_column_stride(r)};
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

  KQ_HOST_DEVICE float value(std::int64_t index) const { return scales[index]; }
};

/// Given scales that have no zero points.
struct GivenFloats {
  const float* scales;

  explicit GivenFloats(const GivenScales& given) : scales(given.scales) {}
  KQ_HOST_DEVICE float value(std::int64_t index) const { return scales[index]; }
};

/// The number that a stored scale of a group or block stands for: a float, an exponent (UE8M0) or an E4M3 code.
KQ_HOST_DEVICE float group_scale_at(const void* scales, ScaleFormat format, std::int64_t index) {
  if (format == ScaleFormat::ue8m0) return ue8m0_value(static_cast<const std::uint8_t*>(scales)[index]);
  if (format == ScaleFormat::e4m3) return Fp8E4M3Fn::decode(static_cast<const std::uint8_t*>(scales)[index]);
  return static_cast<const float*>(scales)[index];
}

/// Scales of groups or blocks that are given: of type float, or bytes (UE8M0, E4M3). They have no zero points.
struct GivenGroupScales {
  using Place = std::int64_t;

  const void* scales;
  ScaleFormat format;
  ScaleOffset offset;

  KQ_HOST_DEVICE Place place(std::int64_t row, std::int64_t column) const { return offset(row, column); }
  KQ_HOST_DEVICE float value(std::int64_t index) const { return group_scale_at(scales, format, index); }
};

namespace detail {

/// `value` is one that the format has; of NaN the sign is not kept.
KQ_HOST_DEVICE void put_group_scale(void* scales, ScaleFormat format, std::int64_t index, float value) {
  if (format == ScaleFormat::ue8m0) {
    static_cast<std::uint8_t*>(scales)[index] = ue8m0_code(value);
  } else if (format == ScaleFormat::e4m3) {
    static_cast<std::uint8_t*>(scales)[index] = Fp8E4M3Fn::encode(value, 0.0f);
  } else {
    static_cast<float*>(scales)[index] = value;
  }
}

/// The number of a scale, or its byte.
template <class Scale>
KQ_HOST_DEVICE void put_group_scale_of(void* scales, ScaleFormat format, std::int64_t index, const Scale& scale) {
  if constexpr (requires { scale.code(); }) {
    static_cast<std::uint8_t*>(scales)[index] = scale.code();
  } else {
    put_group_scale(scales, format, index, scale.value());
  }
}

}  // namespace detail

/// Where programs store scales of groups or blocks in the layouts row and column: of type float, or bytes (UE8M0,
/// E4M3).
struct GroupScales {
  using Place = std::int64_t;  ///< counted in scales
  struct Slot {
    void* scales;
    ScaleFormat format;
    std::int64_t index;

    template <class Scale>
    KQ_HOST_DEVICE void write(const Scale& scale) const {
      detail::put_group_scale_of(scales, format, index, scale);
    }
  };

  void* scales;
  ScaleFormat format;
  std::int64_t row_step;
  std::int64_t column_step;

  KQ_HOST_DEVICE Place place(std::int64_t row, std::int64_t column) const {
    return row * row_step + column * column_step;
  }
  KQ_HOST_DEVICE Slot at(Place place) const { return {scales, format, place}; }
};

/// Where programs store scales of type float that follow each other in memory, and have no zero points.
struct FlatFloatScales {
  using Place = std::int64_t;
  struct Slot {
    float* scale;

    template <class Scale>
    KQ_HOST_DEVICE void write(const Scale& value) const {
      *scale = value.value();
    }
  };

  float* scales;

  explicit FlatFloatScales(const FloatScales& of) : scales(of.scales) {}
  KQ_HOST_DEVICE Slot at(Place place) const { return {scales + place}; }
};

/// Where programs store them in any layout. Whoever stores the last scale of a row or column also writes the zeros of
/// the padding that follows it.
struct AnyGroupScales {
  struct Place {
    std::int64_t row;
    std::int64_t column;
  };
  struct Slot {
    const AnyGroupScales& of;
    Place place;

    template <class Scale>
    KQ_HOST_DEVICE void write(const Scale& scale) const {
      detail::put_group_scale_of(of.scales, of.format, of.offset(place.row, place.column), scale);
      of.write_padding(place);
    }
  };

  void* scales;
  ScaleFormat format;
  ScaleOffset offset;
  std::int64_t rows;  ///< of scales, and so on
  std::int64_t columns;
  std::int64_t padded_rows;
  std::int64_t padded_columns;

  KQ_HOST_DEVICE Place place(std::int64_t row, std::int64_t column) const { return {row, column}; }
  KQ_HOST_DEVICE Slot at(Place place) const { return {*this, place}; }

 private:
  KQ_HOST_DEVICE void put(std::int64_t row, std::int64_t column, float value) const {
    detail::put_group_scale(scales, format, offset(row, column), value);
  }
  KQ_HOST_DEVICE void write_padding(Place last) const {
    const std::int64_t end_row = last.row + 1 == rows ? padded_rows : last.row + 1;
    const std::int64_t end_column = last.column + 1 == columns ? padded_columns : last.column + 1;
    for (std::int64_t i = last.row; i < end_row; ++i) {
      for (std::int64_t j = last.column; j < end_column; ++j) {
        if (i != last.row || j != last.column) put(i, j, 0.0f);
      }
    }
  }
};

/// The scales at an address, as the request says. The request is valid and resolved.
inline GivenGroupScales given_group_scales(const Request& r, const void* scales) {
  return {scales, r.scale_format, scale_offset(r)};
}
inline AnyGroupScales any_group_scales(const Request& r, void* scales) {
  return {scales,
          r.scale_format,
          scale_offset(r),
          scale_rows(r),
          groups_per_row(r),
          padded_scale_rows(r),
          padded_scale_columns(r)};
}

/// function(scales) with GroupScales, where the layout is row or column, or with AnyGroupScales.
template <class Function>
void with_group_scales(const Request& r, void* scales, const Function& function) {
  if (r.scale_layout == ScaleLayout::row || r.scale_layout == ScaleLayout::column) {
    const ScaleOffset offset = scale_offset(r);
    return function(GroupScales{scales, r.scale_format, offset.row_step, offset.column_step});
  }
  function(any_group_scales(r, scales));
}

}  // namespace kq
