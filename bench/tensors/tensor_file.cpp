// SPDX-License-Identifier: Apache-2.0
#include "bench/tensors/tensor_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <system_error>
#include <utility>

#include "backends/host/memory.hpp"
#include "bench/support/bytes_text.hpp"
#include "bench/support/errors.hpp"
#include "bench/support/in_quotes.hpp"
#include "bench/tensors/npy.hpp"
#include "bench/tensors/safetensors.hpp"
#include "bench/tensors/safetensors_index.hpp"

namespace kqbench {
namespace {

/// As many bytes as tell a stand-in from a file.
constexpr std::uint64_t stand_in_bytes = 512;

std::vector<std::byte> read_head(const InputFile& file, std::uint64_t length) {
  std::vector<std::byte> head(std::min(file.size(), length));
  file.read_at(0, head);
  return head;
}

std::string some_names(const std::vector<StoredTensor>& tensors) {
  constexpr std::size_t shown = 5;
  std::string names;
  for (std::size_t i = 0; i < std::min(tensors.size(), shown); ++i) {
    names += (i > 0 ? ", " : "") + in_quotes(tensors[i].name);
  }
  return tensors.size() > shown ? fmt::format("{} and {} more", names, tensors.size() - shown) : names;
}

/// Where the elements of a tensor in Fortran order lie, by the row and column of the matrix that it is in C order.
class FortranOrder {
 public:
  explicit FortranOrder(const StoredTensor& tensor) : rows_(tensor.num_tokens()) {
    const std::size_t leading = tensor.shape.empty() ? 0 : tensor.shape.size() - 1;
    shape_.assign(tensor.shape.begin(), tensor.shape.begin() + static_cast<std::ptrdiff_t>(leading));
  }

  std::int64_t rows() const { return rows_; }  ///< elements of a column, which lie together

  /// The row, counted as in C order, of a column's element at a position.
  std::int64_t row_at(std::int64_t position) const {
    std::int64_t row = 0;
    std::int64_t stride = rows_;
    for (const std::int64_t dimension : shape_) {
      stride /= dimension;
      row += position % dimension * stride;
      position /= dimension;
    }
    return row;
  }

  bool is_matrix() const { return shape_.size() <= 1; }  ///< row_at(p) is p

 private:
  std::int64_t rows_;
  std::vector<std::int64_t> shape_;  ///< of all dimensions but the last
};

/// Reads columns in pieces, and puts those elements of them into `rows` that are in rows `first` and on.
template <std::size_t size>
void read_fortran_rows(const InputFile& file, const StoredTensor& tensor, std::int64_t first,
                       std::span<std::byte> rows) {
  constexpr std::int64_t piece_elements = (std::int64_t{1} << 20) / size;
  const FortranOrder order(tensor);
  const std::int64_t columns = tensor.hidden_size();
  const std::int64_t count = static_cast<std::int64_t>(rows.size() / size) / columns;
  const std::int64_t begin = order.is_matrix() ? first : 0;
  const std::int64_t end = order.is_matrix() ? first + count : order.rows();
  std::vector<std::byte> piece(static_cast<std::size_t>(std::min(end - begin, piece_elements)) * size);
  for (std::int64_t column = 0; column < columns; ++column) {
    for (std::int64_t at = begin; at < end; at += piece_elements) {
      const std::int64_t elements = std::min(end - at, piece_elements);
      const std::span bytes = std::span(piece).first(static_cast<std::size_t>(elements) * size);
      file.read_at(tensor.offset + static_cast<std::uint64_t>(column * order.rows() + at) * size, bytes);
      for (std::int64_t i = 0; i < elements; ++i) {
        const std::int64_t row = order.row_at(at + i) - first;
        if (row < 0 || row >= count) continue;
        std::memcpy(rows.data() + static_cast<std::size_t>(row * columns + column) * size,
                    bytes.data() + static_cast<std::size_t>(i) * size, size);
      }
    }
  }
}

}  // namespace

void refuse_stand_ins(std::span<const std::byte> start, const std::string& name) {
  std::string text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text.starts_with("version https://git-lfs.github.com/spec/")) {
    throw UsageError(name + ": is a Git LFS pointer, not the file that it stands for; run `git lfs pull` where it is");
  }
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  text.erase(0, text.find_first_not_of(" \t\r\n"));
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
  if (text.starts_with("<!doctype html") || text.starts_with("<html") || text.starts_with("<head")) {
    throw UsageError(name + ": is an HTML page, such as a site shows about a file; download the file itself");
  }
}

