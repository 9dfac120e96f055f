// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/random.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

#include "kq/element.hpp"
#include "kq/format.hpp"
#include "kq/scale_rules.hpp"

namespace kqbench {
namespace {

/// The bits of an element type: how a float becomes one, and the landmarks of its number line.
struct HalfBits {
  using Bits = std::uint16_t;
  static constexpr Bits sign = 0x8000, infinity = 0x7c00, largest = 0x7bff, smallest_normal = 0x0400;
  static Bits from(float value) { return kq::to_half(value).bits; }
};

struct Bfloat16Bits {
  using Bits = std::uint16_t;
  static constexpr Bits sign = 0x8000, infinity = 0x7f80, largest = 0x7f7f, smallest_normal = 0x0080;
  static Bits from(float value) { return kq::to_bfloat16(value).bits; }
};

struct Float32Bits {
  using Bits = std::uint32_t;
  static constexpr Bits sign = 0x80000000, infinity = 0x7f800000, largest = 0x7f7fffff, smallest_normal = 0x00800000;
  static Bits from(float value) { return std::bit_cast<std::uint32_t>(value); }
};

/// A number exactly between two neighbouring codes of a format whose scale is 1.
template <class Format>
float half_way(std::uint64_t random) {
  if constexpr (Format::is_integer) {
    return static_cast<float>(static_cast<int>(random % 254) - 127) + 0.5f;
  } else {
    const auto code = static_cast<std::uint8_t>(random % 0x7au);  // at least one code below every format's largest
    const float middle = 0.5f * (Format::decode(code) + Format::decode(static_cast<std::uint8_t>(code + 1)));
    return (random >> 32) % 2 == 0 ? middle : -middle;
  }
}

float half_way(kq::Format format, std::uint64_t random) {
  float middle = 0.0f;
  kq::with_any_format(format, [&]<class Format>(Format) { middle = half_way<Format>(random); });
  return middle;
}

/// A number of a row that reaches up to between 3.5 and 2^-26 times qmax * 2^-126, the amax below which amax / qmax is
/// subnormal, or so small that its reciprocal is infinite. About one in seven is a zero.
float tiny(const kq::Request& request, std::uint64_t seed, std::uint64_t index, std::int64_t token) {
  const std::uint64_t random = random_bits(~seed, index);
  if (random % 7 == 0) return random % 2 == 0 ? 0.0f : -0.0f;
  const float qmax = request.qmax == 0.0f ? kq::format_max(request.format) : std::max(request.qmax, 1.0f);
  const auto below = static_cast<int>((random_bits(~seed, static_cast<std::uint64_t>(token)) >> 32) % 28);
  const double least_amax = std::ldexp(static_cast<double>(qmax), -126 - below);
  return static_cast<float>(static_cast<double>(random_normal(seed, index)) * least_amax);  // the one rounding
}

/// Element number `index` of a tensor, in row `token` and column `channel`.
template <class Element>
typename Element::Bits adversarial(const kq::Request& request, Fill fill, std::uint64_t seed, std::uint64_t index,
                                   std::int64_t token, std::int64_t channel) {
  using Bits = typename Element::Bits;
  const std::uint64_t random = random_bits(seed, index);
  const auto any = static_cast<Bits>(random >> 32);
  const auto sign = static_cast<Bits>(any & Element::sign);
  const auto magnitude = static_cast<Bits>(any & ~Element::sign);
  const auto number = [&] { return Element::from(random_normal(seed, index)); };
  switch (fill) {
    case Fill::normal:
      return number();
    case Fill::every_size:
      return static_cast<Bits>(sign | (magnitude >= Element::infinity ? magnitude & Element::largest : magnitude));
    case Fill::specials: {
      static constexpr Bits specials[] = {Element::infinity,           0, Element::largest, 1, Element::smallest_normal,
                                          Element::smallest_normal - 1};
      if (random % 16 != 0) return number();
      return static_cast<Bits>(sign | specials[(random >> 8) % std::size(specials)]);
    }
    case Fill::nans:
      if (token % 3 != 0 && random % 8 != 0) return number();
      return static_cast<Bits>(any | Element::infinity | 1u);
    case Fill::zeros:
      return sign;
    case Fill::constant:
      return Element::from(random_normal(seed, static_cast<std::uint64_t>(token)));
    case Fill::subnormals:
      return static_cast<Bits>(sign | magnitude % Element::smallest_normal);
    case Fill::tiny:
      if constexpr (std::is_same_v<Element, HalfBits>) return static_cast<Bits>(sign | magnitude % 8);
      return Element::from(tiny(request, seed, index, token));
    case Fill::extremes:
      return static_cast<Bits>(sign | (Element::largest - magnitude % 16));
    case Fill::rounding_ties:
      // The format's largest number at the start of every 16, the least group, makes the scale 1. Every other row is
      // 7/8 of that, and so is its scale, by which a quotient is exact; a product with the reciprocal, 8/7 rounded, is
      // off the tie.
      return Element::from((token % 2 == 0 ? 1.0f : 0.875f) *
                           (channel % 16 == 0 ? kq::format_max(request.format) : half_way(request.format, random)));
  }
  return 0;
}

/// Rows of elements: where they begin, in elements, and how many they have.
struct Rows {
  std::int64_t count;
  std::int64_t columns;
  std::int64_t stride;
  std::size_t bytes;
};

template <class Element>
std::vector<std::byte> make(const kq::Request& request, const Rows& rows, std::uint64_t seed, Fill fill) {
  using Bits = typename Element::Bits;
  std::vector<std::byte> bytes(rows.bytes);
  const auto count = static_cast<std::int64_t>(bytes.size() / sizeof(Bits));
  const auto store = [&bytes](std::int64_t position, Bits bits) {
    std::memcpy(bytes.data() + static_cast<std::size_t>(position) * sizeof(Bits), &bits, sizeof(Bits));
  };
  for (std::int64_t token = 0; token < rows.count; ++token) {
    const std::int64_t row = token * rows.stride;
    const std::int64_t first = token * rows.columns;
    if (fill == Fill::normal) {  // the one that benchmarks use, by the gigabyte
      for (std::int64_t channel = 0; channel < rows.columns; ++channel) {
        store(row + channel, Element::from(random_normal(seed, static_cast<std::uint64_t>(first + channel))));
      }
    } else {
      for (std::int64_t channel = 0; channel < rows.columns; ++channel) {
        const auto index = static_cast<std::uint64_t>(first + channel);
        store(row + channel, adversarial<Element>(request, fill, seed, index, token, channel));
      }
    }
    for (std::int64_t gap = row + rows.columns; gap < row + rows.stride && gap < count; ++gap) {
      store(gap, Element::largest);
    }
  }
  return bytes;
}

/// Weights as trained norms have them: around 1.
template <class Element>
std::vector<std::byte> make_weight(std::int64_t count, std::uint64_t seed) {
  using Bits = typename Element::Bits;
  std::vector<std::byte> bytes(static_cast<std::size_t>(count) * sizeof(Bits));
  for (std::int64_t i = 0; i < count; ++i) {
    const Bits bits = Element::from(1.0f + 0.25f * random_normal(seed, static_cast<std::uint64_t>(i)));
    std::memcpy(bytes.data() + static_cast<std::size_t>(i) * sizeof(Bits), &bits, sizeof(Bits));
  }
  return bytes;
}

/// Calls function(Bits{}) with the bits of an element type.
template <class Function>
auto with_bits(kq::Element element, const Function& function) {
  switch (element) {
    case kq::Element::half:
      return function(HalfBits{});
    case kq::Element::bfloat16:
      return function(Bfloat16Bits{});
    case kq::Element::float32:
      break;
  }
  return function(Float32Bits{});
}

}  // namespace

std::string_view to_string(Fill fill) {
  switch (fill) {
    case Fill::normal:
      return "normal";
    case Fill::every_size:
      return "every size";
    case Fill::specials:
      return "specials";
    case Fill::nans:
      return "not numbers";
    case Fill::zeros:
      return "zeros";
    case Fill::constant:
      return "constant";
    case Fill::subnormals:
      return "subnormals";
    case Fill::tiny:
      return "tiny";
    case Fill::extremes:
      return "extremes";
    case Fill::rounding_ties:
      return "rounding_ties";
  }
  return "";
}

std::vector<std::byte> make_input(const kq::Request& request, std::uint64_t seed, Fill fill) {
  const std::int64_t columns = kq::input_columns(request);
  const std::int64_t stride = request.input_stride == 0 ? columns : request.input_stride;
  const Rows rows{request.num_tokens, columns, stride, kq::input_bytes(request)};
  return with_bits(request.element, [&]<class Bits>(Bits) { return make<Bits>(request, rows, seed, fill); });
}

void make_other_sources(const kq::Request& request, std::uint64_t seed, Fill fill, HostTensors& sources) {
  // Seeds of their own, so that no tensor repeats another.
  const std::uint64_t seed_of_weight = random_bits(seed, 1);
  const std::uint64_t seed_of_residual = random_bits(seed, 2);
  with_bits(request.element, [&]<class Bits>(Bits) {
    for (const kq::TensorSpec& tensor : kq::tensors(kq::resolved(request))) {
      if (tensor.name == "weight") sources.weight = make_weight<Bits>(request.hidden_size, seed_of_weight);
      if (tensor.name != "residual") continue;
      const auto stride = static_cast<std::int64_t>(tensor.row_stride / tensor.element_bytes);
      const Rows rows{tensor.rows, request.hidden_size, stride, tensor.bytes()};
      sources.residual = make<Bits>(request, rows, seed_of_residual, fill);
    }
  });
}

HostTensors make_sources(const kq::Request& request, std::uint64_t seed, Fill fill) {
  HostTensors sources;
  sources.input = make_input(request, seed, fill);
  make_other_sources(request, seed, fill, sources);
  return sources;
}

}  // namespace kqbench
