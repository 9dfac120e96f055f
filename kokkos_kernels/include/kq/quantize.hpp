// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The public interface of kq::kernels: quantize a tensor that lies in Kokkos Views.
///
///     kq::Request request;
///     request.format = kq::Format::fp8_e4m3fn;
///     request.granularity = kq::Granularity::token;
///     kq::quantize(space, request, input, codes, scales);   // returns at once, runs on `space`
///
/// Shapes: input and codes are [num_tokens, hidden_size] with consecutive elements in a row (LayoutRight, or
/// LayoutStride with a second stride of 1; rows may be further apart than hidden_size). scales has num_scales(request)
/// entries, float or, for UE8M0 codes, std::uint8_t; zero_points as many of std::int32_t.
///
/// Scales and zero points are inputs of a static scheme and outputs of a dynamic one. A static scale must be positive
/// and finite; being in device memory it is not looked at.
///
/// Ownership: every View is the caller's and must live until the work is done. Nothing is allocated, nothing waits:
/// the work is in order with whatever else is on the execution-space instance, and can be captured in a CUDA or HIP
/// graph through an instance that wraps the capturing stream.
///
/// Errors: std::invalid_argument, before anything is started, with the field and what is wrong with it. What the device
/// does later is reported by Kokkos at the next fence.
///
/// The formulas are those of docs/numerics.md; kq/numerics.hpp has them as code.

#include <Kokkos_Core.hpp>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "kq/element.hpp"
#include "kq/request.hpp"

