// SPDX-License-Identifier: Apache-2.0

#include "operands.hpp"

#include <algorithm>

#include "errors.hpp"

namespace kq::python {
namespace {

bool lies_as(const Tensor& given, const Layout& layout) {
  const auto shape = given.shape();
  if (static_cast<int>(shape.size()) != layout.ndim) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] != layout.shape[i]) return false;
  }
  if (given.elements() == 0) return true;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] > 1 && given.strides()[i] != layout.strides[i]) return false;
  }
  return true;
}

bool is_consecutive(const Tensor& given) {
  std::int64_t expected = 1;
  for (std::size_t i = given.shape().size(); i-- > 0;) {
    if (given.shape()[i] > 1 && given.strides()[i] != expected) return false;
    expected *= given.shape()[i];
  }
  return true;
}

}  // namespace

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i)
    text.append(i == 0 ? "" : ", ").append(std::to_string(shape[i]));
  return text.append("]");
}

Rows rows_of(const Tensor& tensor, const char* field) {
  const auto shape = tensor.shape();
  const auto strides = tensor.strides();
  if (shape.empty()) throw Invalid(field, "must have a dimension at least");
  Rows rows;
  rows.hidden_size = shape.back();
  for (std::size_t i = 0; i + 1 < shape.size(); ++i)
    rows.tokens *= shape[i];
  if (rows.tokens == 0) return rows;
  if (rows.hidden_size > 1 && strides.back() != 1) {
    throw Invalid(field, "must have the elements of a row one behind the other, not " + std::to_string(strides.back()) +
                             " apart; pass a contiguous copy");
  }
  if (rows.tokens == 1) return rows;
  std::int64_t expected = 0;
  for (std::size_t i = shape.size() - 1; i-- > 0;) {
    if (shape[i] == 1) continue;
    if (rows.stride == 0) {
      rows.stride = strides[i];
      if (rows.stride < rows.hidden_size) {
        throw Invalid(field, "has rows of " + std::to_string(rows.hidden_size) + " elements that lie " +
                                 std::to_string(rows.stride) + " apart; pass a contiguous copy");
      }
    } else if (strides[i] != expected) {
      throw Invalid(field, "has rows that do not lie at one distance from each other; pass a contiguous copy");
    }
    expected = strides[i] * shape[i];
  }
  return rows;
}

Type codes_type(Format format, bool named_formats) {
  if (format == Format::int8) return Type::int8;
  if (!named_formats) return Type::uint8;
  switch (format) {
    case Format::int8:
      break;
    case Format::fp8_e4m3fn:
      return Type::float8_e4m3fn;
    case Format::fp8_e5m2:
      return Type::float8_e5m2;
    case Format::fp8_e4m3fnuz:
      return Type::float8_e4m3fnuz;
    case Format::fp8_e5m2fnuz:
      return Type::float8_e5m2fnuz;
    case Format::fp4_e2m1:
      return Type::float4_e2m1fn_x2;
  }
  return Type::uint8;
}

Type scales_type(const Request& request, bool named_formats) {
  if (request.scale_layout == ScaleLayout::packed) return Type::int32;
  if (scale_size(request) != 1) return Type::float32;
  if (!named_formats) return Type::uint8;
  return request.scale_format == ScaleFormat::e4m3 ? Type::float8_e4m3fn : Type::float8_e8m0fnu;
}

Layout scales_layout(const Request& r, std::span<const std::int64_t> leading) {
  Layout layout;
  if (has_groups(r.granularity) && is_tiled(r.scale_layout)) {
    layout.add(padded_scale_rows(r));
    layout.add(padded_scale_columns(r));
    layout.make_consecutive();
    return layout;
  }
  if (r.granularity == Granularity::token || r.granularity == Granularity::group) {
    for (const std::int64_t size : leading)
      layout.add(size);
  }
  switch (r.granularity) {
    case Granularity::tensor:
    case Granularity::token:
      layout.add(1);
      break;
    case Granularity::channel:
      layout.add(r.hidden_size);
      break;
    case Granularity::block:
      layout.add(scale_rows(r));
      [[fallthrough]];
    case Granularity::group:
      layout.add(r.scale_layout == ScaleLayout::packed ? padded_scale_columns(r) / 4 : groups_per_row(r));
      break;
  }
  layout.make_consecutive();
  if (!has_groups(r.granularity) || r.scale_layout == ScaleLayout::row || layout.stored == 0) return layout;
  // A column of scales, or of four packed ones, lies one behind the other.
  const bool packed = r.scale_layout == ScaleLayout::packed;
  layout.consecutive = false;
  layout.stored = stored_scales(r) / (packed ? 4 : 1);
  layout.strides[static_cast<std::size_t>(layout.ndim - 1)] = packed ? padded_scale_rows(r) : scale_column_stride(r);
  std::int64_t step = 1;
  for (int i = layout.ndim - 2; i >= 0; --i) {
    layout.strides[static_cast<std::size_t>(i)] = step;
    step *= layout.shape[static_cast<std::size_t>(i)];
  }
  return layout;
}

void require_type(const Tensor& given, const char* field, Type type) {
  const bool a_byte = size_of(type) == 1 && type != Type::int8 && given.type() == Type::uint8;
  if (given.type() == type || a_byte) return;
  throw Invalid(field, std::string("must be ") + name_of(type) + ", not " + given.type_name());
}

void require_scales(const Tensor& given, nb::handle object, const char* field, Request& r, Type type,
                    std::span<const std::int64_t> leading, bool written) {
  require_type(given, field, type);
  if (r.num_tokens == 0) return;
  const bool shape_is_free = !has_groups(r.granularity);
  if (shape_is_free && given.elements() == num_scales(r) && is_consecutive(given)) return;
  const bool has_columns = !given.shape().empty() && given.shape().back() > 1;
  const std::int64_t stride = has_columns ? std::max(given.strides().back(), scale_rows(r)) : scale_rows(r);
  if (r.scale_layout == ScaleLayout::column && has_columns) r.scale_stride = stride;
  if (r.scale_layout == ScaleLayout::column_aligned && !written) {
    r.scale_layout = ScaleLayout::column;
    r.scale_stride = stride;
  }
  const Layout wanted = scales_layout(r, leading);
  const std::int64_t one_dimension[] = {r.num_tokens};
  if (!lies_as(given, wanted) && !lies_as(given, scales_layout(r, one_dimension))) {
    const auto size = static_cast<std::size_t>(wanted.ndim);
    throw Invalid(field, "must have the shape " + shape_text({wanted.shape.data(), size}) + " and the strides " +
                             shape_text({wanted.strides.data(), size}) + ", not " + shape_text(given.shape()) +
                             " and " + shape_text(given.strides()));
  }
  if (!written || is_tiled(r.scale_layout) || padded_scale_rows(r) == scale_rows(r) ||
      room_of(object) >= wanted.stored * size_of(type))
    return;
  // Shape and strides end with the last scale, and padding is written behind it.
  if (r.scale_layout == ScaleLayout::packed) {
    throw Invalid(field, "must have room for " + std::to_string(wanted.stored) +
                             " elements, padding behind the last included; let kq make it, or give a part of a tensor "
                             "that is so large");
  }
  r.scale_stride = has_columns ? stride : padded_scale_rows(r);
  r.scale_layout = ScaleLayout::column;
}

}  // namespace kq::python
