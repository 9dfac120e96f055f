// SPDX-License-Identifier: Apache-2.0
#include "tests/support/requests.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <iterator>
#include <limits>
#include <stdexcept>
#include <utility>

#include "bench/tensors/stored_numbers.hpp"
#include "kq/dialect.hpp"
#include "kq/element.hpp"
#include "kq/numerics.hpp"
#include "kq/parameters.hpp"

namespace kqbench::test {
namespace {

/// Random choices, one after the other.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : seed_(seed) {}

  std::uint64_t bits() { return random_bits(seed_, next_++); }
  bool one_in(std::uint64_t n) { return bits() % n == 0; }
  std::int64_t between(std::int64_t least, std::int64_t most) {
    return least + static_cast<std::int64_t>(bits() % static_cast<std::uint64_t>(most - least + 1));
  }
  double fraction() { return static_cast<double>(bits() >> 11) * 0x1p-53; }  ///< [0, 1)
  /// Small numbers as likely as large ones.
  std::int64_t of_any_size(std::int64_t most) {
    return std::clamp<std::int64_t>(std::llround(std::exp2(fraction() * std::log2(static_cast<double>(most) + 1.0))), 1,
                                    most);
  }
  template <class T, std::size_t N>
  T one_of(const T (&choices)[N]) {
    return choices[bits() % N];
  }

 private:
  std::uint64_t seed_;
  std::uint64_t next_ = 0;
};

/// Row lengths at which something ends: vectors, groups, teams' worth of elements.
std::int64_t random_hidden_size(Draw& draw) {
  static constexpr std::int64_t landmarks[] = {8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192};
  if (draw.one_in(2)) return draw.of_any_size(4096);
  return std::max<std::int64_t>(1, draw.one_of(landmarks) + draw.between(-2, 2));
}

float random_qmax(Draw& draw, kq::Format format) {
  if (!draw.one_in(4)) return kq::format_max(format);
  if (format == kq::Format::int8) return static_cast<float>(draw.between(1, 127));
  const float max = kq::format_max(format);
  switch (draw.between(0, 3)) {
    case 0:
      return std::min(224.0f, max);
    case 1:
      return static_cast<float>(draw.between(1, 240));
    case 2:
      return std::max(0x1p-10f, max * static_cast<float>(draw.fraction()));
    default:
      return std::ldexp(1.0f, -static_cast<int>(draw.between(0, 140)));
  }
}

float random_positive(Draw& draw, RandomCase::Scales scales) {
  if (scales == RandomCase::Scales::any) {
    return std::bit_cast<float>(static_cast<std::uint32_t>(draw.between(1, 0x7f7fffff)));
  }
  return static_cast<float>(std::exp2(draw.fraction() * 24.0 - 16.0));
}

std::int32_t random_zero_point(Draw& draw, RandomCase::Scales scales) {
  if (scales != RandomCase::Scales::any) return static_cast<std::int32_t>(draw.between(-128, 127));
  static constexpr std::int32_t landmarks[] = {INT32_MIN, INT32_MIN + 1, -(1 << 24) - 1, -(1 << 21),    -(1 << 21) + 1,
                                               0,         (1 << 21) - 1, 1 << 21,        (1 << 24) + 1, INT32_MAX};
  return draw.one_in(2) ? draw.one_of(landmarks) : static_cast<std::int32_t>(draw.bits());
}

}  // namespace

kq::Request request_of(const kq::Scheme& scheme, kq::Element element, kq::Format format, std::int64_t num_tokens,
                       std::int64_t hidden_size) {
  kq::Request request = row_request(scheme, element, format, num_tokens, hidden_size);
  if (kq::has_groups(scheme.granularity)) request.group_size = 128;
  if (scheme.granularity == kq::Granularity::block) request.block_rows = 128;
  return request;
}

