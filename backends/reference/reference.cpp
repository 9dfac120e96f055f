// SPDX-License-Identifier: Apache-2.0

// docs/numerics.md, line by line. Slow on purpose wherever speed would cost obviousness: every step is a loop of its
// own, every element looks up its scale, and every formula is written where the document has it. Nothing but
// kq/request.hpp is shared with the implementations that are judged by it.

#include "backends/reference/reference.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <thread>
#include <vector>

#include "backends/reference/definitions.hpp"
#include "backends/reference/dialects.hpp"
#include "backends/reference/producers.hpp"
#include "backends/reference/span.hpp"
#include "backends/reference/threads.hpp"

namespace kqbench {
namespace {

using kq::Format;
using kq::Granularity;
using kq::Request;
using kq::ScaleFormat;
using reference_detail::at_most_largest;
using reference_detail::e4m3;
using reference_detail::ElementReader;
using reference_detail::for_each_row;
using reference_detail::Fp8Encoder;
using reference_detail::rne;
using reference_detail::Span;

std::int64_t sat_int8(std::int64_t v, float qmax) {
  const auto high = static_cast<std::int64_t>(qmax);
  return std::clamp(v, -high - 1, high);
}

float sat_fp8(float v, float qmax) {
  return std::isnan(v) ? v : std::clamp(v, -qmax, qmax);
}

/// The scale raised to the next power of two; exact powers stay.
float next_power_of_two(float scale) {
  if (std::isinf(scale)) return scale;
  int exponent = 0;
  const double fraction = std::frexp(static_cast<double>(scale), &exponent);  // in [0.5, 1)
  return static_cast<float>(std::ldexp(1.0, fraction == 0.5 ? exponent - 1 : exponent));
}

/// The 8-bit exponent of a power of two, biased by 127; 255, which is NaN, for infinity and NaN.
std::uint8_t ue8m0(float power_of_two) {
  return std::isfinite(power_of_two) ? static_cast<std::uint8_t>(std::ilogb(power_of_two) + 127) : 255;
}

// --- the column "scale" ----------------------------------------------------------------------------------------------

/// MX: the power of two of a block; NaN where it has none.
///
/// With e the exponent of amax's power of two and p that of the format's largest number M, it is e - p: for rceil one
/// more where M at that scale does not reach amax, for ceil one more where amax is no power of two, and for even that
/// of amax rounded to the format's mantissa bits, half away from zero. At least -127.
float mx_scale(const Request& request, const Span& span) {
  const double amax = span.amax;
  if (span.has_nan || std::isinf(span.amax)) return std::numeric_limits<float>::quiet_NaN();
  if (amax == 0.0) return std::ldexp(1.0f, -127);
  const auto largest = static_cast<double>(kq::format_max(request.format));
  const int p = std::ilogb(largest);
  int e = std::ilogb(amax);
  switch (request.scale_rounding) {
    case kq::ScaleRounding::quotient:
    case kq::ScaleRounding::floor:
    case kq::ScaleRounding::four_over_six_mae_448:
    case kq::ScaleRounding::four_over_six_mse_256:
      break;
    case kq::ScaleRounding::rceil:
      if (amax > std::ldexp(largest, e - p)) ++e;
      break;
    case kq::ScaleRounding::ceil:
      if (amax > std::ldexp(1.0, e)) ++e;
      break;
    case kq::ScaleRounding::even: {
      const int mantissa_bits = reference_detail::definition(request.format).mantissa_bits;
      const double units = std::floor(std::ldexp(amax, mantissa_bits - e) + 0.5);
      e += units >= std::ldexp(2.0, mantissa_bits) ? 1 : 0;
      if (e == 128) return std::numeric_limits<float>::quiet_NaN();
      break;
    }
  }
  return static_cast<float>(std::ldexp(1.0, std::max(e - p, -127)));
}

/// NVFP4: g of a tensor whose largest magnitude is `amax`.
float nvfp4_global(float amax) {
  return amax == 0.0f ? 1.0f : std::min(448.0f * 6.0f / amax, std::numeric_limits<float>::max());
}

constexpr float S_MIN = 1.0f / (448.0f * 512.0f);

/// The smallest normal number, the least scale of a span that is not all zero.
constexpr float S_LEAST = std::numeric_limits<float>::min();

/// `max((max - min) / 255, 2^-126)`, `zp = rne(-128 - min / scale)`; a constant span is widened to hold 0.
void set_asymmetric_scale(const Request& request, Span& span) {
  float min = span.min;
  float max = span.max;
  const bool no_number_at_all = min > max;
  if (no_number_at_all) min = max = 0.0f;
  if (min == max) {
    min = std::min(min, 0.0f);
    max = std::max(max, 0.0f);
  }
  if (min == 0.0f && max == 0.0f) {
    span.scale = 1.0f;
    span.zero_point = 0;
    return;
  }
  span.scale = std::max((max - min) / (2.0f * request.qmax + 1.0f), S_LEAST);
  span.zero_point = rne(-(request.qmax + 1.0f) - min / span.scale);
}

void set_scale(const Request& request, Span& span) {
  const float amax = span.amax;
  const float qmax = request.qmax;
  const bool int8 = request.format == Format::int8;
  if (request.dialect != kq::Dialect::kqbench) {
    reference_detail::set_dialect_scale(request, span);
  } else if (request.asymmetric) {
    set_asymmetric_scale(request, span);
  } else if (kq::is_mx(request)) {
    span.scale = mx_scale(request, span);
  } else if (request.scale_format == ScaleFormat::e4m3) {
    const float one_sixth = 1.0f / 6.0f;
    const float scale = at_most_largest(span.amax * (span.global_scale * one_sixth));
    span.scale = e4m3(span.has_nan ? std::numeric_limits<float>::quiet_NaN() : scale);
  } else if (kq::has_groups(request.granularity)) {
    span.scale = std::max(amax, 1e-10f) / qmax;
    if (request.scale_format != ScaleFormat::float32) span.scale = next_power_of_two(span.scale);
  } else if (int8) {
    span.scale = amax == 0.0f ? 0.0f : std::max(amax / qmax, S_LEAST);
  } else if (request.granularity == Granularity::token || request.granularity == Granularity::channel) {
    span.scale = std::max(std::min(amax, request.scale_ub) / qmax, S_MIN);
  } else {
    span.scale = amax == 0.0f ? S_MIN : std::max(amax / qmax, S_LEAST);
  }
}

// --- the column "code" -----------------------------------------------------------------------------------------------

std::int8_t int8_code(const Request& request, float x, const Span& span) {
  const float qmax = request.qmax;
  std::int64_t rounded = 0;
  if (request.asymmetric) {
    rounded = std::int64_t{rne(x * (1.0f / span.scale))} + span.zero_point;
  } else if (request.static_scale || kq::has_groups(request.granularity)) {
    rounded = rne(x / span.scale);
  } else {
    const float inv = span.amax == 0.0f ? 0.0f : qmax / std::max(span.amax, qmax * S_LEAST);
    rounded = rne(x * inv);
  }
  return static_cast<std::int8_t>(sat_int8(rounded, qmax));
}

std::uint8_t fp8_code(const Request& request, const Fp8Encoder& fp8, float x, const Span& span) {
  if (request.scale_format == ScaleFormat::e4m3) {
    const float v = x * at_most_largest(1.0f / (span.scale * span.tensor_scale));
    return fp8(sat_fp8(v, 6.0f), std::signbit(x));
  }
  const bool by_reciprocal = request.static_scale || request.granularity == Granularity::tensor;
  const float v = by_reciprocal ? x * (1.0f / span.scale) : x / span.scale;
  return fp8(sat_fp8(v, request.qmax), std::signbit(x));
}

// --- a whole request -------------------------------------------------------------------------------------------------

float stored_scale(const Request& request, const void* scales, std::int64_t index) {
  if (request.scale_format == ScaleFormat::e4m3) {
    const auto e4m3_format = reference_detail::definition(Format::fp8_e4m3fn);
    return static_cast<float>(decode(e4m3_format, static_cast<const std::uint8_t*>(scales)[index]));
  }
  if (request.scale_format != ScaleFormat::ue8m0) return static_cast<const float*>(scales)[index];
  const int exponent = static_cast<const std::uint8_t*>(scales)[index];
  if (exponent == 255) return std::numeric_limits<float>::quiet_NaN();
  return static_cast<float>(std::ldexp(1.0, exponent - 127));
}

void store_scale(const Request& request, float scale, void* scales, std::int64_t index) {
  if (request.scale_format == ScaleFormat::ue8m0) {
    static_cast<std::uint8_t*>(scales)[index] = ue8m0(scale);
  } else if (request.scale_format == ScaleFormat::e4m3) {
    static const Fp8Encoder encoder(Format::fp8_e4m3fn);
    static_cast<std::uint8_t*>(scales)[index] = encoder(scale, false);
  } else {
    static_cast<float*>(scales)[index] = scale;
  }
}

/// Calls work(i) for the number of every scale in memory, gaps and padding left out.
template <class Work>
void for_each_scale(const Request& request, const Work& work) {
  for (std::int64_t token = 0; token < request.num_tokens; token += kq::rows_per_scale(request)) {
    for (std::int64_t channel = 0; channel < request.hidden_size; channel += kq::columns_per_scale(request)) {
      work(kq::scale_index(request, token, channel));
    }
  }
}

/// A Span for each scale that there is room for, in the order in which scales are stored.
std::vector<Span> spans_of(const Request& request) {
  return std::vector<Span>(static_cast<std::size_t>(kq::stored_scales(request)));
}

/// What is known of all elements.
Span whole_tensor(int threads, const Request& request, const ElementReader& element, const void* input) {
  std::vector<Span> rows(static_cast<std::size_t>(request.num_tokens));
  for_each_row(threads, request.num_tokens, [&](std::int64_t token) {
    Span row;
    for (std::int64_t channel = 0; channel < request.hidden_size; ++channel) {
      row.add(element(input, token * request.input_stride + channel));
    }
    rows[static_cast<std::size_t>(token)] = row;
  });
  Span all;
  for (const Span& row : rows) {
    all.add(row);
  }
  return all;
}

/// What the scales of a tensor are multiplied by: given, or from the tensor.
float global_scale_of(int threads, const Request& request, const ElementReader& element, const void* input) {
  if (request.global_scale != 0.0f) return request.global_scale;
  const float amax = whole_tensor(threads, request, element, input).amax;
  return request.dialect == kq::Dialect::kqbench ? nvfp4_global(amax)
                                                 : reference_detail::dialect_global_scale(request, amax);
}

/// Sets the scales of a token's groups that are chosen by their elements.
void choose_scales(const Request& request, const ElementReader& element, const void* input, std::int64_t token,
                   std::vector<Span>& spans) {
  for (std::int64_t first = 0; first < request.hidden_size; first += request.group_size) {
    std::vector<float> elements;
    for (std::int64_t channel = first; channel < std::min(first + request.group_size, request.hidden_size); ++channel) {
      elements.push_back(element(input, token * request.input_stride + channel));
    }
    Span& span = spans[static_cast<std::size_t>(kq::scale_index(request, token, first))];
    reference_detail::choose_dialect_scale(request, span, elements);
  }
}

std::vector<Span> dynamic_spans(int threads, const Request& request, const ElementReader& element, const void* input) {
  std::vector<Span> spans = spans_of(request);
  const auto add = [&](std::int64_t token, std::int64_t channel) {
    const std::int64_t index = kq::scale_index(request, token, channel);
    spans[static_cast<std::size_t>(index)].add(element(input, token * request.input_stride + channel));
  };
  if (request.granularity == Granularity::tensor) {
    spans[0] = whole_tensor(threads, request, element, input);
  } else if (request.granularity == Granularity::channel) {
    // Threads share out columns, since a span is one: strips of several, so that they find their rows in their caches.
    constexpr std::int64_t strip = 64;
    for_each_row(threads, (request.hidden_size + strip - 1) / strip, [&](std::int64_t i) {
      for (std::int64_t token = 0; token < request.num_tokens; ++token) {
        for (std::int64_t channel = i * strip; channel < std::min((i + 1) * strip, request.hidden_size); ++channel) {
          add(token, channel);
        }
      }
    });
  } else {
    // Threads share out rows of spans: tokens, or as many as a block has.
    for_each_row(threads, kq::scale_rows(request), [&](std::int64_t row) {
      const std::int64_t rows = kq::rows_per_scale(request);
      for (std::int64_t token = row * rows; token < std::min((row + 1) * rows, request.num_tokens); ++token) {
        for (std::int64_t channel = 0; channel < request.hidden_size; ++channel) {
          add(token, channel);
        }
      }
    });
  }
  if (kq::has_global_scale(request)) {
    const float global_scale = global_scale_of(threads, request, element, input);
    const float tensor_scale = request.dialect == kq::Dialect::kqbench
                                   ? 1.0f / global_scale
                                   : reference_detail::dialect_tensor_scale(request, global_scale);
    for (Span& span : spans) {
      span.global_scale = global_scale;
      span.tensor_scale = tensor_scale;
    }
  }
  if (kq::is_four_over_six(request)) {
    for_each_row(threads, request.num_tokens,
                 [&](std::int64_t token) { choose_scales(request, element, input, token, spans); });
    return spans;
  }
  for_each_scale(request, [&](std::int64_t i) { set_scale(request, spans[static_cast<std::size_t>(i)]); });
  return spans;
}

std::vector<Span> given_spans(const Request& request, const Operands& operands) {
  const void* const scales = operands.scales;
  std::vector<Span> spans = spans_of(request);
  for_each_scale(request, [&](std::int64_t i) {
    Span& span = spans[static_cast<std::size_t>(i)];
    span.scale = stored_scale(request, scales, i);
    if (request.asymmetric) span.zero_point = operands.zero_points[i];
    if (kq::has_global_scale(request)) span.tensor_scale = *operands.global_scale;
  });
  return spans;
}

void store_scales(const Request& request, const std::vector<Span>& spans, const Operands& operands) {
  void* const scales = operands.scales;
  if (kq::has_global_scale(request)) *operands.global_scale = spans[0].tensor_scale;
  const bool padded_with_zeros =
      request.scale_layout != kq::ScaleLayout::row && request.scale_layout != kq::ScaleLayout::column;
  if (padded_with_zeros) std::memset(scales, 0, kq::scales_bytes(request));
  for_each_scale(request, [&](std::int64_t i) {
    const Span& span = spans[static_cast<std::size_t>(i)];
    store_scale(request, span.scale, scales, i);
    if (request.asymmetric) operands.zero_points[i] = span.zero_point;
  });
}

/// A code of four bits as number `index`: an even one in the low half of its byte, whose other half it sets to 0.
void store_half_byte(std::uint8_t code, void* codes, std::int64_t index) {
  std::uint8_t& byte = static_cast<std::uint8_t*>(codes)[index / 2];
  byte = static_cast<std::uint8_t>(index % 2 == 0 ? code : byte | code << 4);
}

void quantize(int threads, const Request& given, const Operands& operands) {
  if (given.num_tokens == 0) return;
  Request request = given;
  if (operands.scale_ub != nullptr) request.scale_ub = *operands.scale_ub;
  const ElementReader element(request.element);
  const auto spans =
      request.static_scale ? given_spans(request, operands) : dynamic_spans(threads, request, element, operands.input);
  if (!request.static_scale) store_scales(request, spans, operands);

  std::optional<Fp8Encoder> fp8;
  if (request.format != Format::int8) fp8.emplace(request.format);
  for_each_row(threads, request.num_tokens, [&](std::int64_t token) {
    for (std::int64_t channel = 0; channel < request.hidden_size; ++channel) {
      const float x = element(operands.input, token * request.input_stride + channel);
      const Span& span = spans[static_cast<std::size_t>(kq::scale_index(request, token, channel))];
      const std::int64_t index = token * request.codes_stride + channel;
      if (request.format == Format::fp4_e2m1) {
        const std::uint8_t code = request.dialect == kq::Dialect::kqbench
                                      ? fp8_code(request, *fp8, x, span)
                                      : reference_detail::dialect_code(request, &*fp8, x, span);
        store_half_byte(code, operands.codes, index);
      } else if (request.dialect != kq::Dialect::kqbench) {
        static_cast<std::uint8_t*>(operands.codes)[index] =
            reference_detail::dialect_code(request, fp8 ? &*fp8 : nullptr, x, span);
      } else if (request.format == Format::int8) {
        static_cast<std::int8_t*>(operands.codes)[index] = int8_code(request, x, span);
      } else {
        static_cast<std::uint8_t*>(operands.codes)[index] = fp8_code(request, *fp8, x, span);
      }
    }
  });
}

/// The producer's steps, if there are any, and then the quantizer's.
void run(int most_threads, const Request& request, const Operands& operands) {
  const int threads = reference_detail::useful_threads(most_threads, request);
  if (request.producer == kq::Producer::none || request.num_tokens == 0) return quantize(threads, request, operands);
  const std::vector<std::byte> values = reference_detail::produce(threads, request, operands);
  Operands quantized = operands;
  quantized.input = values.data();
  quantize(threads, kq::quantizer_of(request), quantized);
}

// --- dequantization --------------------------------------------------------------------------------------------------

/// `decode(q)` or, for int8, `q - zp`, in float.
float decoded(const Request& request, const void* codes, std::int64_t index, std::int32_t zero_point) {
  if (request.format != Format::int8) {
    const auto* const bytes = static_cast<const std::uint8_t*>(codes);
    const bool halves = request.format == Format::fp4_e2m1;
    const std::uint8_t code =
        halves ? static_cast<std::uint8_t>(bytes[index / 2] >> 4 * (index % 2) & 15) : bytes[index];
    return static_cast<float>(decode(reference_detail::definition(request.format), code));
  }
  const double difference = static_cast<double>(static_cast<const std::int8_t*>(codes)[index]) - zero_point;  // exact
  return static_cast<float>(difference);
}

class ReferenceImplementation final : public Implementation {
 public:
  explicit ReferenceImplementation(int threads) : threads_(threads) {}
  std::string_view name() const override { return "reference"; }
  std::string description() const override { return "the definitions, step by step"; }
  std::optional<std::string> unsupported_reason(const Request&) const override { return std::nullopt; }
  std::size_t workspace_bytes(const Request&) const override { return 0; }
  std::optional<int> host_threads() const override { return threads_; }
  void enqueue(const Request& request, const Operands& operands) override { run(threads_, request, operands); }