TensorFile::TensorFile(const std::filesystem::path& path) : path_(path), name_(in_quotes(path.native())) {
  open(InputFile(path));
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    by_name_.emplace(tensors_[i].name, i);
  }
}

void TensorFile::open(InputFile file) {
  const std::vector<std::byte> start = read_head(file, stand_in_bytes);
  if (is_npy(start)) {
    tensors_.push_back(parse_npy(read_head(file, max_npy_head), file.size(), name_));
    parts_.push_back({std::move(file), path_, {}});
    return;
  }
  refuse_stand_ins(start, name_);
  if (path_.extension() == ".json") {
    kind_ = Kind::index;
    open_index(file);
    return;
  }
  kind_ = Kind::safetensors;
  add_part(std::move(file), path_, start);
  if (tensors_.empty()) throw UsageError(name_ + ": holds no tensor; choose another file");
}

void TensorFile::add_part(InputFile file, const std::filesystem::path& path, std::span<const std::byte> start) {
  if (path.extension() == ".npy") throw UsageError(file.name() + ": is not a .npy file; write it with numpy.save");
  if (path.extension() != ".safetensors") {
    throw UsageError(file.name() + ": is neither a .npy nor a .safetensors file; convert it to one of them");
  }
  std::vector<std::byte> header(safetensors_header_length(start, file.size(), file.name()));
  file.read_at(8, header);
  SafetensorsHeader found = parse_safetensors(header, file.size(), file.name());
  for (StoredTensor& tensor : found.tensors) {
    tensor.shard = parts_.size();
    tensors_.push_back(std::move(tensor));
  }
  parts_.push_back({std::move(file), path, std::move(found.metadata)});
}

void TensorFile::open_index(const InputFile& file) {
  if (file.size() > max_safetensors_index) {
    throw UsageError(fmt::format("{}: has {} bytes, too many for an index of .safetensors files; name another file",
                                 name_, file.size()));
  }
  std::string text(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(text)));
  const SafetensorsIndex index = parse_safetensors_index(text, name_);
  for (const std::string& shard : index.shards) {
    const std::filesystem::path path = path_.parent_path() / shard;
    std::error_code failed;
    if (!std::filesystem::exists(path, failed) && !failed) {
      throw UsageError(fmt::format("{}: its shard {} is not there; put all {} beside the index", name_,
                                   in_quotes(path.native()), index.shards.size()));
    }
    InputFile part(path);
    const std::vector<std::byte> start = read_head(part, stand_in_bytes);
    refuse_stand_ins(start, part.name());
    add_part(std::move(part), path, start);
  }
  std::map<std::pair<std::string_view, std::size_t>, bool> listed;
  for (const auto& [tensor, shard] : index.tensors) {
    listed[{tensor, shard}] = false;
  }
  std::vector<StoredTensor> tensors;
  for (StoredTensor& tensor : tensors_) {
    const auto entry = listed.find({tensor.name, tensor.shard});
    if (entry == listed.end()) {
      unlisted_.push_back(tensor.name);
      continue;
    }
    entry->second = true;
    tensors.push_back(std::move(tensor));
  }
  for (const auto& [entry, is_there] : listed) {
    if (is_there) continue;
    throw UsageError(
        fmt::format("{}: says that {} is in {}, which has no such tensor; take index and shards of one model", name_,
                    in_quotes(entry.first), parts_[entry.second].file.name()));
  }
  tensors_ = std::move(tensors);
}