std::vector<kq::Request> requests_of(const kq::Scheme& scheme, kq::Element element, std::int64_t num_tokens,
                                     std::int64_t hidden_size) {
  struct Grouping {
    std::int64_t size;
    kq::ScaleFormat scale_format;
    kq::ScaleLayout layout;
    std::int64_t rows;               ///< of a block
    std::int64_t scale_padding = 0;  ///< scale_stride is so much more than the rows of scales
  };
  static constexpr Grouping groupings[] = {
      {16, kq::ScaleFormat::float32, kq::ScaleLayout::row, 2},
      {64, kq::ScaleFormat::ue8m0_float32, kq::ScaleLayout::row, 1},
      {64, kq::ScaleFormat::float32, kq::ScaleLayout::column, 128},
      {128, kq::ScaleFormat::ue8m0, kq::ScaleLayout::packed, 4},
      {100, kq::ScaleFormat::ue8m0, kq::ScaleLayout::column, 3},
      {128, kq::ScaleFormat::ue8m0, kq::ScaleLayout::row, 128},
      {128, kq::ScaleFormat::float32, kq::ScaleLayout::column_aligned, 1},
      {128, kq::ScaleFormat::ue8m0_float32, kq::ScaleLayout::column, 40},
      {32, kq::ScaleFormat::float32, kq::ScaleLayout::column, 5, 3},
      {16, kq::ScaleFormat::ue8m0, kq::ScaleLayout::packed, 2},
      {1111, kq::ScaleFormat::float32, kq::ScaleLayout::row, 7},
      {64, kq::ScaleFormat::ue8m0, kq::ScaleLayout::column_aligned, 2},
      {512, kq::ScaleFormat::float32, kq::ScaleLayout::row, 16},
  };
  std::vector<kq::Request> requests;
  std::size_t next_grouping = 0;
  for (const kq::Format format : byte_formats()) {
    if (!kq::serves(scheme, format)) continue;
    kq::Request request = request_of(scheme, element, format, num_tokens, hidden_size);
    if (!kq::has_groups(scheme.granularity)) {
      requests.push_back(request);
      continue;
    }
    for (int i = 0; i < 3; ++i) {
      const Grouping& grouping = groupings[next_grouping++ % std::size(groupings)];
      request.group_size = grouping.size;
      request.scale_format = grouping.scale_format;
      request.scale_layout = grouping.layout;
      if (scheme.granularity == kq::Granularity::block) request.block_rows = grouping.rows;
      request.scale_stride = grouping.scale_padding == 0 ? 0 : kq::scale_rows(request) + grouping.scale_padding;
      requests.push_back(request);
    }
  }
  return requests;
}

std::vector<kq::Request> dialect_requests(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size) {
  static constexpr std::int64_t group_sizes[] = {128, 32, 64, 16, 100};
  static constexpr kq::ScaleLayout layouts[] = {kq::ScaleLayout::row, kq::ScaleLayout::column_aligned,
                                                kq::ScaleLayout::packed, kq::ScaleLayout::column};
  std::vector<kq::Request> requests;
  std::size_t of_blocks = 0;  // formats, which have sizes and layouts in turns of their own
  const auto add = [&](const kq::DialectScheme& scheme, kq::Format format, kq::ScaleFormat scale_format,
                       kq::ScaleRounding rounding) {
    kq::Request r = row_request(scheme, element, format, num_tokens, hidden_size);
    r.dialect = scheme.dialect;
    r.scale_rounding = rounding;
    const bool is_block_format = kq::is_mx(r) || format == kq::Format::fp4_e2m1;
    const std::size_t turn = is_block_format ? of_blocks : requests.size() - of_blocks;
    if (kq::has_groups(r.granularity)) {
      r.group_size = group_sizes[turn % std::size(group_sizes)];
      if (format == kq::Format::fp4_e2m1) r.group_size -= r.group_size % 16;
      if (kq::is_four_over_six(r)) r.group_size = 16;
      r.scale_format = scale_format;
      r.scale_layout = layouts[turn % std::size(layouts)];
      const bool may_be_packed = scale_format == kq::ScaleFormat::ue8m0;
      if (r.scale_layout == kq::ScaleLayout::packed && !may_be_packed) r.scale_layout = kq::ScaleLayout::row;
    }
    if (r.granularity == kq::Granularity::block) r.block_rows = 3;
    if (kq::validate(r)) return;
    requests.push_back(r);
    of_blocks += is_block_format ? 1 : 0;
  };
  for (const kq::DialectFacts& facts : kq::dialects()) {
    for (const kq::DialectScheme& scheme : kq::dialect_schemes(facts.dialect)) {
      for (const std::string& format : kq::parameter("quant_dtype").names()) {
        for (const std::string& scale_format : kq::parameter("scale_format").names()) {
          for (const std::string& rounding : kq::parameter("scale_rounding").names()) {
            const auto codes = *kq::parse_format(format);
            const auto scales = *kq::parse_scale_format(scale_format);
            const auto rounded = *kq::parse_scale_rounding(rounding);
            const bool is_there = kq::has_format(scheme, codes) && kq::has_scale_format(scheme, scales) &&
                                  kq::has_scale_rounding(scheme, rounded);
            if (is_there) add(scheme, codes, scales, rounded);
          }
        }
      }
    }
  }
  return requests;
}