 private:
  int threads_;
};

}  // namespace

std::unique_ptr<Implementation> make_reference_implementation(int threads) {
  return std::make_unique<ReferenceImplementation>(threads);
}

HostTensors reference(const Request& request, const Operands& given, std::byte padding) {
  const Request r = kq::resolved(request);
  HostTensors outputs;
  Operands operands = given;
  for (const kq::TensorSpec& tensor : kq::tensors(r)) {
    if (tensor.is_source) continue;
    std::vector<std::byte>& bytes = outputs.*tensor.on_host;
    bytes.assign(tensor.bytes(), padding);
    if (!tensor.is_written && !bytes.empty()) std::memcpy(bytes.data(), tensor.get(given), bytes.size());
    tensor.set(operands, bytes.data());
  }
  run(static_cast<int>(std::thread::hardware_concurrency()), r, operands);
  return outputs;
}

std::vector<std::byte> reference_values(const Request& request, const HostTensors& sources) {
  const Request r = kq::resolved(request);
  if (r.producer == kq::Producer::none) return sources.input;
  if (r.num_tokens == 0) return {};
  Operands operands = kq::addresses(sources);
  std::vector<std::byte> residual_out(sources.residual.size());
  operands.residual_out = residual_out.data();
  const int most_threads = static_cast<int>(std::thread::hardware_concurrency());
  return reference_detail::produce(reference_detail::useful_threads(most_threads, r), r, operands);
}

std::vector<float> reference_dequantized(const Request& request, const void* codes, const void* scales,
                                         const std::int32_t* zero_points, const float* global_scale) {
  const Request r = kq::resolved(request);
  std::vector<float> values;
  for (std::int64_t token = 0; token < r.num_tokens; ++token) {
    for (std::int64_t channel = 0; channel < r.hidden_size; ++channel) {
      const std::int64_t span = kq::scale_index(r, token, channel);
      const std::int32_t zero_point = r.asymmetric ? zero_points[span] : 0;
      float scale = stored_scale(r, scales, span);
      if (kq::has_global_scale(r)) scale *= *global_scale;
      values.push_back(decoded(r, codes, token * r.codes_stride + channel, zero_point) * scale);
    }
  }
  return values;
}

}  // namespace kqbench
