// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"

namespace kqbench {
namespace {

using nlohmann::json;

constexpr std::size_t max_safetensors_dimensions = 64;

struct SafetensorsType {
  DType dtype;
  std::string_view name;
};
constexpr std::array<SafetensorsType, 12> safetensors_types{{{DType::float16, "F16"},
                                                             {DType::bfloat16, "BF16"},
                                                             {DType::float32, "F32"},
                                                             {DType::fp8_e4m3fn, "F8_E4M3"},
                                                             {DType::fp8_e5m2, "F8_E5M2"},
                                                             {DType::fp8_e4m3fnuz, "F8_E4M3FNUZ"},
                                                             {DType::fp8_e5m2fnuz, "F8_E5M2FNUZ"},
                                                             {DType::ue8m0, "F8_E8M0"},
                                                             {DType::int8, "I8"},
                                                             {DType::uint8, "U8"},
                                                             {DType::uint16, "U16"},
                                                             {DType::int32, "I32"}}};

DType type_of(std::string_view name) {
  const auto type = std::find_if(safetensors_types.begin(), safetensors_types.end(),
                                 [&](const SafetensorsType& t) { return t.name == name; });
  return type == safetensors_types.end() ? DType::other : type->dtype;
}

std::string_view type_name(DType dtype) {
  return std::find_if(safetensors_types.begin(), safetensors_types.end(),
                      [&](const SafetensorsType& t) { return t.dtype == dtype; })
      ->name;
}

[[noreturn]] void refuse(const std::string& file, const std::string& what) {
  throw UsageError(fmt::format("{}: broken .safetensors header: {}; write the file again", file, what));
}

/// Takes the header's JSON piece by piece. Anything but
///     {"__metadata__": {"key": "text", ...}, "name": {"dtype": "F16", "shape": [2, 3], "data_offsets": [0, 12]}, ...}
/// (or null for the metadata) is refused where it occurs, so that neither depth nor odd values ever build up in memory.
class HeaderReader final : public nlohmann::json_sax<json> {
 public:
  HeaderReader(const std::string& file, std::uint64_t data_begin) : file_(file), data_begin_(data_begin) {}

  SafetensorsHeader take() && { return std::move(header_); }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) return go(Place::file);
    if (place_ != Place::value_of_name) unexpected("an object");
    if (name_ == "__metadata__") return go(Place::metadata);
    tensor_ = {};
    tensor_.name = name_;
    seen_ = 0;
    return go(Place::tensor);
  }

  bool key(std::string& text) override {
    if (place_ == Place::metadata) {
      metadata_key_ = text;
      return true;
    }
    if (place_ == Place::file) {
      if (!names_.insert(text).second) refuse(file_, fmt::format("{} appears twice", in_quotes(text)));
      name_ = text;
      return go(Place::value_of_name);
    }
    constexpr std::array<std::pair<std::string_view, Place>, 3> entry_fields{
        {{"dtype", Place::dtype}, {"shape", Place::before_shape}, {"data_offsets", Place::before_offsets}}};
    for (std::size_t i = 0; i < entry_fields.size(); ++i) {
      if (text == entry_fields[i].first && (seen_ & (1u << i)) == 0) {
        seen_ |= 1u << i;
        return go(entry_fields[i].second);
      }
    }
    refuse(file_, fmt::format("{} has an unexpected or repeated key {}", in_quotes(name_), in_quotes(text)));
  }

