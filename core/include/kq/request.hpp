// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One description of a piece of work, the only one: which element becomes which format, what shares a scale, how the
/// scale is found and stored, and the shape and strides of the tensors. Everything that runs, checks, prints or stores
/// a request starts from this struct, and `validate` is the one place that says what is allowed.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace kq {

/// Element type of the input.
enum class Element : std::uint8_t { half, bfloat16, float32 };

/// Format of the codes.
enum class Format : std::uint8_t { int8, fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz };

/// What shares one scale (a span): the whole tensor, one token (row), one channel (column), or `group_size` consecutive
/// elements of a row, the last group of a row being short where the row is no multiple of it.
enum class Granularity : std::uint8_t { tensor, token, channel, group };

/// How a group's scale is rounded and stored: float32 as computed; raised to a power of two and stored as float32; or
/// raised and stored as the 8-bit exponent (UE8M0).
enum class ScaleFormat : std::uint8_t { float32, ue8m0_float32, ue8m0 };

/// Group scales as [tokens, groups] row by row, or column by column (element (t, g) at g * num_tokens + t).
enum class ScaleLayout : std::uint8_t { row, column };

/// A request to quantize a [num_tokens, hidden_size] tensor.
struct Request {
  Element element = Element::half;
  Format format = Format::int8;
  Granularity granularity = Granularity::tensor;
  bool static_scale = false;  ///< the scale is given, not computed
  bool asymmetric = false;    ///< int8 with a zero point a span

  std::int64_t num_tokens = 0;    ///< may be 0: then there is nothing to do, and no address is looked at
  std::int64_t hidden_size = 0;   ///< 1 or more
  std::int64_t input_stride = 0;  ///< elements from one row to the next; 0: hidden_size
  std::int64_t codes_stride = 0;  ///< codes from one row to the next; 0: hidden_size

  std::int64_t group_size = 0;  ///< elements, granularity group only
  ScaleFormat scale_format = ScaleFormat::float32;
  ScaleLayout scale_layout = ScaleLayout::row;

  float qmax = 0.0f;  ///< bound of a code's magnitude; 0: the format's largest
  /// Upper bound of amax, dynamic token fp8 only; infinity: none.
  float scale_ub = std::numeric_limits<float>::infinity();

  bool operator==(const Request&) const = default;
};

/// Why a request is not valid: the field's name as on the command line without dashes ("group_size"), and what is wrong
/// and what to do, in one line.
struct InvalidField {
  std::string field;
  std::string reason;
};

/// Nothing if the request can be served, otherwise the first field that stands in the way.
std::optional<InvalidField> validate(const Request& request);

/// The defaults filled in (strides, qmax), so that kernels need not know of them. The request must be valid.
Request resolved(const Request& request);

// --- derived sizes; the request must be valid --------------------------------------------------------------------

std::size_t element_size(Element element);  ///< bytes
float format_max(Format format);            ///< largest finite magnitude: 127, 448, 57344, 240, 57344
bool is_fp8(Format format);

std::int64_t groups_per_row(const Request& request);  ///< ceil(hidden_size / group_size)
/// 1, num_tokens, hidden_size or num_tokens * groups; 0 where there are no tokens, whatever the granularity.
std::int64_t num_scales(const Request& request);
std::size_t scale_size(const Request& request);  ///< bytes of one stored scale: 4, or 1 for UE8M0

/// Where the scale of element (token, channel) is stored, counted in scales.
std::int64_t scale_index(const Request& request, std::int64_t token, std::int64_t channel);

// From the first element of the first row to the last of the last: what is skipped after the last row is no part of it.
std::size_t input_bytes(const Request& request);
std::size_t codes_bytes(const Request& request);
std::size_t scales_bytes(const Request& request);
std::size_t zero_points_bytes(const Request& request);  ///< int32 each, 0 unless asymmetric

/// The least bytes that must move through memory: input once, codes once, scales (and zero points) once.
struct Traffic {
  std::uint64_t read = 0;
  std::uint64_t written = 0;
};
Traffic minimal_traffic(const Request& request);

// --- names: the same words on the command line, in result files and in messages -----------------------------------

std::string_view to_string(Element element);                              ///< half, bfloat16, float
std::string_view to_string(Format format);                                ///< int8, fp8_e4m3fn, ...
std::string_view to_string(ScaleFormat format);                           ///< float, ue8m0_float, ue8m0
std::string_view to_string(ScaleLayout layout);                           ///< row, column
std::string to_string(Granularity granularity, std::int64_t group_size);  ///< tensor, token, channel, group:G

std::optional<Element> parse_element(std::string_view name);
std::optional<Format> parse_format(std::string_view name);  ///< also "fp8" for fp8_e4m3fn
std::optional<ScaleFormat> parse_scale_format(std::string_view name);
std::optional<ScaleLayout> parse_scale_layout(std::string_view name);

/// The operation in a few words, as the table shows it: "dynamic token", "static tensor", "dynamic group:128 ue8m0".
std::string operation_name(const Request& request);

/// A scheme as users choose one: the table that `kqbench list` prints and `kqbench verify` walks.
struct Scheme {
  std::string_view name;  ///< "dynamic token"
  Granularity granularity;
  bool static_scale;
  bool asymmetric;
  bool fp8;   ///< served for fp8 codes
  bool int8;  ///< served for int8 codes
  std::string_view scale_formula;
  std::string_view code_formula;
};
std::span<const Scheme> schemes();

}  // namespace kq
