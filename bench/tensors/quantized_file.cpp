// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/quantized_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <set>
#include <span>
#include <utility>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
#include "bench/tensors/safetensors_index.hpp"

namespace kqbench {
namespace {

DType code_type(kq::Format format) {
  switch (format) {
    case kq::Format::int8:
      return DType::int8;
    case kq::Format::fp8_e4m3fn:
      return DType::fp8_e4m3fn;
    case kq::Format::fp8_e5m2:
      return DType::fp8_e5m2;
    case kq::Format::fp8_e4m3fnuz:
      return DType::fp8_e4m3fnuz;
    case kq::Format::fp8_e5m2fnuz:
      return DType::fp8_e5m2fnuz;
    case kq::Format::fp4_e2m1:
      return DType::uint8;
  }
  return DType::uint8;
}

DType scale_type(const PlannedTensor& tensor) {
  const kq::Request& request = tensor.request;
  if (request.scale_layout == kq::ScaleLayout::packed) return DType::int32;
  if (request.scale_format == kq::ScaleFormat::e4m3) return DType::fp8_e4m3fn;
  const bool is_block_format = kq::is_mx(request) || kq::code_bits(request.format) == 4;
  if (is_block_format && tensor.names == TensorNames::kqbench) return DType::ue8m0;
  return request.scale_format == kq::ScaleFormat::ue8m0 ? DType::uint8 : DType::float32;
}

std::vector<std::int64_t> scale_shape(const PlannedTensor& tensor) {
  const kq::Request& request = tensor.request;
  std::vector<std::int64_t> shape = tensor.source.shape;
  if (shape.empty()) shape = {1};
  const std::int64_t one = request.num_tokens == 0 ? 0 : 1;  // without tokens there are no scales
  switch (request.granularity) {
    case kq::Granularity::tensor:
      return {one};
    case kq::Granularity::channel:
      return {one, request.hidden_size};
    case kq::Granularity::token:
      shape.back() = 1;
      return shape;
    case kq::Granularity::group:
    case kq::Granularity::block:
      break;
  }
  switch (request.scale_layout) {
    case kq::ScaleLayout::row:
      if (request.granularity == kq::Granularity::block) return {kq::scale_rows(request), kq::groups_per_row(request)};
      shape.back() = kq::groups_per_row(request);
      return shape;
    case kq::ScaleLayout::column:
    case kq::ScaleLayout::column_aligned:
      return {kq::groups_per_row(request), kq::padded_scale_rows(request)};
    case kq::ScaleLayout::packed:
      return {kq::padded_scale_columns(request) / 4, kq::padded_scale_rows(request)};
    case kq::ScaleLayout::swizzled_128x4:
    case kq::ScaleLayout::swizzled_8x4:
    case kq::ScaleLayout::shuffled_32x8:
      return {kq::padded_scale_rows(request), kq::padded_scale_columns(request)};
  }
  return shape;
}

/// The one, two or three tensors that a tensor becomes.
std::vector<StoredTensor> outputs_of(const PlannedTensor& tensor) {
  const kq::Request& request = tensor.request;
  const std::string& name = tensor.name;
  const bool has_halves = kq::code_bits(request.format) == 4;
  const bool of_kqbench = tensor.names == TensorNames::kqbench;
  std::vector<std::int64_t> shape = tensor.source.shape;
  if (has_halves) {
    if (shape.empty()) shape = {1};
    shape.back() = kq::codes_row_bytes(request.format, request.hidden_size);
  }
  const bool is_packed = has_halves && tensor.names == TensorNames::compressed_tensors;
  std::vector<StoredTensor> outputs;
  outputs.push_back(
      {is_packed ? name + "_packed" : name, code_type(request.format), shape, 0, kq::codes_bytes(request)});
  outputs.push_back({name + (of_kqbench ? ".scale" : "_scale"), scale_type(tensor), scale_shape(tensor), 0,
                     kq::scales_bytes(request)});
  if (kq::has_global_scale(request)) {
    const char* const ending = of_kqbench                              ? ".global_scale"
                               : tensor.names == TensorNames::modelopt ? "_scale_2"
                                                                       : "_global_scale";
    const std::int64_t one = request.num_tokens == 0 ? 0 : 1;
    // ModelOpt's is a number, not a list of one.
    std::vector<std::int64_t> list = {one};
    if (tensor.names == TensorNames::modelopt && one == 1) list.clear();
    outputs.push_back({name + ending, DType::float32, list, 0, static_cast<std::size_t>(one) * sizeof(float)});
  }
  if (request.asymmetric) {
    outputs.push_back({name + (of_kqbench ? ".zero_point" : "_zero_point"), DType::int32, scale_shape(tensor), 0,
                       kq::zero_points_bytes(request)});
  }
  return outputs;
}

std::map<std::string, std::string> metadata_of(const kq::Request& request) {
  return {{"kqbench.operation", kq::operation_name(request)},
          {"kqbench.quant_dtype", std::string(kq::to_string(request.format))},
          {"kqbench.granularity", kq::to_string(request.granularity, request.group_size, request.block_rows)},
          {"kqbench.scale_format", std::string(kq::to_string(request.scale_format))},
          {"kqbench.scale_layout", std::string(kq::to_string(request.scale_layout))},
          {"kqbench.scale_rounding", std::string(kq::to_string(request.scale_rounding))},
          {"kqbench.dialect", std::string(kq::to_string(request.dialect))},
          {"kqbench.qmax", fmt::format("{}", request.qmax)}};
}

/// Calls transfer(offset in the whole tensor's scales, offset in the block's, how many) for each run of scales that the
/// two have in common, padding included, counted in scales. A block of rows begins where a row of scales begins whose
/// number is a multiple of 16 if its layout is padded; it ends at such a one, or with the tensor.
template <class Transfer>
void for_each_run_of_scales(const kq::Request& whole, const kq::Request& block, std::int64_t first_token,
                            const Transfer& transfer) {
  switch (whole.granularity) {
    case kq::Granularity::tensor:
    case kq::Granularity::channel:
      return transfer(0, 0, kq::num_scales(block));
    case kq::Granularity::token:
      return transfer(first_token, 0, block.num_tokens);
    case kq::Granularity::group:
    case kq::Granularity::block:
      break;
  }
  const std::int64_t first_row = first_token / kq::rows_per_scale(whole);
  const std::int64_t rows = kq::padded_scale_rows(block);
  switch (whole.scale_layout) {
    case kq::ScaleLayout::row:
      return transfer(first_row * kq::groups_per_row(whole), 0, kq::num_scales(block));
    case kq::ScaleLayout::column:
    case kq::ScaleLayout::column_aligned:
      for (std::int64_t group = 0; group < kq::groups_per_row(whole); ++group) {
        transfer(group * kq::scale_column_stride(whole) + first_row, group * kq::scale_column_stride(block), rows);
      }
      return;
    case kq::ScaleLayout::packed:
      for (std::int64_t four = 0; four < kq::padded_scale_columns(whole) / 4; ++four) {
        transfer(4 * (four * kq::padded_scale_rows(whole) + first_row), 4 * four * rows, 4 * rows);
      }
      return;
    case kq::ScaleLayout::swizzled_128x4:
    case kq::ScaleLayout::swizzled_8x4:
    case kq::ScaleLayout::shuffled_32x8:
      transfer(first_row * kq::padded_scale_columns(whole), 0, kq::stored_scales(block));
  }
}

/// 1 / x of the float in these bytes.
std::vector<std::byte> inverse(std::vector<std::byte> bytes) {
  float number = 0.0f;
  std::memcpy(&number, bytes.data(), sizeof number);
  number = 1.0f / number;
  std::memcpy(bytes.data(), &number, sizeof number);
  return bytes;
}

/// A part of `bytes`: `count` pieces of `size` bytes from piece `first` on.
template <class Byte>
std::span<Byte> pieces(std::span<Byte> bytes, std::int64_t first, std::int64_t count, std::size_t size) {
  return bytes.subspan(static_cast<std::size_t>(first) * size, static_cast<std::size_t>(count) * size);
}

/// Calls transfer(component, bytes from the component's start, bytes of the block's) for all that a block consists of.
template <class Tensors, class Transfer>
void for_each_run(const kq::Request& whole, const kq::Request& block, std::int64_t first_token, Tensors& outputs,
                  const Transfer& transfer) {
  const std::span codes(outputs.codes);
  const std::span scales(outputs.scales);
  const std::span zero_points(outputs.zero_points);
  const std::int64_t row_bytes = kq::codes_row_bytes(whole.format, whole.hidden_size);
  transfer(QuantizedLayout::codes, static_cast<std::uint64_t>(first_token * row_bytes), codes);
  // The tensor has one, whichever rows are transferred.
  if (kq::has_global_scale(whole)) transfer(QuantizedLayout::global_scale, 0, std::span(outputs.global_scale));
  for_each_run_of_scales(whole, block, first_token, [&](std::int64_t at, std::int64_t first, std::int64_t count) {
    const std::size_t size = kq::scale_size(whole);
    transfer(QuantizedLayout::scales, static_cast<std::uint64_t>(at) * size, pieces(scales, first, count, size));
    if (whole.asymmetric) {
      transfer(QuantizedLayout::zero_points, static_cast<std::uint64_t>(at) * sizeof(std::int32_t),
               pieces(zero_points, first, count, sizeof(std::int32_t)));
    }
  });
}

}  // namespace

std::optional<TensorNames> parse_tensor_names(std::string_view name) {
  if (name == "kqbench") return TensorNames::kqbench;
  if (name == "compressed-tensors") return TensorNames::compressed_tensors;
  if (name == "modelopt") return TensorNames::modelopt;
  return std::nullopt;
}

QuantizedLayout::QuantizedLayout(const std::filesystem::path& output, const std::vector<TensorFile>& inputs,
                                 const std::vector<PlannedTensor>& plan)
    : inputs_(inputs), plan_(plan), places_(plan.size()) {
  std::error_code failed;
  if (!std::filesystem::is_directory(output, failed)) {
    Tensors all(plan.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    add(output, all);
  } else {
    std::map<std::size_t, Tensors> by_input;
    for (std::size_t i = 0; i < plan.size(); ++i) {
      by_input[plan[i].input].push_back(i);
    }
    for (const auto& [input, tensors] : by_input) {
      add(output / inputs[input].path().filename(), tensors);
    }
  }
  std::set<std::filesystem::path> paths;
  for (const Part& part : files_) {
    if (paths.insert(target_of(part.path)).second) continue;
    throw UsageError(in_quotes(part.path.native()) + ": would be written twice; write to different folders");
  }
}

void QuantizedLayout::add(const std::filesystem::path& output, const Tensors& tensors) {
  const std::string name = output.filename().native();
  if (name.ends_with(safetensors_index_suffix) && name.size() > safetensors_index_suffix.size()) {
    add_shards(output, tensors);
  } else if (output.extension() == ".safetensors") {
    add_safetensors(output, tensors);
  } else if (output.extension() == ".npy") {
    if (tensors.size() != 1) {
      throw UsageError(
          fmt::format("{}: a .npy file holds one tensor, not {}; choose one with --tensor, or write a "
                      ".safetensors file",
                      in_quotes(output.native()), tensors.size()));
    }
    add_npy(output, tensors.front());
  } else {
    throw UsageError(fmt::format("{}: its name ends in none of .npy, .safetensors and {}; choose one of them",
                                 in_quotes(output.native()), safetensors_index_suffix));
  }
}

std::uint64_t QuantizedLayout::add_safetensors(const std::filesystem::path& path, const Tensors& tensors) {
  std::vector<StoredTensor> all;
  std::map<std::string, std::string> metadata = metadata_of(plan_[tensors.front()].request);
  for (const std::size_t i : tensors) {
    for (StoredTensor& stored : outputs_of(plan_[i])) {
      all.push_back(std::move(stored));
    }
    const TensorFile::Part& part = inputs_[plan_[i].input].parts()[plan_[i].source.shard];
    metadata.insert(part.metadata.begin(), part.metadata.end());
  }
  metadata.emplace("format", "pt");
  std::string head = place_safetensors(all, metadata);
  const std::uint64_t begin = head.size();
  std::uint64_t end = begin;
  auto next = all.begin();
  for (const std::size_t i : tensors) {
    for (std::size_t count = outputs_of(plan_[i]).size(); count > 0; --count, ++next) {
      places_[i].push_back({files_.size(), next->offset});
      end = std::max(end, next->offset + next->bytes);
    }
  }
  files_.push_back({path, std::move(head), end});
  return end - begin;
}

void QuantizedLayout::add_shards(const std::filesystem::path& index, const Tensors& tensors) {
  std::map<std::pair<std::size_t, std::size_t>, Tensors> by_part;
  std::set<std::string> names;
  for (const std::size_t i : tensors) {
    by_part[{plan_[i].input, plan_[i].source.shard}].push_back(i);
    for (const StoredTensor& stored : outputs_of(plan_[i])) {
      if (!names.insert(stored.name).second) {
        throw UsageError(fmt::format("{} would be written twice; rename one of the tensors", in_quotes(stored.name)));
      }
    }
  }
  const std::size_t place = files_.size();
  files_.push_back({index, "", 0});
  std::string stem = index.filename().native();
  stem.resize(stem.size() - safetensors_index_suffix.size());
  std::map<std::string, std::string> weight_map;
  std::uint64_t total = 0;
  std::size_t number = 0;
  for (const auto& [part, here] : by_part) {
    const std::string name = fmt::format("{}-{:05}-of-{:05}.safetensors", stem, ++number, by_part.size());
    total += add_safetensors(index.parent_path() / name, here);
    for (const std::size_t i : here) {
      for (const StoredTensor& stored : outputs_of(plan_[i])) {
        weight_map.emplace(stored.name, name);
      }
    }
  }
  files_[place].head = safetensors_index_text(weight_map, total);
  files_[place].bytes = files_[place].head.size();
}

void QuantizedLayout::add_npy(const std::filesystem::path& output, std::size_t tensor) {
  for (const StoredTensor& stored : outputs_of(plan_[tensor])) {
    std::filesystem::path path = output;
    const std::string suffix = stored.name.substr(plan_[tensor].name.size());  // ".scale"
    if (!suffix.empty()) path.replace_extension(suffix + ".npy");
    std::string head = npy_header(stored.dtype, stored.shape);
    places_[tensor].push_back({files_.size(), head.size()});
    const std::uint64_t bytes = head.size() + stored.bytes;
    files_.push_back({std::move(path), std::move(head), bytes});
  }
}

QuantizedWriter::QuantizedWriter(const QuantizedLayout& layout, const std::vector<PlannedTensor>& plan)
    : layout_(layout), plan_(plan) {
  for (const QuantizedLayout::Part& file : layout.files()) {
    files_.push_back(std::make_unique<OutputFile>(file.path));
    files_.back()->write_at(0, std::as_bytes(std::span(file.head)));
  }
}

void QuantizedWriter::write(std::size_t tensor, const kq::Request& block, std::int64_t first_token,
                            const HostTensors& outputs) {
  std::vector<std::byte> g;
  if (plan_[tensor].names == TensorNames::compressed_tensors && kq::has_global_scale(block)) {
    // g itself, where it is known.
    g = inverse(outputs.global_scale);
    if (block.global_scale != 0.0f) std::memcpy(g.data(), &block.global_scale, sizeof(float));
  }
  for_each_run(plan_[tensor].request, block, first_token, outputs, [&](auto component, std::uint64_t at, auto run) {
    const QuantizedLayout::Place place = layout_.place(tensor, component);
    const bool is_g = !g.empty() && component == QuantizedLayout::global_scale;
    files_[place.file]->write_at(place.offset + at, is_g ? std::as_bytes(std::span(g)) : std::as_bytes(run));
  });
}

void QuantizedWriter::commit() {
  // What refers to others last, so that who finds it finds them: an index after its shards, codes after their scales.
  std::reverse(files_.begin(), files_.end());
  OutputFile::commit_all(files_);
}

QuantizedReader::QuantizedReader(const QuantizedLayout& layout, const std::vector<PlannedTensor>& plan)
    : layout_(layout), plan_(plan) {
  for (const QuantizedLayout::Part& file : layout.files()) {
    files_.emplace_back(file.path);
    if (files_.back().size() != file.bytes) {
      throw UsageError(fmt::format("{}: {} bytes were written, {} are there; write to a place of its own",
                                   files_.back().name(), file.bytes, files_.back().size()));
    }
  }
}

HostTensors QuantizedReader::read(std::size_t tensor, const kq::Request& block, std::int64_t first_token) const {
  HostTensors outputs;
  outputs.codes.resize(kq::codes_bytes(block));
  outputs.scales.resize(kq::scales_bytes(block));
  outputs.zero_points.resize(kq::zero_points_bytes(block));
  if (kq::has_global_scale(block)) outputs.global_scale.resize(sizeof(float));
  for_each_run(plan_[tensor].request, block, first_token, outputs, [&](auto component, std::uint64_t at, auto run) {
    const QuantizedLayout::Place place = layout_.place(tensor, component);
    files_[place.file].read_at(place.offset + at, std::as_writable_bytes(run));
  });
  if (plan_[tensor].names == TensorNames::compressed_tensors && kq::has_global_scale(block)) {
    outputs.global_scale = inverse(outputs.global_scale);
  }
  return outputs;
}

}  // namespace kqbench