  bool string(std::string& text) override {
    if (place_ == Place::metadata) {
      header_.metadata[metadata_key_] = text;
      return true;
    }
    if (place_ != Place::dtype) unexpected("a string");
    tensor_.dtype = type_of(text);
    return go(Place::tensor);
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::before_shape) return go(Place::shape);
    if (place_ != Place::before_offsets) unexpected("an array");
    offsets_.clear();
    return go(Place::offsets);
  }

  bool number_unsigned(std::uint64_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) unexpected("a number over 2^63");
    if (place_ == Place::shape) {
      if (tensor_.shape.size() == max_safetensors_dimensions) {
        refuse(file_, fmt::format("{} has more than {} dimensions", in_quotes(name_), max_safetensors_dimensions));
      }
      tensor_.shape.push_back(static_cast<std::int64_t>(value));
      return true;
    }
    if (place_ != Place::offsets || offsets_.size() == 2) unexpected("a number");
    offsets_.push_back(value);
    return true;
  }

  bool end_array() override { return go(Place::tensor); }

  bool end_object() override {
    if (place_ == Place::file) return go(Place::end);
    if (place_ == Place::tensor) finish_tensor();
    return go(Place::file);
  }

  bool null() override {
    if (place_ == Place::value_of_name && name_ == "__metadata__") return go(Place::file);
    unexpected("null");
  }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(std::int64_t) override { unexpected("a negative number"); }
  bool number_float(double, const std::string&) override { unexpected("a number with a fraction"); }
  bool binary(json::binary_t&) override { unexpected("binary data"); }
  bool parse_error(std::size_t position, const std::string&, const json::exception&) override {
    refuse(file_, fmt::format("no JSON at byte {} of it", position));
  }

 private:
  /// What has just been read; so, what may follow.
  enum class Place : std::uint8_t {
    start,
    file,           ///< inside the outermost object
    value_of_name,  ///< after a tensor's name, or "__metadata__"
    metadata,
    tensor,  ///< inside a tensor's object
    dtype,
    before_shape,
    shape,
    before_offsets,
    offsets,
    end,
  };

  bool go(Place place) {
    place_ = place;
    return true;
  }

  [[noreturn]] void unexpected(const std::string& what) const {
    refuse(file_, name_.empty() ? fmt::format("{} where none belongs", what)
                                : fmt::format("{} where none belongs, at {}", what, in_quotes(name_)));
  }

  void finish_tensor() {
    const std::string name = in_quotes(name_);
    if (seen_ != 7) refuse(file_, name + " lacks one of dtype, shape, data_offsets");
    if (offsets_.size() != 2 || offsets_[0] > offsets_[1]) refuse(file_, name + " has no range of bytes");
    tensor_.bytes = offsets_[1] - offsets_[0];
    tensor_.offset = offsets_[0];
    if (__builtin_add_overflow(tensor_.offset, data_begin_, &tensor_.offset)) refuse(file_, name + " lies outside");
    const auto needed = byte_count(tensor_.shape, tensor_.dtype == DType::other ? 1 : size_of(tensor_.dtype));
    if (!needed) refuse(file_, fmt::format("{} of shape {} is too large", name, shape_text(tensor_.shape)));
    if (tensor_.dtype != DType::other && *needed != tensor_.bytes) {
      refuse(file_, fmt::format("{}: {} elements of {} need {} bytes, not {}", name, shape_text(tensor_.shape),
                                name_of(tensor_.dtype), *needed, tensor_.bytes));
    }
    header_.tensors.push_back(std::move(tensor_));
  }

  const std::string& file_;
  std::uint64_t data_begin_;
  Place place_ = Place::start;
  std::string name_;
  std::unordered_set<std::string> names_;
  StoredTensor tensor_;
  unsigned seen_ = 0;  ///< one bit a field of the tensor
  std::vector<std::uint64_t> offsets_;
  std::string metadata_key_;
  SafetensorsHeader header_;
};

}  // namespace

std::uint64_t safetensors_header_length(std::span<const std::byte> head, std::uint64_t file_size,
                                        const std::string& name) {
  if (head.size() < 8 || file_size < 8)
    throw UsageError(name + ": is too short for a .safetensors file; write it again");
  std::uint64_t length = 0;
  std::memcpy(&length, head.data(), sizeof length);
  if (length > file_size - 8) refuse(name, fmt::format("it claims {} bytes, {} are there", length, file_size - 8));
  if (length > max_safetensors_header) refuse(name, fmt::format("{} bytes, more than 100 MB", length));
  return length;
}

SafetensorsHeader parse_safetensors(std::span<const std::byte> header, std::uint64_t file_size,
                                    const std::string& name) {
  const std::uint64_t data_begin = 8 + header.size();
  if (header.empty() || header.front() != std::byte{'{'}) refuse(name, "it does not begin with {");
  const auto* const text = reinterpret_cast<const char*>(header.data());
  // The parser would take it for the end and believe what came before.
  if (const void* const zero = std::memchr(text, 0, header.size())) {
    refuse(name, fmt::format("no JSON at byte {} of it", static_cast<const char*>(zero) - text));
  }
  HeaderReader reader(name, data_begin);
  json::sax_parse(text, text + header.size(), &reader);

  SafetensorsHeader found = std::move(reader).take();
  std::vector<StoredTensor>& tensors = found.tensors;
  std::stable_sort(tensors.begin(), tensors.end(), [](const StoredTensor& a, const StoredTensor& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  std::uint64_t end = data_begin;
  for (const StoredTensor& tensor : tensors) {
    if (tensor.offset != end) {
      refuse(name, fmt::format("{} does not begin where the tensor before it ends", in_quotes(tensor.name)));
    }
    end += tensor.bytes;
    if (end > file_size) refuse(name, fmt::format("{} ends beyond the file", in_quotes(tensor.name)));
  }
  if (end != file_size) refuse(name, fmt::format("the file's last {} bytes belong to no tensor", file_size - end));
  return found;
}

std::string place_safetensors(std::vector<StoredTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<StoredTensor*> order;
  for (StoredTensor& tensor : tensors) {
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](const StoredTensor* a, const StoredTensor* b) { return size_of(a->dtype) > size_of(b->dtype); });
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t end = 0;
  for (StoredTensor* tensor : order) {
    if (header.contains(tensor->name)) {
      throw UsageError(fmt::format("{} would be written twice; rename one of the tensors", in_quotes(tensor->name)));
    }
    tensor->offset = end;
    tensor->bytes = byte_count(tensor->shape, size_of(tensor->dtype)).value();
    end += tensor->bytes;
    header[tensor->name] = {
        {"dtype", type_name(tensor->dtype)}, {"shape", tensor->shape}, {"data_offsets", {tensor->offset, end}}};
  }
  std::string text = header.dump(-1, ' ', false, json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');  // the tensors begin at a multiple of 8
  std::uint64_t length = text.size();
  std::string head(8, '\0');
  std::memcpy(head.data(), &length, sizeof length);
  head += text;
  for (StoredTensor& tensor : tensors) {
    tensor.offset += head.size();
  }
  return head;
}

}  // namespace kqbench