namespace {

kq::Request fp4_request(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size) {
  kq::Request request;
  request.element = element;
  request.format = kq::Format::fp4_e2m1;
  request.granularity = kq::Granularity::group;
  request.num_tokens = num_tokens;
  request.hidden_size = hidden_size;
  return request;
}

}  // namespace

kq::Request mxfp4_request(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size) {
  kq::Request request = fp4_request(element, num_tokens, hidden_size);
  request.group_size = 32;
  request.scale_format = kq::ScaleFormat::ue8m0;
  request.scale_rounding = kq::ScaleRounding::rceil;
  return kq::resolved(request);
}

kq::Request nvfp4_request(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size, float global_scale) {
  kq::Request request = fp4_request(element, num_tokens, hidden_size);
  request.group_size = 16;
  request.scale_format = kq::ScaleFormat::e4m3;
  request.global_scale = global_scale;
  return kq::resolved(request);
}

std::vector<kq::Request> block_format_requests(kq::Element element, std::int64_t num_tokens, std::int64_t hidden_size) {
  static constexpr std::int64_t group_sizes[] = {32, 16, 64, 48, 32, 512, 16, 1040};
  static constexpr kq::ScaleLayout layouts[] = {kq::ScaleLayout::row,          kq::ScaleLayout::swizzled_128x4,
                                                kq::ScaleLayout::row,          kq::ScaleLayout::column_aligned,
                                                kq::ScaleLayout::swizzled_8x4, kq::ScaleLayout::column,
                                                kq::ScaleLayout::packed,       kq::ScaleLayout::shuffled_32x8};
  std::vector<kq::Request> requests;
  const auto add = [&](kq::Format format, kq::ScaleFormat scale_format, const auto& change) {
    kq::Request r;
    r.element = element;
    r.format = format;
    r.granularity = kq::Granularity::group;
    r.num_tokens = num_tokens;
    r.hidden_size = hidden_size;
    r.group_size = group_sizes[requests.size() % std::size(group_sizes)];
    if (requests.empty() && format != kq::Format::fp4_e2m1) r.group_size = 20;
    r.scale_format = scale_format;
    r.scale_layout = layouts[requests.size() % std::size(layouts)];
    change(r);
    if (r.scale_layout == kq::ScaleLayout::packed && scale_format != kq::ScaleFormat::ue8m0) {
      r.scale_layout = kq::ScaleLayout::row;
    }
    if (const auto invalid = kq::validate(r)) throw std::logic_error(invalid->field + ": " + invalid->reason);
    requests.push_back(r);
  };
  for (const kq::Format format : {kq::Format::fp8_e4m3fn, kq::Format::fp4_e2m1, kq::Format::fp8_e5m2}) {
    for (const auto rounding :
         {kq::ScaleRounding::rceil, kq::ScaleRounding::floor, kq::ScaleRounding::even, kq::ScaleRounding::ceil}) {
      add(format, kq::ScaleFormat::ue8m0, [&](kq::Request& r) { r.scale_rounding = rounding; });
    }
  }
  for (const std::int64_t group_size : {16, 32, 96}) {
    for (const float global_scale : {0.0f, 700.0f}) {
      add(kq::Format::fp4_e2m1, kq::ScaleFormat::e4m3, [&](kq::Request& r) {
        r.group_size = group_size;
        r.global_scale = global_scale;
      });
    }
  }
  for (const std::int64_t block_rows : {16, 2, 5}) {
    add(kq::Format::fp4_e2m1, kq::ScaleFormat::e4m3, [&](kq::Request& r) {
      r.granularity = kq::Granularity::block;
      r.block_rows = block_rows;
      r.group_size = block_rows == 5 ? 48 : 16;
      r.global_scale = block_rows == 2 ? 700.0f : 0.0f;
    });
  }
  for (const auto scale_format : {kq::ScaleFormat::ue8m0, kq::ScaleFormat::e4m3, kq::ScaleFormat::e4m3}) {
    add(kq::Format::fp4_e2m1, scale_format, [&](kq::Request& r) { r.static_scale = true; });
  }
  return requests;
}

Problem problem_of(const kq::Request& request, std::uint64_t seed, Fill fill) {
  return kqbench::make_problem(request, make_sources(request, seed, fill), {});
}

