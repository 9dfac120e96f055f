// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// One description of a piece of work, the only one: which element becomes which format, what shares a scale, how the
/// scale is found and stored, and the shape and strides of the tensors. Everything that runs, checks, prints or stores
/// a request starts from this struct, and `validate` is the one place that says what is allowed.

#include <compare>
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
enum class Format : std::uint8_t { int8, fp8_e4m3fn, fp8_e5m2, fp8_e4m3fnuz, fp8_e5m2fnuz, fp4_e2m1 };

/// What shares one scale (a span): the whole tensor, one token (row), one channel (column), `group_size` consecutive
/// elements of a row, or a block of `block_rows` rows by `group_size` columns. The last group or block of a row or
/// column is short where that is no multiple of it.
enum class Granularity : std::uint8_t { tensor, token, channel, group, block };

/// How the scale of a group or block is rounded and stored: float32 as computed; raised to a power of two and stored as
/// float32; raised and stored as the 8-bit exponent (UE8M0); or as E4M3, which a scale of the whole tensor multiplies
/// (NVFP4, of codes fp4_e2m1 only).
enum class ScaleFormat : std::uint8_t { float32, ue8m0_float32, ue8m0, e4m3 };

/// How a group's scale becomes a power of two. All but `quotient` are for OCP's MX formats: the exponent is amax's less
/// that of the format's largest number, rounded on amax's bits (docs/numerics.md).
///
///   quotient  amax / qmax is raised to the next power of two
///   rceil     up: the least exponent for which amax is within the format's range
///   floor     down to amax's power of two: the largest elements saturate
///   even      amax is rounded to the format's mantissa bits, ties up, then down to its power of two
///   ceil      up to amax's next power of two
///
/// Of E4M3 scales of groups of 16, Transformer Engine's "4 over 6" (dialect te-d0067d0 only): amax becomes 6 or 4,
/// whichever leaves the lesser error.
///
///   four_over_six_mae_448  by the sum of absolute errors; scales reach up to 448
///   four_over_six_mse_256  by the sum of squared errors; scales are made for 256
enum class ScaleRounding : std::uint8_t {
  quotient,
  rceil,
  floor,
  even,
  ceil,
  four_over_six_mae_448,
  four_over_six_mse_256
};

/// Where the scales of groups and blocks lie. They are [rows, columns]: a row for each token or row of blocks, a column
/// for each group or block of a row. Scale (t, g) is scale number
///
///   row             t * columns + g
///   column          g * stride + t; the stride is `scale_stride` or, where that is 0, the rows
///   column_aligned  g * stride + t; the stride is the rows, rounded up so that a column is a multiple of 16 bytes
///   packed          ((g / 4) * rows4 + t) * 4 + g % 4: UE8M0 only, four to an int32; rows4 is the rows, rounded up to
///                   4
///   swizzled_128x4  ((t / 128) * columns4 + g / 4) * 512 + (t % 32) * 16 + ((t / 32) % 4) * 4 + g % 4: scales of one
///                   byte only, in tiles of 128 rows by 4 columns; columns4 is ceil(columns / 4)
///   swizzled_8x4    ((t / 8) * columns4 + g / 4) * 32 + (t % 8) * 4 + g % 4: those of tiles of 8 by 4
///   shuffled_32x8   ((t / 32) * columns8 + g / 8) * 256 + (g % 4) * 64 + (t % 16) * 4 + (g % 8) / 4 * 2 +
///                   (t % 32) / 16: those of tiles of 32 by 8, as AITER shuffles them; columns8 is ceil(columns / 8),
///                   and the rows are rounded up to a multiple of 256
///
/// Where a layout has room for scales that no span has, dynamic schemes write 0, except that column leaves it alone;
/// static schemes do not look at it.
enum class ScaleLayout : std::uint8_t {
  row,
  column,
  column_aligned,
  packed,
  swizzled_128x4,
  swizzled_8x4,
  shuffled_32x8
};

