// SPDX-License-Identifier: Apache-2.0

#include "calls.hpp"

#include <nanobind/stl/string.h>

#include <array>
#include <cstring>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "capi/c_request.hpp"
#include "errors.hpp"
#include "kq.h"
#include "kq/dialect.hpp"
#include "kq/error_report.hpp"
#include "kq/parameters.hpp"
#include "operands.hpp"
#include "scheme.hpp"
#include "tensor.hpp"

namespace kq::python {
namespace {

using namespace nb::literals;
using c::c_request;

nb::handle imported(const char* module, const char* name) {
  return nb::object(nb::module_::import_(module).attr(name)).release();
}

/// Throws what libkq's status stands for. Its messages begin with a field of its structs: `field_of` has this module's
/// name for it.
[[noreturn]] void throw_failure(kq_status status, std::string_view input, std::string_view codes) {
  const std::string_view message = kq_last_error();
  if (status == KQ_OUT_OF_MEMORY) throw std::bad_alloc();
  if (status != KQ_INVALID_ARGUMENT) throw DeviceFailure(std::string(message));
  const std::size_t colon = message.find(": ");
  if (colon == std::string_view::npos) throw Invalid("", std::string(message));
  std::string_view field = message.substr(0, colon);
  if (field == "input") field = input;
  if (field == "codes") field = codes;
  if (field == "output") field = "out";
  throw Invalid(std::string(field), std::string(message.substr(colon + 2)));
}

void require_valid(const Request& request) {
  const auto invalid = validate(request);
  if (!invalid) return;
  if (invalid->field == "dtype") throw Invalid("x", invalid->reason);
  throw Invalid(invalid->field == "quant_dtype" ? "format" : invalid->field, invalid->reason);
}

// --- devices and streams
// ----------------------------------------------------------------------------------------------

bool serves(dlpack::Device device, bool on_host) {
  static const std::string_view backend = kq_backend();
  if (backend == "cuda") return device.type == dlpack::cuda || device.type == dlpack::cuda_managed;
  if (backend == "hip") return device.type == dlpack::rocm;
  return on_host;
}

/// Throws unless this build works where the tensor is; starts the library on that device.
void require_device(const Tensor& tensor, const char* field) {
  if (!serves(tensor.device(), tensor.is_on_host())) {
    throw Invalid(field, std::string("is ") + (tensor.is_on_host() ? "on the host" : "on a device") +
                             ", and this libkq was built for " + kq_backend());
  }
  if (tensor.is_on_host()) return;
  static int started = -1;  // with Python's lock held
  if (started == tensor.device().id) return;
  if (const kq_status status = kq_initialize(tensor.device().id); status != KQ_SUCCESS)
    throw_failure(status, "x", "out");
  started = tensor.device().id;
}

void require_same_device(const Tensor& tensor, const char* field, const Tensor& first) {
  const bool both_on_host = tensor.is_on_host() && first.is_on_host();
  const bool same = tensor.device().type == first.device().type && tensor.device().id == first.device().id;
  if (!both_on_host && !same) throw Invalid(field, "is on another device than the first tensor");
}

void* stream_for(const Tensor& tensor, nb::handle object, nb::handle given) {
  if (!given.is_none()) {
    static const nb::handle stream_handle = imported("kq._arrays", "stream_handle");
    return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(stream_handle(given)));
  }
  if (tensor.is_on_host()) return nullptr;
  if (tensor.has_exchange_api()) return tensor.current_stream();
  static const nb::handle current_stream = imported("kq._arrays", "current_stream");
  return reinterpret_cast<void*>(nb::cast<std::uintptr_t>(current_stream(object)));
}

// --- the workspace
// ----------------------------------------------------------------------------------------------------

/// One for each thread that calls: the work of a host call has ended when it returns.
std::vector<std::max_align_t>& host_workspace() {
  static thread_local std::vector<std::max_align_t> memory;
  return memory;
}

/// The workspace that a call needs; `hold` keeps it until the call is made.
void set_workspace(kq_buffers& buffers, const kq_request& request, nb::handle x, const Tensor& input, void* stream,
                   nb::object& hold) {
  const bool has_none =
      request.granularity != KQ_TENSOR && request.granularity != KQ_CHANNEL && request.scale_format != KQ_SCALE_E4M3;
  if (request.producer == KQ_PRODUCER_NONE && (request.static_scale != 0 || has_none)) return;
  kq_buffer_sizes sizes = KQ_BUFFER_SIZES_INIT;
  if (const kq_status status = kq_sizes(&request, &sizes); status != KQ_SUCCESS) throw_failure(status, "x", "out");
  if (sizes.workspace_bytes == 0) return;
  buffers.workspace_bytes = sizes.workspace_bytes;
  if (input.is_on_host()) {
    auto& memory = host_workspace();
    const std::size_t count = (sizes.workspace_bytes + sizeof(std::max_align_t) - 1) / sizeof(std::max_align_t);
    if (memory.size() < count) memory.resize(count);
    buffers.workspace = memory.data();
    return;
  }
  static const nb::handle workspace = imported("kq._arrays", "workspace");
  hold = workspace(x, sizes.workspace_bytes, reinterpret_cast<std::uintptr_t>(stream));
  buffers.workspace = Tensor(hold, "workspace", true).data();
}

// --- calls
// ------------------------------------------------------------------------------------------------------------

/// A tensor that the caller gave, or one that is made.
class Operand {
 public:
  Operand(nb::handle given, nb::handle like, const Tensor& read, const char* field, Type type, const Layout& layout)
      : object_(given.is_none() ? make_tensor(like, read, type, layout) : nb::borrow(given)),
        made_(given.is_none()),
        tensor_(object_, field, true) {}

