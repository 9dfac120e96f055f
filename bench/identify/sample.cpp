// SPDX-License-Identifier: Apache-2.0
#include "bench/identify/sample.hpp"

#include <fmt/format.h>

#include <cstring>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/tensor_file.hpp"
#include "kq/element.hpp"

namespace kqbench {
namespace {

std::vector<std::byte> read_all(const TensorFile& file, const StoredTensor& tensor) {
  require_memory(file, 2 * tensor.bytes);
  std::vector<std::byte> bytes(tensor.bytes);
  file.read_rows(tensor, 0, bytes);
  return bytes;
}

std::string label_of(const TensorFile& file, const StoredTensor& tensor) {
  return tensor.name.empty() ? file.name() : fmt::format("{}: {}", file.name(), in_quotes(tensor.name));
}

/// A tensor of a file by the name of the one that was quantized, with one of these endings; null if it is not there.
const StoredTensor* find_by_ending(const TensorFile& file, const std::string& name,
                                   std::initializer_list<const char*> endings) {
  if (!file.has_names()) return &file.tensors().front();
  for (const char* const ending : endings) {
    if (const StoredTensor* const found = file.find_if_there(name + ending)) return found;
  }
  return nullptr;
}

/// The name of the tensor whose codes are meant: the one asked for, or that of the only codes in the file.
std::string name_of_codes(const TensorFile& file, const std::string& asked) {
  if (!asked.empty() || !file.has_names()) return asked;
  std::vector<std::string> names;
  for (const StoredTensor& tensor : file.tensors()) {
    const bool is_code = is_fp8(tensor.dtype) || tensor.dtype == DType::int8;
    if (is_code) names.push_back(tensor.name);
  }
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

/// 16-bit floats as float32.
std::vector<std::byte> widened(const std::vector<std::byte>& bytes, DType dtype) {
  std::vector<std::byte> floats(2 * bytes.size());
  for (std::size_t i = 0; i < bytes.size() / 2; ++i) {
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes.data() + 2 * i, sizeof bits);
    const float value = dtype == DType::float16 ? kq::to_float(kq::half{bits}) : kq::to_float(kq::bfloat16{bits});
    std::memcpy(floats.data() + 4 * i, &value, sizeof value);
  }
  return floats;
}

void read_scales(const TensorFile& file, const StoredTensor& tensor, Sample& sample) {
  sample.scales = read_all(file, tensor);
  switch (tensor.dtype) {
    case DType::float32:
      return;
    case DType::float16:
    case DType::bfloat16:
    case DType::uint16:  // bfloat16, as NumPy holds it
      sample.scales = widened(sample.scales, tensor.dtype);
      return;
    case DType::uint8:
    case DType::int32:
      sample.scales_are_bytes = true;
      return;
    default:
      throw UsageError(
          fmt::format("{}: has {}; scales are float32, float16, bfloat16, uint8 (exponents) or int32 (four "
                      "exponents each)",
                      label_of(file, tensor), name_of(tensor.dtype)));
  }
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

  const auto open = [&](const std::optional<std::filesystem::path>& path) {
    return TensorFile(path ? *path : files.codes);
  };
  const TensorFile scales_file = open(files.scales);
  if (!files.scales && !scales_file.has_names()) {
    throw UsageError(fmt::format("{}: holds codes alone; give the file of their scales, too", codes_file.name()));
  }
  const StoredTensor* scales = find_by_ending(scales_file, name, {".scale", "_scale"});
  if (scales == nullptr && files.scales && scales_file.tensors().size() == 1) scales = &scales_file.tensors().front();
  if (scales == nullptr) {
    throw UsageError(fmt::format("{}: has no {} or {}; give the file of the scales", scales_file.name(),
                                 in_quotes(name + ".scale"), in_quotes(name + "_scale")));
  }
  read_scales(scales_file, *scales, sample);

  const TensorFile zero_points_file = open(files.zero_points);
  if (files.zero_points || zero_points_file.has_names()) {
    const StoredTensor* const found = find_by_ending(zero_points_file, name, {".zero_point", "_zero_point"});
    if (found != nullptr) {
      if (found->dtype != DType::int32 && found->dtype != DType::int8) {
        throw UsageError(fmt::format("{}: has {}; zero points are int32 or int8", label_of(zero_points_file, *found),
                                     name_of(found->dtype)));
      }
      const std::vector<std::byte> bytes = read_all(zero_points_file, *found);
      if (found->dtype == DType::int32) sample.zero_points = bytes;
      for (std::size_t i = 0; found->dtype == DType::int8 && i < bytes.size(); ++i) {
        const auto byte = std::to_integer<std::int32_t>(bytes[i]);
        const std::int32_t value = byte < 128 ? byte : byte - 256;
        const auto* const begin = reinterpret_cast<const std::byte*>(&value);
        sample.zero_points.insert(sample.zero_points.end(), begin, begin + sizeof value);
      }
    } else if (files.zero_points) {
      throw UsageError(fmt::format("{}: has no zero points of {}", zero_points_file.name(), in_quotes(name)));
    }
  }
  return sample;
}

}  // namespace kqbench