/// Whose arithmetic: kqbench's own or that of an engine at one version (kq/dialect.hpp has the table).
enum class Dialect : std::uint8_t {
  kqbench,
  vllm_0_33_0,
  vllm_0_33_0_torch,
  sglang_0_5_23,
  deepgemm_54e2261,
  te_d0067d0,
  te_kernels,
  flashinfer_trtllm_kernels,
  torchao_36027d8,
  torchao_0_18_0,
  aiter_e404860,
  compressed_tensors_0_20_1,
};

/// What makes the values that are quantized. T is the element's type, T(v) rounds to it; float arithmetic in the order
/// written, one rounding an operation (docs/numerics.md, "Producers").
///
///   none          x
///   rms_norm      T((x * r) * weight), r = 1 / sqrt(mean of x^2 over the token + eps)
///   add_rms_norm  z = T(x + residual) is stored as residual_out, and normed in x's place
///   silu_mul      T(T(gate / (1 + e^-gate)) * up), of an input whose rows are gate and then up
///
/// A fused operation gives the bytes of its steps run one after the other.
enum class Producer : std::uint8_t { none, rms_norm, add_rms_norm, silu_mul };

/// What a producer reads beside a row of numbers for each row of values.
struct ProducerFacts {
  Producer producer;
  std::string_view name;
  int input_parts;    ///< numbers of a row of the input for each value: 2 where it is gate and then up
  bool has_norm;      ///< it takes the root of a mean of squares, and so a weight and eps
  bool has_residual;  ///< it adds a residual, and stores the sum
};

/// A request to quantize [num_tokens, hidden_size] values, which are an input or what a producer makes of it.
struct Request {
  Element element = Element::half;
  Format format = Format::int8;
  Granularity granularity = Granularity::tensor;
  bool static_scale = false;  ///< the scale is given, not computed
  bool asymmetric = false;    ///< int8 with a zero point per span

  std::int64_t num_tokens = 0;    ///< may be 0: then there is nothing to do, and no address is looked at
  std::int64_t hidden_size = 0;   ///< 1 or more
  std::int64_t input_stride = 0;  ///< elements from one row to the next; 0: input_columns()
  std::int64_t codes_stride = 0;  ///< codes from one row to the next, even for 4-bit codes; 0: codes_columns()

  std::int64_t group_size = 0;    ///< columns that share a scale, granularities group and block only
  std::int64_t block_rows = 0;    ///< rows that share a scale, granularity block only
  std::int64_t scale_stride = 0;  ///< from one column of scales to the next, layout column only; 0: as many as rows
  ScaleFormat scale_format = ScaleFormat::float32;
  ScaleLayout scale_layout = ScaleLayout::row;
  ScaleRounding scale_rounding = ScaleRounding::quotient;  ///< dynamic groups with scale format ue8m0 or e4m3 only
  /// What the scales of scale format e4m3 are multiplied by, dynamic schemes only: g of docs/numerics.md, whose
  /// reciprocal is stored as the tensor's scale; 0: found from the tensor. (For dialect torchao and "4 over 6" it is
  /// another number: docs/dialects.md.)
  float global_scale = 0.0f;

  float qmax = 0.0f;  ///< bound of a code's magnitude; 0: the format's largest
  /// Upper bound of amax, dynamic token fp8 only (and groups behind a producer of dialect vllm, where it bounds the
  /// scale if that producer is silu_mul); infinity: none.
  float scale_ub = std::numeric_limits<float>::infinity();

  Dialect dialect = Dialect::kqbench;

  Producer producer = Producer::none;
  float eps = 0.0f;                  ///< added to the mean of squares, producers that norm only; 0: 1e-6
  std::int64_t residual_stride = 0;  ///< elements from one row of residual and residual_out to the next, producer
                                     ///< add_rms_norm only; 0: hidden_size

  /// By every member, in their order: requests can be keys of a map.
  auto operator<=>(const Request&) const = default;
};

/// Why a request is not valid: the field's name as on the command line without dashes ("group_size"), and what is wrong
/// and what to do, in one line.
struct InvalidField {
  std::string field;
  std::string reason;
};

/// Nothing if the request can be served, otherwise the first field that stands in the way.
std::optional<InvalidField> validate(const Request& request);

