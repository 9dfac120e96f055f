// SPDX-License-Identifier: Apache-2.0

// The way back, of every scheme: fp8 decode(code) * scale, int8 (code - zero_point) * scale.

#include "families.hpp"
#include "kq/numerics.hpp"
#include "launch.hpp"

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
  std::int64_t group_size;  ///< elements of a row that share a scale
  std::int64_t token_step;  ///< from a token's scale to the next token's
  std::int64_t group_step;  ///< from a group's scale to the next group's
  bool exponents;           ///< the scales are UE8M0 codes

  KOKKOS_FUNCTION void operator()(std::int64_t i) const {
    const auto token = device::divide(i, hidden_size);
    const auto column = i - token * hidden_size;
    const auto span = token * token_step + device::divide(column, group_size) * group_step;
    const float scale = exponents ? ue8m0_value(static_cast<const std::uint8_t*>(scales)[span])
                                  : static_cast<const float*>(scales)[span];
    const auto code = codes[token * codes_stride + column];
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
void enqueue_dequantize(const ExecutionSpace& space, const Request& r, const Buffers& b, float* output) {
  const bool row_major = r.scale_layout == ScaleLayout::row;
  std::int64_t group_size = r.hidden_size;  // one scale a row, or one for all of them
  std::int64_t token_step = r.granularity == Granularity::token ? 1 : 0;
  std::int64_t group_step = 0;
  if (r.granularity == Granularity::channel) {
    group_size = group_step = 1;
  } else if (r.granularity == Granularity::group) {
    group_size = r.group_size;
    token_step = row_major ? groups_per_row(r) : 1;
    group_step = row_major ? 1 : r.num_tokens;
  }
  using Policy = Kokkos::RangePolicy<ExecutionSpace, Kokkos::IndexType<std::int64_t>>;
  detail::with_format(r.format, [&](auto format) {
    using Numbers = decltype(format);
    Kokkos::parallel_for(
        "kq::dequantize", Policy(space, 0, r.num_tokens * r.hidden_size),
        Dequantize<Numbers>{static_cast<const typename Numbers::Code*>(b.codes), b.scales,
                            r.asymmetric ? b.zero_points : nullptr, output, r.hidden_size, r.codes_stride, group_size,
                            token_step, group_step, r.scale_format == ScaleFormat::ue8m0});
  });
}

template void enqueue_dequantize(const detail::HostSpace&, const Request&, const Buffers&, float*);
#if defined(KOKKOS_ENABLE_CUDA) || defined(KOKKOS_ENABLE_HIP)
template void enqueue_dequantize(const detail::DeviceSpace&, const Request&, const Buffers&, float*);
#endif

}  // namespace kq