Problem problem_of(const kq::Request& request, const std::vector<float>& values, float scale, std::int32_t zero_point) {
  const kq::Request r = kq::resolved(request);
  std::vector<std::byte> input(kq::input_bytes(r), std::byte{0xff});
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto token = static_cast<std::int64_t>(i) / r.hidden_size;
    const auto channel = static_cast<std::int64_t>(i) % r.hidden_size;
    std::byte* const place =
        input.data() + static_cast<std::size_t>(token * r.input_stride + channel) * kq::element_size(r.element);
    if (r.element == kq::Element::float32) {
      std::memcpy(place, &values[i], sizeof(float));
    } else {
      const std::uint16_t bits =
          r.element == kq::Element::half ? kq::to_half(values[i]).bits : kq::to_bfloat16(values[i]).bits;
      std::memcpy(place, &bits, sizeof bits);
    }
  }
  return kqbench::make_problem(r, std::move(input), {scale, zero_point});
}

RandomCase random_case(std::uint64_t seed) {
  constexpr std::int64_t most_elements = 1 << 17;
  Draw draw(seed);
  RandomCase random;
  const auto schemes = kq::schemes();
  const kq::Scheme& scheme = schemes[draw.bits() % schemes.size()];
  const std::vector<kq::Format> formats = byte_formats();
  kq::Format format = formats[draw.bits() % formats.size()];
  if (!kq::serves(scheme, format)) format = kq::Format::int8;
  const std::int64_t hidden_size = random_hidden_size(draw);
  const std::int64_t num_tokens =
      std::min(draw.of_any_size(200), std::max<std::int64_t>(1, most_elements / hidden_size));
  kq::Request& r = random.request;
  r = request_of(scheme, draw.one_of(all_elements), format, num_tokens, hidden_size);
  const bool in_dialect = draw.one_in(3);
  if (in_dialect) {
    const std::vector<kq::Request> choices = dialect_requests(r.element, num_tokens, hidden_size);
    r = choices[draw.bits() % choices.size()];
  }
  if (!in_dialect && draw.one_in(4)) {
    r.producer = kq::producers()[draw.bits() % kq::producers().size()].producer;
    if (kq::has_norm(r.producer) && draw.one_in(2)) r.eps = 0x1p-7f;
    if (kq::has_residual(r.producer) && draw.one_in(2)) r.residual_stride = hidden_size + draw.between(0, 40);
  }
  if (draw.one_in(3)) r.input_stride = kq::input_columns(r) + draw.between(0, 40);
  if (draw.one_in(3)) r.codes_stride = hidden_size + draw.between(0, 40);
  const bool four_bits = kq::code_bits(r.format) == 4;
  if (four_bits) r.codes_stride += r.codes_stride % 2;
  if (kq::has_groups(r.granularity)) {
    static constexpr std::int64_t sizes[] = {16, 32, 64, 128, 256};
    r.group_size = draw.one_in(2) ? draw.one_of(sizes) : draw.between(16, 16 + hidden_size);
    if (four_bits) r.group_size -= r.group_size % 16;
    if (kq::is_four_over_six(r)) r.group_size = 16;
    if (!in_dialect) {
      r.scale_format = draw.one_of({kq::ScaleFormat::float32, kq::ScaleFormat::ue8m0_float32, kq::ScaleFormat::ue8m0});
    }
    r.scale_layout =
        draw.one_of({kq::ScaleLayout::row, kq::ScaleLayout::column, kq::ScaleLayout::column_aligned,
                     r.scale_format == kq::ScaleFormat::ue8m0 ? kq::ScaleLayout::packed : kq::ScaleLayout::row});
    if (r.granularity == kq::Granularity::block) r.block_rows = draw.of_any_size(num_tokens + 2);
    if (r.scale_layout == kq::ScaleLayout::column && draw.one_in(3)) {
      r.scale_stride = kq::scale_rows(r) + draw.between(0, 20);
    }
  }
  if (!in_dialect) r.qmax = random_qmax(draw, format);
  const bool has_upper_bound = kq::is_fp8(r.format) && !r.static_scale && r.granularity == kq::Granularity::token &&
                               (r.dialect == kq::Dialect::kqbench || r.dialect == kq::Dialect::vllm_0_33_0);
  if (has_upper_bound && draw.one_in(3)) r.scale_ub = random_positive(draw, RandomCase::Scales::moderate);
  r = kq::resolved(r);
  if (draw.one_in(3)) {
    random.placement = {static_cast<int>(draw.between(0, 9)), static_cast<int>(draw.between(0, 17)),
                        static_cast<int>(draw.between(0, 3))};
  }
  random.fill = draw.one_of(all_fills);
  random.scales = draw.one_of({RandomCase::Scales::fitting, RandomCase::Scales::moderate, RandomCase::Scales::any});
  random.seed = draw.bits();
  return random;
}