  const Tensor& tensor() const { return tensor_; }
  bool made() const { return made_; }
  nb::object finished_for(nb::handle like, const Tensor& read) const {
    return made_ ? finished(like, read, object_) : object_;
  }
  nb::handle object() const { return object_; }

 private:
  nb::object object_;
  bool made_;
  Tensor tensor_;
};

std::span<const std::int64_t> leading_of(const Tensor& tensor) {
  return tensor.shape().first(tensor.shape().size() - 1);
}

/// The shape of a tensor with this many columns in place of its own.
Layout with_columns(const Tensor& tensor, std::int64_t columns) {
  Layout layout;
  for (const std::int64_t size : leading_of(tensor))
    layout.add(size);
  layout.add(columns);
  layout.make_consecutive();
  return layout;
}

/// The shape of the codes of an input: its own, or half as many columns where a byte has two codes.
Layout codes_shape(const Tensor& input, Format format) {
  return with_columns(input, codes_row_bytes(format, input.shape().back()));
}

void require_shape(const Tensor& tensor, const char* field, const Layout& layout) {
  const auto shape = tensor.shape();
  const std::span wanted(layout.shape.data(), static_cast<std::size_t>(layout.ndim));
  if (!std::equal(shape.begin(), shape.end(), wanted.begin(), wanted.end())) {
    throw Invalid(field, "must have the shape " + shape_text(wanted) + ", not " + shape_text(shape));
  }
}

/// What makes the values that are quantized, as kq.quantize has it in its arguments.
struct Made {
  nb::handle producer, eps, weight, residual, residual_out;
};

/// Writes the producer into the request, whose rows are the input's: of gate and up, half as many columns.
void set_producer(Request& r, const Made& made) {
  if (!made.producer.is_none()) {
    const auto name = nb::cast<std::string>(made.producer);
    const auto producer = parse_producer(name);
    if (!producer) throw Invalid("producer", "must be " + choice_of(parameter("producer")) + ", not " + name);
    r.producer = *producer;
  }
  if (!made.eps.is_none()) r.eps = nb::cast<float>(made.eps);
  const int parts = input_parts(r.producer);
  if (r.hidden_size % parts != 0) {
    throw Invalid("x",
                  "must have rows of gate and up, an even number of columns, not " + std::to_string(r.hidden_size));
  }
  r.hidden_size /= parts;
}

/// One of a producer's tensors, of the input's type. Throws Invalid where it is missing, or given to a producer that
/// has none.
const Tensor* producers_tensor(nb::handle given, const char* field, bool is_needed, bool is_written,
                               const Tensor& input, std::optional<Tensor>& tensor) {
  if (given.is_none()) {
    if (is_needed) throw Invalid(field, "must be given to this producer");
    return nullptr;
  }
  if (!is_needed) throw Invalid(field, "is none of this producer's; leave it out");
  tensor.emplace(given, field, is_written);
  require_type(*tensor, field, input.type());
  require_same_device(*tensor, field, input);
  return &*tensor;
}

/// Takes the producer's tensors into the buffers. `weight` and the residuals keep them until the call is made.
void take_producers(Request& r, const Made& made, const Tensor& input, kq_buffers& buffers,
                    std::array<std::optional<Tensor>, 3>& tensors) {
  const bool has_weight = has_norm(r.producer), adds = has_residual(r.producer);
  auto& [weight, residual, residual_out] = tensors;
  if (const Tensor* w = producers_tensor(made.weight, "weight", has_weight, false, input, weight)) {
    if (w->elements() != r.hidden_size || w->shape().size() != 1 || (r.hidden_size > 1 && w->strides()[0] != 1)) {
      throw Invalid("weight", "must be " + std::to_string(r.hidden_size) + " elements one behind the other, not " +
                                  shape_text(w->shape()));
    }
    buffers.weight = w->data();
  }
  const Tensor* const read = producers_tensor(made.residual, "residual", adds, false, input, residual);
  const Tensor* const written = producers_tensor(made.residual_out, "residual_out", adds, true, input, residual_out);
  if (read == nullptr || written == nullptr) return;
  const Layout shape = with_columns(input, r.hidden_size);
  require_shape(*read, "residual", shape);
  require_shape(*written, "residual_out", shape);
  const Rows rows = rows_of(*read, "residual");
  if (rows.stride != rows_of(*written, "residual_out").stride) {
    throw Invalid("residual_out", "must have its rows as far apart as those of residual");
  }
  r.residual_stride = rows.stride;
  buffers.residual = read->data();
  buffers.residual_out = written->data();
}

Element element_of(const Tensor& x) {
  switch (x.type()) {
    case Type::float16:
      return Element::half;
    case Type::bfloat16:
      return Element::bfloat16;
    case Type::float32:
      return Element::float32;
    default:
      throw Invalid("x", std::string("must be float16, bfloat16 or float32, not ") + x.type_name());
  }
}

/// Scales and zero points that were made for no tokens, where a shape has room for them: nothing else writes them.
void clear_if_unwritten(const Request& r, const Operand& made) {
  if (r.num_tokens != 0 || !made.made() || made.tensor().elements() == 0) return;
  static const nb::handle clear = imported("kq._arrays", "clear");
  clear(made.object());
}

/// A kq.Quantized; of a tensor's scale, a kq.TwoLevelQuantized.
nb::object quantized_tuple(const nb::object& codes, const nb::object& scales, const nb::object& zero_points,
                           const nb::object& global_scale) {
  static const nb::handle one_level = imported("kq._types", "Quantized");
  static const nb::handle two_level = imported("kq._types", "TwoLevelQuantized");
  const bool has_two = global_scale.is_valid();
  const nb::handle type = has_two ? two_level : one_level;
  const nb::tuple all = nb::make_tuple(has_two ? nb::make_tuple(codes, scales, zero_points, global_scale)
                                               : nb::make_tuple(codes, scales, zero_points));
  PyObject* const made = PyTuple_Type.tp_new(reinterpret_cast<PyTypeObject*>(type.ptr()), all.ptr(), nullptr);
  if (made == nullptr) throw nb::python_error();
  return nb::steal(made);
}

/// One float in the memory of the first tensor's device, as a bound of scales is, or the tensor's scale.
void require_one_float(const Tensor& tensor, const char* field, const Tensor& first) {
  require_type(tensor, field, Type::float32);
  require_same_device(tensor, field, first);
  if (tensor.elements() != 1) {
    throw Invalid(field, "must have one element, not " + std::to_string(tensor.elements()));
  }
}

nb::object quantize(nb::handle x, nb::handle scheme, nb::handle out, nb::handle scales, nb::handle zero_points,
                    nb::handle global_scale, nb::handle scale_ub, nb::handle stream, nb::handle producer,
                    nb::handle weight, nb::handle eps, nb::handle residual, nb::handle residual_out) {
  const Tensor input(x, "x", false);
  require_device(input, "x");
  Request r = scheme_from(scheme).request;
  r.element = element_of(input);
  const Rows rows = rows_of(input, "x");
  r.num_tokens = rows.tokens;
  r.hidden_size = rows.hidden_size;
  r.input_stride = rows.stride;
  const Made made{producer, eps, weight, residual, residual_out};
  set_producer(r, made);
  require_valid(r);
  if (r.static_scale && scales.is_none()) throw Invalid("scales", "must be given to a static scheme");
  if (r.static_scale && r.asymmetric && zero_points.is_none()) {
    throw Invalid("zero_points", "must be given to a static asymmetric scheme");
  }
  if (!r.asymmetric && !zero_points.is_none()) {
    throw Invalid("zero_points", "are those of asymmetric schemes; leave them out, or add asymmetric");
  }

  if (has_global_scale(r) && r.static_scale && global_scale.is_none()) {
    throw Invalid("global_scale", "must be given to a static scheme of e4m3 scales");
  }
  if (!has_global_scale(r) && !global_scale.is_none()) {
    throw Invalid("global_scale", "is the tensor's scale beside e4m3 ones; leave it out");
  }

  const bool named = input.has_exchange_api();
  const bool has_halves = code_bits(r.format) == 4;
  // Frameworks do little with their type of two codes: new ones are bytes, which it can be a view of.
  const Type code_type = has_halves ? Type::uint8 : codes_type(r.format, named);
  const Layout code_layout = with_columns(input, codes_row_bytes(r.format, r.hidden_size));
  const Operand codes(out, x, input, "out", code_type, code_layout);
  require_same_device(codes.tensor(), "out", input);
  if (!codes.made()) {
    require_type(codes.tensor(), "out", codes_type(r.format, true));
    require_shape(codes.tensor(), "out", code_layout);
    r.codes_stride = rows_of(codes.tensor(), "out").stride * (has_halves ? 2 : 1);
  }

  // Given scales are only read by a static scheme: a caller's may be read-only.
  const auto leading = leading_of(input);
  std::optional<Tensor> static_scales;
  std::optional<Tensor> static_zero_points;
  std::optional<Operand> dynamic_scales;
  std::optional<Operand> dynamic_zero_points;
  const auto take = [&](nb::handle given, const char* field, Type type, std::optional<Tensor>& read,
                        std::optional<Operand>& written) -> const Tensor& {
    if (r.static_scale) {
      read.emplace(given, field, false);
    } else {
      written.emplace(given, x, input, field, type, scales_layout(r, leading));
    }
    const Tensor& tensor = r.static_scale ? *read : written->tensor();
    require_same_device(tensor, field, input);
    const Type wanted = type == Type::int32 ? type : scales_type(r, true);
    if (!given.is_none()) require_scales(tensor, given, field, r, wanted, leading, !r.static_scale);
    return tensor;
  };
  kq_buffers buffers = KQ_BUFFERS_INIT;
  buffers.input = input.data();
  buffers.codes = codes.tensor().data();
  std::array<std::optional<Tensor>, 3> producers;
  take_producers(r, made, input, buffers, producers);
  buffers.scales = take(scales, "scales", scales_type(r, named), static_scales, dynamic_scales).data();
  if (r.asymmetric) {
    buffers.zero_points = static_cast<std::int32_t*>(
        take(zero_points, "zero_points", Type::int32, static_zero_points, dynamic_zero_points).data());
  }
  std::optional<Tensor> static_global;
  std::optional<Operand> dynamic_global;
  if (has_global_scale(r)) {
    if (r.static_scale) {
      static_global.emplace(global_scale, "global_scale", false);
    } else {
      Layout one;
      one.add(1);
      one.make_consecutive();
      dynamic_global.emplace(global_scale, x, input, "global_scale", Type::float32, one);
    }
    const Tensor& tensor = r.static_scale ? *static_global : dynamic_global->tensor();
    require_one_float(tensor, "global_scale", input);
    buffers.global_scale = static_cast<float*>(tensor.data());
  }
  std::optional<Tensor> bound;
  if (!scale_ub.is_none()) {
    require_one_float(bound.emplace(scale_ub, "scale_ub", false), "scale_ub", input);
    buffers.scale_ub = static_cast<const float*>(bound->data());
  }

  void* const on_stream = stream_for(input, x, stream);
  const kq_request request = c_request(r);
  nb::object hold;
  set_workspace(buffers, request, x, input, on_stream, hold);
  kq_status status = KQ_SUCCESS;
  {
    const nb::gil_scoped_release release;
    status = kq_quantize(&request, &buffers, on_stream);
  }
  if (status != KQ_SUCCESS) throw_failure(status, "x", "out");
  if (dynamic_scales) clear_if_unwritten(r, *dynamic_scales);
  if (dynamic_zero_points) clear_if_unwritten(r, *dynamic_zero_points);
  if (dynamic_global) clear_if_unwritten(r, *dynamic_global);
  return quantized_tuple(codes.finished_for(x, input),
                         dynamic_scales ? dynamic_scales->finished_for(x, input) : nb::borrow(scales),
                         dynamic_zero_points ? dynamic_zero_points->finished_for(x, input) : nb::borrow(zero_points),
                         !has_global_scale(r) ? nb::object()
                         : dynamic_global     ? dynamic_global->finished_for(x, input)
                                              : nb::borrow(global_scale));
}

void prepare_stream(nb::handle stream) {
  std::uintptr_t handle = 0;
  if (!stream.is_none()) {
    static const nb::handle stream_handle = imported("kq._arrays", "stream_handle");
    handle = nb::cast<std::uintptr_t>(stream_handle(stream));
  }
  kq_status status = KQ_SUCCESS;
  {
    const nb::gil_scoped_release release;
    status = kq_prepare_stream(reinterpret_cast<void*>(handle));
  }
  if (status != KQ_SUCCESS) throw_failure(status, "x", "out");
}

std::size_t overlap_graph(nb::handle graph) {
  static const nb::handle graph_handle = imported("kq._arrays", "graph_handle");
  const auto handle = nb::cast<std::uintptr_t>(graph_handle(graph));
  std::size_t overlapped = 0;
  kq_status status = KQ_SUCCESS;
  {
    const nb::gil_scoped_release release;
    status = kq_overlap_graph(reinterpret_cast<void*>(handle), &overlapped);
  }
  if (status != KQ_SUCCESS) throw_failure(status, "x", "out");
  return overlapped;
}

/// Codes, scales and what goes with them, all read, and the request that they are of.
struct Coded {
  /// `columns` is how many codes a row has, where a byte has two; 0 if no half of a byte is padding.
  Coded(nb::handle given_codes, nb::handle given_scales, nb::handle given_zero_points, nb::handle given_global_scale,
        nb::handle scheme, std::int64_t columns)
      : codes(given_codes, "codes", false), scales(given_scales, "scales", false) {
    r = scheme_from(scheme).request;
    r.element = Element::float32;
    if (!has_element(r.dialect, r.element)) r.element = Element::half;
    const Rows rows = rows_of(codes, "codes");
    r.num_tokens = rows.tokens;
    const bool has_halves = code_bits(r.format) == 4;
    r.hidden_size = has_halves ? 2 * rows.hidden_size : rows.hidden_size;
    if (has_halves && columns == r.hidden_size - 1) r.hidden_size = columns;
    r.codes_stride = rows.stride * (has_halves ? 2 : 1);
    require_valid(r);
    require_type(codes, "codes", codes_type(r.format, true));
    require_same_device(scales, "scales", codes);
    require_scales(scales, given_scales, "scales", r, scales_type(r, true), leading_of(codes), false);
    if (r.asymmetric) {
      if (given_zero_points.is_none()) throw Invalid("zero_points", "must be given for an asymmetric scheme");
      zero_points.emplace(given_zero_points, "zero_points", false);
      require_same_device(*zero_points, "zero_points", codes);
      require_scales(*zero_points, given_zero_points, "zero_points", r, Type::int32, leading_of(codes), false);
    } else if (!given_zero_points.is_none()) {
      throw Invalid("zero_points", "are those of asymmetric schemes; leave them out, or add asymmetric");
    }
    if (has_global_scale(r)) {
      if (given_global_scale.is_none()) throw Invalid("global_scale", "must be given for a scheme of e4m3 scales");
      global_scale.emplace(given_global_scale, "global_scale", false);
      require_one_float(*global_scale, "global_scale", codes);
    } else if (!given_global_scale.is_none()) {
      throw Invalid("global_scale", "is the tensor's scale beside e4m3 ones; leave it out");
    }
  }

