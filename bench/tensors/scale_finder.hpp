// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// Scales that follow from data which is seen block of rows by block of rows.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kq/request.hpp"

namespace kqbench {

/// Scales and zero points for a static scheme, as the user gives them: one number for all spans, or one for each.
struct GivenScale {
  std::optional<float> scale;
  std::optional<std::int32_t> zero_point;
  /// A span's each, in place of `scale`, kq::stored_scales in the order of memory; empty: not given.
  std::vector<float> scales{};
  /// A span's each, in place of `zero_point`, in that order; empty: not given.
  std::vector<std::int32_t> zero_points{};
  /// The tensor's scale, of scale format e4m3: that of the data where it is not given.
  std::optional<float> global_scale{};

  bool has_scale() const { return scale.has_value() || !scales.empty(); }
  bool has_zero_point() const { return zero_point.has_value() || !zero_points.empty(); }

  /// Those for a block of rows of the tensor that begins at `first_token`, and at the first row of a span.
  GivenScale part(const kq::Request& whole, const kq::Request& block, std::int64_t first_token) const;
};

/// Why a scale from the command line or a file is refused, after "OPTION: " or "FILE: "; nothing if it is finite, above
/// 0 and normal, and a number of its format: a power of two for UE8M0, a number of E4M3, 0 included, for E4M3. None
/// is rounded. (What scales in a device's memory give is docs/numerics.md's.)
std::optional<std::string> unusable_scale(kq::ScaleFormat format, float scale);

/// Every span's scale, and its zero point where the scheme is asymmetric.
struct StaticScales {
  std::vector<float> scales;  ///< kq::stored_scales: in the order of memory, gaps and padding 0
  std::vector<std::int32_t> zero_points;
  float global_scale = 1.0f;  ///< the tensor's, of scale format e4m3
};

/// Scales as a request has them in memory: kq::scales_bytes. `scales` are in the order of memory, for UE8M0 powers of
/// two.
std::vector<std::byte> scale_bytes(const kq::Request& request, std::span<const float> scales);

/// The tensor's scale as a request has it in memory; nothing unless its scale format is e4m3.
std::vector<std::byte> global_scale_bytes(const kq::Request& request, float global_scale);

/// The least and the largest number seen; min > max if there was none.
struct Range {
  float min = std::numeric_limits<float>::infinity();
  float max = -std::numeric_limits<float>::infinity();
};

/// Scales for a static scheme that are not given: those that just hold each span's finite numbers. amax / qmax (2^-126
/// at least), or kq::affine_scale for an asymmetric scheme; a span of zeros gets scale 1. For scale format e4m3 those
/// that a dynamic scheme has.
class ScaleFinder {
 public:
  /// What it holds for each scale and zero point, with those that it finds.
  static constexpr std::size_t bytes_per_scale = sizeof(Range) + sizeof(float) + sizeof(std::int32_t);

  /// `whole` is the whole tensor's request: valid, resolved and static. What is given for each span is given for as
  /// many spans as it has.
  ScaleFinder(const kq::Request& whole, const GivenScale& given);

  /// True if the data has a say in the scales; otherwise nothing need be added.
  bool needs_data() const;

  /// Rows first_token and on of the tensor: block.num_tokens of them, in the strides of `block`.
  void add(const kq::Request& block, std::int64_t first_token, const void* input);

  StaticScales scales() const;

 private:
  kq::Request whole_;
  GivenScale given_;
  bool needs_data_;
  std::vector<Range> ranges_;  ///< one per span; empty if the data is not needed
};

/// The least and the largest element of a tensor, or of each channel where the granularity is that, and whether there
/// is a NaN; infinities counting: what dynamic scales that depend on all rows depend on, for every format and dialect.
class ExtremesFinder {
 public:
  void add(const kq::Request& block, const void* input);

  /// Fills two rows of hidden_size elements with the least elements and the largest ones. A block of the tensor with
  /// these rows added has the whole tensor's scales. NaN where there was no number and, since it counts in some
  /// dialects, in place of the extreme of lesser magnitude where there was a NaN, but not where a scheme has a zero
  /// point and needs both. Something has been added before.
  void write_rows(const kq::Request& request, std::span<std::byte> rows) const;

  /// The largest magnitude of a tensor, NaN left out; 0 if there was no number.
  float amax() const;

 private:
  struct Extremes {
    Range range;
    bool has_nan = false;
  };
  std::vector<Extremes> extremes_;  ///< one, or one for each channel
};

}  // namespace kqbench
