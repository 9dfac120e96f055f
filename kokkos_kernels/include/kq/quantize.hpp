// SPDX-License-Identifier: Apache-2.0
#pragma once

/// \file
/// The public interface of kq::kernels: quantize a tensor that lies in Kokkos Views.
///
///     kq::Request request;
///     request.format = kq::Format::fp8_e4m3fn;
///     request.granularity = kq::Granularity::token;
///     kq::quantize(space, request, input, codes, scales);      // returns at once, runs on `space`
///     kq::dequantize(space, request, codes, scales, output);   // and so does the way back
///
/// Shapes: input and codes are [num_tokens, hidden_size] with consecutive elements in a row (LayoutRight, or
/// LayoutStride with a second stride of 1; rows may be further apart than hidden_size, not nearer: no broadcast).
/// scales has stored_scales(request) entries, float or, for UE8M0 codes, std::uint8_t; zero_points as many of
/// std::int32_t. Either is a contiguous View of rank 1, at least that long, in the order of scale_index; of rank 0,
/// where there is one for the tensor; or of rank 2: [1, 1], [num_tokens, 1] for tokens, [1, hidden_size] for channels,
/// [scale_rows, groups_per_row] for groups and blocks, LayoutRight for scale layout row, LayoutLeft for column. The
/// columns of the last may be further apart than their length (LayoutStride); of rank 1, Request::scale_stride says how
/// far. Scale layouts with padding take rank 1.
///
/// The output of dequantize is a contiguous [num_tokens, hidden_size] of floats.
///
/// Scales and zero points are inputs of a static scheme, where they may be const, and outputs of a dynamic one; inputs,
/// with the codes, of dequantize. A static scale must be positive and finite; being in device memory it is not looked
/// at.
///
/// Ownership: every View is the caller's and must live until the work is done. A View that is written must not overlap
/// another, or the call is refused: nothing is done in place. Rows of one may lie between the rows of another. Nothing
/// is allocated, nothing waits: the work is in order with whatever else is on the execution-space instance, and can be
/// captured in a CUDA or HIP graph through an instance that wraps the capturing stream.
///
/// Errors: std::invalid_argument, before anything is started, with the field and what is wrong with it: a parameter of
/// the function or a member of Request. What the device does later is reported by Kokkos at the next fence.
///
/// The formulas are those of docs/numerics.md; kq/numerics.hpp has them as code.

#include <Kokkos_Core.hpp>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "kq/element.hpp"
#include "kq/execution_space.hpp"
#include "kq/overlap.hpp"
#include "kq/parameters.hpp"
#include "kq/request.hpp"
#include "kq/tensors.hpp"

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

/// Bytes of scratch memory `enqueue` needs for this request: 0 but for dynamic tensor and channel scales, for
/// groups and blocks whose tensor's scale is found (finds_global_scale), and for producers. Those of channels and
/// producers depend on the shape.
template <class ExecutionSpace>
std::size_t workspace_bytes(const ExecutionSpace& space, const Request& request);

/// quantize() on plain addresses, for callers that keep their tensors elsewhere than in Views. The request is valid and
/// resolved; nothing is checked. Instantiated for Kokkos's default execution space and its default host one.
template <class ExecutionSpace>
void enqueue(const ExecutionSpace& space, const Request& request, const Operands& operands);

/// A dynamic tensor or token scale of a tensor that is cut into parts, one on each of several devices, takes two calls
/// for each part. find_extremes() writes extremes_count(request) floats: of each scale the maxima that its rule is made
/// of, none of them NaN. Whoever owns the parts replaces them by the greatest that any part has: ncclAllReduce with
/// ncclMax, MPI_Allreduce with MPI_MAX. quantize_by_extremes() then writes this part's codes, and the scales of the
/// whole: the bytes that quantizing the whole tensor in one piece would give. Both take the request and the operands of
/// the part. For which requests: why_not_sharded().
template <class ExecutionSpace>
void find_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands, float* extremes);
template <class ExecutionSpace>
void quantize_by_extremes(const ExecutionSpace& space, const Request& request, const Operands& operands,
                          const float* extremes);
std::int64_t extremes_count(const Request& request);

/// The way back: output[token * hidden_size + column] = decode(code) * scale for fp8 and fp4, where a scale of
/// scale format e4m3 is multiplied by the tensor's first; (code - zero_point) * scale for int8; in binary32. Reads
/// codes and all scales and zero points; the input is not looked at. On plain addresses, and nothing is checked, as
/// with `enqueue`; `dequantize` takes Views.
template <class ExecutionSpace>
void enqueue_dequantize(const ExecutionSpace& space, const Request& request, const Operands& operands, float* output);