/// Why a valid request cannot be quantized in parts whose extremes are combined; nothing if it can. Dynamic tensor and
/// token scales without a producer can: a tensor scale from any parts that make up the tensor, token scales from parts
/// that have all tokens and some of the columns each.
std::optional<InvalidField> why_not_sharded(const Request& request);

/// The defaults filled in (strides, qmax, eps), so that kernels need not know of them. The request must be valid.
Request resolved(const Request& request);

/// The request that is left once a producer has stored its values: input_stride and element are those of the values.
/// It keeps its producer, which says how the values were made, and no more. The request is valid and resolved.
Request quantizer_of(const Request& request);

// --- derived sizes; the request must be valid --------------------------------------------------------------------

/// All formats.
std::span<const Format> formats();

std::size_t element_size(Element element);  ///< bytes
float format_max(Format format);            ///< largest finite magnitude: 127, 448, 57344, 240, 57344, 6
bool is_fp8(Format format);
int code_bits(Format format);  ///< 8, or 4: two codes per byte, the even column in the low half

/// Bytes that so many codes of a row take. The last of an odd number of 4-bit codes has a byte whose high half is 0.
std::int64_t codes_row_bytes(Format format, std::int64_t codes);

/// Columns of codes that a row has room for: hidden_size, rounded up to whole bytes.
std::int64_t codes_columns(const Request& request);

/// Whether the scales of groups are multiplied by one of the tensor: scale format e4m3.
bool has_global_scale(const Request& request);

/// Whether that scale is found from the tensor: in a dynamic scheme, where none is given.
bool finds_global_scale(const Request& request);

/// Whether scales are exponents that are rounded on amax's bits, as MX has them.
bool is_mx(const Request& request);

/// Whether E4M3 scales are chosen of two, "4 over 6".
bool is_four_over_six(const Request& request);

/// Whether a layout is one of tiles, which scales of one byte have: swizzled or shuffled.
bool is_tiled(ScaleLayout layout);

/// All producers but none.
std::span<const ProducerFacts> producers();

int input_parts(Producer producer);
bool has_norm(Producer producer);
bool has_residual(Producer producer);

/// Elements of a row of the input: input_parts times hidden_size.
std::int64_t input_columns(const Request& request);

/// The type of the values that are quantized: the element's, or float where an engine's kernel rounds to no other.
Element value_element(const Request& request);

/// Bytes of all values, row after row.
std::size_t values_bytes(const Request& request);

/// Whether spans are pieces of rows, or made of such: groups and blocks. Only these have a group_size, a scale format
/// and a scale layout.
bool has_groups(Granularity granularity);

std::int64_t rows_per_scale(const Request& request);     ///< num_tokens, 1 or block_rows
std::int64_t columns_per_scale(const Request& request);  ///< hidden_size, 1 or group_size
std::int64_t groups_per_row(const Request& request);     ///< ceil(hidden_size / group_size)
/// Rows of scales: 1, num_tokens, or ceil(num_tokens / block_rows); 0 where there are no tokens.
std::int64_t scale_rows(const Request& request);
/// 1, num_tokens, hidden_size or scale_rows * groups_per_row; 0 where there are no tokens, whatever the granularity.
std::int64_t num_scales(const Request& request);
std::size_t scale_size(const Request& request);  ///< bytes of one stored scale: 4, or 1 for UE8M0 and E4M3

/// Where the scale of element (token, channel) is stored, counted in scales.
std::int64_t scale_index(const Request& request, std::int64_t token, std::int64_t channel);

/// Scales from one column of them to the next; layouts column and column_aligned only.
std::int64_t scale_column_stride(const Request& request);

/// Scales that there is room for from the first to the last, gaps and padding included.
std::int64_t stored_scales(const Request& request);

/// Rows and columns of scales with those that a layout pads them by.
std::int64_t padded_scale_rows(const Request& request);
std::int64_t padded_scale_columns(const Request& request);

/// The parts of the stored scales that a dynamic scheme writes: `count` runs of `size` scales, which begin `step`
/// apart.
struct ScaleRuns {
  std::int64_t count;
  std::int64_t size;
  std::int64_t step;
};
ScaleRuns scale_runs(const Request& request);