  float* global_scale_data() const { return global_scale ? static_cast<float*>(global_scale->data()) : nullptr; }
  /// The shape of what the codes stand for.
  Layout values_shape() const { return with_columns(codes, r.hidden_size); }
  std::int32_t* zero_points_data() const {
    return zero_points ? static_cast<std::int32_t*>(zero_points->data()) : nullptr;
  }

  Tensor codes;
  Tensor scales;
  std::optional<Tensor> zero_points;
  std::optional<Tensor> global_scale;
  Request r;
};

nb::object dequantize(nb::handle codes, nb::handle scales, nb::handle zero_points, nb::handle global_scale,
                      nb::handle scheme, nb::handle out, nb::handle stream) {
  std::optional<Tensor> given_out;
  if (!out.is_none()) given_out.emplace(out, "out", true);
  const bool has_columns = given_out && !given_out->shape().empty();
  const Coded coded(codes, scales, zero_points, global_scale, scheme, has_columns ? given_out->shape().back() : 0);
  require_device(coded.codes, "codes");
  const Layout shape = coded.values_shape();
  const Operand output(out, codes, coded.codes, "out", Type::float32, shape);
  if (!output.made()) {
    require_type(output.tensor(), "out", Type::float32);
    require_shape(output.tensor(), "out", shape);
    const Rows rows = rows_of(output.tensor(), "out");
    if (rows.tokens > 1 && rows.stride != rows.hidden_size) throw Invalid("out", "must be contiguous");
  }
  require_same_device(output.tensor(), "out", coded.codes);
  kq_buffers buffers = KQ_BUFFERS_INIT;
  buffers.codes = coded.codes.data();
  buffers.scales = coded.scales.data();
  buffers.zero_points = coded.zero_points_data();
  buffers.global_scale = coded.global_scale_data();
  void* const on_stream = stream_for(coded.codes, codes, stream);
  const kq_request request = c_request(coded.r);
  kq_status status = KQ_SUCCESS;
  {
    const nb::gil_scoped_release release;
    status = kq_dequantize(&request, &buffers, static_cast<float*>(output.tensor().data()), on_stream);
  }
  if (status != KQ_SUCCESS) throw_failure(status, "x", "codes");
  return output.finished_for(codes, coded.codes);
}

nb::object error_report(nb::handle x, nb::handle codes, nb::handle scales, nb::handle zero_points,
                        nb::handle global_scale, nb::handle scheme) {
  const Tensor input(x, "x", false);
  const Rows rows = rows_of(input, "x");
  Coded coded(codes, scales, zero_points, global_scale, scheme, rows.hidden_size);
  require_shape(coded.codes, "codes", codes_shape(input, coded.r.format));
  for (const auto& [tensor, field] : {std::pair<const Tensor*, const char*>{&input, "x"},
                                      {&coded.codes, "codes"},
                                      {&coded.scales, "scales"},
                                      {coded.zero_points ? &*coded.zero_points : nullptr, "zero_points"},
                                      {coded.global_scale ? &*coded.global_scale : nullptr, "global_scale"}}) {
    if (tensor != nullptr && !tensor->is_on_host()) throw Invalid(field, "must be on the host");
  }
  coded.r.element = element_of(input);
  coded.r.input_stride = rows.stride;
  require_valid(coded.r);
  ErrorReport report;
  {
    const nb::gil_scoped_release release;
    ErrorMeter meter;
    if (coded.r.num_tokens > 0) {
      meter.add(resolved(coded.r), input.data(),
                {coded.codes.data(), coded.scales.data(), coded.zero_points_data(), coded.global_scale_data()});
    }
    report = meter.report();
  }
  static const nb::handle type = imported("kq._types", "ErrorReport");
  return type(report.max_error, report.rmse, report.sqnr_db, report.elements, report.not_finite, report.lost);
}

constexpr const char* quantize_help = R"(Quantizes a tensor: codes, scales and, for asymmetric schemes, zero points.

x: [*leading, hidden_size] of float16, bfloat16 or float32. The elements of a row are one behind the other, and rows at one
    distance from each other: a slice of columns will do, other views need a contiguous copy. There may be no rows.
scheme: a kq.Scheme or its text, "fp8 group:128".
out: codes are written here, instead of into a new tensor: of x's shape, or of half as many columns where a byte has two codes
    (uint8, or torch's float4_e2m1fn_x2); rows may lie apart.
scales, zero_points: read by a static scheme, which needs them; otherwise written, instead of into new tensors. kq.Quantized
    has their shapes. Padding of the layout column_aligned is written where the tensor's memory has room for it.
global_scale: of e4m3 scales, the tensor's, a float32 tensor of one number: read by a static scheme, otherwise written.
scale_ub: a float32 tensor of one number on x's device, above 0 or infinity, which the kernels read: the scheme's scale_ub
    without a wait for the device. For schemes that can have one, "fp8 token", and have none in their text.
stream: a handle or a stream object of the device; None: the one that x's framework works on now.
producer: what makes the values that are quantized, where possible in the same launch: None or "none", x itself; "rms_norm",
    x / its root mean square * weight; "add_rms_norm", x + residual, which is stored as residual_out, normed; "silu_mul",
    SiLU(gate) * up of x [*leading, 2 * hidden_size] whose rows are gate and then up.
weight: [hidden_size] of x's type, of producers that norm. eps: added to the mean of squares [1e-6].
residual, residual_out: of x's shape and type, of add_rms_norm; residual_out may be the residual itself.

Returns a kq.Quantized, of e4m3 scales a kq.TwoLevelQuantized. Raises kq.InvalidArgument, whose `field` names the argument or
the part of the scheme that is wrong; TypeError for what is no tensor; kq.DeviceError where the device fails. What is refused
has written nothing.)";

constexpr const char* dequantize_help = R"(The numbers that codes stand for, float32, each in its code's place.

codes, scales, zero_points, global_scale, scheme: as kq.quantize takes and returns them;
    kq.dequantize(*kq.quantize(x, s), scheme=s).
out: a contiguous float32 tensor to write to, instead of a new one: of the codes' shape, or of twice as many columns where a
    byte has two codes, and of one less where a row has an odd number of codes.
stream: as for kq.quantize.

Raises as kq.quantize does.)";

