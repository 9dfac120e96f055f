// SPDX-License-Identifier: Apache-2.0
#include "kq/tensors.hpp"

#include <type_traits>
#include <utility>

namespace kq {
namespace {

/// A [num_tokens, columns] tensor whose rows begin `stride` numbers apart.
TensorSpec matrix(const Request& r, std::string_view name, std::int64_t columns, bool is_written,
                  std::size_t element_bytes, std::int64_t stride) {
  TensorSpec spec{};
  spec.name = name;
  spec.row_name = "token";
  spec.is_matrix = true;
  spec.is_written = is_written;
  spec.element_bytes = element_bytes;
  spec.rows = r.num_tokens;
  spec.row_bytes = static_cast<std::size_t>(columns) * element_bytes;
  // A single row's stride is not bounded by validate(), and not needed.
  spec.row_stride = r.num_tokens > 1 ? static_cast<std::size_t>(stride) * element_bytes : spec.row_bytes;
  return spec;
}

/// `count` numbers one after the other.
TensorSpec list(std::string_view name, bool is_written, std::size_t element_bytes, std::int64_t count) {
  TensorSpec spec{};
  spec.name = name;
  spec.is_written = is_written;
  spec.element_bytes = element_bytes;
  spec.rows = count == 0 ? 0 : 1;
  spec.row_bytes = static_cast<std::size_t>(count) * element_bytes;
  spec.row_stride = spec.row_bytes;
  return spec;
}

TensorSpec scales_of(const Request& r) {
  TensorSpec spec = list("scales", !r.static_scale, scale_size(r), stored_scales(r));
  if (r.num_tokens > 0 && r.scale_layout == ScaleLayout::column) {
    const ScaleRuns runs = scale_runs(r);
    spec.row_name = "column";
    spec.rows = runs.count;
    spec.row_bytes = static_cast<std::size_t>(runs.size) * spec.element_bytes;
    spec.row_stride = static_cast<std::size_t>(runs.step) * spec.element_bytes;
  }
  return spec;
}

/// Bytes of codes, of which a row may have half as many as there are columns.
TensorSpec codes_of(const Request& r) {
  const std::int64_t row_bytes = codes_row_bytes(r.format, r.hidden_size);
  TensorSpec spec = matrix(r, "codes", row_bytes, true, 1, codes_row_bytes(r.format, r.codes_stride));
  spec.numbers_per_element = 8 / code_bits(r.format);
  return spec;
}

TensorSpec source(TensorSpec spec) {
  spec.is_source = true;
  return spec;
}

/// The tensor with the places of its address and of its bytes on the host.
template <auto address>
TensorSpec placed(TensorSpec spec, decltype(TensorSpec::on_host) on_host) {
  using Pointer = std::remove_reference_t<decltype(std::declval<Operands&>().*address)>;
  spec.on_host = on_host;
  spec.set = [](Operands& operands, void* to) { operands.*address = static_cast<Pointer>(to); };
  spec.get = [](const Operands& operands) { return const_cast<void*>(static_cast<const void*>(operands.*address)); };
  return spec;
}

}  // namespace

std::size_t TensorSpec::bytes() const {
  return rows == 0 ? 0 : static_cast<std::size_t>(rows - 1) * row_stride + row_bytes;
}

std::string TensorSpec::describe(std::size_t offset) const {
  const std::string tensor(name);
  const std::size_t row = offset / row_stride;
  const std::size_t column = offset % row_stride / element_bytes;
  if (offset % row_stride >= row_bytes) {
    return "the gap after " + std::string(row_name) + ' ' + std::to_string(row) + " of the " + tensor;
  }
  if (is_matrix && numbers_per_element == 2) {
    return tensor + "[token " + std::to_string(row) + ", channels " + std::to_string(2 * column) + " and " +
           std::to_string(2 * column + 1) + ']';
  }
  if (is_matrix) return tensor + "[token " + std::to_string(row) + ", channel " + std::to_string(column) + ']';
  return tensor + '[' + std::to_string(offset / element_bytes) + ']';
}

TensorList tensors(const Request& r) {
  const std::size_t size = element_size(r.element);
  TensorList all;
  all.add(placed<&Operands::input>(source(matrix(r, "input", input_columns(r), false, size, r.input_stride)),
                                   &HostTensors::input));
  if (has_norm(r.producer)) {
    const std::int64_t count = r.num_tokens == 0 ? 0 : r.hidden_size;
    all.add(placed<&Operands::weight>(source(list("weight", false, size, count)), &HostTensors::weight));
  }
  if (has_residual(r.producer)) {
    all.add(placed<&Operands::residual>(source(matrix(r, "residual", r.hidden_size, false, size, r.residual_stride)),
                                        &HostTensors::residual));
    all.add(placed<&Operands::residual_out>(matrix(r, "residual_out", r.hidden_size, true, size, r.residual_stride),
                                            &HostTensors::residual_out));
  }
  all.add(placed<&Operands::codes>(codes_of(r), &HostTensors::codes));
  all.add(placed<&Operands::scales>(scales_of(r), &HostTensors::scales));
  if (r.asymmetric) {
    all.add(placed<&Operands::zero_points>(list("zero_points", !r.static_scale, sizeof(std::int32_t), num_scales(r)),
                                           &HostTensors::zero_points));
  }
  if (has_global_scale(r)) {
    const std::int64_t count = r.num_tokens == 0 ? 0 : 1;
    all.add(placed<&Operands::global_scale>(list("global_scale", !r.static_scale, sizeof(float), count),
                                            &HostTensors::global_scale));
  }
  return all;
}

Operands addresses(HostTensors& tensors) {
  Operands operands;
  operands.input = tensors.input.data();
  operands.codes = tensors.codes.data();
  operands.scales = tensors.scales.data();
  operands.zero_points = reinterpret_cast<std::int32_t*>(tensors.zero_points.data());
  operands.global_scale = reinterpret_cast<float*>(tensors.global_scale.data());
  operands.weight = tensors.weight.data();
  operands.residual = tensors.residual.data();
  operands.residual_out = tensors.residual_out.data();
  return operands;
}

Operands addresses(const HostTensors& tensors) {
  return addresses(const_cast<HostTensors&>(tensors));
}

}  // namespace kq