const StoredTensor& TensorFile::find(std::string_view tensor_name) const {
  if (tensor_name.empty()) {
    if (tensors_.size() == 1) return tensors_.front();
    throw UsageError(fmt::format("{}: holds {} tensors; choose one with --tensor: {}", name(), tensors_.size(),
                                 some_names(tensors_)));
  }
  if (!has_names()) throw UsageError(name() + ": a .npy file's tensor has no name; leave --tensor out");
  if (const StoredTensor* const tensor = find_if_there(tensor_name)) return *tensor;
  throw UsageError(
      fmt::format("{}: holds no tensor {}; it holds {}", name(), in_quotes(tensor_name), some_names(tensors_)));
}

const StoredTensor* TensorFile::find_if_there(std::string_view tensor_name) const {
  const auto place = by_name_.find(tensor_name);
  return place == by_name_.end() ? nullptr : &tensors_[place->second];
}

void TensorFile::read_rows(const StoredTensor& tensor, std::int64_t first, std::span<std::byte> rows) const {
  const InputFile& file = parts_[tensor.shard].file;
  const std::size_t element_bytes = size_of(tensor.dtype);
  if (tensor.fortran_order && !rows.empty()) {
    switch (element_bytes) {
      case 1:
        return read_fortran_rows<1>(file, tensor, first, rows);
      case 2:
        return read_fortran_rows<2>(file, tensor, first, rows);
      default:
        return read_fortran_rows<4>(file, tensor, first, rows);
    }
  }
  const std::uint64_t row_bytes = static_cast<std::uint64_t>(tensor.hidden_size()) * element_bytes;
  file.read_at(tensor.offset + static_cast<std::uint64_t>(first) * row_bytes, rows);
}

kq::Element element_of(const TensorFile& file, const StoredTensor& tensor, std::optional<kq::Element> wanted) {
  const std::string what = file.has_names() ? fmt::format("{}: tensor {}", file.name(), in_quotes(tensor.name))
                                            : file.name() + ": its array";
  if (tensor.dtype != DType::other && tensor.hidden_size() == 0) {
    throw UsageError(fmt::format("{} of shape {} has no elements; choose another", what, shape_text(tensor.shape)));
  }
  if (tensor.dtype == DType::uint16) {
    if (wanted == kq::Element::bfloat16) return kq::Element::bfloat16;
    throw UsageError(what + " is of uint16; if it holds bfloat16's bits say so with --dtype bfloat16");
  }
  std::optional<kq::Element> element;
  if (tensor.dtype == DType::float16) element = kq::Element::half;
  if (tensor.dtype == DType::bfloat16) element = kq::Element::bfloat16;
  if (tensor.dtype == DType::float32) element = kq::Element::float32;
  if (is_fp8(tensor.dtype)) {
    throw UsageError(fmt::format("{} is of {}, quantized already; take the tensor that its codes were made from", what,
                                 name_of(tensor.dtype)));
  }
  if (!element) {
    throw UsageError(
        fmt::format("{} is of {}; only float16, bfloat16 and float32 can be quantized", what, name_of(tensor.dtype)));
  }
  if (wanted && *wanted != *element) {
    throw UsageError(fmt::format("{} is of {}, --dtype says {}; leave --dtype out", what, name_of(tensor.dtype),
                                 kq::to_string(*wanted)));
  }
  return *element;
}

void require_memory(const TensorFile& file, std::uint64_t bytes) {
  const std::uint64_t available = memory_available_bytes();
  if (bytes > available) {
    throw SystemError(fmt::format("{}: {} are needed, {} are free on this machine; take a smaller tensor", file.name(),
                                  bytes_text(bytes), bytes_text(available)));
  }
}

InputTensor load_input(const std::filesystem::path& path, std::string_view tensor_name,
                       std::optional<kq::Element> wanted) {
  const TensorFile file(path);
  const StoredTensor& tensor = file.find(tensor_name);
  InputTensor input{element_of(file, tensor, wanted),
                    tensor.num_tokens(),
                    tensor.hidden_size(),
                    {},
                    file.has_names() ? tensor.name : path.stem().native()};
  require_memory(file, tensor.bytes);
  input.bytes.resize(tensor.bytes);
  file.read_rows(tensor, 0, input.bytes);
  return input;
}

}  // namespace kqbench
