// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/given_scales.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "bench/requests/sweep.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "kq/format.hpp"
#include "kq/numerics.hpp"

namespace kqbench {
namespace {

/// The shape that the request's scales have where each is written once: what messages ask for.
std::vector<std::int64_t> wanted_shape(const kq::Request& request) {
  switch (request.granularity) {
    case kq::Granularity::token:
      return {request.num_tokens, 1};
    case kq::Granularity::channel:
      return {1, request.hidden_size};
    case kq::Granularity::tensor:
      return {1};
    case kq::Granularity::group:
    case kq::Granularity::block:
      break;
  }
  const std::int64_t rows = kq::padded_scale_rows(request);
  if (request.scale_layout == kq::ScaleLayout::row) return {rows, kq::groups_per_row(request)};
  if (request.scale_layout == kq::ScaleLayout::packed) return {kq::padded_scale_columns(request) / 4, rows};
  if (kq::is_tiled(request.scale_layout)) return {rows, kq::padded_scale_columns(request)};
  return {kq::groups_per_row(request), rows};
}

std::uint64_t product(const std::vector<std::int64_t>& shape) {
  return byte_count(shape, 1).value_or(0);
}

/// True for [n], and for what broadcasts against the tensor: [..., n, 1] for tokens, [..., 1, n] for channels. Scales
/// of groups and blocks have the shape that quantize writes, perhaps with the rows in several dimensions.
bool fits_spans(const kq::Request& request, const std::vector<std::int64_t>& shape) {
  const std::optional<std::uint64_t> count = byte_count(shape, 1);
  if (kq::has_groups(request.granularity)) {
    const std::vector<std::int64_t> wanted = wanted_shape(request);
    return count == product(wanted) && shape.size() >= 2 && shape.back() == wanted.back();
  }
  if (count != static_cast<std::uint64_t>(kq::num_scales(request))) return false;
  if (shape.size() <= 1) return true;
  switch (request.granularity) {
    case kq::Granularity::token:
      return shape.back() == 1;
    case kq::Granularity::channel:
      return shape.back() == request.hidden_size;
    default:
      return true;
  }
}

void require_scale_shape(const kq::Request& request, const TensorFile& file, const StoredTensor& tensor) {
  if (fits_spans(request, tensor.shape)) return;
  throw UsageError(fmt::format("--scales: {} has shape {}, {} needs {}; give those of this tensor and granularity",
                               label_of(file, tensor), shape_text(tensor.shape), describe(request),
                               shape_text(wanted_shape(request))));
}

/// Whether a tensor holds exponents as a request's layout has them.
bool has_exponents(const kq::Request& request, const StoredTensor& tensor) {
  if (request.scale_layout == kq::ScaleLayout::packed) return tensor.dtype == DType::int32;
  return tensor.dtype == DType::uint8 || tensor.dtype == DType::ue8m0;
}

std::vector<float> read_scales(const kq::Request& request, const TensorFile& file, const StoredTensor& tensor) {
  require_scale_shape(request, file, tensor);
  const bool exponents = request.scale_format == kq::ScaleFormat::ue8m0;
  std::vector<float> scales;
  if (exponents && has_exponents(request, tensor)) {
    scales = converted<std::uint8_t, float>(read_all(file, tensor), [](std::uint8_t x) { return kq::ue8m0_value(x); });
  } else if (request.scale_format == kq::ScaleFormat::e4m3 && tensor.dtype == DType::fp8_e4m3fn) {
    scales =
        converted<std::uint8_t, float>(read_all(file, tensor), [](std::uint8_t x) { return kq::Fp8E4M3Fn::decode(x); });
  } else if (request.scale_layout == kq::ScaleLayout::packed) {
    throw UsageError(fmt::format("--scales: {} is of {}; write packed exponents as int32", label_of(file, tensor),
                                 name_of(tensor.dtype)));
  } else if (auto floats = read_floats(file, tensor, tensor.dtype)) {
    scales = std::move(*floats);
  } else {
    throw UsageError(fmt::format("--scales: {} is of {}; write scales as float32{}", label_of(file, tensor),
                                 name_of(tensor.dtype), exponents ? ", or their exponents as uint8" : ""));
  }
  for (std::int64_t token = 0; token < request.num_tokens; token += kq::rows_per_scale(request)) {
    for (std::int64_t channel = 0; channel < request.hidden_size; channel += kq::columns_per_scale(request)) {
      const auto i = static_cast<std::size_t>(kq::scale_index(request, token, channel));
      const std::optional<std::string> reason = unusable_scale(request.scale_format, scales[i]);
      if (!reason) continue;
      throw UsageError(fmt::format("--scales: {}: scale {} is {}, and {}; calibrate it again", label_of(file, tensor),
                                   i, scales[i], *reason));
    }
  }
  return scales;
}

std::vector<std::int32_t> read_zero_points(const kq::Request& request, const TensorFile& file,
                                           const StoredTensor& tensor) {
  require_scale_shape(request, file, tensor);
  if (const auto integers = read_integers(file, tensor)) return *integers;
  throw UsageError(
      fmt::format("--scales: {} is of {}; write zero points as int32", label_of(file, tensor), name_of(tensor.dtype)));
}

bool is_zero_point(const StoredTensor& tensor) {
  const std::string_view name = tensor.name;
  return name == "zero_point" || std::any_of(zero_point_endings.begin(), zero_point_endings.end(),
                                             [&](std::string_view ending) { return name.ends_with(ending); });
}

/// A tensor of scales without what says that it is: "x" of "x.scale".
std::string_view bare_name(std::string_view name) {
  for (const std::string_view ending : scale_endings) {
    if (name.ends_with(ending)) return name.substr(0, name.size() - ending.size());
  }
  return name;
}

/// The tensor's scale beside those of its groups: 1 for one that has none.
float global_scale_beside(const TensorFile& file, const StoredTensor& scales) {
  if (!file.has_names()) return 1.0f;
  const std::string name(bare_name(scales.name));
  for (const auto& [ending, divides] :
       {std::pair{".global_scale", false}, {"_scale_2", false}, {"_global_scale", true}}) {
    const StoredTensor* const found = file.find_if_there(name + ending);
    if (found == nullptr) continue;
    const auto numbers = read_floats(file, *found, found->dtype);
    const float number = numbers && numbers->size() == 1 ? numbers->front() : 0.0f;
    if (!(number > 0.0f) || !std::isfinite(number)) {
      throw UsageError(fmt::format("--scales: {} must be one float above 0", label_of(file, *found)));
    }
    return divides ? 1.0f / number : number;
  }
  return 1.0f;
}

const StoredTensor* zero_points_beside(const TensorFile& file, const StoredTensor& scales) {
  if (scales.name == "scale") return file.find_if_there("zero_point");
  return find_by_ending(file, bare_name(scales.name), zero_point_endings);
}

/// OUT.zero_point.npy of OUT.scale.npy, if it is there.
std::optional<std::filesystem::path> zero_points_beside(const std::filesystem::path& scales) {
  const std::filesystem::path stem = scales.stem();
  if (stem.extension() != ".scale") return std::nullopt;
  const std::filesystem::path path = scales.parent_path() / (stem.stem().native() + ".zero_point.npy");
  std::error_code failed;
  return std::filesystem::exists(path, failed) ? std::optional(path) : std::nullopt;
}

}  // namespace

ScalesFile::ScalesFile(const std::filesystem::path& path) : file_(path) {}

const StoredTensor& ScalesFile::find_scales(std::string_view tensor_name) const {
  if (!file_.has_names()) return file_.tensors().front();
  if (tensor_name.empty()) {
    const StoredTensor* only = file_.find_if_there("scale");
    if (only != nullptr) return *only;
    for (const StoredTensor& tensor : file_.tensors()) {
      if (is_zero_point(tensor)) continue;
      if (only != nullptr) {
        throw UsageError(
            fmt::format("--scales: {}: holds scales of several tensors, and what is quantized has no name; "
                        "give a file with one",
                        file_.name()));
      }
      only = &tensor;
    }
    if (only == nullptr) throw UsageError(fmt::format("--scales: {}: holds no scales", file_.name()));
    return *only;
  }
  const std::string name(tensor_name);
  for (const std::string& candidate : {name + ".scale", name + "_scale", name, std::string("scale")}) {
    if (const StoredTensor* const found = file_.find_if_there(candidate)) return *found;
  }
  throw UsageError(fmt::format("--scales: {}: holds no scales of {}; they are looked for as {}", file_.name(),
                               in_quotes(name), in_quotes(name + ".scale")));
}

GivenScale ScalesFile::read(const kq::Request& request, std::string_view tensor_name) const {
  const StoredTensor& scales = find_scales(tensor_name);
  GivenScale given;
  given.scales = read_scales(request, file_, scales);
  if (kq::has_global_scale(request)) given.global_scale = global_scale_beside(file_, scales);
  if (!request.asymmetric) return given;
  if (file_.has_names()) {
    const StoredTensor* const zero_points = zero_points_beside(file_, scales);
    if (zero_points != nullptr) given.zero_points = read_zero_points(request, file_, *zero_points);
  } else if (const auto path = zero_points_beside(file_.path())) {
    const TensorFile file(*path);
    given.zero_points = read_zero_points(request, file, file.find(""));
  }
  return given;
}

GivenScale GivenScales::of(const kq::Request& request, std::string_view tensor_name) const {
  if (!request.static_scale) return {};
  // Without tokens there is nothing that a scale of the file could be for.
  if (file_ == nullptr || request.num_tokens == 0) return numbers_;
  GivenScale given = file_->read(request, tensor_name);
  given.zero_point = numbers_.zero_point;
  if (given.zero_point && !given.zero_points.empty()) {
    throw UsageError(fmt::format("--zero-point: {} has zero points; leave one of them out", file_->file().name()));
  }
  return given;
}

std::vector<std::filesystem::path> GivenScales::files() const {
  std::vector<std::filesystem::path> files;
  if (file_ == nullptr) return files;
  files.push_back(file_->file().path());
  for (const TensorFile::Part& part : file_->file().parts()) {
    files.push_back(part.path);
  }
  return files;
}

}  // namespace kqbench
