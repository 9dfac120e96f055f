// SPDX-License-Identifier: Apache-2.0

// The way back, of every scheme: fp8 and fp4 decode(code) * scale, int8 (code - zero_point) * scale.

#include "kq/execution_space.hpp"
#include "kq/numerics.hpp"
#include "kq/quantize.hpp"
#include "kq/scale_layout.hpp"
#include "kq/scale_rules.hpp"
#include "kq/vector.hpp"

namespace kq {
namespace {

/// Element i of the tensor, row by row: nothing is shared between elements, so there is no program here.
template <class Format>
struct Dequantize {
  const typename Format::Code* codes;
  const void* scales;
  const std::int32_t* zero_points;  ///< null unless asymmetric
  float* output;
  std::int64_t hidden_size;
  std::int64_t codes_stride;
  std::int64_t rows_per_scale;
  std::int64_t columns_per_scale;
  ScaleOffset scale_offset;
  ScaleFormat scale_format;
  const float* global_scale;  ///< null unless the scale format has one

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    const auto token = divide(i, hidden_size);
    const auto column = i - token * hidden_size;
    const auto span =
        scale_offset(rows_per_scale == 1 ? token : divide(token, rows_per_scale), divide(column, columns_per_scale));
    float scale = group_scale_at(scales, scale_format, span);
    if (global_scale != nullptr) scale *= *global_scale;
    const auto code = code_at<Format>(codes, token * codes_stride + column);
    if constexpr (Format::is_integer) {
      const std::int64_t zero_point = zero_points == nullptr ? 0 : zero_points[span];
      output[i] = static_cast<float>(code - zero_point) * scale;
    } else {
      output[i] = Format::decode(code) * scale;
    }
  }
};

}  // namespace

template <class ExecutionSpace>
void enqueue_dequantize(const ExecutionSpace& space, const Request& r, const Operands& b, float* output) {
  if (r.num_tokens == 0) return;
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>;
  with_any_format(r.format, [&](auto format) {
    using Numbers = decltype(format);
    Kokkos::parallel_for("kq::dequantize", Policy(space, 0, r.num_tokens * r.hidden_size),
                         Dequantize<Numbers>{static_cast<const typename Numbers::Code*>(b.codes), b.scales,
                                             r.asymmetric ? b.zero_points : nullptr, output, r.hidden_size,
                                             r.codes_stride, rows_per_scale(r), columns_per_scale(r), scale_offset(r),
                                             r.scale_format, has_global_scale(r) ? b.global_scale : nullptr});
  });
}

#define KQ_INSTANTIATE_DEQUANTIZE(Space, unused) \
  template void enqueue_dequantize(const Space&, const Request&, const Operands&, float*);
KQ_FOR_EACH_SPACE(KQ_INSTANTIATE_DEQUANTIZE, )

}  // namespace kq
