// SPDX-License-Identifier: Apache-2.0

// One scale for the whole tensor, from the tensor itself.
//
//   fp8               scale = amax / qmax (1 / (448 * 512) where amax is 0), encode(sat(x * (1 / scale)))
//   int8              scale = amax / qmax, sat(rne(x * (qmax / amax)))
//   int8, asymmetric  as dynamic token, over the tensor
//
// On a device a contiguous tensor takes one launch, of as many programs as run at once, which hold what they can of it
// and agree on its extremes. Elsewhere it takes two: the first leaves a partial result a program in the workspace, the
// second combines them in every program and quantizes. No result depends on the order in which programs run. What is
// read a second time is read backwards, so that it begins with what is still in the cache.

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"
#include "tensor_workspace.hpp"

namespace kq::detail {
namespace {

/// What a tensor's extremes make of it. `high` is max |x|, or max x and `low` max -x where asymmetric.
template <class Format, bool Asymmetric>
struct TensorScale {
  float scale;
  std::int32_t zero_point = 0;
  float factor;
  float qmax;

  KQ_HOST_DEVICE TensorScale(float high, [[maybe_unused]] float low, float bound) : qmax(bound) {
    if constexpr (Asymmetric) {
      const Affine affine = affine_scale(-low, high, qmax);
      scale = affine.scale;
      zero_point = affine.zero_point;
      factor = 1.0f / scale;
    } else if constexpr (Format::is_integer) {
      scale = high / qmax;
      factor = high == 0.0f ? 0.0f : qmax / high;
    } else {
      scale = fp8_tensor_scale(high, qmax);
      factor = 1.0f / scale;
    }
  }

  KQ_HOST_DEVICE auto quantizer() const {
    if constexpr (Asymmetric) {
      return AffineQuantizer(factor, zero_point, qmax);
    } else {
      return MultiplyQuantizer<Format>(factor, qmax);
    }
  }
};

/// Where the scale goes.
struct ScaleOut {
  float* scale;
  std::int32_t* zero_point;

  template <class Program, class Format, bool Asymmetric>
  KQ_HOST_DEVICE void store(const Program& program, const TensorScale<Format, Asymmetric>& value) const {
    program.store(scale, value.scale);
    if constexpr (Asymmetric) program.store(zero_point, value.zero_point);
  }
};

/// program_id: a part of the tensor.
template <class Element, class Format, bool Asymmetric>
struct CooperativeTensor {
  Span<const Element> input;
  Span<typename Format::Code> codes;
  GridReduceWorkspace workspace;
  int scratch_vectors;
  ScaleOut out;
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    auto x = program.partition(input, workspace, scratch_vectors);
    float low = 0.0f;
    float high = 0.0f;
    if constexpr (Asymmetric) {
      const Range range = program.range(x);
      low = -range.min;
      high = range.max;
    } else {
      high = program.abs_max(x);
    }
    const TensorScale<Format, Asymmetric> scale(high, low, qmax);
    program.store(codes, x, scale.quantizer());
    if (program.id() == 0) out.store(program, scale);
  }
};

/// Where the first pass leaves what the second combines: `count` values of each extreme.
struct Partials {
  float* high;  ///< max |x|, or max x
  float* low;   ///< max -x, asymmetric only
  std::int64_t count;
};

/// program_id: every program_count-th slice, starting with its own.
template <class RowSlices, bool Asymmetric>
struct TensorExtremes {
  RowSlices slices;
  Partials partials;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    float low = -__builtin_huge_valf();
    float high = Asymmetric ? low : 0.0f;
    for (auto slice = program.id(); slice < slices.num_slices(); slice += program.count()) {
      const auto x = program.load(slices.input_slice(slice));
      if constexpr (Asymmetric) {
        const Range range = program.partial_range(x);
        low = device::max_number(low, -range.min);
        high = device::max_number(high, range.max);
      } else {
        high = device::max_number(high, program.partial_abs_max(x));
      }
    }
    program.store(partials.high + program.id(), program.max(high));
    if constexpr (Asymmetric) program.store(partials.low + program.id(), program.max(low));
  }
};

/// program_id: every program_count-th slice, from the last one down.
template <class RowSlices, class Format, bool Asymmetric>
struct TensorQuantize {
  RowSlices slices;
  Partials partials;
  ScaleOut out;
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const float high = program.max_of(partials.high, partials.count);
    const float low = Asymmetric ? program.max_of(partials.low, partials.count) : 0.0f;
    const TensorScale<Format, Asymmetric> scale(high, low, qmax);
    for (auto slice = slices.num_slices() - 1 - program.id(); slice >= 0; slice -= program.count()) {
      program.store(slices.codes_slice(slice), program.load(slices.input_slice(slice)), scale.quantizer());
    }
    if (program.id() == 0) out.store(program, scale);
  }
};

/// In two launches, the host's and a strided tensor's way.
template <class Element, class Format, bool Asymmetric, class ExecutionSpace>
void enqueue_twice(const ExecutionSpace& space, const Request& r, const Buffers& b, const ScaleOut& out) {
  using Code = typename Format::Code;
  with_slices<Element, Code, true>(space, r, b, true, [&](auto config, const auto& slices) {
    using RowSlices = std::decay_t<decltype(slices)>;
    const std::int64_t programs = std::min(slices.num_slices(), max_partials(space));
    float* const values = partials_of(space, b.workspace);
    const Partials partials{values, values + programs, programs};
    launch<decltype(config)>(space, "kq::tensor_extremes", TensorExtremes<RowSlices, Asymmetric>{slices, partials},
                             programs, host_grain);
    launch<decltype(config)>(space, "kq::tensor_quantize",
                             TensorQuantize<RowSlices, Format, Asymmetric>{slices, partials, out, r.qmax}, programs,
                             host_grain);
  });
}

template <class Element, class Format, bool Asymmetric, class ExecutionSpace>
void enqueue_tensor(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  using Code = typename Format::Code;
  const ScaleOut out{static_cast<float*>(b.scales), b.zero_points};
  if (!fits_one_launch<ExecutionSpace, Element>(r, b)) {
    return enqueue_twice<Element, Format, Asymmetric>(space, r, b, out);
  }
  const std::int64_t size = r.num_tokens * r.hidden_size;
  const GridReduceWorkspace workspace = grid_reduce_workspace(space, b.workspace);
  constexpr int most_vectors = Asymmetric ? 6 : 8;  // that leave enough of 64 registers
  with_cooperative_plan<Element, most_vectors>(
      space, size, workspace.capacity, [&](auto config, const CooperativePlan& plan) {
        const CooperativeTensor<Element, Format, Asymmetric> kernel{{static_cast<const Element*>(b.input), size},
                                                                    {static_cast<Code*>(b.codes), size},
                                                                    workspace,
                                                                    plan.scratch_vectors,
                                                                    out,
                                                                    r.qmax};
        launch<decltype(config)>(space, "kq::dynamic_tensor", kernel, plan.programs, size / plan.programs,
                                 plan.scratch_bytes);
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