namespace kq {

/// Which Element a View's value type is; add a specialization for a type of your own with the same bits.
template <class T>
struct ElementOf;
template <>
struct ElementOf<half> {
  static constexpr Element value = Element::half;
};
template <>
struct ElementOf<bfloat16> {
  static constexpr Element value = Element::bfloat16;
};
template <>
struct ElementOf<float> {
  static constexpr Element value = Element::float32;
};

/// Addresses of a request's tensors, all reachable from the execution space.
struct Buffers {
  const void* input = nullptr;
  void* codes = nullptr;
  void* scales = nullptr;
  std::int32_t* zero_points = nullptr;
  /// workspace_bytes(space, request) bytes aligned to 16: zero before their first use, then left as launches leave
  /// them; launches that may overlap in time need one each.
  void* workspace = nullptr;
};

/// Bytes of scratch memory `enqueue` needs for this request: 0 but for dynamic tensor scales.
template <class ExecutionSpace>
std::size_t workspace_bytes(const ExecutionSpace& space, const Request& request);

/// The same on plain addresses, for callers that keep their tensors elsewhere than in Views. The request is valid and
/// resolved; nothing is checked. Instantiated for Kokkos's default execution space and its default host one.
template <class ExecutionSpace>
void enqueue(const ExecutionSpace& space, const Request& request, const Buffers& buffers);

/// The way back: output[token * hidden_size + column] = decode(code) * scale for fp8, (code - zero_point) * scale for
/// int8, in binary32. Reads codes, scales and zero points; the input is not looked at.
template <class ExecutionSpace>
void enqueue_dequantize(const ExecutionSpace& space, const Request& request, const Buffers& buffers, float* output);

namespace detail {

[[noreturn]] inline void reject(const std::string& field, const std::string& reason) {
  throw std::invalid_argument(field + ": " + reason);
}

template <class View>
std::int64_t row_stride(const char* field, const View& view) {
  if (view.extent(1) > 1 && view.stride(1) != 1) {
    reject(field, "the elements of a row must be consecutive (a stride of 1 in the last dimension)");
  }
  return view.extent(0) > 1 ? static_cast<std::int64_t>(view.stride(0)) : static_cast<std::int64_t>(view.extent(1));
}

template <class ExecutionSpace, class View>
constexpr void require_reachable() {
  static_assert(Kokkos::SpaceAccessibility<ExecutionSpace, typename View::memory_space>::accessible,
                "the execution space cannot reach this View's memory");
}

}  // namespace detail

/// Nothing: the place of a View that a request has no use for.
struct NoView {};

/// Quantizes `input` into `codes` on `space`. `options` chooses format and scheme; its element, shape and strides are
/// taken from the Views and need not be set. `workspace` is a rank-1 View of bytes, needed where workspace_bytes says
/// so: zero before its first use, then left as launches leave it.
template <class ExecutionSpace, class Input, class Codes, class Scales, class ZeroPoints = NoView,
          class Workspace = NoView>
void quantize(const ExecutionSpace& space, const Request& options, const Input& input, const Codes& codes,
              const Scales& scales, const ZeroPoints& zero_points = {}, const Workspace& workspace = {}) {
  using Code = typename Codes::non_const_value_type;
  using Scale = typename Scales::non_const_value_type;
  static_assert(Input::rank == 2 && Codes::rank == 2, "input and codes are [num_tokens, hidden_size]");
  static_assert(std::is_same_v<Code, std::uint8_t> || std::is_same_v<Code, std::int8_t>, "a code is one byte");
  static_assert(std::is_same_v<Scale, float> || std::is_same_v<Scale, std::uint8_t>, "a scale is a float or UE8M0");
  detail::require_reachable<ExecutionSpace, Input>();
  detail::require_reachable<ExecutionSpace, Codes>();
  detail::require_reachable<ExecutionSpace, Scales>();

  Request request = options;
  request.element = ElementOf<typename Input::non_const_value_type>::value;
  request.num_tokens = static_cast<std::int64_t>(input.extent(0));
  request.hidden_size = static_cast<std::int64_t>(input.extent(1));
  request.input_stride = detail::row_stride("input", input);
  request.codes_stride = detail::row_stride("codes", codes);
  if (codes.extent(0) != input.extent(0) || codes.extent(1) != input.extent(1)) {
    detail::reject("codes", "must have the shape of the input");
  }
  if (const auto invalid = validate(request)) detail::reject(invalid->field, invalid->reason);
  if (std::is_same_v<Code, std::int8_t> != (request.format == Format::int8)) {
    detail::reject("codes", "must be std::int8_t for int8 and std::uint8_t for fp8 formats");
  }
  if (sizeof(Scale) != scale_size(request)) {
    detail::reject("scales", "must be std::uint8_t for scale format ue8m0 and float otherwise");
  }
  const auto scales_needed = num_scales(request);
  if (!scales.span_is_contiguous() || static_cast<std::int64_t>(scales.size()) < scales_needed) {
    detail::reject("scales", "must be contiguous with " + std::to_string(scales_needed) + " entries");
  }

  Buffers buffers;
  buffers.input = input.data();
  buffers.codes = codes.data();
  buffers.scales = const_cast<Scale*>(scales.data());
  if constexpr (!std::is_same_v<ZeroPoints, NoView>) {
    static_assert(std::is_same_v<typename ZeroPoints::non_const_value_type, std::int32_t>, "zero points are int32");
    detail::require_reachable<ExecutionSpace, ZeroPoints>();
    if (!zero_points.span_is_contiguous() || static_cast<std::int64_t>(zero_points.size()) < scales_needed) {
      detail::reject("zero_points", "must be contiguous with " + std::to_string(scales_needed) + " entries");
    }
    buffers.zero_points = const_cast<std::int32_t*>(zero_points.data());
  } else if (request.asymmetric) {
    detail::reject("zero_points", "an asymmetric scheme needs a View of them");
  }
  const std::size_t scratch = workspace_bytes(space, request);
  if constexpr (!std::is_same_v<Workspace, NoView>) {
    detail::require_reachable<ExecutionSpace, Workspace>();
    if (workspace.span() * sizeof(typename Workspace::value_type) < scratch) {
      detail::reject("workspace", "must have " + std::to_string(scratch) + " bytes");
    }
    buffers.workspace = workspace.data();
  } else if (scratch > 0) {
    detail::reject("workspace", "this scheme needs " + std::to_string(scratch) + " bytes, see workspace_bytes");
  }
  enqueue(space, resolved(request), buffers);
}

}  // namespace kq