namespace detail {

template <class T>
concept HasElement = requires {
  { ElementOf<T>::value } -> std::convertible_to<Element>;
};

inline constexpr std::size_t workspace_alignment = 16;

[[noreturn]] inline void reject(const std::string& field, const std::string& reason) {
  throw std::invalid_argument(field + ": " + reason);
}

/// Throws what validate() says of a request, and says it of this interface's fields, not of the command line's options.
inline void require_valid(const Request& request) {
  const auto invalid = validate(request);
  if (!invalid) return;
  // Rows and their strides are the Views'.
  if (invalid->field == "input_stride") reject("input", invalid->reason);
  if (invalid->field == "codes_stride") reject("codes", invalid->reason);
  reject(std::string(request_field(invalid->field)), invalid->reason);
}

/// The memory of a tensor. The gaps between columns of scales count as part of it; those between rows do not.
inline TensorMemory memory_of(const TensorSpec& tensor, const Operands& operands, bool written) {
  const void* const address = tensor.get(operands);
  return {tensor.name, tensor.is_matrix ? tensor_rows(tensor, address) : one_row(address, tensor.bytes()), written};
}

/// Throws if what quantizing a valid, resolved request writes shares memory with its other tensors, or with what is in
/// `memory` already. `workspace_bytes` of the workspace are used.
inline void require_apart(const Request& r, const Operands& o, std::size_t workspace_bytes,
                          std::vector<TensorMemory> memory = {}) {
  for (const TensorSpec& tensor : tensors(r)) {
    // The sum may take the residual's place.
    if (tensor.name == "residual" && o.residual == o.residual_out) continue;
    memory.push_back(memory_of(tensor, o, tensor.is_written));
  }
  memory.push_back({"workspace", one_row(o.workspace, workspace_bytes), true});
  if (o.scale_ub != nullptr) memory.push_back({"scale_ub", one_row(o.scale_ub, sizeof(float)), false});
  if (const auto invalid = find_overlap(memory)) reject(invalid->field, invalid->reason);
}

/// Throws if the output of dequantizing shares memory with what is read: all but the input. The request is valid, with
/// float32 for its element, so that the output's size is a number of bytes.
inline void require_apart(const Request& r, const Operands& o, const float* output) {
  const std::size_t elements = static_cast<std::size_t>(r.num_tokens) * static_cast<std::size_t>(r.hidden_size);
  std::vector<TensorMemory> memory;
  for (const TensorSpec& tensor : tensors(r)) {
    if (tensor.is_source) continue;
    memory.push_back(memory_of(tensor, o, false));
  }
  memory.push_back({"output", one_row(output, elements * sizeof(float)), true});
  if (const auto invalid = find_overlap(memory)) reject(invalid->field, invalid->reason);
}

template <class View>
std::int64_t row_stride(const char* field, const View& view) {
  if (view.extent(1) > 1 && view.stride(1) != 1) {
    reject(field, "the elements of a row must be consecutive (a stride of 1 in the last dimension)");
  }
  if (view.extent(0) <= 1) return static_cast<std::int64_t>(view.extent(1));
  // validate() takes 0 for hidden_size.
  if (view.stride(0) < view.extent(1)) {
    reject(field, "rows must not overlap: they begin " + std::to_string(view.stride(0)) + " elements apart and have " +
                      std::to_string(view.extent(1)));
  }
  return static_cast<std::int64_t>(view.stride(0));
}

/// Scales or zero points: the request's number of them, where scale_index has them, and not const if they are written.
template <class View>
void require_one_each_span(const char* field, const View& view, const Request& request, bool written) {
  static_assert(View::rank <= 2, "scales and zero points have rank 0, 1 or 2");
  if (written && std::is_const_v<typename View::value_type>) {
    reject(field, "a dynamic scheme writes them; give a View whose value type is not const");
  }
  if (request.num_tokens == 0) return;  // there are no spans
  const std::int64_t needed = stored_scales(request);
  if constexpr (View::rank == 2) {
    if (request.scale_layout == ScaleLayout::column_aligned || request.scale_layout == ScaleLayout::packed) {
      reject(field, "of scale layout " + std::string(to_string(request.scale_layout)) + " must have rank 1, with " +
                        std::to_string(needed) + " entries");
    }
    const std::int64_t rows = request.granularity == Granularity::channel ? 1 : scale_rows(request);
    const std::int64_t columns = num_scales(request) / rows;
    if (static_cast<std::int64_t>(view.extent(0)) != rows || static_cast<std::int64_t>(view.extent(1)) != columns) {
      reject(field, "of rank 2 must be [" + std::to_string(rows) + ", " + std::to_string(columns) + "]");
    }
    const bool by_row = request.scale_layout == ScaleLayout::row;
    if (rows > 1 && columns > 1 && view.stride(by_row ? 1 : 0) != 1) {
      reject(field, by_row ? "must be row by row (LayoutRight) for scale layout row"
                           : "must be column by column (LayoutLeft) for scale layout column");
    }
    if (!by_row && columns > 1 && static_cast<std::int64_t>(view.stride(1)) == scale_column_stride(request)) return;
  }
  if (!view.span_is_contiguous() || static_cast<std::int64_t>(view.size()) < needed) {
    reject(field, "must be contiguous with " + std::to_string(needed) + " entries");
  }
}

/// The request with the stride that a View of scales of layout column has between its columns, if it is more than the
/// rows.
template <class View>
Request with_scale_stride(Request request, const View& scales) {
  if constexpr (View::rank == 2) {
    const bool columns = has_groups(request.granularity) && request.scale_layout == ScaleLayout::column;
    if (columns && scales.extent(1) > 1 && scales.stride(1) > scales.extent(0)) {
      request.scale_stride = static_cast<std::int64_t>(scales.stride(1));
    }
  }
  return request;
}

/// Codes and scales of the types that the request has.
template <class Code, class Scale>
void require_types(const Request& request) {
  static_assert(std::is_same_v<Code, std::uint8_t> || std::is_same_v<Code, std::int8_t>, "a code is one byte");
  static_assert(std::is_same_v<Scale, float> || std::is_same_v<Scale, std::uint8_t>, "a scale is a float or UE8M0");
  if (std::is_same_v<Code, std::int8_t> != (request.format == Format::int8)) {
    reject("codes", "must be std::int8_t for int8 and std::uint8_t for fp8 formats");
  }
  if (sizeof(Scale) != scale_size(request)) {
    reject("scales", "must be std::uint8_t for scale format ue8m0 and float otherwise");
  }
}

template <class ExecutionSpace, class View>
constexpr void require_reachable() {
  static_assert(Kokkos::SpaceAccessibility<ExecutionSpace, typename View::memory_space>::accessible,
                "the execution space cannot reach this View's memory");
}

}  // namespace detail