constexpr const char* prepare_stream_help = R"(Makes what the library keeps for a stream, as its first call there does.

Needed for a stream that is captured into a graph before any call of kq has used it, since memory is allocated. stream: a
handle or a stream object; None: the default stream. Raises kq.InvalidArgument for a stream where there are none, on a host.)";

constexpr const char* overlap_graph_help =
    R"(Lets launches of kq in a CUDA graph overlap (programmatic dependent launch).

graph: a torch.cuda.CUDAGraph(keep_graph=True) that was captured and not instantiated yet, or a cudaGraph_t as an int. Where one
    kernel of kq.quantize comes right after another, and after nothing else, it starts while that one ends, and waits for it
    before it reads or writes a tensor: results stay as they were. kq.h (kq_overlap_graph) says which edges are left alone.

Returns how many edges have been changed, 0 on devices below compute capability 9.0. Raises kq.InvalidArgument, `field` "graph",
for a build that is not for CUDA and for no graph; kq.DeviceError where CUDA fails, and then the graph must be destroyed.)";

}  // namespace

void bind_calls(nb::module_& m) {
  m.def("quantize", &quantize, "x"_a, "scheme"_a, nb::kw_only(), "out"_a = nb::none(), "scales"_a = nb::none(),
        "zero_points"_a = nb::none(), "global_scale"_a = nb::none(), "scale_ub"_a = nb::none(), "stream"_a = nb::none(),
        "producer"_a = nb::none(), "weight"_a = nb::none(), "eps"_a = nb::none(), "residual"_a = nb::none(),
        "residual_out"_a = nb::none(), quantize_help);
  m.def("dequantize", &dequantize, "codes"_a, "scales"_a, "zero_points"_a = nb::none(), "global_scale"_a = nb::none(),
        nb::kw_only(), "scheme"_a, "out"_a = nb::none(), "stream"_a = nb::none(), dequantize_help);
  m.def("error_report", &error_report, "x"_a, "codes"_a, "scales"_a, "zero_points"_a = nb::none(),
        "global_scale"_a = nb::none(), nb::kw_only(), "scheme"_a);
  m.def("prepare_stream", &prepare_stream, "stream"_a = nb::none(), prepare_stream_help);
  m.def("overlap_graph", &overlap_graph, "graph"_a, overlap_graph_help);
  m.def("backend", [] { return std::string(kq_backend()); });
  m.def("architecture", [] { return std::string(kq_architecture()); });
  m.def("api_version", &kq_api_version);
}

}  // namespace kq::python