Problem make_problem(const RandomCase& random) {
  const kq::Request& r = random.request;
  Problem problem;
  problem.request = r;
  problem.given = make_sources(r, random.seed, random.fill);
  if (r.static_scale && random.scales == RandomCase::Scales::fitting) {
    return kqbench::make_problem(r, std::move(problem.given), {});
  }
  if (r.static_scale) {
    Draw draw(random.seed + 1);
    std::vector<float> scales(static_cast<std::size_t>(kq::stored_scales(r)));
    for (float& scale : scales) {
      scale = random_positive(draw, random.scales);
      // The exponents of all but infinity.
      if (r.scale_format == kq::ScaleFormat::ue8m0) {
        scale = kq::ue8m0_value(static_cast<std::uint8_t>(std::min(254, std::ilogb(scale) + 127)));
      }
    }
    problem.given.scales = scale_bytes(r, scales);
    std::vector<std::int32_t> zero_points(r.asymmetric ? scales.size() : 0);
    for (std::int32_t& zero_point : zero_points) {
      zero_point = random_zero_point(draw, random.scales);
    }
    problem.given.zero_points = to_bytes(zero_points);
  }
  problem.expected = reference(r, kq::addresses(problem.given));
  return problem;
}

namespace {

/// Rows `count` elements shorter, the gaps between them as before, as long as something is left.
void shorten_rows(kq::Request& request, std::int64_t count) {
  if (count >= request.hidden_size) return;
  request.hidden_size -= count;
  request.input_stride -= kq::input_parts(request.producer) * count;
  request.codes_stride -= kq::code_bits(request.format) == 4 ? count - count % 2 : count;
  if (kq::has_residual(request.producer)) request.residual_stride -= count;
}

/// The steps of shrinking: each makes a case simpler, or leaves it as it is.
constexpr void (*simplifications[])(RandomCase&) = {
    [](RandomCase& c) { c.request.num_tokens = 1; },
    [](RandomCase& c) { c.request.num_tokens = (c.request.num_tokens + 1) / 2; },
    [](RandomCase& c) { c.request.num_tokens = std::max<std::int64_t>(1, c.request.num_tokens - 1); },
    [](RandomCase& c) { shorten_rows(c.request, c.request.hidden_size / 2); },
    [](RandomCase& c) { shorten_rows(c.request, 1); },
    [](RandomCase& c) { c.request.input_stride = kq::input_columns(c.request); },
    [](RandomCase& c) {
      c.request.producer = kq::Producer::none;
      c.request.eps = 0.0f;
      c.request.residual_stride = 0;
      c.request.input_stride = std::max(c.request.input_stride, c.request.hidden_size);
    },
    [](RandomCase& c) { c.request.codes_stride = kq::codes_columns(c.request); },
    [](RandomCase& c) { c.request.qmax = kq::format_max(c.request.format); },
    [](RandomCase& c) { c.request.scale_ub = std::numeric_limits<float>::infinity(); },
    [](RandomCase& c) {
      c.request.scale_layout = kq::ScaleLayout::row;
      c.request.scale_stride = 0;
    },
    [](RandomCase& c) { c.request.block_rows = (c.request.block_rows + 1) / 2; },
    [](RandomCase& c) { c.placement = {}; },
    [](RandomCase& c) { c.scales = RandomCase::Scales::fitting; },
    [](RandomCase& c) { c.fill = Fill::normal; },
};

bool same(const RandomCase& a, const RandomCase& b) {
  return a.request == b.request && a.placement == b.placement && a.fill == b.fill && a.scales == b.scales;
}

}  // namespace

std::optional<Failure> find_failure(const RandomCase& random, const Verdict& verdict) {
  auto complaint = verdict(random);
  if (!complaint) return std::nullopt;
  Failure failure{random, *complaint};
  int attempts_left = 2000;
  for (bool progress = true; progress;) {
    progress = false;
    for (const auto simplify : simplifications) {
      RandomCase simpler = failure.smallest;
      simplify(simpler);
      if (same(simpler, failure.smallest) || attempts_left-- <= 0) continue;
      if (auto text = verdict(simpler)) {
        failure = {simpler, *text};
        progress = true;
      }
    }
  }
  return failure;
}

}  // namespace kqbench::test
