// SPDX-License-Identifier: Apache-2.0

// One scale for the whole tensor, from the tensor itself, in two launches: the first leaves a partial result a program
// in the workspace, the second combines them in every program and quantizes. Nothing has to be cleared beforehand and
// the result does not depend on the order in which programs run. The second pass walks backwards, so that it begins
// with what the first has left in the cache.
//
//   fp8               scale = amax / qmax (1 / (448 * 512) where amax is 0), encode(sat(x * (1 / scale)))
//   int8              scale = amax / qmax, sat(rne(x * (qmax / amax)))
//   int8, asymmetric  as dynamic token, over the tensor

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// Where the first pass leaves what the second combines: `count` values of each extreme.
struct Partials {
  float* high;  ///< max |x|, or max x
  float* low;   ///< max -x, asymmetric only
  std::int64_t count;
};

/// program_id: every program_count-th slice, starting with its own.
template <class Element, class Code, bool Asymmetric>
struct TensorExtremes {
  Stream<Element, Code> stream;
  Partials partials;

  template <class Program>
  KQ_FUNCTION void operator()(const Program& program) const {
    float low = -__builtin_huge_valf();
    float high = Asymmetric ? low : 0.0f;
    for (auto slice = program.id(); slice < stream.num_slices(); slice += program.count()) {
      const auto x = program.load(stream.input_slice(slice));
      if constexpr (Asymmetric) {
        const auto [min, max] = program.partial_range(x);
        low = device::max_number(low, -min);
        high = device::max_number(high, max);
      } else {
        high = device::max_number(high, program.partial_magnitude(x));
      }
    }
    program.store(partials.high + program.id(), program.max(high));
    if constexpr (Asymmetric) program.store(partials.low + program.id(), program.max(low));
  }
};

/// program_id: every program_count-th slice, from the last one down.
template <class Element, class Format, bool Asymmetric>
struct TensorQuantize {
  Stream<Element, typename Format::Code> stream;
  Partials partials;
  float* scale_out;
  std::int32_t* zero_point_out;
  float qmax;

  template <class Program, class Quantizer>
  KQ_FUNCTION void store_slices(const Program& program, const Quantizer& quantizer) const {
    for (auto slice = stream.num_slices() - 1 - program.id(); slice >= 0; slice -= program.count()) {
      program.store(stream.codes_slice(slice), program.load(stream.input_slice(slice)), quantizer);
    }
  }

  template <class Program>
  KQ_FUNCTION void operator()(const Program& program) const {
    const float high = program.max_of(partials.high, partials.count);
    const bool first = program.id() == 0;
    if constexpr (Asymmetric) {
      const float low = program.max_of(partials.low, partials.count);
      const auto [scale, zero_point] = affine_scale(-low, high, qmax);
      store_slices(program, AffineQuantizer(1.0f / scale, zero_point, qmax));
      if (first) program.store(scale_out, scale);
      if (first) program.store(zero_point_out, zero_point);
    } else if constexpr (Format::is_integer) {
      store_slices(program, MultiplyQuantizer<Format>(high == 0.0f ? 0.0f : qmax / high, qmax));
      if (first) program.store(scale_out, high / qmax);
    } else {
      const float scale = fp8_tensor_scale(high, qmax);
      store_slices(program, MultiplyQuantizer<Format>(1.0f / scale, qmax));
      if (first) program.store(scale_out, scale);
    }
  }
};

template <class Element, class Format, bool Asymmetric, class ExecutionSpace>
void enqueue_tensor(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  using Code = typename Format::Code;
  with_stream<Element, Code>(space, r, b, true, [&](auto shape, const Stream<Element, Code>& stream) {
    const std::int64_t programs = std::min(stream.num_slices(), max_partials(space));
    auto* const workspace = static_cast<float*>(b.workspace);
    const Partials partials{workspace, workspace + programs, programs};
    launch<decltype(shape)>(space, "kq::tensor_extremes", TensorExtremes<Element, Code, Asymmetric>{stream, partials},
                            programs, host_grain);
    launch<decltype(shape)>(space, "kq::tensor_quantize",
                            TensorQuantize<Element, Format, Asymmetric>{stream, partials, static_cast<float*>(b.scales),
                                                                        b.zero_points, r.qmax},
                            programs, host_grain);
  });
}

}  // namespace

template <class Element, class ExecutionSpace>
void dynamic_tensor(const ExecutionSpace& space, const Request& request, const Buffers& buffers) {
  if (request.asymmetric) return enqueue_tensor<Element, Int8, true>(space, request, buffers);
  with_format(request.format,
              [&](auto format) { enqueue_tensor<Element, decltype(format), false>(space, request, buffers); });
}

KQ_INSTANTIATE_FAMILY(dynamic_tensor)

}  // namespace kq::detail
