// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/sample.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <utility>

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

/// Endings of the names that a scale of the tensor has, and whether what is stored is its reciprocal.
constexpr std::pair<std::string_view, bool> global_scale_endings[] = {
    {".global_scale", false}, {"_scale_2", false}, {"_global_scale", true}};

/// What compressed-tensors adds to the name of codes of four bits.
constexpr std::string_view packed_ending = "_packed";

bool is_named_for_another(const StoredTensor& tensor) {
  const auto ends_so = [&](std::string_view ending) { return tensor.name.ends_with(ending); };
  for (const auto& [ending, divides] : global_scale_endings) {
    if (ends_so(ending)) return true;
  }
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

/// `is_half`: a row has half as many bytes as the input has elements.
std::vector<kq::Format> formats_of(const TensorFile& file, const StoredTensor& codes, bool is_half) {
  using kq::Format;
  if (is_half && codes.dtype == DType::uint8) return {Format::fp4_e2m1};
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
    sample.byte_formats = {kq::ScaleFormat::ue8m0};
    if (tensor.dtype == DType::uint8) sample.byte_formats.push_back(kq::ScaleFormat::e4m3);
  } else if (tensor.dtype == DType::fp8_e4m3fn) {
    sample.scales = read_all(file, tensor);
    sample.scales_are_bytes = true;
    sample.byte_formats = {kq::ScaleFormat::e4m3};
  } else {
    throw UsageError(
        fmt::format("{}: has {}; scales are float32, float16, bfloat16, uint8, F8_E8M0 (exponents), F8_E4M3 or int32 "
                    "(four exponents each)",
                    label_of(file, tensor), name_of(tensor.dtype)));
  }
}

/// The tensor's scale beside those of its groups, if there is one.
std::optional<float> global_scale_of(const TensorFile& file, const std::string& name) {
  if (!file.has_names()) return std::nullopt;
  for (const auto& [ending, divides] : global_scale_endings) {
    const StoredTensor* const found = file.find_if_there(name + std::string(ending));
    if (found == nullptr) continue;
    const auto numbers = read_floats(file, *found, found->dtype);
    if (!numbers || numbers->size() != 1) {
      throw UsageError(fmt::format("{}: has {} of shape {}; the tensor's scale is one float", label_of(file, *found),
                                   name_of(found->dtype), shape_text(found->shape)));
    }
    return divides ? 1.0f / numbers->front() : numbers->front();
  }
  return std::nullopt;
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

std::vector<std::byte> unpacked(const std::vector<std::byte>& halves, std::int64_t num_tokens,
                                std::int64_t hidden_size) {
  const std::int64_t row_bytes = kq::codes_row_bytes(kq::Format::fp4_e2m1, hidden_size);
  std::vector<std::byte> codes;
  codes.reserve(static_cast<std::size_t>(num_tokens * hidden_size));
  for (std::int64_t token = 0; token < num_tokens; ++token) {
    for (std::int64_t channel = 0; channel < hidden_size; ++channel) {
      const std::byte both = halves[static_cast<std::size_t>(token * row_bytes + channel / 2)];
      codes.push_back(channel % 2 == 0 ? both & std::byte{15} : both >> 4);
    }
  }
  return codes;
}

Sample read_sample(const SampleFiles& files) {
  const TensorFile codes_file(files.codes);
  const std::string name = name_of_codes(codes_file, files.tensor);
  const StoredTensor& codes = codes_file.find(codes_file.has_names() ? name : "");
  const TensorFile input_file(files.input);
  const bool is_packed = name.ends_with(packed_ending);
  const std::string bare = is_packed ? name.substr(0, name.size() - packed_ending.size()) : name;
  const bool has_name = input_file.has_names() && input_file.find_if_there(bare) != nullptr;
  InputTensor input = load_input(files.input, has_name ? bare : files.tensor, files.element);

  Sample sample;
  sample.element = input.element;
  sample.num_tokens = input.num_tokens;
  sample.hidden_size = input.hidden_size;
  sample.input = std::move(input.bytes);
  const std::int64_t half_bytes = kq::codes_row_bytes(kq::Format::fp4_e2m1, sample.hidden_size);
  const bool is_half = codes.dtype == DType::uint8 && codes.hidden_size() == half_bytes && sample.hidden_size > 1;
  sample.formats = formats_of(codes_file, codes, is_half);
  const bool same_size = codes.hidden_size() == sample.hidden_size || is_half;
  const bool same_shape = same_size && codes.num_tokens() >= sample.num_tokens;
  if (!same_shape) {
    throw UsageError(fmt::format("{}: has shape {}, and the input is {} x {}; give the codes of this input",
                                 label_of(codes_file, codes), shape_text(codes.shape), sample.num_tokens,
                                 sample.hidden_size));
  }
  sample.codes = read_all(codes_file, codes);
  if (is_half) {
    sample.codes = unpacked(sample.codes, sample.num_tokens, sample.hidden_size);
  } else {
    sample.codes.resize(static_cast<std::size_t>(sample.num_tokens * sample.hidden_size));  // engines may pad rows
  }

  std::optional<TensorFile> other;
  const TensorFile& scales_file = files.scales ? other.emplace(*files.scales) : codes_file;
  if (!files.scales && !scales_file.has_names()) {
    throw UsageError(fmt::format("{}: holds codes alone; give the file of their scales, too", codes_file.name()));
  }
  const StoredTensor* scales = find_beside(scales_file, bare, scale_endings);
  if (scales == nullptr && files.scales && scales_file.tensors().size() == 1) scales = &scales_file.tensors().front();
  if (scales == nullptr) {
    throw UsageError(fmt::format("{}: has no {} or {}; give the file of the scales", scales_file.name(),
                                 in_quotes(bare + ".scale"), in_quotes(bare + "_scale")));
  }
  read_scales(scales_file, *scales, sample);
  sample.global_scale = global_scale_of(scales_file, bare);

  if (!files.zero_points && !codes_file.has_names()) return sample;
  const TensorFile& zero_points_file = files.zero_points ? other.emplace(*files.zero_points) : codes_file;
  if (const StoredTensor* const zero_points = find_beside(zero_points_file, bare, zero_point_endings)) {
    read_zero_points(zero_points_file, *zero_points, sample);
  } else if (files.zero_points) {
    throw UsageError(fmt::format("{}: has no zero points of {}", zero_points_file.name(), in_quotes(name)));
  }
  return sample;
}

}  // namespace kqbench
