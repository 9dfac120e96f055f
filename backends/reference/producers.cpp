// SPDX-License-Identifier: Apache-2.0

// Every step is a loop of its own over a whole row, with its result rounded as docs/numerics.md has it.

#include "backends/reference/producers.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "backends/reference/definitions.hpp"
#include "backends/reference/threads.hpp"

namespace kqbench::reference_detail {
namespace {

using kq::Dialect;
using kq::Element;
using kq::Producer;
using kq::Request;

using Row = std::vector<float>;

/// A row of a matrix of elements as floats.
Row read_row(const ElementReader& element, const void* data, std::int64_t begin, std::int64_t size) {
  Row row;
  for (std::int64_t i = 0; i < size; ++i) {
    row.push_back(element(data, begin + i));
  }
  return row;
}

/// Whether the dialect rounds to the element's type once more than kqbench does, after the product with r.
bool rounds_twice(const Request& r) {
  return r.dialect == Dialect::vllm_0_33_0 && !r.static_scale;
}

/// The sum by halves of a power of two of numbers: v[i] + v[i + size / 2], and so on.
double sum_by_halves(std::vector<double> v) {
  for (std::size_t half = v.size() / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) {
      v[i] += v[i + half];
    }
  }
  return v[0];
}

/// The squares in float, summed in double: a vector of 16 bytes by halves, then the vectors by halves.
float sum_of_squares(Element type, const Row& row) {
  const std::size_t width = 16 / kq::element_size(type);
  std::vector<double> sums;
  for (std::size_t begin = 0; begin < row.size(); begin += width) {
    std::vector<double> squares(width, 0.0);
    for (std::size_t i = 0; i < std::min(width, row.size() - begin); ++i) {
      squares[i] = static_cast<double>(row[begin + i] * row[begin + i]);
    }
    sums.push_back(sum_by_halves(squares));
  }
  std::size_t power = 1;
  while (power < sums.size()) {
    power *= 2;
  }
  sums.resize(power, 0.0);
  return static_cast<float>(sum_by_halves(sums));
}

Row normed(const Request& r, const Row& z, const Row& weight) {
  const float sum = sum_of_squares(r.element, z);
  const float mean = sum / static_cast<float>(r.hidden_size) + r.eps;
  // vLLM takes a reciprocal root in one; the nearest float is what it comes closest to.
  const float reciprocal =
      rounds_twice(r) ? static_cast<float>(1.0 / std::sqrt(static_cast<double>(mean))) : 1.0f / std::sqrt(mean);
  Row values;
  for (std::size_t i = 0; i < z.size(); ++i) {
    float scaled = z[i] * reciprocal;
    if (rounds_twice(r)) scaled = to_type(r.element, scaled);
    values.push_back(to_type(r.element, scaled * weight[i]));
  }
  return values;
}

/// e^-x as docs/numerics.md has it for float.
float exp_minus(float x) {
  if (x < -88.7228317f) return std::numeric_limits<float>::infinity();
  const float t = x > 88.0f ? -88.0f : -x;
  if (std::isnan(t)) return t;
  const auto n = static_cast<float>(std::nearbyint(static_cast<double>(t) * 0x1.715476p0));  // an exact product
  const float high = std::fma(n, -0.693359375f, t);
  const float r = std::fma(n, 2.12194440e-4f, high);
  const float coefficients[] = {1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f,
                                4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f};
  float q = coefficients[0];
  for (int i = 1; i < 6; ++i) {
    q = std::fma(q, r, coefficients[i]);
  }
  const float power = std::fma(q, r * r, r) + 1.0f;
  return static_cast<float>(std::ldexp(static_cast<double>(power), static_cast<int>(n)));
}

/// e^-x of a half or a bfloat16: the nearest float.
float nearest_exp_minus(float x) {
  return static_cast<float>(std::exp(-static_cast<double>(x)));
}

Row silu_mul(const Request& r, const Row& gate, const Row& up) {
  const auto T = [&](float v) { return to_type(r.element, v); };
  Row values;
  for (std::size_t i = 0; i < gate.size(); ++i) {
    const float g = gate[i];
    const bool stays_float = r.dialect == Dialect::vllm_0_33_0 && !r.static_scale;
    const bool in_float = stays_float || r.element == Element::float32;
    const float denominator = 1.0f + (in_float ? exp_minus(g) : nearest_exp_minus(g));
    if (stays_float) {
      values.push_back(g * (1.0f / denominator) * up[i]);
    } else if (r.dialect == Dialect::sglang_0_5_23) {
      values.push_back(T(T(g * (1.0f / denominator)) * up[i]));
    } else {
      values.push_back(T(T(g / denominator) * up[i]));
    }
  }
  return values;
}

/// The sum with the residual, in float, which is stored rounded. Norms of a dialect that rounds twice take it as it is.
Row add_residual(const Request& r, const kq::Operands& o, const ElementReader& element, std::int64_t token,
                 const Row& input) {
  const Row residual = read_row(element, o.residual, token * r.residual_stride, r.hidden_size);
  Row sum;
  Row rounded;
  for (std::size_t i = 0; i < input.size(); ++i) {
    sum.push_back(input[i] + residual[i]);
    rounded.push_back(to_type(r.element, sum[i]));
  }
  for (std::size_t i = 0; i < rounded.size(); ++i) {
    store_element(r.element, rounded[i], o.residual_out, token * r.residual_stride + static_cast<std::int64_t>(i));
  }
  return rounds_twice(r) ? sum : rounded;
}

Row values_of(const Request& r, const kq::Operands& o, const ElementReader& element, std::int64_t token) {
  Row input = read_row(element, o.input, token * r.input_stride, kq::input_columns(r));
  const auto weight = [&] { return read_row(element, o.weight, 0, r.hidden_size); };
  const auto middle = input.begin() + static_cast<std::ptrdiff_t>(r.hidden_size);
  switch (r.producer) {
    case Producer::none:
      break;
    case Producer::rms_norm:
      return normed(r, input, weight());
    case Producer::add_rms_norm:
      return normed(r, add_residual(r, o, element, token, input), weight());
    case Producer::silu_mul:
      return silu_mul(r, Row(input.begin(), middle), Row(middle, input.end()));
  }
  return input;
}

}  // namespace

std::vector<std::byte> produce(int threads, const Request& r, const kq::Operands& o) {
  const ElementReader element(r.element);
  std::vector<std::byte> values(kq::values_bytes(r));
  for_each_row(threads, r.num_tokens, [&](std::int64_t token) {
    const Row row = values_of(r, o, element, token);
    for (std::size_t i = 0; i < row.size(); ++i) {
      store_element(kq::value_element(r), row[i], values.data(), token * r.hidden_size + static_cast<std::int64_t>(i));
    }
  });
  return values;
}

}  // namespace kqbench::reference_detail