/// Nothing: the place of a View that a request has no use for.
struct NoView {};

/// What a producer reads and writes beside the input, as Views of the input's element type: a weight of rank 1 with
/// hidden_size elements, producers that norm; a residual and its sum with the input, [num_tokens, hidden_size] with the
/// same stride, producer add_rms_norm. The sum may be the residual itself.
template <class Weight = NoView, class Residual = NoView, class ResidualOut = NoView>
struct ProducerViews {
  Weight weight{};
  Residual residual{};
  ResidualOut residual_out{};
};
template <class... Views>
ProducerViews(Views...) -> ProducerViews<Views...>;

namespace detail {

/// Sets the addresses and the stride of what a producer has beside the input. `Value` is the input's element.
template <class ExecutionSpace, class Value, class Weight, class Residual, class ResidualOut>
void set_producer(const ProducerViews<Weight, Residual, ResidualOut>& views, Request& request, Operands& operands) {
  const auto is_matrix = [&](const auto& view) {
    return static_cast<std::int64_t>(view.extent(0)) == request.num_tokens &&
           static_cast<std::int64_t>(view.extent(1)) == request.hidden_size;
  };
  if constexpr (!std::is_same_v<Weight, NoView>) {
    static_assert(Weight::rank == 1 && std::is_same_v<typename Weight::non_const_value_type, Value>,
                  "a weight is a rank-1 View of the input's element type");
    require_reachable<ExecutionSpace, Weight>();
    if (has_norm(request.producer)) {
      if (!views.weight.span_is_contiguous() ||
          static_cast<std::int64_t>(views.weight.extent(0)) != request.hidden_size) {
        reject("weight", "must be contiguous with " + std::to_string(request.hidden_size) + " entries");
      }
      operands.weight = views.weight.data();
    }
  }
  if constexpr (!std::is_same_v<Residual, NoView> && !std::is_same_v<ResidualOut, NoView>) {
    static_assert(Residual::rank == 2 && ResidualOut::rank == 2 &&
                      std::is_same_v<typename Residual::non_const_value_type, Value> &&
                      std::is_same_v<typename ResidualOut::value_type, Value>,
                  "residuals are rank-2 Views of the input's element type, and the sum is written");
    require_reachable<ExecutionSpace, Residual>();
    require_reachable<ExecutionSpace, ResidualOut>();
    if (has_residual(request.producer)) {
      if (!is_matrix(views.residual)) reject("residual", "must be [num_tokens, hidden_size], as the codes are");
      if (!is_matrix(views.residual_out)) reject("residual_out", "must be [num_tokens, hidden_size], as the codes are");
      request.residual_stride = row_stride("residual", views.residual);
      if (row_stride("residual_out", views.residual_out) != request.residual_stride) {
        reject("residual_out", "must have the row stride of the residual");
      }
      operands.residual = views.residual.data();
      operands.residual_out = views.residual_out.data();
    }
  }
  if (has_norm(request.producer) && operands.weight == nullptr && request.num_tokens > 0) {
    reject("weight", "producer " + std::string(to_string(request.producer)) + " needs a View of it");
  }
  if (has_residual(request.producer) && operands.residual == nullptr && request.num_tokens > 0) {
    reject("residual", "producer add_rms_norm needs Views of it and of the sum");
  }
}

}  // namespace detail