// From the first element of the first row to the last of the last: what is skipped after the last row is no part of it.
std::size_t input_bytes(const Request& request);
std::size_t codes_bytes(const Request& request);
std::size_t scales_bytes(const Request& request);       ///< of stored_scales
std::size_t zero_points_bytes(const Request& request);  ///< int32 each, 0 unless asymmetric

/// The least bytes that must move through memory: what is read and what is written, each once. Values that a producer
/// makes need not move.
struct Traffic {
  std::uint64_t read = 0;
  std::uint64_t written = 0;

  std::uint64_t total() const { return read + written; }
};
Traffic minimal_traffic(const Request& request);

// --- names: the same words on the command line, in result files and in messages -----------------------------------

/// What to_string gives for a value that is none of an enumeration's.
inline constexpr std::string_view unknown_name = "unknown";

std::string_view to_string(Element element);         ///< half, bfloat16, float
std::string_view to_string(Format format);           ///< int8, fp8_e4m3fn, ...
std::string_view to_string(ScaleFormat format);      ///< float, ue8m0_float, ue8m0, e4m3
std::string_view to_string(ScaleLayout layout);      ///< row, column, column_aligned, packed, ...
std::string_view to_string(ScaleRounding rounding);  ///< quotient, rceil, floor, even, ceil, ...
std::string_view to_string(Dialect dialect);         ///< kqbench, vllm-0.33.0, ...
std::string_view to_string(Producer producer);       ///< none, rms_norm, ...
std::string to_string(Granularity granularity, std::int64_t group_size,
                      std::int64_t block_rows = 0);  ///< tensor, token, channel, group:G, block:MxN

std::optional<Element> parse_element(std::string_view name);
std::optional<Format> parse_format(std::string_view name);  ///< also "fp8" for fp8_e4m3fn
std::optional<ScaleFormat> parse_scale_format(std::string_view name);
std::optional<ScaleLayout> parse_scale_layout(std::string_view name);
std::optional<ScaleRounding> parse_scale_rounding(std::string_view name);
std::optional<Producer> parse_producer(std::string_view name);
/// Also short names, which mean the newest version: "vllm-0.33", "vllm".
std::optional<Dialect> parse_dialect(std::string_view name);

/// What shares a scale, with its sizes: members of a Request.
struct GranularityChoice {
  Granularity granularity = Granularity::tensor;
  std::int64_t group_size = 0;  ///< columns of a group or block
  std::int64_t block_rows = 0;  ///< rows of a block
  bool operator==(const GranularityChoice&) const = default;
};

/// "tensor", "token", "channel", "group:G" or "block:MxN", all of the text. Whether the sizes are allowed is for
/// validate() to say.
std::optional<GranularityChoice> parse_granularity(std::string_view text);

/// The operation in a few words, as the table shows it: "dynamic token", "static tensor", "dynamic group:128 ue8m0",
/// "dynamic token vllm-0.33.0".
std::string operation_name(const Request& request);

/// A scheme as users choose one: the table that `kqbench list` prints and `kqbench verify` walks.
struct Scheme {
  std::string_view name;  ///< "dynamic token"
  Granularity granularity;
  bool static_scale;
  bool asymmetric;
  bool fp8;   ///< served for fp8 codes
  bool int8;  ///< served for int8 codes
  bool fp4;   ///< served for fp4 codes
  std::string_view scale_formula;
  std::string_view code_formula;
};
std::span<const Scheme> schemes();

/// Whether a scheme is served for codes of a format.
bool serves(const Scheme& scheme, Format format);

/// A scheme that has a name of its own: values of a request's members.
struct NamedScheme {
  std::string_view name;  ///< "mxfp8"
  Format format;
  std::int64_t group_size;
  ScaleFormat scale_format;
  ScaleRounding scale_rounding;
  ScaleLayout scale_layout;
  std::string_view description;
};
std::span<const NamedScheme> named_schemes();  ///< mxfp8, mxfp4, nvfp4, deepgemm

/// The request with the members of a named scheme, a group of a row.
Request with_scheme(const Request& request, const NamedScheme& scheme);

}  // namespace kq
