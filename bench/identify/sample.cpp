// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/stored_numbers.hpp"
#include "bench/tensors/tensor_file.hpp"

namespace kqbench {
namespace {

/// A tensor's scales or zero points: those with one of the endings, or what a .npy file holds; null if there are none.
const StoredTensor* find_beside(const TensorFile& file, const std::string& name,
                                std::span<const std::string_view> endings) {
  return file.has_names() ? find_by_ending(file, name, endings) : &file.tensors().front();
}

bool is_named_for_another(const StoredTensor& tensor) {
  const auto ends_so = [&](std::string_view ending) { return tensor.name.ends_with(ending); };
  return std::any_of(scale_endings.begin(), scale_endings.end(), ends_so) ||
         std::any_of(zero_point_endings.begin(), zero_point_endings.end(), ends_so);
}

/// The name of the tensor whose codes are meant: the one asked for, or that of the only codes in the file. Bytes of no
/// named format are codes where there are no others, unless they are called scales.
std::string name_of_codes(const TensorFile& file, const std::string& asked) {
  if (!asked.empty() || !file.has_names()) return asked;
  std::vector<std::string> names, bytes;
  for (const StoredTensor& tensor : file.tensors()) {
    if (is_named_for_another(tensor)) continue;
    if (is_fp8(tensor.dtype) || tensor.dtype == DType::int8) names.push_back(tensor.name);
    if (tensor.dtype == DType::uint8) bytes.push_back(tensor.name);
  }
  if (names.empty()) names = bytes;
  if (names.size() == 1) return names.front();
  throw UsageError(fmt::format("{}: has {} tensors of codes; choose one with --tensor", file.name(), names.size()));
}

std::vector<kq::Format> formats_of(const TensorFile& file, const StoredTensor& codes) {
  using kq::Format;
  switch (codes.dtype) {
    case DType::int8:
      return {Format::int8};
    case DType::fp8_e4m3fn:
      return {Format::fp8_e4m3fn};
    case DType::fp8_e5m2:
      return {Format::fp8_e5m2};
    case DType::fp8_e4m3fnuz:
      return {Format::fp8_e4m3fnuz};
    case DType::fp8_e5m2fnuz:
      return {Format::fp8_e5m2fnuz};
    case DType::uint8:
      return {Format::fp8_e4m3fn, Format::fp8_e5m2, Format::fp8_e4m3fnuz, Format::fp8_e5m2fnuz, Format::int8};
    default:
      throw UsageError(fmt::format("{}: has {}; codes are int8, uint8 or an fp8 format", label_of(file, codes),
                                   name_of(codes.dtype)));
  }
}

void read_scales(const TensorFile& file, const StoredTensor& tensor, Sample& sample) {
  const bool is_bfloat16 = tensor.dtype == DType::uint16;  // as NumPy holds it
  if (const auto floats = read_floats(file, tensor, is_bfloat16 ? DType::bfloat16 : tensor.dtype)) {
    sample.scales = to_bytes(*floats);
  } else if (tensor.dtype == DType::uint8 || tensor.dtype == DType::ue8m0 || tensor.dtype == DType::int32) {
    sample.scales = read_all(file, tensor);
    sample.scales_are_bytes = true;
  } else {
    throw UsageError(
        fmt::format("{}: has {}; scales are float32, float16, bfloat16, uint8 or F8_E8M0 (exponents) or int32 "
                    "(four exponents each)",
                    label_of(file, tensor), name_of(tensor.dtype)));
  }
}

void read_zero_points(const TensorFile& file, const StoredTensor& tensor, Sample& sample) {
  const auto integers = read_integers(file, tensor);
  if (!integers) {
    throw UsageError(
        fmt::format("{}: has {}; zero points are int32 or int8", label_of(file, tensor), name_of(tensor.dtype)));
  }
  sample.zero_points = to_bytes(*integers);
}

}  // namespace

Sample read_sample(const SampleFiles& files) {
  const TensorFile codes_file(files.codes);
  const std::string name = name_of_codes(codes_file, files.tensor);
  const StoredTensor& codes = codes_file.find(codes_file.has_names() ? name : "");
  const TensorFile input_file(files.input);
  const bool has_name = input_file.has_names() && input_file.find_if_there(name) != nullptr;
  InputTensor input = load_input(files.input, has_name ? name : files.tensor, files.element);

  Sample sample;
  sample.element = input.element;
  sample.num_tokens = input.num_tokens;
  sample.hidden_size = input.hidden_size;
  sample.input = std::move(input.bytes);
  sample.formats = formats_of(codes_file, codes);
  const bool same_shape = codes.hidden_size() == sample.hidden_size && codes.num_tokens() >= sample.num_tokens;
  if (!same_shape) {
    throw UsageError(fmt::format("{}: has shape {}, and the input is {} x {}; give the codes of this input",
                                 label_of(codes_file, codes), shape_text(codes.shape), sample.num_tokens,
                                 sample.hidden_size));
  }
  sample.codes = read_all(codes_file, codes);
  sample.codes.resize(static_cast<std::size_t>(sample.num_tokens * sample.hidden_size));  // engines may pad rows

  std::optional<TensorFile> other;
  const TensorFile& scales_file = files.scales ? other.emplace(*files.scales) : codes_file;
  if (!files.scales && !scales_file.has_names()) {
    throw UsageError(fmt::format("{}: holds codes alone; give the file of their scales, too", codes_file.name()));
  }
  const StoredTensor* scales = find_beside(scales_file, name, scale_endings);
  if (scales == nullptr && files.scales && scales_file.tensors().size() == 1) scales = &scales_file.tensors().front();
  if (scales == nullptr) {
    throw UsageError(fmt::format("{}: has no {} or {}; give the file of the scales", scales_file.name(),
                                 in_quotes(name + ".scale"), in_quotes(name + "_scale")));
  }
  read_scales(scales_file, *scales, sample);

  if (!files.zero_points && !codes_file.has_names()) return sample;
  const TensorFile& zero_points_file = files.zero_points ? other.emplace(*files.zero_points) : codes_file;
  if (const StoredTensor* const zero_points = find_beside(zero_points_file, name, zero_point_endings)) {
    read_zero_points(zero_points_file, *zero_points, sample);
  } else if (files.zero_points) {
    throw UsageError(fmt::format("{}: has no zero points of {}", zero_points_file.name(), in_quotes(name)));
  }
  return sample;
}

}  // namespace kqbench