/// Quantizes `input`, or what `options.producer` makes of it and `producer`, into `codes` on `space`. `options` chooses
/// format and scheme; its element, shape and strides are taken from the Views and need not be set. `workspace` is a
/// rank-1 View of bytes, needed where workspace_bytes says so: aligned to 16, zero before its first use, then left as
/// launches leave it.
template <class ExecutionSpace, class Input, class Codes, class Scales, class ZeroPoints = NoView,
          class Workspace = NoView, class Producer = ProducerViews<>>
void quantize(const ExecutionSpace& space, const Request& options, const Input& input, const Codes& codes,
              const Scales& scales, const ZeroPoints& zero_points = {}, const Workspace& workspace = {},
              const Producer& producer = {}) {
  using Value = typename Input::non_const_value_type;
  using Code = typename Codes::non_const_value_type;
  using Scale = typename Scales::non_const_value_type;
  static_assert(detail::is_built_for<ExecutionSpace>,
                "kq is built for Kokkos's default execution space and its default host one, not for this one");
  static_assert(Input::rank == 2 && Codes::rank == 2, "input and codes are [num_tokens, hidden_size]");
  static_assert(detail::HasElement<Value>, "the input's elements are kq::half, kq::bfloat16 or float");
  static_assert(!std::is_const_v<typename Codes::value_type>, "codes are written: their value type cannot be const");
  detail::require_reachable<ExecutionSpace, Input>();
  detail::require_reachable<ExecutionSpace, Codes>();
  detail::require_reachable<ExecutionSpace, Scales>();

  Request request = options;
  request.element = ElementOf<Value>::value;
  request.num_tokens = static_cast<std::int64_t>(input.extent(0));
  request.hidden_size = static_cast<std::int64_t>(codes.extent(1));
  request.input_stride = detail::row_stride("input", input);
  request.codes_stride = detail::row_stride("codes", codes);
  request.residual_stride = 0;
  if (codes.extent(0) != input.extent(0) || input_columns(request) != static_cast<std::int64_t>(input.extent(1))) {
    detail::reject("codes", input_parts(request.producer) == 2 ? "must have the rows of the input and half its columns"
                                                               : "must have the shape of the input");
  }
  request = detail::with_scale_stride(request, scales);
  detail::require_valid(request);
  detail::require_types<Code, Scale>(request);
  detail::require_one_each_span("scales", scales, request, !request.static_scale);

  Operands operands;  // a residual's stride is no shorter than its rows
  detail::set_producer<ExecutionSpace, Value>(producer, request, operands);
  operands.input = input.data();
  operands.codes = codes.data();
  operands.scales = const_cast<Scale*>(scales.data());  // only read if they are const
  if constexpr (!std::is_same_v<ZeroPoints, NoView>) {
    static_assert(std::is_same_v<typename ZeroPoints::non_const_value_type, std::int32_t>, "zero points are int32");
    detail::require_reachable<ExecutionSpace, ZeroPoints>();
    if (request.asymmetric) {
      detail::require_one_each_span("zero_points", zero_points, request, !request.static_scale);
      operands.zero_points = const_cast<std::int32_t*>(zero_points.data());
    }
  } else if (request.asymmetric) {
    detail::reject("zero_points", "an asymmetric scheme needs a View of them");
  }
  const std::size_t scratch = request.num_tokens == 0 ? 0 : workspace_bytes(space, request);
  if constexpr (!std::is_same_v<Workspace, NoView>) {
    static_assert(Workspace::rank == 1 && !std::is_const_v<typename Workspace::value_type>,
                  "the workspace is a rank-1 View that can be written");
    detail::require_reachable<ExecutionSpace, Workspace>();
    if (scratch > 0) {
      if (!workspace.span_is_contiguous() || workspace.size() * sizeof(typename Workspace::value_type) < scratch) {
        detail::reject("workspace", "must be contiguous with " + std::to_string(scratch) + " bytes");
      }
      if (reinterpret_cast<std::uintptr_t>(workspace.data()) % detail::workspace_alignment != 0) {
        detail::reject("workspace", "must be aligned to " + std::to_string(detail::workspace_alignment) + " bytes");
      }
      operands.workspace = workspace.data();
    }
  } else if (scratch > 0) {
    detail::reject("workspace", "this scheme needs " + std::to_string(scratch) + " bytes, see workspace_bytes");
  }
  request = resolved(request);
  detail::require_apart(request, operands, scratch);
  enqueue(space, request, operands);
}

