// SPDX-License-Identifier: Apache-2.0

// One scale a token, from the token itself.
//
//   fp8               scale = max(min(amax, scale_ub) / qmax, 1 / (448 * 512)), encode(sat(x / scale))
//   int8              scale = amax / qmax, sat(rne(x * (qmax / amax)))
//   int8, asymmetric  scale = (max - min) / (2 qmax + 1), zero_point = rne(-(qmax + 1) - min / scale),
//                     sat(rne(x * (1 / scale)) + zero_point)

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// program_id: a token.
template <class Element, class Format>
struct DynamicToken {
  Rows<const Element> input;
  Rows<typename Format::Code> codes;
  float* scales;
  float qmax;
  float scale_ub;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = program.load(input.row(token));
    const float amax = program.abs_max(x);
    if constexpr (Format::is_integer) {
      program.store(codes.row(token), x, MultiplyQuantizer<Format>(amax == 0.0f ? 0.0f : qmax / amax, qmax));
      program.store(scales + token, amax / qmax);
    } else {
      const float scale = fp8_token_scale(amax, qmax, scale_ub);
      program.store(codes.row(token), x, SpanDivideQuantizer<Format, Element>(scale, qmax, amax));
      program.store(scales + token, scale);
    }
  }
};

/// program_id: a token.
template <class Element>
struct DynamicTokenAsymmetric {
  Rows<const Element> input;
  Rows<Int8::Code> codes;
  float* scales;
  std::int32_t* zero_points;
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto token = program.id();
    const auto x = program.load(input.row(token));
    const auto [min, max] = program.range(x);
    const auto [scale, zero_point] = affine_scale(min, max, qmax);
    program.store(codes.row(token), x, AffineQuantizer(1.0f / scale, zero_point, qmax));
    program.store(scales + token, scale);
    program.store(zero_points + token, zero_point);
  }
};

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_token(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  const Rows<const Element> input{static_cast<const Element*>(b.input), r.hidden_size, r.input_stride};
  auto* const scales = static_cast<float*>(b.scales);
  with_row_config<Element>(space, r.hidden_size, r.num_tokens, is_aligned<Element>(r, b), [&](auto config) {
    const auto run = [&](const char* name, const auto& kernel) {
      launch<decltype(config)>(space, name, kernel, r.num_tokens, r.hidden_size);
    };
    if (r.asymmetric) {
      const Rows<Int8::Code> codes{static_cast<Int8::Code*>(b.codes), r.hidden_size, r.codes_stride};
      run("kq::dynamic_token", DynamicTokenAsymmetric<Element>{input, codes, scales, b.zero_points, r.qmax});
    } else {
      with_format(r.format, [&](auto format) {
        using Code = typename decltype(format)::Code;
        const Rows<Code> codes{static_cast<Code*>(b.codes), r.hidden_size, r.codes_stride};
        run("kq::dynamic_token", DynamicToken<Element, decltype(format)>{input, codes, scales, r.qmax, r.scale_ub});
      });
    }
  });
}

KQ_INSTANTIATE_FAMILY(dynamic_token)

}  // namespace kq::detail
