// SPDX-License-Identifier: Apache-2.0

// The scale is given: one for the tensor, one a token, or one a channel.
//
//   fp8               encode(sat(x * (1 / scale)))
//   int8              sat(rne(x / scale))
//   int8, asymmetric  sat(rne(x * (1 / scale)) + zero_point)

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

namespace kq::detail {
namespace {

/// What a static scale does to one element.
template <class Format, class Element, bool Asymmetric>
KQ_HOST_DEVICE auto static_quantizer(float scale, [[maybe_unused]] const std::int32_t* zero_point, float qmax) {
  if constexpr (Asymmetric) {
    return AffineQuantizer(1.0f / scale, *zero_point, qmax);
  } else if constexpr (Format::is_integer) {
    return DivideQuantizer<Format, Element>(scale, qmax);
  } else {
    return MultiplyQuantizer<Format>(1.0f / scale, qmax);
  }
}

/// program_id: a slice of the tensor, or of a token where each has its scale.
template <class RowSlices, class Format, bool Asymmetric>
struct StaticScale {
  using Element = typename RowSlices::Element;

  RowSlices slices;
  const float* scales;
  const std::int32_t* zero_points;
  std::int64_t scale_stride;  ///< 1: a scale a row, 0: the same for all
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto x = program.load(slices.input_slice(program.id()));
    const auto span = slices.row(program.id()) * scale_stride;
    program.store(slices.codes_slice(program.id()), x,
                  static_quantizer<Format, Element, Asymmetric>(scales[span], zero_points + span, qmax));
  }
};

/// program_id: a slice of a token. Every column has its own scale.
template <class RowSlices, class Format, bool Asymmetric>
struct StaticChannel {
  using Element = typename RowSlices::Element;

  RowSlices slices;
  const float* scales;
  const std::int32_t* zero_points;
  float qmax;

  template <class Program>
  KQ_HOST_DEVICE void operator()(const Program& program) const {
    const auto x = program.load(slices.input_slice(program.id()));
    const auto first = slices.begin(program.id());
    program.store_each(slices.codes_slice(program.id()), x, [&](std::int64_t i) {
      return static_quantizer<Format, Element, Asymmetric>(scales[first + i], zero_points + first + i, qmax);
    });
  }
};

template <class Element, class Format, bool Asymmetric, class ExecutionSpace>
void enqueue_static(const ExecutionSpace& space, const Request& r, const Buffers& b) {
  using Code = typename Format::Code;
  const auto* const scales = static_cast<const float*>(b.scales);
  const bool whole = r.granularity == Granularity::tensor;
  with_slices<Element, Code, false>(space, r, b, whole, [&](auto config, const auto& slices) {
    using RowSlices = std::decay_t<decltype(slices)>;
    if constexpr (!RowSlices::is_flat) {
      if (r.granularity == Granularity::channel) {
        return launch<LowOccupancy<decltype(config)>>(
            space, "kq::static_channel",
            StaticChannel<RowSlices, Format, Asymmetric>{slices, scales, b.zero_points, r.qmax}, slices.num_slices(),
            slices.slice_size);
      }
    }
    launch<decltype(config)>(
        space, "kq::static_scale",
        StaticScale<RowSlices, Format, Asymmetric>{slices, scales, b.zero_points, whole ? 0 : 1, r.qmax},
        slices.num_slices(), slices.slice_size);
  });
}

}  // namespace

template <class Element, class ExecutionSpace>
void static_scale(const ExecutionSpace& space, const Request& request, const Buffers& buffers) {
  if (request.asymmetric) return enqueue_static<Element, Int8, true>(space, request, buffers);
  with_format(request.format,
              [&](auto format) { enqueue_static<Element, decltype(format), false>(space, request, buffers); });
}

KQ_INSTANTIATE_FAMILY(static_scale)

}  // namespace kq::detail