/// Dequantizes `codes` into `output` on `space`: decode(code) * scale for fp8, (code - zero_point) * scale for int8.
/// `options` has the format and the scheme, scale format and layout included, that the codes were made with; its shape
/// and strides are taken from the Views and need not be set, and its element is not looked at. Codes, scales and zero
/// points are only read.
template <class ExecutionSpace, class Codes, class Scales, class Output, class ZeroPoints = NoView>
void dequantize(const ExecutionSpace& space, const Request& options, const Codes& codes, const Scales& scales,
                const Output& output, const ZeroPoints& zero_points = {}) {
  using Code = typename Codes::non_const_value_type;
  using Scale = typename Scales::non_const_value_type;
  static_assert(detail::is_built_for<ExecutionSpace>,
                "kq is built for Kokkos's default execution space and its default host one, not for this one");
  static_assert(Codes::rank == 2 && Output::rank == 2, "codes and output are [num_tokens, hidden_size]");
  static_assert(std::is_same_v<typename Output::value_type, float>, "the output is float, and written");
  detail::require_reachable<ExecutionSpace, Codes>();
  detail::require_reachable<ExecutionSpace, Scales>();
  detail::require_reachable<ExecutionSpace, Output>();

  Request request = options;
  request.num_tokens = static_cast<std::int64_t>(codes.extent(0));
  request.hidden_size = static_cast<std::int64_t>(codes.extent(1));
  request.element = Element::float32;  // the output's; there is no input
  request.producer = Producer::none;
  request.eps = 0.0f;
  request.residual_stride = 0;
  request.input_stride = 0;
  request.codes_stride = detail::row_stride("codes", codes);
  if (output.extent(0) != codes.extent(0) || output.extent(1) != codes.extent(1)) {
    detail::reject("output", "must have the shape of the codes");
  }
  if (detail::row_stride("output", output) != request.hidden_size) {
    detail::reject("output", "must be contiguous, row by row");
  }
  request = detail::with_scale_stride(request, scales);
  detail::require_valid(request);
  detail::require_types<Code, Scale>(request);
  detail::require_one_each_span("scales", scales, request, false);

  Operands operands;  // all three only read
  operands.codes = const_cast<Code*>(codes.data());
  operands.scales = const_cast<Scale*>(scales.data());
  if constexpr (!std::is_same_v<ZeroPoints, NoView>) {
    static_assert(std::is_same_v<typename ZeroPoints::non_const_value_type, std::int32_t>, "zero points are int32");
    detail::require_reachable<ExecutionSpace, ZeroPoints>();
    if (request.asymmetric) {
      detail::require_one_each_span("zero_points", zero_points, request, false);
      operands.zero_points = const_cast<std::int32_t*>(zero_points.data());
    }
  } else if (request.asymmetric) {
    detail::reject("zero_points", "an asymmetric scheme needs a View of them");
  }
  request = resolved(request);
  detail::require_apart(request, operands, output.data());
  enqueue_dequantize(space, request, operands, output.data());
}

}  // namespace kq
